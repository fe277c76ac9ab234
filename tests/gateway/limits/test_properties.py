"""Over any interleaving of requests, attempts, ends and time: nothing passes a limit, and nothing leaks."""

from __future__ import annotations

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shareai_cli.errors import LimitReached
from shareai_cli.gateway.exchange import Exchange
from shareai_cli.gateway.limits import Attempts, Limiter
from shareai_cli.gateway.limits.limiter import EXPIRY_MS
from shareai_cli.types import (
    Budget,
    Caller,
    Limits,
    Outcome,
    RateLimit,
    Subject,
    Target,
    Usage,
    Window,
)
from tests.gateway.limits.making import (
    NODE_TARGET,
    NOW_MS,
    ORGANIZATION,
    Rows,
    attempt,
    by_name,
    end_of,
    endpoint_of,
    exchange_of,
)

PARENT = Caller(1, "parent", "dev")
CHILD = Caller(2, "child", "dev", ancestors=(1,))
OTHER = Caller(3, "other", "ops")
CALLERS = (PARENT, CHILD, OTHER)
TARGETS = ("a/m", "b/m", NODE_TARGET)

LENGTHS: dict[Window, int] = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}


def rates(measure: str, **most: int) -> tuple[RateLimit, ...]:
    return tuple(RateLimit(measure, window, number) for window, number in most.items())  # type: ignore[arg-type]


def budgets(**nano: int) -> tuple[Budget, ...]:
    return tuple(Budget(period, number) for period, number in nano.items())  # type: ignore[arg-type]


LIMITS = {
    ORGANIZATION: Limits(rates("requests", second=3, hour=12), budgets(total=5_000), 4),
    Subject("team", "dev"): Limits(rates("tokens", minute=90, day=400)),
    Subject("key", "parent", (1, 2)): Limits(rates("requests", minute=4, day=15), budgets(day=2_300), 2),
    Subject("route", "chat"): Limits(rates("tokens", hour=200), budgets(month=3_300)),
    Subject("target", "a/m"): Limits(rates("requests", minute=3), budgets(week=4_000), 1),
}
STEPS = (
    0,
    1,
    99,
    100,
    900,
    1_000,
    5_000,
    59_000,
    60_000,
    61_000,
    3_500_000,
    3_700_000,
    86_000_000,
    700_000_000,
)


