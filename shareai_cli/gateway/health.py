"""What is known of targets and keys: which serve, which are left alone until when, and why.

All of it is this one object. It decides from its state and the clock, and never waits or sends. A target
or key that has given no trouble has no entry, so a healthy gateway looks up empty dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from shareai_cli.gateway.exchange import printable
from shareai_cli.gateway.verdict import Effect, Verdict
from shareai_cli.types import NODE, Clock, Target

EJECT_AFTER = 3
"""Failures in a row after which a target is ejected."""

FIRST_EJECTION = 5.0
LONGEST_EJECTION = 300.0
"""Seconds; each ejection that follows another without a success between lasts twice as long."""

ASIDE_SECONDS = 900.0
"""How long a key or target that was refused for good is left alone before a request tries it again."""

FORBIDDEN_REQUESTS = 3
"""Different requests answered 403 after which a key is put aside for that model."""


MOST_RECORDS = 4096


class State(StrEnum):
    """How a target, or a key, stands."""

    SERVING = "serving"
    TRIAL = "trial"
    """Its ejection is over: the next request tries it, one at a time."""
    PROBING = "probing"
    """Its ejection is over, and its provider's free call has to answer before a request tries it."""
    COOLING = "cooling"
    EJECTED = "ejected"
    ASIDE = "aside"
    DISABLED = "disabled"
    """By a person's order, as are the next two: no new requests go there, until another order."""
    DRAINING = "draining"
    PAUSED = "paused"


LEFT_ALONE = (State.COOLING, State.ASIDE)
"""States in which a target is not asked, even where nothing else is left."""


class Standing(Struct, frozen=True):
    """A state, the clock's time at which it is over (0: none), and the reason in words."""

    state: State
    until: float = 0.0
    reason: str = ""
    is_missing: bool = False
    """Whether the provider said that it has no such model."""


SERVING = Standing(State.SERVING)

Name = TypeVar("Name")
Trouble = TypeVar("Trouble")


class _TargetTrouble:
    """The record of one target since its last success."""

    __slots__ = (
        "aside_until",
        "ejected_until",
        "ejections",
        "failures",
        "on_trial",
        "probed",
        "reason",
    )

    def __init__(self) -> None:
        self.failures = 0
        self.ejections = 0
        self.ejected_until = 0.0
        self.aside_until = 0.0
        self.reason = ""
        self.on_trial = False
        self.probed = False

    def standing(self, now: float, has_check: bool) -> Standing:
        if self.aside_until > now:
            return Standing(State.ASIDE, self.aside_until, self.reason, is_missing=True)
        if not self.ejections:
            return SERVING
        if self.ejected_until > now or self.on_trial:
            return Standing(State.EJECTED, self.ejected_until, self.reason)
        if has_check and not self.probed:
            return Standing(State.PROBING, self.ejected_until, self.reason)
        return Standing(State.TRIAL, self.ejected_until, self.reason)

    def fail(self, now: float, asked_at: float, reason: str, first_ejection: float) -> None:
        self.reason = reason
        # Requests that were under way when the target was ejected, or that took it as the least bad, say
        # nothing new about it.
        if self.ejections and asked_at < self.ejected_until:
            return
        self.failures += 1
        if self.failures >= EJECT_AFTER or self.ejections:
            self._eject(now, first_ejection)

    def _eject(self, now: float, first_ejection: float) -> None:
        lasting = min(first_ejection * 2**self.ejections, LONGEST_EJECTION)
        self.ejections = min(self.ejections + 1, 16)
        self.ejected_until = now + lasting
        self.on_trial = False
        self.probed = False


class _KeyTrouble:
    """The record of one key, or of one key with one model."""

    __slots__ = ("aside_until", "cooling_until", "forbidden", "reason")

    def __init__(self) -> None:
        self.aside_until = 0.0
        self.cooling_until = 0.0
        self.reason = ""
        self.forbidden: set[int] = set()

    def standing(self, now: float) -> Standing:
        if self.aside_until > now:
            return Standing(State.ASIDE, self.aside_until, self.reason)
        if self.cooling_until > now:
            return Standing(State.COOLING, self.cooling_until, self.reason)
        return SERVING


