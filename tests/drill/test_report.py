"""The forms of a report: nothing from outside can be more than text in any of them."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import msgspec
from msgspec.structs import replace

from shareai_cli.drill.outcome import Asked, Finding, Report, Tokens, Verdict
from shareai_cli.drill.report import as_fields, as_html, as_junit
from shareai_cli.drill.report.words import bar, summary
from shareai_cli.types import Attempt, CostBasis, Outcome, RequestRow, Usage

HOSTILE = "<script>alert('x')</script> & \x1b[31m \x00 ]]>"

ATTEMPTS = (Attempt("a/m", "aabbccdd", "status", 500, 2_000), Attempt("b/<m>", "", "ok", 200, 20_000))

ROW = RequestRow(
    id="req_0000000000000001", time_ms=1, key="", team="drill", route="chat", target="b/<m>",
    provider_key="", status=200, streamed=True, outcome=Outcome.OK, error="", attempts=ATTEMPTS,
    usage=Usage(9, 0, 0, 12), estimated_tokens=False, cost_nano=21_000, basis=CostBasis.EXACT,
    first_token_us=10, total_us=22_000, prompt_bytes=9, completion_bytes=9, fingerprint=b"",
)  # fmt: skip

ASKED = Asked(
    "chat", True, 200, "req_0000000000000001", "b/<m>", HOSTILE, Tokens(9, 12), True,
    first_seconds=0.02, seconds=0.12, row=ROW,
)  # fmt: skip

FINDINGS = (
    Finding("failover", "chat", "first: HTTP 500 (streamed)", Verdict.PASSED, note="b took over", seconds=0.2,
            asked=(ASKED,)),
    Finding("cost", "b/<m>", "tokens and cost", Verdict.FAILED, "1 USD", HOSTILE, "shareai explain req_1",
            asked=(ASKED,)),
    Finding("cache", "chat", "equal requests", Verdict.SKIPPED, happened="It keeps no replies."),
    Finding("answers", "a/m", "whole", Verdict.BLOCKED, happened="no gateway", look_at="shareai status"),
)  # fmt: skip

REPORT = Report(
    "drill_0000000000000001", 1_790_000_000_000, 1_790_000_001_500, "command", FINDINGS, 42_000, False
)


def with_only(*verdicts: Verdict) -> Report:
    """Return the report with the findings of these verdicts."""
    return replace(REPORT, findings=tuple(one for one in FINDINGS if one.verdict in verdicts))


def test_a_report_is_worth_its_worst_finding() -> None:
    """A failure counts before what could not be run, and what only does not apply proves nothing."""
    assert REPORT.verdict == "failed"
    assert with_only(Verdict.PASSED, Verdict.SKIPPED).verdict == "passed"
    assert with_only(Verdict.PASSED, Verdict.BLOCKED).verdict == "partly"
    assert with_only(Verdict.SKIPPED).verdict == "partly"
    told = summary(REPORT)
    assert told.startswith(
        "1 passed, 1 failed, 1 could not be run, 1 does not apply; 2 requests, 0.000042 USD"
    )


def test_json_has_all_of_it() -> None:
    """Verdicts, what was expected, each request with its attempts, tokens and cost."""
    told: Any = json.loads(msgspec.json.encode(as_fields(replace(REPORT, findings=FINDINGS[:1]))))
    assert (told["verdict"], told["counts"]["passed"]) == ("passed", 1)
    [finding] = told["findings"]
    assert finding["failover_seconds"] == 0.002
    [request] = finding["requests"]
    assert [one["target"] for one in request["attempts"]] == ["a/m", "b/<m>"]
    assert (request["tokens"], request["cost_nano_usd"]) == ({"prompt": 9, "completion": 12}, 21_000)
    assert round(request["tokens_per_second"]) == 110


def test_junit_tells_failures_from_what_could_not_be_run() -> None:
    """As programs of continuous integration count them; it is XML whatever a model has said."""
    root = ElementTree.fromstring(as_junit(REPORT).partition("\n")[2])
    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    cases = {case.get("classname"): case for case in root.iter("testcase")}
    failure = cases["cost.b/<m>"].find("failure")
    assert failure is not None
    assert failure.text is not None
    assert "expected: 1 USD" in failure.text
    assert "look at: shareai explain req_1" in failure.text
    assert cases["answers.a/m"].find("error") is not None
    assert cases["cache.chat"].find("skipped") is not None
    timeline = cases["failover.chat"].find("system-out")
    assert timeline is not None
    assert timeline.text == "a/m HTTP 500 2 ms -> b/<m> ok 20 ms"


def test_a_page_needs_nothing_else_and_runs_nothing() -> None:
    """No script, nothing from a network; the timeline is drawn with the page's own style."""
    page = as_html(REPORT)
    page.encode("utf-8", "strict")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not any(word in page for word in ("src=", "href=", "url(", "@import"))
    assert 'class="line"' in page
    assert "flex-grow:20000" in page
    assert 'class="failed"' in page


def test_a_line_of_time_shows_every_attempt() -> None:
    """However short it was, and never wider than there is room."""
    long = (Attempt("a/m", "", "timeout", 0, 1_000_000), *ATTEMPTS)
    assert bar(ATTEMPTS, 20).count("x") >= 1
    line = bar(long, 20)
    assert (line.count("|"), line.count("=") >= 1) == (4, True)
    assert all(len(bar(ATTEMPTS * count, 30)) <= 30 for count in range(1, 5))
    assert bar((), 10) == "||"
