"""`shareai chat` as a person uses it: against a real gateway, at a terminal and in pipes."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from shareai_cli.paths import find_paths
from tests.support.behaviours import Behaviour, Received, chat, status, stream
from tests.support.commands import Outcome
from tests.support.served import KEYS, PROGRAM, RunningGateway, one_route, run_shareai
from tests.support.terminal import Terminal, terminal
from tests.support.upstream import FaultUpstream, refused_port
from tests.support.waiting import alive, until

needs_llama = pytest.mark.skipif(find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed")

SIZE = {"COLUMNS": "100", "LINES": "30"}


@asynccontextmanager
async def gateway(home: Path, *upstreams: FaultUpstream, options: str = "") -> AsyncIterator[RunningGateway]:
    """Run a gateway with the route `chat` over the upstreams."""
    config = one_route(*(one.base_url for one in upstreams), options=options)
    async with await RunningGateway.start(home, config, environ=KEYS) as running:
        yield running


def last_messages(upstream: FaultUpstream) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in upstream.completions[-1].json["messages"]]


# -- one question


async def test_one_question_has_its_answer_on_standard_output(tmp_path: Path) -> None:
    """And nothing else there; the first route answers where no model is named."""
    async with FaultUpstream(default=chat("Hi *there*.")) as upstream, gateway(tmp_path, upstream) as running:
        assert await running.shareai("chat", "chat", "Hello", "you") == Outcome(0, "Hi *there*.\n", "")
        assert last_messages(upstream) == [("user", "Hello you")]
        piped = await running.shareai(
            "chat", "p1/m2", "Explain:", "--system", "Be brief.", stdin=b"some\ncode\n"
        )
        assert piped == Outcome(0, "Hi *there*.\n", "")
        assert upstream.completions[-1].json["model"] == "m2"
        assert last_messages(upstream) == [("system", "Be brief."), ("user", "Explain:\n\nsome\ncode")]
        assert await running.shareai("chat", "Hello!") == Outcome(0, "Hi *there*.\n", "")
        assert last_messages(upstream) == [("user", "Hello!")]
        assert (await running.shareai("chat", stdin="Grüße".encode())).code == 0
        assert last_messages(upstream) == [("user", "Grüße")]
        assert (await running.shareai("chat", "-p", "x", "--max-tokens", "5", "--temperature", "0")).code == 0
        body = upstream.completions[-1].json
        assert (body["max_tokens"], body["temperature"]) == (5, 0.0)


async def test_json_has_the_answer_and_what_is_known_of_it(tmp_path: Path) -> None:
    """The text exactly as it came, the tokens, and how exact the cost is."""
    async with (
        FaultUpstream(default=chat("a\x1b[2Jb", usage=(9, 12))) as upstream,
        gateway(tmp_path, upstream) as running,
    ):
        told = (await running.shareai("chat", "chat", "Hello", "--json")).json
        plain = await running.shareai("chat", "chat", "Hello")
        explained = (await running.shareai("explain", told["request_id"], "--json")).json
    assert plain.out == "a�[2Jb\n"
    assert (told["content"], told["model"], told["target"]) == ("a\x1b[2Jb", "chat", "p1/m1")
    assert (told["prompt_tokens"], told["completion_tokens"], told["finish_reason"]) == (9, 12, "stop")
    assert (told["cost_nano_usd"], told["cost_basis"], told["attempts"]) == (None, "unknown", 1)
    assert told["total_ms"] >= told["first_token_ms"] >= 0
    assert explained["request"]["key"] == "chat"


async def test_what_fails_is_said_and_has_its_exit_code(tmp_path: Path) -> None:
    """A model that is not known, an upstream without an answer, a wrong key, a stream that breaks."""
    async with FaultUpstream() as upstream, gateway(tmp_path, upstream) as running:
        unknown = await running.shareai("chat", "chta", "Hello")
        assert (unknown.code, unknown.out) == (2, "")
        assert "Did you mean 'chat'?" in unknown.err
        assert "shareai models lists" in (await running.shareai("chat", "zzzzzz", "Hello")).err
        upstream.script.append(stream("Some", " text", error_before=1))
        broken = await running.shareai("chat", "chat", "Hello")
        assert (broken.code, broken.out) == (5, "Some\n")
        assert "failed in the middle" in broken.err
        upstream.script.append(status(500))
        failed = await running.shareai("chat", "chat", "Hello", "--json")
        assert failed.code == 5
        assert failed.json["error"]["message"] in failed.err
        assert failed.json["request_id"].startswith("req_")
        wrong = await run_shareai(tmp_path, "chat", "chat", "Hello", environ={"SHAREAI_KEY": "sk-shareai-no"})
        assert (wrong.code, wrong.out) == (4, "")
        assert "sk-shareai-no" not in wrong.err
        not_text = await running.shareai("chat", "chat", stdin=b"\xff\xfe")
        assert (not_text.code, not_text.out) == (2, "")


async def test_a_model_that_wants_another_field_gets_it(tmp_path: Path) -> None:
    """OpenAI's newer models refuse `max_tokens`, others `stream_options`: neither is the person's problem."""

    def choosy(request: Received) -> Behaviour:
        body = request.json
        if "max_tokens" in body:
            return status(400, message="Unsupported parameter: use 'max_completion_tokens' instead.")
        if "stream_options" in body:
            return status(400, message="Unknown field: stream_options")
        return chat("Fine.")

    async with (
        FaultUpstream(default=choosy) as upstream,
        gateway(tmp_path, upstream, options="stream_usage = false") as running,
    ):
        assert (await running.shareai("chat", "chat", "Hello", "--max-tokens", "7")).out == "Fine.\n"
        assert upstream.completions[-1].json["max_completion_tokens"] == 7


async def test_the_target_is_known_where_comments_kept_the_stream_alive(tmp_path: Path) -> None:
    """The head could not tell it yet."""
    async with FaultUpstream(default=chat("Hi.").after_delay(0.3)) as upstream:
        config = f"[server]\nkeep_alive_comments = 0.05\n{one_route(upstream.base_url)}"
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as running:
            told = (await running.shareai("chat", "chat", "Hello", "--json")).json
            assert (told["content"], told["target"], told["attempts"]) == ("Hi.", "p1/m1", 1)
            upstream.script.append(status(500).after_delay(0.3))
            failed = await running.shareai("chat", "chat", "Hello", "--json")
            assert (failed.code, failed.json["target"]) == (5, None)


async def test_a_reader_that_leaves_or_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    """`| head` is no failure to talk about, and the model's work ends too."""
    endless = stream(*["word "] * 1000).spaced(0.02)
    async with FaultUpstream(default=endless) as upstream, gateway(tmp_path, upstream) as running:
        for how in ("leave", "interrupt"):
            with subprocess.Popen(  # noqa: ASYNC220 - unlike asyncio's, its pipes can be closed
                [*PROGRAM, "chat", "chat", "Hello"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "SHAREAI_HOME": str(running.home)},
            ) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                assert await asyncio.to_thread(process.stdout.read, 5) == b"word "
                if how == "leave":
                    process.stdout.close()
                else:
                    process.send_signal(signal.SIGINT)
                assert await asyncio.to_thread(process.stderr.read) == b""
                assert await asyncio.to_thread(process.wait, 20) == (1 if how == "leave" else 130)
            await until(lambda: upstream.open == 0)


