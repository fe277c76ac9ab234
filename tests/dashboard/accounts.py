"""Accounts as a gateway of a busy month has them, for pictures: an `Admin` that tells what never changes."""

from __future__ import annotations

from collections.abc import Sequence

from shareai_cli.types import (
    AuditRow,
    AuditVerdict,
    BudgetUse,
    Grouping,
    KeyInfo,
    PromptUse,
    SlotLength,
    TeamInfo,
    UsageLine,
    UsageReport,
    UsageSeries,
    UsageSums,
)
from tests.dashboard.scenes import NOW_MS

DAY_MS = 86_400_000
DOLLAR = 1_000_000_000

GROUPS = (
    UsageSums("gpt-5-mini", 8_120, 40, 2, 11, 5, 9, 310, 90, 4_200_000, 900_000, 0, 2_310_000, 400_000, 3,
              12_400_000_000, 3, 0, 410_000, 2_900_000),
    UsageSums("claude-sonnet-4-5", 1_204, 2, 0, 1, 0, 0, 0, 0, 900_000, 0, 0, 310_000, 0, 0,
              7_350_000_000, 0, 0, 730_000, 6_100_000),
    UsageSums("qwen3-8b", 2_410, 0, 0, 0, 0, 0, 0, 0, 1_100_000, 600_000, 0, 800_000, 0, 0,
              0, 0, 0, 90_000, 1_900_000),
    UsageSums("evil\x1b]0;owned\x07name\u202e", 12, 12, 0, 0, 0, 0, 0, 0, 400, 0, 0, 0, 0, 0, 0, 0, 12),
)  # fmt: skip

TOTAL = UsageSums(
    "", 11_746, 54, 2, 12, 5, 9, 310, 90, 6_200_400, 1_500_000, 0, 3_420_000, 400_000, 3,
    19_750_000_000, 3, 12, 400_000, 2_800_000,
)  # fmt: skip

BUDGETS = (
    BudgetUse("key/ci", "budget_per_day", 2 * DOLLAR, 2_010_000_000, 2 * DOLLAR, False,
              NOW_MS + 35_000_000, NOW_MS),
    BudgetUse("team/dev", "budget_per_month", 50 * DOLLAR, 21_300_000_000, 4_100_000_000, False,
              NOW_MS + 9 * DAY_MS, NOW_MS + 7 * DAY_MS),
    BudgetUse("organization", "soft_budget_total", 900 * DOLLAR, 40 * DOLLAR, 5 * DOLLAR, True,
              None, NOW_MS + 172 * DAY_MS),
    BudgetUse("target/p1/\x1b[2Jx", "budget_per_week", 9 * DOLLAR, 0, 0, False, NOW_MS + 5 * DAY_MS),
)  # fmt: skip

PROMPTS = tuple(
    PromptUse(
        UsageSums(f"{number * 1_234_567_890_123:016x}", 400 // number, hit=30 // number,
                  prompt_tokens=90_000 // number, completion_tokens=9_000,
                  cost_nano_usd=3 * DOLLAR // number),
        f"req_{number:016x}", "chat", "openai/gpt-5-mini", 12_000,
    )
    for number in range(1, 7)
)  # fmt: skip

KEYS = (
    KeyInfo(1, "laptop", "default", "sk-shareai-AbCd...", NOW_MS - 90 * DAY_MS),
    KeyInfo(2, "ci", "dev", "sk-shareai-EfGh...", NOW_MS - 60 * DAY_MS, allowed=("chat", "openai/*"),
            expires_ms=NOW_MS + 3 * DAY_MS, limits={"requests_per_minute": 60, "budget_per_day": "2 USD"}),
    KeyInfo(3, "gone", "dev", "sk-shareai-IjKl...", NOW_MS - 50 * DAY_MS, NOW_MS - 2 * DAY_MS),
    KeyInfo(4, "old", "dev", "sk-shareai-MnOp...", NOW_MS - 50 * DAY_MS, expires_ms=NOW_MS - DAY_MS),
)  # fmt: skip

TEAMS = (
    TeamInfo(1, "default", NOW_MS - 90 * DAY_MS, keys=1),
    TeamInfo(2, "dev", NOW_MS - 60 * DAY_MS, limits={"budget_per_month": "50 USD"}, keys=2),
)

CHANGES = (
    AuditRow(1, NOW_MS - 60 * DAY_MS, "ada", "command", "team.create", "dev", None, '{"name":"dev"}',
             "0" * 64, "a" * 64),
    AuditRow(2, NOW_MS - 2 * DAY_MS, "ada\x1b[31m", "admin API", "key.revoke", "gone",
             '{"name":"gone","revoked_ms":null}', '{"name":"gone","revoked_ms":1}', "a" * 64, "b" * 64),
)  # fmt: skip


class BusyAdmin:
    """Tells of the accounts, whatever time is asked for."""

    def usage(self, by: Grouping | None, since_ms: int | None) -> UsageReport:
        names = {"key": "ci", "team": "dev"}
        rows = (GROUPS[0], *GROUPS[1:]) if by not in names else (
            UsageSums(names[str(by)], 900, cost_nano_usd=2_010_000_000),
        )  # fmt: skip
        return UsageReport(by, since_ms, TOTAL, rows)

    def usage_series(
        self, by: Grouping | None, slot: SlotLength, since_ms: int, until_ms: int
    ) -> UsageSeries:
        slots = tuple(f"2026-09-21 {hour:02}:00" for hour in range(24))
        return UsageSeries(
            by,
            slots,
            tuple(
                UsageLine(
                    one.name,
                    tuple(one.requests // 24 + at * place for at in range(24)),
                    tuple((at * 7919 * (place + 1)) % 50_000 for at in range(24)),
                    tuple((at * 7919 * (place + 1)) % 24 * one.cost_nano_usd // 276 for at in range(24)),
                )
                for place, one in enumerate(GROUPS)
            ),
        )

    def dearest_prompts(self, since_ms: int | None, limit: int) -> Sequence[PromptUse]:
        return PROMPTS[:limit]

    def budgets(self) -> Sequence[BudgetUse]:
        return BUDGETS

    def list_keys(self) -> Sequence[KeyInfo]:
        return KEYS

    def list_teams(self) -> Sequence[TeamInfo]:
        return TEAMS

    def audit(self, limit: int, since_ms: int | None = None, after: int | None = None) -> Sequence[AuditRow]:
        return CHANGES

    def verify_audit(self) -> AuditVerdict:
        return AuditVerdict(2, "b" * 64, ())
