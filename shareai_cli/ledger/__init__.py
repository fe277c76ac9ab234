"""The accounts: a journal on the request's path, a database behind it, and reports over that."""

from shareai_cli.ledger.audit import changes_made, list_audit, verify_audit
from shareai_cli.ledger.audit_export import verify_export
from shareai_cli.ledger.budgets import budget_use
from shareai_cli.ledger.costs import Costs, PricedTarget, Prices, broken_attempts
from shareai_cli.ledger.drills import keep_drill, list_drills
from shareai_cli.ledger.ended_keys import EndedKey, ended_keys
from shareai_cli.ledger.entries import (
    Closed,
    Opened,
    RequestIds,
    drill_id,
    parse_drill_id,
    parse_public_id,
    public_id,
)
from shareai_cli.ledger.ledger import Ledger, LedgerState
from shareai_cli.ledger.prompts import dearest_prompts
from shareai_cli.ledger.replies import KeptReply, Replies
from shareai_cli.ledger.report import drill_report, usage_report
from shareai_cli.ledger.requests import find, number_of, recent, row_under_way
from shareai_cli.ledger.series import usage_series
from shareai_cli.ledger.since import parse_since, parse_until
from shareai_cli.ledger.store import Store
from shareai_cli.ledger.use import NO_PAST_USE, PastUse, UseQuestion, UseSum

__all__ = [
    "NO_PAST_USE",
    "Closed",
    "Costs",
    "EndedKey",
    "KeptReply",
    "Ledger",
    "LedgerState",
    "Opened",
    "PastUse",
    "PricedTarget",
    "Prices",
    "Replies",
    "RequestIds",
    "Store",
    "UseQuestion",
    "UseSum",
    "broken_attempts",
    "budget_use",
    "changes_made",
    "dearest_prompts",
    "drill_id",
    "drill_report",
    "ended_keys",
    "find",
    "keep_drill",
    "list_audit",
    "list_drills",
    "number_of",
    "parse_drill_id",
    "parse_public_id",
    "parse_since",
    "parse_until",
    "public_id",
    "recent",
    "row_under_way",
    "usage_report",
    "usage_series",
    "verify_audit",
    "verify_export",
]
