"""Which models a key may ask for, what `auto` means for it, and when it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shareai_cli.config import CacheSettings
from shareai_cli.gateway.health import EJECT_AFTER
from shareai_cli.gateway.permission import may_use
from shareai_cli.gateway.router import provider_plan
from shareai_cli.types import Caller, Outcome
from tests.support.behaviours import model_list, status
from tests.support.gateway import CALLER, KEY, NOW, FakeLedger, Gate, chat_body, key_digest
from tests.support.upstream import FaultUpstream

OTHER_KEY = "sk-shareai-other"
PROVIDERS = frozenset({"a", "b", "node"})


def ledger_of(caller: Caller) -> FakeLedger:
    """Return accounts with one restricted key, and a plain one of the same team."""
    ledger = FakeLedger()
    ledger.store.callers = {
        key_digest(KEY): caller,
        key_digest(OTHER_KEY): Caller(8, "phone", caller.team),
    }
    return ledger


ROUTES = {"chat": ["a/m"]}


def allowed(*names: str) -> FakeLedger:
    return ledger_of(replace(CALLER, allowed=names))


def preferring(*names: str, only: tuple[str, ...] = ()) -> FakeLedger:
    return ledger_of(replace(CALLER, preferences=names, allowed=only))


@pytest.mark.parametrize("model", ["chat", "b/m", "m", "a/mm", "chat/x", "no such", "auto"])
async def test_a_model_that_is_not_allowed_is_refused(model: str) -> None:
    """A 403 in OpenAI's shape that names it, known or not; recorded as refused, and nobody is asked."""
    async with (
        FaultUpstream() as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes=ROUTES | {"fast": ["a/m"]}, ledger=allowed("fast", "a/m")) as gate,
    ):
        answer = await gate.ask(model)
        assert (answer.status, answer.headers["x-should-retry"]) == (403, "false")
        assert answer.error["type"] == "permission_error"
        assert (answer.error["code"], answer.error["param"]) == ("model_not_allowed", "model")
        assert f"'{model}'" in answer.error["message"]
        assert not (a.requests or b.requests)
        entry = gate.closed
        assert (entry.outcome, entry.status, entry.error) == (Outcome.REFUSED, 403, "model_not_allowed")
        assert gate.ledger.opened_entries == []


async def test_what_is_allowed_is_served_and_other_keys_are_not_touched() -> None:
    """A route by its name, whatever its targets; a provider's model; all of a provider's."""
    async with (
        FaultUpstream() as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, routes={"fast": ["b/x"]}, ledger=allowed("fast", "a/*")) as gate,
    ):
        for model, target in (("fast", "b/x"), ("a/m", "a/m"), ("a/org/m", "a/org/m")):
            assert (await gate.ask(model)).headers["x-shareai-target"] == target
        assert (await gate.ask("b/x")).status == 403
        assert (await gate.send(chat_body("b/x"), key=OTHER_KEY)).status == 200


async def test_the_models_of_a_key_are_those_that_it_may_use() -> None:
    """In the list, and one by one; a plain key is shown all of them."""
    async with (
        FaultUpstream(models=model_list("x", "y")) as a,
        FaultUpstream(models=model_list("z")) as b,
        Gate(
            {"a": a, "b": b}, routes={"fast": ["b/z"], "slow": ["a/x"]}, ledger=allowed("fast", "a/*")
        ) as gate,
    ):
        listed = (await gate.get("/v1/models")).json["data"]
        assert [one["id"] for one in listed] == ["fast", "a/x", "a/y"]
        everything = (await gate.get("/v1/models", key=OTHER_KEY)).json["data"]
        assert [one["id"] for one in everything] == ["fast", "slow", "a/x", "a/y", "b/z"]
        assert (await gate.get("/v1/models/a%2Fx")).status == 200
        refused = await gate.get("/v1/models/slow")
        assert (refused.status, refused.error["code"]) == (403, "model_not_allowed")


