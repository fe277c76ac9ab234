"""`shareai usage` tells of every request, and which of them did not end well."""

from __future__ import annotations

import csv

import pytest

from shareai_cli.paths import Paths
from shareai_cli.types import Outcome
from tests.ledger.making import closed, open_ledger
from tests.support.commands import shareai


@pytest.fixture
def one_of_each(paths: Paths) -> None:
    """Accounts of one request for each way in which one can end."""
    ledger = open_ledger(paths)
    for number, outcome in enumerate(Outcome, 1):
        ledger.closed(closed(number, outcome=outcome))
    ledger.close()


def test_whatever_did_not_end_well_is_not_ok(one_of_each: None) -> None:
    """In the table the failures are one number, the rejected ones among them, and the cache's answers not."""
    table = shareai("usage").out.replace("NOT OK", "NOT_OK").replace("FROM CACHE", "FROM_CACHE")
    heads, row = (line.split() for line in table.splitlines())
    shown = dict(zip(heads, row[1:], strict=False))
    assert (shown["REQUESTS"], shown["NOT_OK"]) == (str(len(Outcome)), str(len(Outcome) - 3))
    assert shown["FROM_CACHE"] == "2"


def test_scripts_get_a_number_for_each_way_to_end(one_of_each: None) -> None:
    """As JSON and as CSV; who is ok is the rest."""
    ways = [outcome for outcome in Outcome if outcome is not Outcome.OK]
    total = shareai("usage", "--json").json["total"]
    assert [total[way] for way in ways] == [1] * len(ways)
    (row,) = csv.DictReader(shareai("usage", "--csv").out.splitlines())
    assert [row[way] for way in ways] == ["1"] * len(ways)
