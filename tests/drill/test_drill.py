from __future__ import annotations

from pathlib import Path

from shareai_cli.config import CacheSettings
from tests.support.behaviours import chat
from tests.support.drilled import Drilled, not_passed
from tests.support.upstream import FaultUpstream


async def test_passes(tmp_path: Path) -> None:
    """Every check passes on a gateway whose parts are all sound."""
    async with (
        FaultUpstream(default=chat("Hello from a.")) as a,
        FaultUpstream(default=chat("Hello from b.")) as b,
        Drilled(
            tmp_path, {"a": a, "b": b}, routes={"chat": ["a/m", "b/m"]}, cache=CacheSettings(60.0)
        ) as drilled,
    ):
        report = await drilled.drill()
        assert not_passed(report) == []
        assert report.verdict == "passed"
        for one in report.findings:
            print(
                one.check, one.subject, one.case, one.verdict, one.note, round(one.seconds, 3), len(one.asked)
            )
