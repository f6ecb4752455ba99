"""Whatever is changed behind the write door is refused by the database or found by a replay: any column, any row, gone or added."""

from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace
from points_ledger.proof import check, merkle, replay
from points_ledger.proof import entries as e
from points_ledger.service import SERVICE
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Campaign, Cap, Window
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .sealed_ledger import AFTER, DAY, a_ledger_with_everything, examined, hold, seal, unguarded
from .test_proof import COLUMNS, WHY_COLUMNS
from .world import D, M, did, under_rules


@pytest.fixture
async def t(settings: Settings, rules: Programme) -> AsyncIterator[Under]:
    campaign = Campaign(
        code="may",
        window=Window(start=D("2026-05-01"), end=D("2026-06-01")),
        percent=300,
        rules=frozenset({"quiz"}),
        budget_points_max=1_000,
    )
    cap = Cap(code="reading", per="day", points_max=5, rules=frozenset({"article"}))
    budgeted = under_rules(rules, campaigns=(campaign,), caps=(cap,))
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"}), budgeted) as under:
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
    # What caps left of a lot: it counts for what is settled later; what was granted under it is sealed.
    "lots.amount_max", "lots.capped_by",
    # Whether a fact that brought nothing was taken back: it brings nothing either way, but for the streak it belongs to.
    "an empty lot.revoked",
    # An agent left: the entry of the earlier expiry is what counts.
    "lots.cut_on",
    # What an account remembers of terms and tiers: the log of `policy.v1` and `tier.v1` says it again.
    "accounts.memory",
    # Of a reservation, whose it was and how much is replayed; its order and its dates are the mall's, too.
    "holds.reference", "holds.expires_at", "holds.refundable_until",
    # Who proposed and approved and why was told by `points.adjusted` and stands in the audit; that they are two is looked at.
    "adjustments.reason", "adjustments.ticket", "adjustments.proposed_by", "adjustments.approved_by", "adjustments.batch",
    # A budget may be raised, and what was taken back is not allotted again, so more may be allotted than stands.
    # A campaign without a budget has no row, either: that one was removed is not seen (a trigger refuses it).
    "budgets.points_max", "budgets.allotted", "budgets: a row gone",
    # The wall's clock beside what is sealed.
    "seals.sealed_at", "roots.published_at", "adjustments.recorded_at",
}  # fmt: skip
"""What no entry implies, and why that may be; the README says so, too."""
UNSEALED_TABLES = {
    "account_changes": "the audit: append-only by trigger, not sealed",
    "lot_cuts": "when an agent's leaving was known: append-only by trigger, and written by one",
    "unpaid": "what came to nothing: moves no points, is never changed, and forgotten after a while",
    "adjustment_days": "what was used of a day's limits; over when the day is",
    "budget_claims": "a queue", "budget_news": "a queue", "referral_news": "a queue", "hand_overs": "a queue",
    "cursor_secret": "what pages of statements are signed with: no figure stands in it",
    "rule_drafts": "rules have two persons and a log of their own", "rule_log": "append-only by trigger",
    **dict.fromkeys(("inbox", "outbox", "published", "progress", "parked", "parked_log", "idempotency", "calendar"), "the spine's"),
    "alembic_version": "the schema's",
}  # fmt: skip
TABLES = (
    "transfers",
    "lots",
    "empty_lots",
    "moved_lots",
    "accounts",
    "holds",
    "adjustments",
    "budgets",
    "seals",
    "roots",
)
ONE = {
    "transfers": "kind = 'capture'",
    "lots": "lot_no = 1 AND member_id = 'M-2'",
    "empty_lots": "true",
    "moved_lots": "true",
    "accounts": "member_id = 'M-2'",
    "holds": "state = 'captured'",
    "adjustments": "points > 0 AND state = 'approved'",
    "budgets": "true",
    "seals": "batch_no = 2",
    "roots": "day_no = 2",
}


async def test_any_one_tampered_row_is_found(t: Under) -> None:
    """Each column of each kind of row is changed, one row is taken away, one is added; every time something is found."""
    await corrected_and_allotted(t)
    await a_ledger_with_everything(t)
    assert (await examined(t)).wrong == []
    conn, missed, tried = await unguarded(t), [], 0
    found = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row[0] for row in found} == {*TABLES, *UNSEALED_TABLES}
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
    assert tried > 110