# -- keys


async def test_chat_has_a_key_of_its_own_that_is_renewed(tmp_path: Path) -> None:
    """Kept 0600; one that was revoked is replaced. Another's key is used as it is, and then none is made."""
    async with FaultUpstream(default=chat("Hi.")) as upstream, gateway(tmp_path, upstream) as running:
        given = await run_shareai(tmp_path, "chat", "chat", "Hello", environ={"SHAREAI_KEY": running.key})
        assert given == Outcome(0, "Hi.\n", "")
        file = running.paths.chat_key_file
        assert not file.exists()
        typed = await running.shareai("chat", "--key-stdin", "chat", "Hello", stdin=running.key.encode())
        assert typed == Outcome(0, "Hi.\n", "")
        assert not file.exists()
        for _ in range(2):
            assert (await running.shareai("chat", "chat", "Hello")).code == 0
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert (await running.shareai("key", "revoke", "chat", "--yes")).code == 0
        keys = (await running.shareai("key", "list", "--json")).json["keys"]
        assert [one["name"] for one in keys] == ["default", "chat", "chat"]


async def test_another_machines_gateway_is_asked_with_the_key_given_for_it(tmp_path: Path) -> None:
    """Nothing of this machine's gateway is started or made for it."""
    home = tmp_path / "mine"
    async with (
        FaultUpstream(default=chat("Hi.")) as upstream,
        gateway(tmp_path / "theirs", upstream) as theirs,
    ):
        arguments = ("chat", "--gateway", theirs.origin, "chat", "Hello")
        answered = await run_shareai(home, *arguments, environ={"SHAREAI_KEY": theirs.key})
        assert answered == Outcome(0, "Hi.\n", "")
        without = await run_shareai(home, *arguments)
        assert (without.code, without.out) == (4, "")
        assert not find_paths({"SHAREAI_HOME": str(home)}).state.exists()
    with refused_port() as port:
        gone = await run_shareai(
            home,
            "chat",
            "--gateway",
            f"http://127.0.0.1:{port}",
            "m",
            "Hello",
            environ={"SHAREAI_KEY": "sk-a"},
        )
    assert (gone.code, gone.out) == (1, "")
    assert "does not answer" in gone.err


