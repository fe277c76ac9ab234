"""What is told of two configurations that differ."""

from __future__ import annotations

from typing import Any

import pytest

from shareai_cli.config.describe import differences


@pytest.mark.parametrize(
    ("former", "current", "before", "after"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}, {}, {}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 2}, {"b": 3}),
        ({"a": 1}, {"b": 1}, {"a": 1}, {"b": 1}),
        ({"a": None}, {}, {"a": None}, {}),
        ({"r": {"n": 1, "m": 1}}, {"r": {"n": 2, "m": 1}}, {"r": {"n": 1}}, {"r": {"n": 2}}),
        ({"r": {"x": 1}}, {"r": {"x": 1, "y": 2}}, {"r": {}}, {"r": {"y": 2}}),
        ({"r": {"x": 1}}, {"r": [1]}, {"r": {"x": 1}}, {"r": [1]}),
        ({"l": [1, 2]}, {"l": [1, 3]}, {"l": [1, 2]}, {"l": [1, 3]}),
    ],
)  # fmt: skip
def test_only_what_differs_is_told(
    former: dict[str, Any], current: dict[str, Any], before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Within tables too; lists are told as a whole, and what is not there is not null."""
    assert differences(former, current) == (before, after)
