"""wrk, and the request that it sends."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

from bench.processes import LOAD_CORE, BenchError, Processes

CONNECTIONS = 64
COMPLETIONS = "/v1/chat/completions"

_CONTENT = (
    "Summarise the following note in two sentences, and name the one decision that it asks for. The nightly "
    "import has failed three times this week because the supplier now sends prices with a comma; we can ask "
    "them to change it back, or accept both forms, which takes half a day and a test."
)
BODY = json.dumps(
    {
        "model": "bench",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": _CONTENT},
        ],
        "temperature": 0.7,
        "max_tokens": 256,
    }
)

_SCRIPT = """
{posted}wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
done = function(summary, latency, requests)
  io.write(string.format(
    '\\nRESULT {{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}}\\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""

_POSTED = """
wrk.method = "POST"
wrk.body = [[{body}]]
"""

_PACED = """
delay = function() return {pause} end
"""

_VARIED = """
local number, before, after = 0, wrk.body:match("^(.*three)( times.*)$")
request = function()
  number = number + 1
  return wrk.format(nil, nil, nil, before .. number .. after)
end
"""


@dataclasses.dataclass(frozen=True)
class Result:
    """One run of wrk: what was answered in which time (microseconds)."""

    requests: int
    microseconds: int
    p50: int
    p99: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.microseconds * 1e6


def run_wrk(
    running: Processes,
    folder: Path,
    port: int,
    key: str,
    seconds: int,
    *,
    varied: bool = False,
    path: str = COMPLETIONS,
    pause_ms: int = 0,
) -> Result:
    """Load a candidate; raises `BenchError` unless every reply was a 2xx or 3xx and no connection broke.

    `varied` makes every prompt another one, which costs the load a little. Another `path` is asked with GET.
    Each connection waits `pause_ms` before its next request.
    """
    if shutil.which("wrk") is None:
        raise BenchError("wrk is not installed: sudo apt install nginx-light wrk")
    script = folder / "wrk.lua"
    posted = _POSTED.format(body=BODY) + (_VARIED if varied else "") if path == COMPLETIONS else ""
    paced = _PACED.format(pause=pause_ms) if pause_ms else ""
    script.write_text(_SCRIPT.format(key=key, posted=posted + paced))
    script.chmod(0o600)
    url = f"http://127.0.0.1:{port}{path}"
    argv: list[str | Path] = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "15s",
        "-s",
        script,
        url,
    ]
    output = running.call(argv, core=LOAD_CORE, seconds=seconds + 60)
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise BenchError(f"wrk gave no result: {output[-400:]}")
    result = json.loads(line.removeprefix("RESULT "))
    refused, broken = result.pop("refused"), result.pop("broken")
    if refused or broken:
        raise BenchError(f"{refused} replies were no 200 and {broken} connections broke: nothing to compare")
    if not result["requests"]:
        raise BenchError("no request was answered")
    return Result(**result)
