"""A provider's key appears nowhere: no log, error, database, header, admin answer or crash report."""

from __future__ import annotations

from pathlib import Path

from tests.support.behaviours import Behaviour, Received, chat, reply, status
from tests.support.configuration import PLANTED
from tests.support.served import CHAT, QUESTION, RunningGateway, one_route
from tests.support.upstream import FaultUpstream

SEEN = PLANTED.encode()
ESCAPED = SEEN.replace(b"-", b"\\u002D")


def echoing(request: Received) -> Behaviour:
    """Answer as providers do that repeat the key they were given, in errors and in headers."""
    shown = request.headers["authorization"]
    match request.json["messages"][0]["content"]:
        case "400":
            return status(400, {"x-your-key": shown}, message=f"Incorrect request with {shown}")
        case "escaped":
            return reply(b'{"error": "%b"}' % ESCAPED, 400)
        case "401":
            return status(401, message=f"Incorrect API key provided: {shown}", error_code="invalid_api_key")
        case "500":
            return status(500, {"x-debug": shown}, message=f"crash while serving {shown}")
        case "html":
            return reply(f"<html>{shown}</html>".encode(), content_type="text/html")
        case "type":
            return reply(b"{}", 400, content_type=f"application/json; key={PLANTED}")
    return chat()


async def test_a_planted_key_is_found_nowhere(tmp_path: Path) -> None:
    """Neither in anything that a client, a command or a file shows, with the strangest upstreams."""
    shown: list[bytes] = []
    async with FaultUpstream(default=echoing) as upstream:
        config = one_route(upstream.base_url)
        gateway = await RunningGateway.start(tmp_path, config, environ={"P1_KEY": PLANTED})
        for content in ("hello", "400", "escaped", "401", "500", "html", "type", "500", "500"):
            for streamed in (False, True):
                body = {**QUESTION, "messages": [{"role": "user", "content": content}], "stream": streamed}
                answer = await gateway.client.post(CHAT, json=body)
                shown += [answer.content, repr(answer.headers.raw).encode()]
        assert any(one.key == PLANTED for one in upstream.completions)
        for arguments in (
            ("status",), ("status", "--json"), ("usage", "--by", "target"), ("provider", "list", "--json"),
            ("provider", "test"), ("config", "show"), ("config", "check"), ("route", "list"), ("key", "list"),
        ):  # fmt: skip
            outcome = await gateway.shareai(*arguments, "--debug")
            shown += [outcome.out.encode(), outcome.err.encode()]
        gateway.process.send_signal(6)  # SIGABRT, as a crash: whatever it leaves behind is looked at too
        await gateway.process.wait()
        await gateway.client.aclose()
    assert not any(SEEN in one or ESCAPED in one for one in shown)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.suffix == ".db" for file in files)
    for file in files:
        assert SEEN not in file.read_bytes(), file
