"""The accounts: a journal on the request's path, a database behind it, and reports over that."""

from shareai_cli.ledger.entries import Closed, Opened, RequestIds, parse_public_id, public_id
from shareai_cli.ledger.ledger import Ledger, LedgerState, Prices

__all__ = [
    "Closed",
    "Ledger",
    "LedgerState",
    "Opened",
    "Prices",
    "RequestIds",
    "parse_public_id",
    "public_id",
]