async def corrected_and_allotted(t: Under) -> None:
    """A member with corrections by hand, up and down, a share of a campaign's budget, and an article of which a cap left nothing."""
    await t.feed(*(replace(did(kind, "2026-05-01"), member_id="M-4") for kind in ("quiz", "article", "article")))
    await t.day(D("2026-05-02"))
    for points in (100, -30):
        body = {"member_id": "M-4", "points": points, "reason": "goodwill", "ticket": "T-1"}
        made = await t.http.post("/v1/adjustments", json=body, headers=t.auth("operator", subject="op-1"))
        path = f"/v1/adjustments/{made.json()['adjustment_id']}/approve"
        assert (await t.http.post(path, headers=t.auth("operator", subject="op-2"))).status_code == 200
    assert await t.pool.fetchval("SELECT points_available FROM accounts WHERE member_id = 'M-4'") == 30 + 5 + 70


async def changes_of(conn: asyncpg.Connection, table: str) -> dict[str, str]:
    changes = await changes_of_one(conn, table, table, ONE[table])
    if table == "lots":
        empty = await changes_of_one(conn, "lots", "an empty lot", "granted = 0 AND base > 0")
        changes |= {what: change for what, change in empty.items() if what not in NOT_IMPLIED}
        changes["lots.extra_max"] = "UPDATE lots SET extra_max = extra_max + 1 WHERE member_id = 'M-4' AND lot_no = 1"
        changes["lots.taken, of one that was taken from"] = f"UPDATE lots SET taken = '[]' WHERE {TAKEN_FROM}"
    return changes


async def changes_of_one(conn: asyncpg.Connection, table: str, called: str, which: str) -> dict[str, str]:
    names = await conn.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1",
        table,
    )
    one = f"ctid = (SELECT min(ctid) FROM {table} WHERE {which})"
    changes = {
        f"{called}.{name}": f"UPDATE {table} SET {name} = {CHANGES[kind].format(f'coalesce({name}, {NULLS[kind]})')} WHERE {one}"
        for name, kind in names
        if f"{table}.{name}" not in NOT_IMPLIED | {"lots.extra_max"}
    }
    if f"{table}: a row gone" not in NOT_IMPLIED:
        changes[f"{called}: a row gone"] = f"DELETE FROM {table} WHERE {one}"
    changes[f"{called}: a row twice"] = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table} WHERE {one}"
    return changes


TAKEN_FROM = "ctid = (SELECT min(ctid) FROM lots WHERE taken <> '[]')"
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
    wrong = (await examined(t)).wrong
    assert [what for what in wrong if what.endswith("not as it was sealed")] == [
        "seal 2: entry M-2/7 is not as it was sealed"
    ]


SAID = {
    "lot M-1:1: its figures are not those of its entries": "UPDATE lots SET spent = 1, remaining = remaining - 1 WHERE lot_no = 1",
    "account M-1: points available is negative at entry 1": "UPDATE transfers SET debit = 'available', credit = 'issuance' WHERE transfer_no = 1",
    "account M-1: check_up earned more than once for a-1 by e-1": "UPDATE lots SET rule = 'check_up', fact = 'a-1', source_id = 'e-1', wallet = 'points'",
    "account M-1: it has lived to 2026-01-10, before its entries": "UPDATE accounts SET lived_to = '2026-01-10'",
    "lot M-1:3: nothing was granted, and it has no place among the entries": "DELETE FROM empty_lots",
}
"""What a replay says, and a change that makes it so; others may say something of it, too."""


async def test_a_replay_says_what_is_wrong_in_so_many_words(t: Under) -> None:
    """A check-up, and two articles of which a cap left nothing of the second; 100 points are held a day later."""
    await t.feed(did("check_up", "2026-01-10", activity_id="a-1"), *(did("article", "2026-01-10") for _ in range(2)))
    await t.day(D("2026-01-11"))
    await hold(t, 100, "H-1")
    conn, missed = await unguarded(t), []
    for said, change in SAID.items():
        undone = conn.transaction()
        await undone.start()
        await conn.execute(change)
        found = await replay.differences(conn)
        missed += [] if said in found else [(said, found)]
        await undone.rollback()
    await conn.close()
    assert missed == []


async def test_a_lot_that_a_cap_left_nothing_of_is_sealed_and_named_wherever_a_merger_takes_it(t: Under) -> None:
    """Three articles at most 5 points a day: two bring nothing, and have no entry to be sealed with."""
    await t.feed(*(replace(did("article", "2026-05-01"), member_id="M-5") for _ in range(3)))
    await seal(t, D("2026-05-02"))
    await t.feed(CustomerMerged(member_id=M, merged_id="M-5", effective=D("2026-06-01")))
    await t.feed(CustomerUnmerged(member_id=M, survivor_id=M, merged_id="M-5", effective=D("2026-07-01")))
    await seal(t, D("2026-07-01"))
    report = await examined(t)
    places = await t.pool.fetch("SELECT member_id, lot_no FROM empty_lots ORDER BY seq")
    assert [tuple(row) for row in places] == [("M-5", 2), ("M-5", 3), (M, 2), (M, 3), ("M-5", 5), ("M-5", 6)]
    assert (report.wrong, report.sealed) == ([], report.entries)
    conn = await unguarded(t)
    await conn.execute("UPDATE lots SET earned_on = '2026-04-30' WHERE member_id = 'M-5' AND lot_no = 5")
    await conn.close()
    assert any("lot M-5:5 is not as it was sealed" in what for what in (await examined(t)).wrong)


