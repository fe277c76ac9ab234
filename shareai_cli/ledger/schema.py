"""The database's tables, as numbered migrations: appended to, never changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

VERSION: Final = 8
"""`user_version` of a database to which every migration was applied."""

SALT_BYTES: Final = 32

AUDIT_START: Final = "0" * 64
"""What the first row of the audit has for the hash of the row before it."""

REQUEST_COLUMNS: Final = (
    "id",
    "time_ms",
    "key",
    "team",
    "route",
    "target",
    "provider_key",
    "status",
    "streamed",
    "outcome",
    "error",
    "prompt",
    "cached",
    "cache_write",
    "completion",
    "reasoning",
    "estimated_tokens",
    "cost_nano",
    "basis",
    "first_token_us",
    "total_us",
    "attempt_us",
    "prompt_bytes",
    "completion_bytes",
    "fingerprint",
    "attempts",
    "drill",
)
"""The columns of `requests`. `attempt_us` says all that `attempts` would of one attempt that ended well."""

_TABLES: Final = """
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    salt BLOB NOT NULL,
    journal_file INTEGER NOT NULL,
    journal_offset INTEGER NOT NULL
);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE targets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, price_as TEXT NOT NULL);
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    key INTEGER NOT NULL,
    team INTEGER NOT NULL,
    route INTEGER NOT NULL,
    target INTEGER NOT NULL,
    provider_key INTEGER NOT NULL,
    status INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    error INTEGER NOT NULL,
    prompt INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    completion INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    estimated_tokens INTEGER NOT NULL,
    cost_nano INTEGER,
    basis INTEGER NOT NULL,
    first_token_us INTEGER NOT NULL,
    total_us INTEGER NOT NULL,
    attempt_us INTEGER,
    prompt_bytes INTEGER NOT NULL,
    completion_bytes INTEGER NOT NULL,
    fingerprint BLOB,
    attempts TEXT
);
CREATE TABLE under_way (id INTEGER PRIMARY KEY, entry BLOB NOT NULL);
CREATE TABLE hours (hour INTEGER PRIMARY KEY, first_id INTEGER NOT NULL, last_id INTEGER NOT NULL);
CREATE TABLE hourly (
    dimension INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    name INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    incomplete INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    prompt INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    completion INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    estimated_tokens INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL,
    estimated_cost INTEGER NOT NULL,
    unknown_cost INTEGER NOT NULL,
    first_tokens INTEGER NOT NULL,
    first_token_us INTEGER NOT NULL,
    total_us INTEGER NOT NULL,
    PRIMARY KEY (dimension, hour, name)
) WITHOUT ROWID;
CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    team TEXT NOT NULL,
    shown TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER
);
CREATE UNIQUE INDEX active_key_names ON keys (name) WHERE revoked_ms IS NULL;
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    facts TEXT NOT NULL,
    models TEXT NOT NULL,
    registered_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
);
"""


def migrations() -> Migrations:
    """Return the migrations, in order."""
    from sqlite_utils import Migrations  # slow to import, and needed only where something is to be migrated

    steps = Migrations("shareai")

    @steps()
    def accounts(db: Database) -> None:
        for statement in _TABLES.split(";"):
            if statement.strip():
                db.execute(statement)
        for table in ("names", "targets"):
            row = {"id": 0, "name": ""} | ({"price_as": ""} if table == "targets" else {})
            db.table(table).insert(row)
        row = {"id": 1, "salt": os.urandom(SALT_BYTES), "journal_file": 0, "journal_offset": 0}
        db.table("ledger").insert(row)

    @steps()
    def rejected_requests(db: Database) -> None:
        db.execute("ALTER TABLE hourly ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0")

    @steps()
    def replies_of_the_cache(db: Database) -> None:
        for outcome in ("hit", "joined"):
            db.execute(f"ALTER TABLE hourly ADD COLUMN {outcome} INTEGER NOT NULL DEFAULT 0")

    @steps()
    def settings_of_keys(db: Database) -> None:
        for column in ("allowed", "preferences"):
            db.execute(f"ALTER TABLE keys ADD COLUMN {column} TEXT NOT NULL DEFAULT '[]'")
        for column in ("expires_ms", "rotated_ms"):
            db.execute(f"ALTER TABLE keys ADD COLUMN {column} INTEGER")
        db.execute(
            "CREATE TABLE former_digests "
            "(digest BLOB PRIMARY KEY, key INTEGER NOT NULL, until_ms INTEGER NOT NULL) WITHOUT ROWID"
        )

    @steps()
    def audit_log(db: Database) -> None:
        db.execute(
            "CREATE TABLE audit (id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, actor TEXT NOT NULL, "
            "origin TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, before TEXT, after TEXT, "
            "previous TEXT NOT NULL, hash TEXT NOT NULL)"
        )
        db.execute(
            "CREATE TABLE audit_head "
            "(id INTEGER PRIMARY KEY CHECK (id = 1), last_id INTEGER NOT NULL, hash TEXT NOT NULL)"
        )
        db.table("audit_head").insert({"id": 1, "last_id": 0, "hash": AUDIT_START})
        for change in ("UPDATE", "DELETE"):
            db.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit is only appended to'); END"
            )

    @steps()
    def teams_and_limits(db: Database) -> None:
        db.execute(
            "CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
            "limits TEXT NOT NULL DEFAULT '{}', created_ms INTEGER NOT NULL, removed_ms INTEGER)"
        )
        db.execute("CREATE UNIQUE INDEX team_names ON teams (name) WHERE removed_ms IS NULL")
        db.execute(
            "INSERT INTO teams (name, created_ms) "
            "SELECT team, min(created_ms) FROM keys "
            "WHERE revoked_ms IS NULL OR team = 'default' GROUP BY team"
        )
        db.execute(
            "INSERT INTO teams (name, created_ms) SELECT 'default', CAST(strftime('%s') AS INTEGER) * 1000 "
            "WHERE NOT EXISTS (SELECT 1 FROM teams WHERE name = 'default')"
        )
        for column in (
            "limits TEXT NOT NULL DEFAULT '{}'",
            "prefer TEXT",
            "may_mint INTEGER NOT NULL DEFAULT 0",
            "parent INTEGER",
        ):
            db.execute(f"ALTER TABLE keys ADD COLUMN {column}")
        db.execute("CREATE INDEX minted_keys ON keys (parent) WHERE parent IS NOT NULL")
        # No key has changed its team so far: the sums by key are those by team.
        names = [row[1] for row in db.execute("PRAGMA table_info(hourly)").fetchall()]
        sums = [name for name in names if name not in ("dimension", "hour", "name")]
        db.execute(
            f"INSERT INTO hourly (dimension, hour, name, {', '.join(sums)}) "  # noqa: S608 - its own columns
            f"SELECT 4, hour, ifnull(names.id, 0) AS place, {', '.join(f'sum({name})' for name in sums)} "
            "FROM hourly LEFT JOIN keys ON keys.id = hourly.name LEFT JOIN names ON names.name = keys.team "
            "WHERE dimension = 3 GROUP BY hour, place"
        )

    @steps()
    def drills(db: Database) -> None:
        db.execute("ALTER TABLE requests ADD COLUMN drill INTEGER NOT NULL DEFAULT 0")
        db.execute(
            "CREATE TABLE drills (id INTEGER PRIMARY KEY, began_ms INTEGER NOT NULL, "
            "ended_ms INTEGER NOT NULL, cause TEXT NOT NULL, verdict TEXT NOT NULL, report TEXT NOT NULL)"
        )

    @steps()
    def overrides(db: Database) -> None:
        db.execute(
            "CREATE TABLE target_overrides (route TEXT NOT NULL, target TEXT NOT NULL, state TEXT NOT NULL, "
            "weight INTEGER, actor TEXT NOT NULL, time_ms INTEGER NOT NULL, PRIMARY KEY (route, target)) "
            "WITHOUT ROWID"
        )
        db.execute(
            "CREATE TABLE node_overrides (node TEXT PRIMARY KEY, state TEXT NOT NULL, "
            "actor TEXT NOT NULL, time_ms INTEGER NOT NULL) WITHOUT ROWID"
        )

    return steps
