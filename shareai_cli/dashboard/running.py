"""A drill under way, as the screens see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shareai_cli.dashboard.drilling import Expected, Finding


class RunningDrill:
    """Takes in what a drill tells (see `drilling.Watcher`); `changed` is called after each piece of news."""

    def __init__(
        self, expected: Expected, former: Mapping[str, Finding], changed: Callable[[], None]
    ) -> None:
        """`former` is what the cases had found the last time before, by their names."""
        self.expected = expected
        self.former = former
        self.case = ""
        """What is run now."""
        self.findings: list[Finding] = []
        self.ending = ""
        """How it ended; empty while it goes on."""
        self._changed = changed

    def __repr__(self) -> str:
        return f"<RunningDrill {len(self.findings)} of {self.expected.cases}>"

    @property
    def cost_nano(self) -> int:
        """What was spent, as far as prices are known."""
        return sum(one.cost_nano for one in self.findings)

    @property
    def has_unknown_cost(self) -> bool:
        """Whether it was more than that."""
        return any(one.has_unknown_cost for one in self.findings)

    def began(self, case: str) -> None:
        """See `Watcher`."""
        self.case = case
        self._changed()

    def ended(self, finding: Finding) -> None:
        """See `Watcher`."""
        self.findings.append(finding)
        self._changed()

    def end(self, how: str) -> None:
        """Take note that it has ended."""
        self.case, self.ending = "", how
        self._changed()