# -- without a gateway


@needs_llama
async def test_with_nothing_running_and_nothing_configured_the_demo_model_answers(tmp_path: Path) -> None:
    """One command is enough; the gateway that it started is gone with it, and the accounts have it."""
    answered = await run_shareai(tmp_path, "chat", "--prompt", "Hello")
    assert (answered.code, answered.err) == (0, "")
    assert "demo model" in answered.out
    paths = find_paths({"SHAREAI_HOME": str(tmp_path)})
    assert not paths.endpoint_file.exists()
    usage = (await run_shareai(tmp_path, "usage", "--by", "key", "--json")).json
    assert [(one["name"], one["requests"]) for one in usage["rows"]] == [("chat", 1)]


@needs_llama
@pytest.mark.parametrize("how", ["quit", "kill"])
def test_the_temporary_gateway_leaves_no_process(tmp_path: Path, how: str) -> None:
    """However the chat ends; meanwhile other commands use it as any gateway."""
    environ = {**SIZE, "SHAREAI_HOME": str(tmp_path)}
    with terminal("chat", environ=environ) as person:
        assert "started for this chat" in person.until("> ")
        person.type("Hello!\r")
        person.until("free")
        person.until("> ")
        family = [one.pid for one in psutil.Process(person.process.pid).children(recursive=True)]
        assert len(family) == 2
        with terminal("chat", "shareai-demo", "Hi", environ=environ) as other:
            assert other.end() == 0
            assert "demo model" in other.text
        if how == "kill":
            person.process.kill()
        else:
            person.type("/quit\r")
        assert person.end() == (-9 if how == "kill" else 0)
        gone, left = psutil.wait_procs([psutil.Process(one) for one in family if alive(one)], timeout=20)
        assert not left, gone


def test_where_nothing_can_answer_the_next_step_is_said(tmp_path: Path) -> None:
    """A gateway without a model is no failure of the person's."""
    if find_spec("llama_cpp") is not None:
        (tmp_path / "config.toml").write_text('[providers.alpha]\nbase_url = "http://127.0.0.1:1/v1"\n')
    with terminal("chat", environ={**SIZE, "SHAREAI_HOME": str(tmp_path)}) as person:
        assert person.end() == 3
        assert "shareai provider add" in person.text


# -- at a terminal


