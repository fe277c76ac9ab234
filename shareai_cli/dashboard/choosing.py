"""Which routes, checks and faults are to be drilled: everything, but for what a person has left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from shareai_cli.dashboard.drilling import Choice
from shareai_cli.drill_types import CHECKS, CheckName, DrillSubjects, FaultKind
from shareai_cli.errors import UsageError

_PROOFS: Final[Mapping[CheckName, str]] = {
    "answers": "each route, target and key answers",
    "failover": "another target takes over",
    "cost": "tokens and cost are as counted",
    "cache": "the cache keeps and gives",
    "limits": "limits hold",
}


class Mark(NamedTuple):
    """A line of what can be chosen; one without a name is the heading of its group."""

    group: str
    name: str
    about: str
    is_chosen: bool

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.group}\n{self.name}"


class Choices:
    """What is chosen; groups are "routes", "checks" and "faults"."""

    def __init__(self, faults: Mapping[FaultKind, str]) -> None:
        self._faults = faults
        self._subjects = DrillSubjects((), ())
        self._left_out: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        return f"<Choices without {sorted(self._left_out)}>"

    def offer(self, subjects: DrillSubjects) -> None:
        """Take in what can be drilled now."""
        self._subjects = subjects

    def marks(self) -> Iterator[Mark]:
        """Yield every line, those of a group below its heading."""
        for group, members in self._groups().items():
            yield Mark(group, "", "", all((group, name) not in self._left_out for name, _ in members))
            for name, about in members:
                yield Mark(group, name, about, (group, name) not in self._left_out)

    def turn(self, group: str, name: str) -> None:
        """Choose what was left out, or leave it out; without a name the whole group."""
        members = self._groups().get(group, ())
        turned = {(group, one) for one, _ in members if name in ("", one)}
        if turned & self._left_out:
            self._left_out -= turned
        else:
            self._left_out |= turned

    def turn_all(self) -> None:
        """Choose everything; where everything is chosen, nothing."""
        every = {(group, name) for group, members in self._groups().items() for name, _ in members}
        self._left_out = set() if every & self._left_out else every

    def choice(self) -> Choice:
        """Return what is to be drilled; raises `UsageError` where that is nothing."""
        routes, checks, faults = (self._chosen(group) for group in ("routes", "checks", "faults"))
        if routes is None or checks is None:
            raise UsageError(f"No {'route' if routes is None else 'check'} is chosen.", hint="Space chooses.")
        if faults is None and (not checks or "failover" in checks):
            raise UsageError("The check failover needs a fault.", hint="Space chooses one.")
        return Choice(
            routes=routes,
            checks=tuple(one for one in CHECKS if one in checks),
            faults=tuple(one for one in self._faults if one in (faults or ())),
        )

    def _chosen(self, group: str) -> tuple[str, ...] | None:
        """Return what is chosen of a group, nothing for all of it; None where all of it is left out."""
        names = [name for name, _ in self._groups()[group]]
        chosen = tuple(name for name in names if (group, name) not in self._left_out)
        if len(chosen) == len(names):
            return ()
        return chosen or None

    def _groups(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        return {
            "routes": [
                (one.name, f"{len(one.targets)} target{'s' if len(one.targets) > 1 else ''}, {one.strategy}")
                for one in self._subjects.routes
            ],
            "checks": [(one, _PROOFS[one]) for one in CHECKS],
            "faults": list(self._faults.items()),
        }