async def test_a_kept_reply_is_not_given_to_a_key_that_may_not_use_the_model() -> None:
    """Even to one of the same team, whose equal request would be answered from the cache."""
    async with (
        FaultUpstream() as a,
        Gate(
            {"a": a}, routes={"chat": ["a/m"]}, cache=CacheSettings(300.0), ledger=allowed("a/other")
        ) as gate,
    ):
        for _ in range(2):
            assert (await gate.send(chat_body("chat"), key=OTHER_KEY)).status == 200
        assert gate.ledger.closed_entries[-1].outcome is Outcome.HIT
        assert (await gate.ask("chat")).status == 403
        assert len(a.completions) == 1


async def test_changed_keys_hold_from_the_next_request() -> None:
    """Whether the first restricted key comes or the last one goes."""
    async with FaultUpstream() as a, Gate({"a": a}) as gate:
        assert (await gate.ask("a/m")).status == 200
        gate.gateway.replace_keys({key_digest(KEY): replace(CALLER, allowed=("a/other",))})
        assert (await gate.ask("a/m")).status == 403
        gate.gateway.replace_keys({key_digest(KEY): CALLER})
        assert (await gate.ask("a/m")).status == 200


async def test_an_expired_key_is_refused_as_an_unknown_one_is() -> None:
    """From the millisecond on, though it was accepted before; the refusals cannot be told apart."""
    expiring = replace(CALLER, expires_ms=int((NOW + 60) * 1000))
    async with FaultUpstream() as a, Gate({"a": a}, ledger=ledger_of(expiring)) as gate:
        gate.pass_time(59.5)
        assert (await gate.ask("a/m")).status == 200
        assert (await gate.get("/v1/models")).status == 200
        gate.pass_time(0.5)
        answer = await gate.ask("a/m")
        unknown = await gate.send(chat_body("a/m"), key="sk-shareai-wrong")
        assert (answer.status, answer.body) == (401, unknown.body)
        assert (await gate.send(chat_body("a/m"), key=None, headers={"api-key": KEY})).status == 401
        assert (await gate.get("/v1/models")).status == 401
        assert gate.gateway.keys.refused == 4
        assert (await gate.send(chat_body("a/m"), key=OTHER_KEY)).status == 200
        assert len(gate.ledger.closed_entries) == 2


async def test_auto_is_the_first_preferred_model_that_can_serve() -> None:
    """The next one while it is in trouble, then the first again; the upstream sees the real name."""
    async with (
        FaultUpstream([status(500)] * EJECT_AFTER) as a,
        FaultUpstream() as b,
        Gate({"a": a, "b": b}, ledger=preferring("a/m", "b/x")) as gate,
    ):
        for _ in range(EJECT_AFTER):
            assert (await gate.ask("auto")).status >= 500
        answer = await gate.ask("auto")
        assert answer.headers["x-shareai-target"] == "b/x"
        assert b.completions[-1].json["model"] == "x"
        assert gate.ledger.closed_entries[-1].route == "b/x"
        gate.pass_time(6)
        assert (await gate.ask("auto")).headers["x-shareai-target"] == "a/m"


async def test_auto_passes_over_what_is_not_allowed_or_not_there() -> None:
    """Routes, bare names and models of providers are all fine; a name that nobody knows is passed over."""
    async with (
        FaultUpstream(models=model_list("small")) as a,
        FaultUpstream(models=model_list()) as b,
        Gate(
            {"a": a, "b": b},
            routes={"chat": ["b/y"]},
            ledger=preferring("b/x", "gone", "small", "chat", only=("gone", "small", "chat")),
        ) as gate,
    ):
        assert (await gate.ask("auto")).headers["x-shareai-target"] == "a/small"
        assert (await gate.ask("auto", stream=True)).status == 200
        assert (await gate.ask("b/x")).status == 403


async def test_auto_where_no_preferred_model_may_be_used_is_refused() -> None:
    """As any model is that the key may not use."""
    async with FaultUpstream() as a, Gate({"a": a}, ledger=preferring("a/m", only=("a/x",))) as gate:
        answer = await gate.ask("auto")
        assert (answer.status, answer.error["code"]) == (403, "model_not_allowed")
        assert not a.requests