async def test_what_is_hashed_of_a_row_is_what_stands_in_it(t: Under) -> None:
    """A check-up, and two articles of which a cap left nothing of the second: of that its number, its place and its columns."""
    await t.feed(did("check_up", "2026-01-10"), *(did("article", "2026-01-10") for _ in range(2)))
    instant = "(extract(epoch FROM recorded_at) * 1000000)::bigint AS recorded_us"
    entries = await t.pool.fetch(f"SELECT *, {instant} FROM transfers ORDER BY seq")
    lots = {
        row["lot_no"]: [row[name] for name in WHY_COLUMNS.split()] for row in await t.pool.fetch("SELECT * FROM lots")
    }
    own = {row["seq"]: e.entry_leaf([row[name] for name in COLUMNS.split()], lots[row["lot_no"]]) for row in entries}
    (empty,) = await t.pool.fetch("SELECT seq, member_id, lot_no FROM empty_lots")
    own[empty["seq"]] = merkle.leaf(msgspec.json.encode(["lot", 1, list(empty), lots[empty["lot_no"]]]))
    sealed = await t.pool.fetch(e.SEALED, 0, max(own))
    assert [(row["seq"], e.leaf_of(row)) for row in sealed] == sorted(own.items())


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


async def test_a_journal_rewritten_with_its_seals_does_not_come_to_the_roots_that_stand(t: Under) -> None:
    await t.feed(did("check_up", "2026-01-10"))
    await seal(t, DAY, publish=AFTER)
    conn = await unguarded(t)
    await conn.execute("UPDATE transfers SET cause = 'another'")
    await conn.execute("TRUNCATE seals")
    await conn.close()
    await seal(t, DAY)
    assert (await examined(t)).wrong == [f"root {DAY} was changed"]


@pytest.mark.parametrize(
    ("made_to_fit", "said"),
    [
        ("leaves = $1", "seal 1: its list of entries was changed"),
        ("leaves = $1, root = $2", "seal 1 was changed"),
        ("leaves = $1, root = $2, hash = $3", "seal 2 does not follow the one before"),
    ],
)
async def test_an_entry_rewritten_with_its_own_seal_is_found(t: Under, made_to_fit: str, said: str) -> None:
    """Of a day that is not published yet: what its seal says is made to fit, in part or all; but the next one names its hash."""
    await t.feed(did("check_up", "2026-01-10"))
    await seal(t, D("2026-01-10"))
    await t.feed(did("quiz", "2026-01-10"))
    await seal(t, D("2026-01-10"))
    assert (await examined(t)).wrong == []
    conn = await unguarded(t)
    await conn.execute("UPDATE transfers SET cause = 'another' WHERE member_id = 'M-1' AND transfer_no = 1")
    (first, *_) = await conn.fetch(check.SEALS, 0, 1)
    leaves = [e.leaf_of(row) for row in await conn.fetch(e.SEALED, 0, first["seq_to"])]
    forged = replace(e.Seal(*first[:7]), root=merkle.root(leaves))
    values = (b"".join(leaves), forged.root, forged.hash)
    await conn.execute(f"UPDATE seals SET {made_to_fit} WHERE batch_no = 1", *values[: made_to_fit.count("$")])
    await conn.close()
    assert (await examined(t)).wrong == [said]


# --- what the database refuses ---


REFUSED = [
    "UPDATE seals SET entries = 1",
    "DELETE FROM seals",
    "TRUNCATE seals",
    "UPDATE roots SET entries = 1",
    "DELETE FROM roots",
    "UPDATE moved_lots SET granted = 1",
    "UPDATE empty_lots SET lot_no = 9",
    "DELETE FROM empty_lots",
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
    "DELETE FROM budgets",
    "UPDATE unpaid SET reason = 'below'",
    "TRUNCATE unpaid",
    "INSERT INTO adjustment_days VALUES ('2027-01-01', 'maker', 'op-1', 11, 10)",
    "UPDATE accounts SET points_available = -1",
    "UPDATE accounts SET points_debt = 1 WHERE points_available > 0",
    "UPDATE accounts SET growth_held = 1",
    "UPDATE transfers SET amount = 1",
    "DELETE FROM transfers",
    "TRUNCATE transfers",
    *(
        sql.format(audit, column)
        for audit, column in {"account_changes": "actor", "lot_cuts": "cut_on", "rule_log": "actor"}.items()
        for sql in ("UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}")
    ),
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
