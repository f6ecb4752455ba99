"""Whatever is changed behind the write door is refused by the database or found by a replay: any column, any row, gone or added."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .sealed_ledger import AFTER, DAY, a_ledger_with_everything, examined, seal, unguarded


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


# --- tampering ---

CHANGES = {
    "text": "{0} || '?'",
    "bigint": "{0} + 1",
    "integer": "{0} + 1",
    "date": "nullif(date '1999-12-31', {0})",
    "timestamp with time zone": "{0} + interval '1 second'",
    "bytea": "sha256({0})",
    "boolean": "NOT {0}",
    "jsonb": "'[[1, 1]]'",
}
NOT_IMPLIED = {
    ("lots", "revoked"),
    ("lots", "taken"),
    ("lots", "extra_max"),
    ("lots", "amount_max"),
    ("lots", "capped_by"),
    ("lots", "cut_on"),
    ("accounts", "lived_to"),
    ("accounts", "due_on"),
    ("accounts", "memory"),
    ("holds", "reference"),
    ("holds", "expires_at"),
    ("holds", "refundable_until"),
    ("seals", "sealed_at"),
    ("roots", "published_at"),
}
"""What no entry implies (`proof.replay` says so), and the wall's clock beside what is sealed."""
TABLES = ("transfers", "lots", "moved_lots", "accounts", "holds", "seals", "roots")
ONE = {
    "transfers": "kind = 'capture'",
    "lots": "lot_no = 1 AND member_id = 'M-2'",
    "moved_lots": "true",
    "accounts": "member_id = 'M-2'",
    "holds": "state = 'captured'",
    "seals": "batch_no = 2",
    "roots": "day_no = 2",
}


async def test_any_one_tampered_row_is_found(t: Under) -> None:
    """Each column of each kind of row is changed, one row is taken away, one is added; every time something is found."""
    await a_ledger_with_everything(t)
    assert (await examined(t)).wrong == []
    conn, missed, tried = await unguarded(t), [], 0
    for table in TABLES:
        for what, change in (await changes_of(conn, table)).items():
            await conn.execute(f"CREATE TABLE kept AS TABLE {table}")
            assert (await conn.execute(change)).endswith(" 1"), f"{what}: nothing was changed"
            tried += 1
            missed += [] if (await examined(t)).wrong else [what]
            await conn.execute(f"TRUNCATE {table}")
            await conn.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept")
            await conn.execute("DROP TABLE kept")
    await conn.close()
    assert missed == []
    assert tried > 90


async def changes_of(conn: asyncpg.Connection, table: str) -> dict[str, str]:
    names = await conn.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1",
        table,
    )
    one = f"ctid = (SELECT min(ctid) FROM {table} WHERE {ONE[table]})"
    changes = {
        f"{table}.{name}": f"UPDATE {table} SET {name} = {CHANGES[kind].format(f'coalesce({name}, {NULLS[kind]})')} WHERE {one}"
        for name, kind in names
        if (table, name) not in NOT_IMPLIED
    }
    changes[f"{table}: a row gone"] = f"DELETE FROM {table} WHERE {one}"
    changes[f"{table}: a row twice"] = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table} WHERE {one}"
    return changes


NULLS = {
    "text": "''",
    "bigint": "0",
    "integer": "0",
    "date": "'2000-01-01'::date",
    "timestamp with time zone": "now()",
    "bytea": "''::bytea",
    "boolean": "false",
    "jsonb": "'[]'",
}


async def test_the_row_that_was_changed_is_named(t: Under) -> None:
    await a_ledger_with_everything(t)
    conn = await unguarded(t)
    await conn.execute("UPDATE transfers SET amount = amount + 1 WHERE member_id = 'M-2' AND transfer_no = 7")
    await conn.close()
    assert any("entry M-2/7 is not as it was sealed" in what for what in (await examined(t)).wrong)


async def test_a_journal_rewritten_with_its_seals_has_another_root(t: Under) -> None:
    """Who can rewrite everything here cannot rewrite the root that was published elsewhere."""
    await a_ledger_with_everything(t)
    kept = (await examined(t)).newest
    conn = await unguarded(t)
    await conn.execute("UPDATE transfers SET cause = 'another' WHERE member_id = 'M-2' AND transfer_no = 7")
    await conn.execute("TRUNCATE seals, roots")
    await conn.close()
    await seal(t, DAY, publish=AFTER)
    report = await examined(t)
    assert report.wrong == []
    assert report.newest != kept


# --- what the database refuses ---


REFUSED = [
    "UPDATE seals SET entries = 1",
    "DELETE FROM seals",
    "TRUNCATE seals",
    "UPDATE roots SET entries = 1",
    "DELETE FROM roots",
    "UPDATE moved_lots SET granted = 1",
    "UPDATE lots SET granted = granted + 1, remaining = remaining + 1",
    "UPDATE lots SET rule = 'else'",
    "UPDATE lots SET spent = spent + 1",
    "TRUNCATE lots",
    "UPDATE holds SET points = points + 1",
    "UPDATE holds SET state = 'held' WHERE state = 'released'",
    "UPDATE holds SET state = 'released' WHERE state = 'captured'",
    "UPDATE holds SET captured = 1 WHERE state = 'held'",
    "UPDATE holds SET refunded = captured + 1 WHERE state = 'captured'",
    "DELETE FROM holds",
    "DELETE FROM accounts",
    "UPDATE accounts SET points_available = -1",
    "UPDATE accounts SET points_debt = 1 WHERE points_available > 0",
    "UPDATE accounts SET growth_held = 1",
    "UPDATE transfers SET amount = 1",
    "DELETE FROM transfers",
    "TRUNCATE transfers",
    *(
        f"INSERT INTO transfers (member_id, transfer_no, wallet, debit, credit, amount, lot_no, kind, effective, cause, hold_id) "
        f"VALUES ('M-1', 9999, 'points', '{debit}', '{credit}', {amount}, 1, '{kind}', '2027-01-01', 'c', '{hold_id}')"
        for debit, credit, amount, kind, hold_id in [
            ("issuance", "available", 0, "grant", ""),
            ("issuance", "available", -5, "grant", ""),
            ("issuance", "issuance", 5, "grant", ""),
            ("available", "issuance", 5, "grant", ""),
            ("held", "redemption", 5, "capture", ""),
            ("available", "redemption", 5, "capture", "H-1"),
            ("available", "breakage", 5, "expire", "H-1"),
            ("pending", "available", 5, "merge", ""),
        ]
    ),
]


async def test_the_database_refuses_what_would_falsify_the_books(t: Under) -> None:
    await a_ledger_with_everything(t)
    passed = []
    for sql in REFUSED:
        try:
            await t.pool.execute(sql)
        except asyncpg.CheckViolationError:
            continue
        passed.append(sql)
    assert passed == []
    columns = "wallet, rule, fact, granted, remaining, earned_on, activates_on, expires_on, rules_version, source_type, source_id, remembered_until, base, held, spent, reversed, expired, policy_no, term_no, status, status_percent, line_percent, campaign_percent, revoked, taken, origin"
    with pytest.raises(asyncpg.UniqueViolationError):  # a source event has at most one effect by a rule
        await t.pool.execute(
            f"INSERT INTO lots (member_id, lot_no, {columns}) SELECT member_id, 9999, {columns} FROM lots WHERE lot_no = 1 LIMIT 1"
        )
    assert (await examined(t)).wrong == []