async def test_auto_where_nothing_can_serve_fails_as_the_first_preferred_model_does() -> None:
    """With its reason, so that a client knows when to come again."""
    limited = [status(429, headers={"retry-after": "30"})] * 3
    async with (
        FaultUpstream(limited) as a,
        FaultUpstream(limited) as b,
        Gate({"a": a, "b": b}, ledger=preferring("a/m", "b/x")) as gate,
    ):
        for _ in range(3):
            answer = await gate.ask("auto")
        assert answer.status in (429, 503)
        assert "a/m" in answer.error["message"]
        assert int(answer.headers["retry-after"]) <= 30


async def test_auto_without_preferences_is_told_what_it_stands_for() -> None:
    """A clear 404; a route of that name is a route."""
    async with FaultUpstream(models=model_list("m")) as a, Gate({"a": a}) as gate:
        answer = await gate.ask("auto")
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")
        assert "preferred models" in answer.error["message"]
    async with FaultUpstream() as a, Gate({"a": a}, routes={"auto": ["a/m"]}) as gate:
        assert (await gate.ask("auto")).status == 200


async def test_auto_shares_kept_replies_with_the_model_that_it_stands_for() -> None:
    """It is that model's request from there on."""
    async with (
        FaultUpstream() as a,
        Gate(
            {"a": a}, routes={"chat": ["a/m"]}, cache=CacheSettings(300.0), ledger=preferring("chat")
        ) as gate,
    ):
        assert (await gate.ask("chat")).status == 200
        assert (await gate.ask("auto")).status == 200
        assert gate.ledger.closed_entries[-1].outcome is Outcome.HIT


async def test_all_of_a_provider_that_is_not_there_is_nothing() -> None:
    """Another provider may offer a model whose own name begins so; it was not meant."""
    async with (
        FaultUpstream(models=model_list("meta/llama")) as a,
        Gate({"a": a}, ledger=allowed("meta/*")) as gate,
    ):
        assert (await gate.ask("meta/llama")).status == 403
        assert not a.completions
        assert (await gate.send(chat_body("meta/llama"), key=OTHER_KEY)).status == 200


_words = st.text(alphabet="abm/*", min_size=1, max_size=5)


@given(st.lists(_words, min_size=1, max_size=3), _words)
def test_what_may_be_used_was_allowed_by_name_or_with_all_of_its_provider(
    names: list[str], model: str
) -> None:
    """Nothing else, however slashes and stars lie; what `provider/*` admits goes to that provider."""
    caller = replace(CALLER, allowed=tuple(names))
    plan = provider_plan(model, PROVIDERS)
    whole = {name.removesuffix("/*") for name in names if name.endswith("/*")}
    by_provider = plan is not None and {one.target.provider for one in plan.targets} <= whole
    assert may_use(caller, model, PROVIDERS) == (model in names or by_provider)


_lists = st.lists(_words, max_size=3).map(tuple)


@given(_lists, st.lists(_lists, max_size=3).map(tuple), _words)
def test_a_minted_key_may_use_what_all_above_it_may(
    names: tuple[str, ...], bounds: tuple[tuple[str, ...], ...], model: str
) -> None:
    """Its own list, and each of theirs; an empty one is everything."""
    caller = replace(CALLER, allowed=names, bounds=bounds)
    each = [may_use(replace(CALLER, allowed=one), model, PROVIDERS) for one in (names, *bounds)]
    assert may_use(caller, model, PROVIDERS) == all(each)


async def test_a_minted_key_is_bound_by_those_above_it() -> None:
    """Where it has no list of its own, too: what they may not is refused, and not shown to it."""
    minted = ledger_of(replace(CALLER, ancestors=(3,), bounds=(("fast", "a/*"),)))
    async with (
        FaultUpstream(models=model_list("x")) as a,
        FaultUpstream(models=model_list("z")) as b,
        Gate({"a": a, "b": b}, routes={"fast": ["b/z"], "slow": ["a/x"]}, ledger=minted) as gate,
    ):
        assert [(await gate.ask(model)).status for model in ("fast", "a/x", "slow", "b/z")] == [
            200,
            200,
            403,
            403,
        ]
        assert [one["id"] for one in (await gate.get("/v1/models")).json["data"]] == ["fast", "a/x"]


@given(_words)
def test_a_key_without_a_list_may_use_everything(model: str) -> None:
    """As a plain key always could."""
    assert may_use(CALLER, model, PROVIDERS)
