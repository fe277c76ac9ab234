"""The playground: models to browse, and one prompt to some of them side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from shareai_cli.cli.dash_playground import ChatKey, DashTalking, GivenKey, PassingKey
from shareai_cli.cli.watched import NamedSource, OwnSource
from shareai_cli.client import find_gateway
from shareai_cli.dashboard.screens.playground import matches
from shareai_cli.dashboard.talking import Reply
from shareai_cli.dashboard.tools import Tools
from shareai_cli.dashboard.widgets.answer_column import facts
from shareai_cli.secrets import Secret
from tests.dashboard.drill_scenes import ScriptedDrilling
from tests.dashboard.scenes import BUSY, NOW
from tests.dashboard.talk_scenes import DONE, MODELS, ScriptedTalking, TalkAdmin
from tests.support.dashboards import ScriptedGateway, ScriptedSource, ShownDashboard, shown
from tests.support.served import KEYS, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

SIZES = ((80, 24), (160, 48))
COMING = Reply("A smoke", "node/qwen3-8b", 1, first_us=90_000, elapsed_us=400_000)
FAILED = Reply("", "", error="No target\x1b[2J is left.", has_ended=True, elapsed_us=20_000)


@asynccontextmanager
async def scripted(
    talking: ScriptedTalking, size: tuple[int, int] = (100, 30)
) -> AsyncIterator[ShownDashboard]:
    """Show the playground of a gateway that tells what the scenes say."""
    source = ScriptedSource(ScriptedGateway(BUSY, admin=TalkAdmin()))
    tools = Tools(ScriptedDrilling(), talking)
    async with shown(source, size=size, wall_clock=lambda: NOW, tools=tools) as screen:
        await screen.until("● live")
        await screen.press("g", "p")
        await screen.until("node/qwen3-8b", "4 of 4 models")
        yield screen


async def test_models_are_browsed_with_price_context_and_abilities() -> None:
    """A filter wants every word; what is not known is no zero; names steer nothing."""
    async with scripted(ScriptedTalking()) as screen:
        text = await screen.until(
            "chat > groq/llama-3.3-70b", "0.59/2", "128k", "◌ cooling 17 s", "free", "groq does not tell."
        )
        assert "p1/�]0;owned��gnp.exe" in text
        await screen.press("slash")
        await screen.type("tools vision")
        await screen.until("1 of 4 models", "openai/gpt-5-mini")
        await screen.press("enter", "space")
        await screen.until("[1]", "Asks openai/gpt-5-mini")
        await screen.press("escape")
        await screen.until("4 of 4 models", "Asks openai/gpt-5-mini")


async def test_one_prompt_goes_to_those_that_were_chosen() -> None:
    """Each answer grows in its column; then it has its time, tokens and cost. A fourth one is too much."""
    talking = ScriptedTalking(COMING, DONE, FAILED)
    async with scripted(talking) as screen:
        for key in ("space", "down", "enter", "down", "space", "down", "space"):
            await screen.press(key)
        await screen.until("[1]", "[2]", "[3]", "At most 3")
        await screen.press("i")
        await screen.type("what is it")
        await screen.press("enter")
        text = await screen.until("… answers", "✓ complete", "12 + 80 tokens", "$0.0002 (exact)", "✕ failed")
        assert "No target�[2J is left." in text
        assert "first 310 ms, all 2.1 s" in text
        assert [(one.model, one.prompt) for one in talking.voices] == [
            (one.id, "what is it") for one in MODELS[:3]
        ]
        talking.voices[0].reply = replace(COMING, text="A smoke test\n\tis \x1b]0;x\x07that.")
        await screen.until("    is �]0;x�that.")
        await screen.press("i", "enter")
        await screen.until("Answers are still under way.")
        await screen.press("escape", "x")
        await screen.until("■ stopped")
        await screen.press("m")
        await screen.until("4 of 4 models")
        await screen.press("m")
        await screen.until("■ stopped")


async def test_without_a_choice_the_model_under_the_cursor_is_asked() -> None:
    """And an empty prompt asks nobody."""
    talking = ScriptedTalking(DONE)
    async with scripted(talking) as screen:
        await screen.press("down", "i", "enter")
        await screen.until("The prompt is empty.")
        await screen.type("hi")
        await screen.press("enter")
        await screen.until("✓ complete")
        talking.voices[0].end.set()
        assert [one.model for one in talking.voices] == ["node/qwen3-8b"]
        await screen.press("g", "o", "g", "p")
        await screen.until("✓ complete")


async def test_without_a_gateway_nobody_can_be_asked() -> None:
    """Which is said."""
    async with shown(ScriptedSource(), tools=Tools(ScriptedDrilling(), ScriptedTalking())) as screen:
        await screen.press("g", "p")
        await screen.until("No gateway runs.")
        await screen.press("i", "h", "enter")
        await screen.until("There is no model to ask.")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_the_playground_looks_as_it_did(size: tuple[int, int], theme: str) -> None:
    """The models, and three answers."""
    talking = ScriptedTalking(COMING, DONE, FAILED)
    async with scripted(talking, size) as screen:
        if theme == "light":
            await screen.press("t")
        name = f"{size[0]}x{size[1]}-{theme}"
        await screen.press("space", "down", "space", "down", "space")
        await screen.until("[3]", "Quit")
        await screen.matches(f"playground-{name}")
        await screen.press("i", "h", "enter")
        await screen.until("✓ complete", "✕ failed")
        await screen.matches(f"answers-{name}")


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (300, 90)])
async def test_any_size_of_terminal_will_do(size: tuple[int, int]) -> None:
    """Of the models, and of answers under way."""
    async with scripted(ScriptedTalking(COMING), (80, 24)) as screen:
        await screen.settle()
        before = screen.text
        await screen.pilot.resize_terminal(*size)
        await screen.press("space", "i", "h", "enter", "x", "m", "space")
        await screen.pilot.resize_terminal(80, 24)
        await screen.press("i", "backspace", "escape")
        await screen.until_true(
            lambda text: text.splitlines()[:10] == before.splitlines()[:10], "the screen of before"
        )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("", 4), ("tools", 3), ("GPT-5", 2), ("free", 1), ("vision tools", 1), ("local", 1), ("no such", 0)],
)
def test_a_filter_wants_every_word(wanted: str, found: int) -> None:
    """In the name, a route's targets, the abilities, the kind, or as free."""
    assert sum(matches(one, wanted) for one in MODELS) == found