class Person:
    """Types into a terminal without holding up this loop, in which the upstream answers."""

    def __init__(self, one: Terminal) -> None:
        self.terminal = one

    async def sees(self, marker: str) -> str:
        return await asyncio.to_thread(self.terminal.until, marker)

    async def presses(self, key: str, marker: str) -> None:
        """Press a key until it shows: Python misses a signal between readline's prompt and its waiting."""
        for _ in range(20):
            self.terminal.type(key)
            with suppress(AssertionError):
                await asyncio.to_thread(self.terminal.until, marker, 1.0)
                return
        raise AssertionError(f"{marker!r} never came: {self.terminal.text}")

    async def asks(self, text: str) -> str:
        """Type a line, and return what came until the next prompt."""
        self.terminal.type(text + "\r")
        await self.sees(text)
        return await self.sees("> ")

    async def leaves(self) -> None:
        self.terminal.type("\x04")
        assert await asyncio.to_thread(self.terminal.end) == 0


@asynccontextmanager
async def chatting(running: RunningGateway, *arguments: str, **variables: str) -> AsyncIterator[Person]:
    environ = {**SIZE, "SHAREAI_HOME": str(running.home), **variables}
    with terminal("chat", *arguments, environ=environ) as one:
        person = Person(one)
        await person.sees("> ")
        yield person


@asynccontextmanager
async def talking(home: Path, upstream: FaultUpstream, *arguments: str) -> AsyncIterator[Person]:
    """Chat with a gateway over this upstream."""
    async with gateway(home, upstream) as running, chatting(running, *arguments) as person:
        yield person


async def test_a_conversation(tmp_path: Path) -> None:
    """Answers are drawn, with facts below; what was said goes along, is asked again, and is forgotten."""
    async with (
        FaultUpstream(default=chat("It is **so**.")) as upstream,
        talking(tmp_path, upstream, "--system", "Be brief.") as person,
    ):
        shown = await person.asks("Why?")
        assert "It is so." in shown
        assert "\x1b[1mso" in person.terminal.raw
        assert "p1/m1 · " in shown
        assert "9 + 12 tokens · cost unknown" in shown
        await person.asks("And then?")
        before = [("system", "Be brief."), ("user", "Why?"), ("assistant", "It is **so**.")]
        assert last_messages(upstream) == [*before, ("user", "And then?")]
        await person.asks("/retry")
        assert last_messages(upstream) == [*before, ("user", "And then?")]
        await person.asks("/system clear")
        await person.asks("/clear")
        await person.leaves()
        assert len(upstream.completions) == 3


async def test_several_lines_are_one_question(tmp_path: Path) -> None:
    """Between three quotation marks, or in what is pasted."""
    async with FaultUpstream() as upstream, talking(tmp_path, upstream) as person:
        person.terminal.type('"""one\rtwo"""\r')
        await person.sees("tokens")
        assert last_messages(upstream) == [("user", "one\ntwo")]
        await person.sees("> ")
        person.terminal.type("\x1b[200~three\rfour\x1b[201~\r")
        await person.sees("tokens")
        assert last_messages(upstream)[-1] == ("user", "three\nfour")
        await person.sees("> ")
        await person.leaves()


async def test_mistakes_and_failures_do_not_end_a_conversation(tmp_path: Path) -> None:
    """Each is said with what mends it, and the next question is answered."""
    async with FaultUpstream() as upstream, talking(tmp_path, upstream, "chat") as person:
        assert "Did you mean /system?" in await person.asks("/sytem x")
        assert "Did you mean 'chat'?" in await person.asks("/model chta")
        assert "There is no question yet." in await person.asks("/retry")
        upstream.script.append(stream("Some", " text", error_before=1))
        broken = await person.asks("One?")
        assert "Some" in broken
        assert "failed in the middle of its reply" in broken
        upstream.script.append(status(400, message="Too\x1b[2J long."))
        refused = await person.asks("Two?")
        assert "Too�[2J long." in refused
        assert "shareai explain req_" in refused
        assert "Hello there." in await person.asks("Three?")
        asked = last_messages(upstream)
        assert asked == [("user", "One?"), ("assistant", "Some"), ("user", "Three?")]
        await person.leaves()


