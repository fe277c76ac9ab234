"""Which targets and keys are left alone, for how long, and how they come back."""

from __future__ import annotations

from shareai_cli.gateway.health import ASIDE_SECONDS, EJECT_AFTER, FIRST_EJECTION, Health, State
from shareai_cli.gateway.verdict import FAILED, Effect, Verdict
from shareai_cli.types import Target
from tests.support.clock import FakeClock

TARGET = Target("alpha", "small")
OTHER = Target("alpha", "large")
KEYS = ["aaaa", "bbbb"]


def fail(health: Health, clock: FakeClock, times: int = 1) -> None:
    for request in range(times):
        health.asked(TARGET)
        health.failed(TARGET, "aaaa", FAILED, request=request, asked_at=clock(), reason="HTTP 500")


def state(health: Health, target: Target = TARGET, *, check: bool = False) -> State:
    return health.standing(target, KEYS, check).state


def test_a_target_is_ejected_after_failures_in_a_row() -> None:
    """Fewer failures, or a success between them, leave it serving."""
    clock = FakeClock()
    health = Health(clock)
    fail(health, clock, EJECT_AFTER - 1)
    health.succeeded(TARGET)
    fail(health, clock, EJECT_AFTER - 1)
    assert state(health) is State.SERVING
    fail(health, clock)
    assert state(health) is State.EJECTED
    assert state(health, OTHER) is State.SERVING


def test_one_request_at_a_time_tries_an_ejected_target_again() -> None:
    """After its time the target is on trial: one asks it, and the others see it ejected meanwhile."""
    clock = FakeClock()
    health = Health(clock)
    fail(health, clock, EJECT_AFTER)
    clock.forward(FIRST_EJECTION)
    assert state(health) is State.TRIAL
    health.asked(TARGET)
    assert state(health) is State.EJECTED
    health.succeeded(TARGET)
    assert state(health) is State.SERVING
    assert health.untroubled


def test_an_abandoned_trial_leaves_the_next_one_free() -> None:
    """A client that leaves during the trial does not block the target for ever."""
    clock = FakeClock()
    health = Health(clock)
    fail(health, clock, EJECT_AFTER)
    clock.forward(FIRST_EJECTION)
    health.asked(TARGET)
    health.abandoned(TARGET)
    assert state(health) is State.TRIAL


def test_ejections_grow() -> None:
    """A failed trial ejects at once, for twice as long, up to a bound."""
    clock = FakeClock()
    health = Health(clock)
    fail(health, clock, EJECT_AFTER)
    lasting = FIRST_EJECTION
    for _ in range(10):
        clock.forward(lasting)
        assert state(health) is State.TRIAL
        fail(health, clock)
        lasting = min(lasting * 2, 300.0)
        clock.forward(lasting - 0.1)
        assert state(health) is State.EJECTED
        clock.forward(0.1 - lasting)
        clock.forward(0)


def test_failures_of_requests_from_before_the_ejection_add_nothing() -> None:
    """A hundred requests that were under way when a target fell do not eject it a hundred times."""
    clock = FakeClock()
    health = Health(clock)
    asked_at = clock()
    clock.forward(1)
    for request in range(100):
        health.failed(TARGET, "", FAILED, request=request, asked_at=asked_at, reason="reset")
    clock.forward(FIRST_EJECTION)
    assert state(health) is State.TRIAL


def test_a_provider_with_a_free_call_is_probed_first() -> None:
    """Where there is a free call, no request tries the target before that call was answered."""
    clock = FakeClock()
    health = Health(clock)
    fail(health, clock, EJECT_AFTER)
    clock.forward(FIRST_EJECTION)
    assert state(health, check=True) is State.PROBING
    assert health.due_for_probe() == [TARGET]
    health.probed(TARGET, answered=False)
    assert state(health, check=True) is State.EJECTED
    clock.forward(2 * FIRST_EJECTION)
    health.probed(TARGET, answered=True)
    assert state(health, check=True) is State.TRIAL
    assert health.due_for_probe() == []


def test_a_429_cools_one_key_for_one_model() -> None:
    """The key serves other models, the other key serves this one; the latest Retry-After counts."""
    clock = FakeClock()
    health = Health(clock)
    for seconds in (30.0, 5.0):
        verdict = Verdict(Effect.COOL_KEY, seconds)
        health.failed(TARGET, "aaaa", verdict, request=1, asked_at=clock(), reason="HTTP 429")
    assert health.key_standing(TARGET, "aaaa").state is State.COOLING
    assert health.key_standing(OTHER, "aaaa").state is State.SERVING
    assert state(health) is State.SERVING
    clock.forward(29)
    assert health.key_standing(TARGET, "aaaa").state is State.COOLING
    clock.forward(1)
    assert health.key_standing(TARGET, "aaaa").state is State.SERVING


def test_a_target_whose_every_key_cools_stands_as_the_first_to_return() -> None:
    """So a refusal can say when to come back."""
    clock = FakeClock()
    health = Health(clock)
    for key, seconds in (("aaaa", 30.0), ("bbbb", 10.0)):
        verdict = Verdict(Effect.COOL_KEY, seconds)
        health.failed(TARGET, key, verdict, request=1, asked_at=clock(), reason="HTTP 429")
    standing = health.standing(TARGET, KEYS, False)
    assert (standing.state, standing.until) == (State.COOLING, clock() + 10.0)