def test_what_is_said_of_an_answer() -> None:
    """A cost that is not known is no zero, one that is an estimate says so; a cut answer says why."""
    assert list(facts(replace(DONE, cost_nano=None)))[-1] == "cost unknown"
    assert list(facts(replace(DONE, is_estimate=True)))[-1] == "~$0.0002 (estimate)"
    assert list(facts(replace(DONE, cost_nano=0)))[-1] == "free"
    assert next(iter(facts(replace(DONE, ending="cut off at the token limit")))).startswith("! cut off")
    assert next(iter(facts(Reply(is_thinking=True)))) == "… thinks"
    assert next(iter(facts(Reply()))) == "… waits"


async def test_a_real_gateway_answers_side_by_side(tmp_path: Path) -> None:
    """Streamed, with tokens and cost as the accounts have them; the key is the one that chat uses."""
    async with FaultUpstream() as first, FaultUpstream() as second:
        config = one_route(first.base_url, second.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            source = OwnSource(gateway.paths)
            talking = DashTalking(source, ChatKey(gateway.paths), is_own=True)
            async with shown(source, size=(110, 34), tools=Tools(cast(Any, None), talking)) as screen:
                await screen.until("● live")
                await screen.press("g", "p")
                await screen.until("chat > p1/m1", "● serving")
                await screen.press("space", "down", "space", "i")
                await screen.type("hello")
                await screen.press("enter")
                await screen.until("✓ complete", "tokens", "cost unknown", "all ")
                await screen.press("g", "r")
                await screen.until("2 of the last 2", "chat")
            assert gateway.paths.chat_key_file.exists()
            talking.close()


async def test_a_key_made_for_one_dashboard_ends_with_it(tmp_path: Path) -> None:
    """On another machine; it has a date at which it ends anyway. A key that was given is let alone."""
    async with FaultUpstream() as first:
        config = one_route(first.base_url)
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as gateway:
            found = find_gateway(gateway.paths)
            assert found is not None
            source = NamedSource(found)
            talking = DashTalking(source, PassingKey(), is_own=False)
            voices = [talking.voice("chat", "hello") for _ in range(2)]
            for voice in voices:
                await voice.run()
                assert voice.now().has_ended
                assert not voice.now().error
            keys = (await gateway.shareai("key", "list", "--json")).json["keys"]
            made = [one for one in keys if one["name"].startswith("dashboard-")]
            assert len(made) == 1
            assert made[0]["expires_ms"]
            talking.close()
            keys = (await gateway.shareai("key", "list", "--json")).json["keys"]
            assert [one["revoked_ms"] for one in keys if one["name"] == made[0]["name"]] != [None]

            given = DashTalking(source, GivenKey(Secret("sk-not-known")), is_own=False)
            voice = given.voice("chat", "hello")
            await voice.run()
            assert "does not know the key" in voice.now().error
            given.close()
            gateway.kill()
            await gateway.process.wait()
            voice = given.voice("chat", "hello")
            await voice.run()
            assert voice.now().error