class Health:
    """The state of every target, key, and (key, model), and the decisions that follow from it.

    A key is named by its fingerprint; a provider that takes no key has none.
    """

    def __init__(
        self,
        clock: Clock,
        on_notice: Callable[[str], None] | None = None,
        first_ejection: float = FIRST_EJECTION,
    ) -> None:
        """Tell `on_notice` when a key or a target is put aside, and not again while it is."""
        self._clock = clock
        self._first_ejection = first_ejection
        self._on_notice = on_notice
        self._targets: dict[Target, _TargetTrouble] = {}
        self._keys: dict[tuple[str, str], _KeyTrouble] = {}
        self._models: dict[tuple[Target, str], _KeyTrouble] = {}

    def __repr__(self) -> str:
        return f"<Health in trouble: [targets: {len(self._targets)}, keys: {len(self._keys)}]>"

    @property
    def untroubled(self) -> bool:
        """Whether nothing at all is known against any target or key."""
        return not (self._targets or self._keys or self._models)

    def standing(self, target: Target, keys: Sequence[str], has_check: bool) -> Standing:
        """Tell how a target stands; one whose every key is left alone stands as the first to return."""
        if keys and (self._keys or self._models):
            standings = [self.key_standing(target, key) for key in keys]
            if all(one.state is not State.SERVING for one in standings):
                return min(standings, key=lambda one: one.until)
        trouble = self._targets.get(target)
        return SERVING if trouble is None else trouble.standing(self._clock(), has_check)

    def key_standing(self, target: Target, key: str) -> Standing:
        """Tell how one of a provider's keys stands for a target's model."""
        now = self._clock()
        for trouble in (self._keys.get((target.provider, key)), self._models.get((target, key))):
            if trouble is not None:
                standing = trouble.standing(now)
                if standing.state is not State.SERVING:
                    return standing
        return SERVING

    def asked(self, target: Target) -> float:
        """Note that a target is asked and return when: where its ejection is over, this is the trial."""
        now = self._clock()
        trouble = self._targets.get(target)
        if trouble is not None and trouble.ejections and trouble.ejected_until <= now:
            trouble.on_trial = True
        return now

    def succeeded(self, target: Target) -> None:
        """Forget what was held against a target: it answered."""
        if self._targets:
            self._targets.pop(target, None)

    def abandoned(self, target: Target) -> None:
        """Note that a request ended without telling anything of its target: its client left."""
        trouble = self._targets.get(target)
        if trouble is not None:
            trouble.on_trial = False

    def failed(
        self,
        target: Target,
        key: str,
        verdict: Verdict,
        *,
        request: int,
        asked_at: float,
        reason: str,
    ) -> None:
        """Take in what a failed attempt says; `asked_at` is what `asked` returned."""
        now = self._clock()
        match verdict.effect:
            case Effect.FAILED:
                self._targets.setdefault(target, _TargetTrouble()).fail(
                    now, asked_at, reason, self._first_ejection
                )
                return
            case Effect.SHELVE_TARGET:
                trouble = self._targets.setdefault(target, _TargetTrouble())
                self._tell(trouble.aside_until <= now, f"The target '{_shown(target.name)}'", target, reason)
                trouble.aside_until = now + ASIDE_SECONDS
                trouble.reason = reason
            case Effect.SHELVE_KEY:
                held = self._keys.setdefault((target.provider, key), _KeyTrouble())
                self._tell(held.aside_until <= now, _named(key, target), target, reason)
                held.aside_until = now + ASIDE_SECONDS
                held.reason = reason
            case Effect.COOL_KEY:
                held = self._models.setdefault((target, key), _KeyTrouble())
                held.cooling_until = max(held.cooling_until, now + verdict.retry_after)
                held.reason = reason
            case Effect.FORBIDDEN:
                held = self._models.setdefault((target, key), _KeyTrouble())
                held.forbidden.add(request)
                held.reason = reason
                if len(held.forbidden) >= FORBIDDEN_REQUESTS:
                    subject = f"{_named(key, target)}, asked for '{_shown(target.model)}',"
                    self._tell(held.aside_until <= now, subject, target, reason)
                    held.aside_until = now + ASIDE_SECONDS
                    held.forbidden.clear()
            case Effect.ANSWER | Effect.REFUSED | Effect.NOT_SERVED:
                pass
        self.abandoned(target)

    def _tell(self, is_new: bool, subject: str, target: Target, reason: str) -> None:
        if is_new and self._on_notice is not None:
            check = "status" if target.provider == NODE else f"provider test {target.provider}"
            minutes, reason = round(ASIDE_SECONDS / 60), reason.removesuffix(".")
            self._on_notice(
                f"{subject} is put aside for {minutes} min: {reason}. 'shareai {check}' checks it."
            )

    def troubles(self) -> list[tuple[str, str, Standing]]:
        """List what does not simply serve: the target (or its provider), the key, and how it stands."""
        now = self._clock()
        found = [
            (target.name, "", one.standing(now, has_check=False)) for target, one in self._targets.items()
        ]
        found += [(provider, key, one.standing(now)) for (provider, key), one in self._keys.items()]
        found += [(target.name, key, one.standing(now)) for (target, key), one in self._models.items()]
        return [one for one in found if one[2].state is not State.SERVING]

    def due_for_probe(self) -> list[Target]:
        """List the targets whose ejection is over and whose provider's free call was not asked yet."""
        now = self._clock()
        return [
            target
            for target, trouble in self._targets.items()
            if trouble.ejections and not trouble.probed and trouble.ejected_until <= now
        ]

    def probed(self, target: Target, *, answered: bool) -> None:
        """Take in how a provider answered its free call."""
        trouble = self._targets.get(target)
        if trouble is None:
            return
        if answered:
            trouble.probed = True
        else:
            now = self._clock()
            trouble.fail(now, now, trouble.reason, self._first_ejection)

    def has_failed(self, target: Target) -> bool:
        """Whether a target's last answer was a failure."""
        return target in self._targets

    def prune(self) -> None:
        """Drop what is over, and past `MOST_RECORDS` the oldest: clients choose some targets' names."""
        now = self._clock()
        self._targets = _bounded(self._targets, lambda one: one.failures or one.aside_until > now)
        self._keys = _bounded(self._keys, lambda one: one.aside_until > now)
        self._models = _bounded(
            self._models, lambda one: one.forbidden or max(one.aside_until, one.cooling_until) > now
        )

    def forget_keys(self) -> None:
        """Forget what was held against keys: the configuration changed, and they may be new ones."""
        self._keys.clear()
        self._models.clear()


def _shown(name: str) -> str:
    return printable(name).decode("ascii")


def _named(key: str, target: Target) -> str:
    of = f"of provider '{target.provider}'"
    return f"The key {key} {of}" if key else f"The access without a key {of}"


def _bounded(held: dict[Name, Trouble], matters: Callable[[Trouble], object]) -> dict[Name, Trouble]:
    if not held:
        return held
    kept = [(name, trouble) for name, trouble in held.items() if matters(trouble)]
    return dict(kept[-MOST_RECORDS:])