async def test_ctrl_c_stops_the_answer_and_not_the_chat(tmp_path: Path) -> None:
    """What came of it stays; at the prompt Ctrl-C says how to leave."""
    async with (
        FaultUpstream([stream("Once", " upon").stall(after=4)]) as upstream,
        talking(tmp_path, upstream) as person,
    ):
        person.terminal.type("Tell me.\r")
        await person.sees("Once upon")
        person.terminal.type("\x03")
        assert "stopped" in await person.sees("> ")
        await person.presses("\x03", "Ctrl-D or /quit")
        await person.sees("> ")
        await person.asks("Go on.")
        before = [("user", "Tell me."), ("assistant", "Once upon")]
        assert last_messages(upstream) == [*before, ("user", "Go on.")]
        await person.leaves()


async def test_what_is_typed_ahead_waits_for_its_turn(tmp_path: Path) -> None:
    """It is not echoed into the answer that is being drawn, and is the next question."""
    released = asyncio.Event()
    first = stream("Once", " upon").stall(after=4, until=released)
    async with FaultUpstream([first]) as upstream, talking(tmp_path, upstream) as person:
        person.terminal.type("Tell me.\r")
        await person.sees("Once upon")
        person.terminal.type("And then?\r")
        released.set()
        assert "And then?" not in await person.sees("> ")
        await person.sees("tokens")
        assert last_messages(upstream)[-1] == ("user", "And then?")
        await person.sees("> ")
        await person.leaves()


async def test_models_are_listed_completed_and_switched(tmp_path: Path) -> None:
    """Tab completes commands and names."""
    async with FaultUpstream() as upstream, talking(tmp_path, upstream) as person:
        listed = await person.asks("/model")
        assert "* chat" in listed
        assert "  p1/m2" in listed
        person.terminal.type("/mod\t")
        await person.sees("/model ")
        person.terminal.type("p1/\t2\r")
        await person.sees("Now talking to p1/m2")
        await person.sees("> ")
        assert "p1/m2 · " in await person.asks("Hello")
        assert upstream.completions[-1].json["model"] == "m2"
        await person.leaves()


async def test_the_history_is_private_and_outlives_the_chat(tmp_path: Path) -> None:
    """The arrow brings back what was typed before, but not what began with a space."""
    async with FaultUpstream() as upstream, gateway(tmp_path, upstream) as running:
        async with chatting(running) as person:
            await person.asks("First question")
            await person.asks(" secret question")
            await person.leaves()
        file = running.paths.chat_history_file
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == "First question\n"
        async with chatting(running) as person:
            person.terminal.type("\x1b[A\r")
            await person.sees("tokens")
            await person.sees("> ")
            assert last_messages(upstream) == [("user", "First question")]
            await person.leaves()


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
async def test_a_plain_terminal_gets_plain_text(tmp_path: Path, variables: dict[str, str]) -> None:
    """As it comes, without a control sequence; readline's own need a terminal that knows them."""
    async with (
        FaultUpstream(default=chat("It is **so**.")) as upstream,
        gateway(tmp_path, upstream) as running,
    ):
        with terminal(
            "chat", "chat", "Why?", environ={"SHAREAI_HOME": str(running.home), **variables}
        ) as one:
            assert await asyncio.to_thread(one.end) == 0
            assert one.raw.replace("\r\n", "\n").startswith("It is **so**.\np1/m1 · ")
            assert "\x1b" not in one.raw


async def test_a_gateway_that_has_gone_is_replaced(tmp_path: Path) -> None:
    """By another one that runs by then, else by one for the rest of the chat."""
    async with (
        FaultUpstream(default=chat("Hi.")) as upstream,
        gateway(tmp_path, upstream) as running,
        chatting(running, **KEYS) as person,
    ):
        assert "Hi." in await person.asks("One?")
        assert await running.stop() == 0
        assert "Hi." in await person.asks("Two?")
        assert last_messages(upstream)[-1] == ("user", "Two?")
        await person.leaves()


