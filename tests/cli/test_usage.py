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


@pytest.fixture
def prompts(paths: Paths) -> None:
    """Accounts of a prompt that was sent three times, one sent once, and of an own machine's answers."""
    ledger = open_ledger(paths)
    for number, fingerprint in enumerate((b"12345678", b"12345678", b"abcdefgh", b"12345678"), 1):
        ledger.closed(closed(number, fingerprint=fingerprint))
    ledger.closed(closed(9, target="node/q", price_as="node", fingerprint=b""))
    ledger.close()


def test_the_dearest_prompts_and_where_to_read_on(prompts: None) -> None:
    """As a table, as JSON and as CSV; those without a prompt are not there."""
    dear, cheap = b"12345678".hex(), b"abcdefgh".hex()
    lines = shareai("usage", "--by", "prompt").out.splitlines()
    assert lines[0].split()[0] == "PROMPT"
    assert lines[0].split()[-2:] == ["ROUTE", "LATEST"]
    assert [line.split()[0] for line in lines[1:]] == [dear, cheap]
    assert lines[1].split()[-2:] == ["chat", "req_0000000000000004"]
    told = shareai("usage", "--by", "prompt", "--json").json["prompts"]
    assert [(one["sums"]["name"], one["sums"]["requests"]) for one in told] == [(dear, 3), (cheap, 1)]
    rows = list(csv.DictReader(shareai("usage", "--by", "prompt", "--csv").out.splitlines()))
    assert [(row["prompt"], row["latest_request"]) for row in rows] == [
        (dear, "req_0000000000000004"),
        (cheap, "req_0000000000000003"),
    ]
    nothing = shareai("usage", "--by", "prompt", "--since", "2026-11-01")
    assert (nothing.code, nothing.out) == (0, "")
    assert "No requests in that time" in nothing.err


def test_own_machines_and_providers_apart(prompts: None) -> None:
    """By node all others are one row without a name, `-` in the table."""
    table = shareai("usage", "--by", "node").out
    assert [line.split()[0] for line in table.splitlines()] == ["NODE", "-", "node", "total"]
    rows = shareai("usage", "--by", "provider", "--json").json["rows"]
    assert {row["name"]: row["requests"] for row in rows} == {"alpha": 4, "node": 1}


def test_no_spreadsheet_takes_a_name_for_a_formula(paths: Paths) -> None:
    """Clients choose what they ask for."""
    ledger = open_ledger(paths)
    for number, route in enumerate(("=1+1", "+x", "-x", "@x", "plain"), 1):
        ledger.closed(closed(number, route=route, fingerprint=bytes([number]) * 8))
    ledger.close()
    for options, column in ((("route",), "route"), (("prompt",), "route")):
        rows = csv.DictReader(shareai("usage", "--csv", "--by", *options).out.splitlines())
        assert {row[column] for row in rows} == {"'=1+1", "'+x", "'-x", "'@x", "plain"}
