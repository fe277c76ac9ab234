"""What the Costs screen shows, as a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal

import msgspec

from shareai_cli.dashboard.spending import Spending
from shareai_cli.new_file import new_private_file
from shareai_cli.tabular import as_csv, usage_csv
from shareai_cli.types import BudgetUse, PromptUse

View = Literal["groups", "prompts", "budgets"]

SCHEMA = 1


def free_path(folder: Path, view: View, spending: Spending) -> Path:
    """Return a path in a folder under which there is no file yet."""
    what = spending.report.by if view == "groups" else view
    day = time.strftime("%Y-%m-%d", time.localtime(spending.looked_up_ms / 1000))
    name = f"shareai-costs-{what}-{spending.window.name}-{day}"
    numbered = (folder / f"{name}{f'-{number}' if number > 1 else ''}.csv" for number in count(1))
    return next(path for path in numbered if not path.exists())


def write(path: Path, view: View, spending: Spending, prompts: Sequence[PromptUse]) -> None:
    """Write a new file, as its name's end says; raises `UsageError` where there is one, and `StateError`."""
    if path.suffix.lower() == ".json":
        fields = {"schema": SCHEMA, "since_ms": spending.since_ms, **_fields(view, spending, prompts)}
        text = msgspec.json.format(msgspec.json.encode(fields), indent=2).decode() + "\n"
    else:
        text = _csv(view, spending, prompts)
    with new_private_file(path) as file:
        file.write(text)


def _fields(view: View, spending: Spending, prompts: Sequence[PromptUse]) -> dict[str, Any]:
    if view == "prompts":
        return {"by": "prompt", "prompts": prompts}
    if view == "budgets":
        return {"budgets": spending.budgets}
    report = spending.report
    return {"by": report.by, "total": report.total, "rows": report.rows, "series": spending.series}


def _csv(view: View, spending: Spending, prompts: Sequence[PromptUse]) -> str:
    if view == "prompts":
        rows = [((one.sums.name, one.route, one.latest), one.sums) for one in prompts]
        return usage_csv("prompt", rows, ("route", "latest_request"))
    if view == "budgets":
        names = BudgetUse.__struct_fields__
        return as_csv(names, ([getattr(one, name) for name in names] for one in spending.budgets))
    return usage_csv(spending.report.by or "name", [((one.name,), one) for one in spending.report.rows])