async def test_without_a_route_or_a_local_model_the_person_chooses(tmp_path: Path) -> None:
    """Among what the providers offer; in a pipe it has to be said."""
    async with FaultUpstream() as upstream:
        config = one_route(upstream.base_url).partition("[routes")[0]
        async with await RunningGateway.start(tmp_path, config, environ=KEYS) as running:
            piped = await running.shareai("chat", stdin=b"Hello")
            assert (piped.code, piped.out) == (2, "")
            assert "such as p1/m1, p1/m2" in piped.err
            with terminal("chat", environ={**SIZE, "SHAREAI_HOME": str(running.home)}) as one:
                person = Person(one)
                await person.sees("(Tab completes): ")
                one.type("p9/m1\r")
                await person.sees("not known")
                await person.sees("(Tab completes): ")
                one.type("p1/\t2\r")
                await person.sees("> ")
                await person.asks("Hello")
                assert upstream.completions[-1].json["model"] == "m2"
                await person.leaves()


# -- several models


async def test_models_are_compared_side_by_side(tmp_path: Path) -> None:
    """Asked at the same moment, each with its own conversation, facts and failures."""
    both = asyncio.Event()

    async with (
        FaultUpstream(default=stream("Left.").stall(at=0, until=both)) as left,
        FaultUpstream(default=stream("Right.").stall(at=0, until=both)) as right,
        gateway(tmp_path, left, right) as running,
        chatting(running, "--compare", "p1/m1", "p2/m1") as person,
    ):
        person.terminal.type("Hello\r")
        await until(lambda: left.completions and right.completions)
        both.set()
        shown = await person.sees("> ")
        assert "p1/m1" in shown
        assert any("Left." in line and "│ Right." in line for line in shown.split("\n"))
        await person.asks("Again")
        assert last_messages(left)[:2] == [("user", "Hello"), ("assistant", "Left.")]
        assert last_messages(right)[:2] == [("user", "Hello"), ("assistant", "Right.")]
        await person.leaves()


async def test_ctrl_c_stops_all_that_are_compared(tmp_path: Path) -> None:
    """What was there of each stays; those that had ended are not called stopped."""
    async with (
        FaultUpstream(default=chat("Left.")) as left,
        FaultUpstream(default=stream("Right", " is").stall(after=4)) as right,
        gateway(tmp_path, left, right) as running,
        chatting(running, "--compare", "p1/m1", "p2/m1") as person,
    ):
        person.terminal.type("Hello\r")
        await person.sees("Right is")
        person.terminal.type("\x03")
        shown = await person.sees("> ")
        assert shown.count("stopped") == 1
        assert any("Left." in line and "│ Right is" in line for line in shown.split("\n"))
        await person.leaves()


async def test_without_room_models_are_compared_one_below_the_other(tmp_path: Path) -> None:
    """And where one has no answer, the exit code says that only some have."""
    async with (
        FaultUpstream(default=chat("Left.")) as left,
        FaultUpstream(default=status(500)) as right,
        gateway(tmp_path, left, right) as running,
    ):
        arguments = ("chat", "--compare", "p1/m1", "p2/m1", "--prompt", "Hello")
        partly = await running.shareai(*arguments)
        assert (partly.code, partly.out) == (6, "p1/m1:\nLeft.\n\np2/m1:\n")
        assert partly.err
        told = (await running.shareai(*arguments, "--json")).json["answers"]
        assert [one["content"] for one in told] == ["Left.", ""]
        assert told[1]["error"]["message"]
        with terminal(*arguments, environ={"COLUMNS": "50", "SHAREAI_HOME": str(running.home)}) as one:
            assert await asyncio.to_thread(one.end) == 6
            assert one.text.index("p1/m1\n") < one.text.index("Left.") < one.text.index("p2/m1\n")