def test_a_refused_key_is_put_aside_for_all_models_and_comes_back() -> None:
    """401 and 402 are about the key; it is tried again after a while, as people pay their bills."""
    clock = FakeClock()
    health = Health(clock)
    verdict = Verdict(Effect.SHELVE_KEY)
    health.failed(TARGET, "aaaa", verdict, request=1, asked_at=clock(), reason="HTTP 401")
    assert health.key_standing(OTHER, "aaaa").state is State.ASIDE
    assert health.key_standing(OTHER, "bbbb").state is State.SERVING
    clock.forward(ASIDE_SECONDS)
    assert health.key_standing(OTHER, "aaaa").state is State.SERVING


def test_three_different_requests_forbidden_put_the_key_aside_for_the_model() -> None:
    """One request that is refused three times says less than three requests."""
    clock = FakeClock()
    health = Health(clock)
    for request in (1, 1, 1, 2):
        verdict = Verdict(Effect.FORBIDDEN)
        health.failed(TARGET, "aaaa", verdict, request=request, asked_at=clock(), reason="HTTP 403")
        assert health.key_standing(TARGET, "aaaa").state is State.SERVING
    health.failed(TARGET, "aaaa", Verdict(Effect.FORBIDDEN), request=3, asked_at=clock(), reason="HTTP 403")
    assert health.key_standing(TARGET, "aaaa").state is State.ASIDE
    assert health.key_standing(OTHER, "aaaa").state is State.SERVING


def test_a_missing_model_puts_only_its_target_aside() -> None:
    """404 is about the model at this provider."""
    clock = FakeClock()
    health = Health(clock)
    verdict = Verdict(Effect.SHELVE_TARGET)
    health.failed(TARGET, "aaaa", verdict, request=1, asked_at=clock(), reason="HTTP 404")
    assert state(health) is State.ASIDE
    assert state(health, OTHER) is State.SERVING


def test_what_is_put_aside_is_told_once() -> None:
    """Not again while it is aside, though requests that were under way say so too; names can be printed."""
    clock = FakeClock()
    told: list[str] = []
    health = Health(clock, told.append)

    def refused(target: Target, effect: Effect, key: str, reason: str, request: int = 1) -> None:
        health.failed(target, key, Verdict(effect), request=request, asked_at=clock(), reason=reason)

    for _ in range(3):
        refused(TARGET, Effect.SHELVE_KEY, "aaaa", "HTTP 401")
        refused(Target("alpha", "a\x1b"), Effect.SHELVE_TARGET, "aaaa", "HTTP 404: No such model.")
        refused(Target("beta", "m"), Effect.SHELVE_KEY, "", "HTTP 401")
    for request in range(6):
        refused(OTHER, Effect.FORBIDDEN, "bbbb", "HTTP 403", request)
    fail(health, clock, EJECT_AFTER)
    assert told == [
        "The key aaaa of provider 'alpha' is put aside for 15 min: HTTP 401. "
        "'shareai provider test alpha' checks it.",
        "The target 'alpha/a%1B' is put aside for 15 min: HTTP 404: No such model. "
        "'shareai provider test alpha' checks it.",
        "The access without a key of provider 'beta' is put aside for 15 min: HTTP 401. "
        "'shareai provider test beta' checks it.",
        "The key bbbb of provider 'alpha', asked for 'large', is put aside for 15 min: HTTP 403. "
        "'shareai provider test alpha' checks it.",
    ]
    clock.forward(ASIDE_SECONDS)
    refused(TARGET, Effect.SHELVE_KEY, "aaaa", "HTTP 401")
    assert len(told) == 5


def test_failures_of_the_least_bad_do_not_lengthen_its_ejection() -> None:
    """Where every target is ejected they are asked all the same, and would never come back otherwise."""
    clock = FakeClock()
    health = Health(clock)
    fail(health, clock, EJECT_AFTER)
    clock.forward(FIRST_EJECTION - 1)
    fail(health, clock, 20)
    clock.forward(1)
    assert state(health) is State.TRIAL


def test_a_late_failure_does_not_end_the_trial_of_another_request() -> None:
    """A request from before the ejection that fails during the trial lets no second one in."""
    clock = FakeClock()
    health = Health(clock)
    asked_at = health.asked(TARGET)
    fail(health, clock, EJECT_AFTER)
    clock.forward(FIRST_EJECTION)
    health.asked(TARGET)
    health.failed(TARGET, "aaaa", FAILED, request=9, asked_at=asked_at, reason="reset")
    assert state(health) is State.EJECTED


def test_keys_that_are_left_alone_count_before_an_ejection() -> None:
    """An ejected target may be used as the least bad, one without a key may not."""
    clock = FakeClock()
    health = Health(clock)
    fail(health, clock, EJECT_AFTER)
    for key in KEYS:
        verdict = Verdict(Effect.COOL_KEY, 60.0)
        health.failed(TARGET, key, verdict, request=1, asked_at=clock(), reason="HTTP 429")
    assert state(health) is State.COOLING
    clock.forward(60)
    assert state(health) is State.TRIAL