class Machine(RuleBasedStateMachine):
    """One limiter, and beside it what a person would write down."""

    requests_wait = True

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOW_MS
        self.rows = Rows()
        self.limiter = self.made()
        self.attempts = Attempts(self.limiter, self.rows.costs)
        self.under_way: list[Exchange] = []
        self.at: dict[int, list[str]] = {}
        self.came: list[Exchange] = []
        self.late: set[int] = set()
        """Requests whose reservation has ended before they did."""
        self.open: set[int] = set()
        """Those that leave the length of their answer open."""
        self.number = 0

    def made(self) -> Limiter:
        limiter = Limiter(self.rows, wall_clock=lambda: self.now_ms / 1000)
        limiter.begin(LIMITS)
        return limiter

    # -- what happens

    @rule(step=st.sampled_from(STEPS))
    def time_passes(self, step: int) -> None:
        self.now_ms += step

    @rule(
        caller=st.sampled_from(CALLERS),
        model=st.sampled_from(["chat", "a/m"]),
        size=st.sampled_from([8, 40, 80]),
        longest=st.sampled_from([None, 1, 10, 800]),
        waited=st.sampled_from([0, 0, 0, 50]),
    )
    def a_request_comes(
        self, caller: Caller, model: str, size: int, longest: int | None, waited: int
    ) -> None:
        self.number += 1
        came_ms = self.now_ms - waited * self.requests_wait
        exchange = exchange_of(self.number, came_ms, caller, model, size, longest)
        before = self.limiter.use()
        try:
            self.limiter.stage(self.under_way.append)(exchange)  # type: ignore[arg-type, unused-coroutine]
        except LimitReached:
            assert self.limiter.use() == before, "a refused request has taken something"
            self.end(exchange, Outcome.REFUSED)
        else:
            self.came.append(exchange)
            if longest is None:
                self.open.add(exchange.identity)
            self.at[exchange.identity] = []

    @rule(place=st.integers(0, 9), name=st.sampled_from(TARGETS))
    def a_target_is_asked(self, place: int, name: str) -> None:
        if self.under_way:
            exchange = self.under_way[place % len(self.under_way)]
            if name in self.at[exchange.identity]:
                return
            provider, _, model = name.partition("/")
            before = self.limiter.use()
            against = self.attempts.enter(exchange, Target(provider, model), endpoint_of(name))
            if against is None:
                self.at[exchange.identity].append(name)
            else:
                assert self.limiter.use() == before, "a forbidden attempt has taken something"

    @rule(place=st.integers(0, 9), broken=st.booleans())
    def a_target_gives_no_answer(self, place: int, broken: bool) -> None:
        if self.under_way:
            exchange = self.under_way[place % len(self.under_way)]
            if asked := self.at[exchange.identity]:
                target = asked.pop(0)
                attempt(exchange, target, "truncated" if broken else "status", 200 if broken else 500)
                provider, _, model = target.partition("/")
                self.attempts.leave(exchange, Target(provider, model))

    @rule(
        place=st.integers(0, 9),
        outcome=st.sampled_from([Outcome.OK, Outcome.OK, Outcome.CANCELLED, Outcome.INCOMPLETE, Outcome.HIT]),
        share=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def a_request_ends(self, place: int, outcome: Outcome, share: float) -> None:
        if not self.under_way:
            return
        exchange = self.under_way.pop(place % len(self.under_way))
        asked = self.at.pop(exchange.identity)
        usage = None
        if not asked:
            outcome = outcome if outcome is Outcome.HIT else Outcome.FAILED
            exchange.target = "a/m" if outcome is Outcome.HIT else exchange.target
            if outcome is Outcome.HIT:
                exchange.attempts.clear()
        elif outcome is Outcome.HIT:
            outcome = Outcome.REFUSED if not exchange.attempts else Outcome.FAILED
        if asked and outcome not in (Outcome.REFUSED, Outcome.FAILED):
            attempt(exchange, asked[-1], "ok" if outcome is Outcome.OK else "truncated")
            longest = exchange.fields.get("max_tokens")
            most = int(bytes(longest)) if longest is not None and exchange.identity not in self.open else 10
            usage = Usage(int(len(exchange.request.body) / 4 * share), completion=int(most * share))
        self.end(exchange, outcome, usage)

    def end(self, exchange: Exchange, outcome: Outcome, usage: Usage | None = None) -> None:
        entry = end_of(exchange, outcome, usage)
        self.rows.add(entry)
        self.limiter.settle(entry)

    # -- what always holds

    @invariant()
    def no_stretch_of_time_holds_more_than_is_allowed(self) -> None:
        refused = {one.request for one in self.rows.entries if one.outcome is Outcome.REFUSED}
        for subject, limits in LIMITS.items():
            if subject.scope == "target":
                continue
            came = sorted(
                one.time_ms for one in self.came if self.is_of(subject, one) and one.identity not in refused
            )
            for limit in limits.rates:
                if limit.measure == "requests":
                    beyond = zip(came, came[limit.most :], strict=False)
                    assert all(last - first >= LENGTHS[limit.window] for first, last in beyond), limit.name

    @invariant()
    def no_limit_is_passed_by_what_is_used_and_reserved(self) -> None:
        self.late |= {one.identity for one in self.under_way if one.time_ms <= self.now_ms - EXPIRY_MS}
        late = [one for one in self.rows.entries if one.request in self.late]
        tokens, nano = (
            sum(self.rows.cost(one)[0] for one in late),
            sum(self.rows.cost(one)[1] for one in late),
        )
        for use in self.limiter.use():
            assert use.used >= 0 and use.reserved >= 0, use
            surplus = tokens if "tokens" in use.limit else nano if "budget" in use.limit else 0
            assert use.used + use.reserved <= use.most + surplus, use

    @invariant()
    def requests_under_way_are_those_that_have_not_ended(self) -> None:
        alive = [one for one in self.under_way if one.time_ms > self.now_ms - EXPIRY_MS]
        uses = by_name(self.limiter.use())
        for subject, limits in LIMITS.items():
            if limits.concurrent is not None and subject.scope != "target":
                count = sum(self.is_of(subject, one) for one in alive)
                assert uses[subject.label, "concurrent_requests"].used == count <= limits.concurrent

    def is_of(self, subject: Subject, one: Exchange) -> bool:
        caller = one.caller
        assert caller is not None
        return {
            "organization": True,
            "team": caller.team == subject.name,
            "key": caller.key_id in subject.keys,
            "route": one.model == subject.name,
        }[subject.scope]

    def teardown(self) -> None:
        """Once everything has ended nothing is held, and the counters are those that the accounts have."""
        while self.under_way:
            self.a_request_ends(0, Outcome.OK, 1.0)
        uses = self.limiter.use()
        assert all(one.reserved == 0 for one in uses)
        assert all(one.used == 0 for one in uses if one.limit == "concurrent_requests")
        assert by_name(self.made().use()) == by_name(uses)


class SteppingClock(Machine):
    """The same, with a clock that is set back while requests are under way."""

    requests_wait = False  # else it may be one of them that shows how far the clock was set back

    @rule(step=st.sampled_from([-90_000_000, -7_300_000, -3_600_000, -120_000, -61_000, -59_000, -1_000]))
    def the_clock_is_set_back(self, step: int) -> None:
        self.now_ms += step

    def no_stretch_of_time_holds_more_than_is_allowed(self) -> None:
        """By such a clock nobody can tell."""

    def no_limit_is_passed_by_what_is_used_and_reserved(self) -> None:
        """As above; but what is given back is never more than was taken."""

    def requests_under_way_are_those_that_have_not_ended(self) -> None:
        """As above."""

    @invariant()
    def nothing_is_given_back_twice(self) -> None:
        assert all(use.used >= 0 and use.reserved >= 0 for use in self.limiter.use())

    def teardown(self) -> None:
        """Once everything has ended nothing is held."""
        while self.under_way:
            self.a_request_ends(0, Outcome.OK, 1.0)
        uses = self.limiter.use()
        assert all(one.reserved == 0 for one in uses)
        assert all(one.used == 0 for one in uses if one.limit == "concurrent_requests")


PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
TestLimits = Machine.TestCase
TestLimits.settings = settings(max_examples=80, stateful_step_count=30, deadline=None, phases=PHASES)
TestSteppingClock = SteppingClock.TestCase
TestSteppingClock.settings = settings(max_examples=40, stateful_step_count=30, deadline=None, phases=PHASES)
