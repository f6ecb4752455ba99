"""The journal is sealed behind the writers' backs, and whatever is changed afterwards is found: any column, any row, gone or added."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from datetime import date

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from points_ledger.proof import check, merkle, sealer, statement
from points_ledger.proof import entries as e
from points_ledger.service import SERVICE
from tenure.contracts.policy import CustomerMerged
from tenure.settings import Settings
from tenure.spine import faults
from tenure.testing import Under, under_test

from .long_forms import sized
from .test_store import life, records
from .world import D, M, did, paid, term

DAY = date(2028, 8, 2)
AFTER = date(2028, 8, 3)


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


async def seal(t: Under, day: date = DAY, *, publish: date | None = None) -> int:
    """Seal everything there is; publish what is before `publish`."""
    async with t.pool.acquire() as conn:
        one = sealer.Sealer(conn)
        for _ in range(2):  # the first look notes who writes, the second that they are gone
            await one.floor.look(conn)
            one.floor._looked_at = 0.0
        sealed = await one.seal(day, at_once=True)
        if publish is not None:
            await one.publish(publish)
        return sealed


async def hold(t: Under, points: int, hold_id: str, then: str = "", part: int | None = None, member: str = M) -> None:
    body = {"member_id": member, "points": points, "hold_id": hold_id, "reference": "O-1"}
    answer = await t.http.post("/v1/holds", json=body, headers=t.auth("service"))
    assert answer.status_code == 201, answer.text
    for step in then.split():
        sent = None if part is None else {"points": part}
        answer = await t.http.post(f"/v1/holds/{hold_id}/{step}", json=sent, headers=t.auth("service"))
        assert answer.status_code == 200, answer.text


async def a_ledger_with_everything(t: Under) -> None:
    """Two lives, a merged customer, holds in every state, something expired, something owed; sealed in several batches and days."""
    await t.deliver(records(t, life()))
    await seal(t, D("2027-05-01"))
    await t.deliver(records(t, life("M-2")))
    await t.day(D("2027-05-31"))
    await hold(t, 100, "H-open")
    await hold(t, 100, "H-released", "release")
    await hold(t, 100, "H-captured", "capture", part=60)
    await hold(t, 100, "H-refunded", "capture refund", part=40)
    await seal(t, D("2027-05-31"))
    await t.feed(paid(term(member_id="M-3", policy_no="P-3"), 30_000))
    await t.feed(CustomerMerged(member_id=M, merged_id="M-3", effective=D("2027-06-01")))
    await t.day(D("2028-07-15"))
    await hold(t, 200, "H-late", "capture", member="M-2")
    await t.day(DAY)
    answer = await t.http.post("/v1/holds/H-late/refund", headers=t.auth("service"))
    assert answer.json()["refunded"] == 200, "into lots that are over: there is a lot of grace now"
    await seal(t, DAY, publish=AFTER)


async def examined(t: Under) -> check.Report:
    return await check.examine(t.pool)


# --- Merkle trees ---


@given(st.integers(1, 70), st.data())
def test_a_path_leads_from_each_leaf_to_the_root_and_from_no_other(size: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf(bytes([n])) for n in range(size)]
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    tree = merkle.levels(leaves)
    path = merkle.path(tree, index)
    assert merkle.root_from(leaves[index], index, size, path) == merkle.root(leaves) == tree[-1][0]
    assert merkle.root_from(merkle.leaf(b"else"), index, size, path) != merkle.root(leaves)
    if other != index:
        assert merkle.root_from(leaves[index], other, size, path) != merkle.root(leaves)
    assert merkle.root_from(leaves[index], index, size, [*path, leaves[0]]) is None
    if path:
        assert merkle.root_from(leaves[index], index, size, path[:-1]) is None


def test_the_trees_are_those_of_rfc_6962() -> None:
    """The roots its reference implementation gives for its test data."""
    inputs = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    leaves = [merkle.leaf(content) for content in inputs]
    assert {n: merkle.root(leaves[:n]).hex() for n in roots} == roots


def test_every_column_is_sealed_or_replayed_or_named_here() -> None:
    """A column that is added must be put in one of these."""
    from points_ledger.columns import LOT, LOT_CHANGES

    assert set(LOT) - {"lot_no"} == set(e.LOT) | set(LOT_CHANGES)


# --- sealing ---


async def test_batches_follow_one_another_and_hold_every_entry(t: Under) -> None:
    await a_ledger_with_everything(t)
    report = await examined(t)
    assert report.wrong == []
    assert (report.entries, report.batches, report.days) == (report.sealed, 3, 3)
    assert report.entries == await t.pool.fetchval("SELECT count(*) FROM transfers") > 150
    assert report.newest == (await t.http.get("/v1/ledger/roots/2028-08-02", headers=t.auth("member"))).json()["root"]


async def test_what_is_being_written_is_not_waited_for_and_is_sealed_when_it_is_there(t: Under) -> None:
    await t.feed(did("check_up", "2026-01-10"))
    async with t.pool.acquire() as writer:
        open_one = writer.transaction()
        await open_one.start()
        insert = """INSERT INTO transfers (member_id, transfer_no, wallet, debit, credit, amount, lot_no, kind, effective, cause, hold_id)
                    VALUES ('M-9', 1, 'points', 'issuance', 'available', 5, 0, 'grant', '2026-01-10', 'c', '')"""
        await writer.execute(insert)
        await t.feed(did("quiz", "2026-01-10"))
        async with t.pool.acquire() as conn:
            one = sealer.Sealer(conn)
            for _ in range(3):
                one.floor._looked_at = 0.0
                await asyncio.wait_for(one.seal(DAY, at_once=True), 5)
            assert await conn.fetchval("SELECT coalesce(sum(entries), 0) FROM seals") <= 2
            assert await conn.fetchval("SELECT coalesce(max(seq_to), 0) FROM seals") < await writer.fetchval(
                "SELECT seq FROM transfers WHERE member_id = 'M-9'"
            ), "nothing beyond what may still commit is sealed"
        await open_one.commit()
    await seal(t)
    assert await t.pool.fetchval("SELECT sum(entries) FROM seals") == await t.pool.fetchval(
        "SELECT count(*) FROM transfers"
    )


async def test_numbers_drawn_in_vain_leave_no_hole_in_the_chain(t: Under) -> None:
    await t.feed(did("check_up", "2026-01-10"))
    await t.pool.execute(f"SELECT setval('transfers_seq_seq', {3 * sealer.ENTRIES_MAX})")
    await t.feed(did("quiz", "2026-01-11"))
    assert await seal(t) == 2 + 1 - 1
    report = await examined(t)
    assert [w for w in report.wrong if "seal" in w] == []


async def test_two_sealers_at_once_write_one_chain(t: Under) -> None:
    await t.deliver(records(t, life()))

    async def try_to() -> None:
        with contextlib.suppress(asyncpg.UniqueViolationError):
            await seal(t)

    await asyncio.gather(*(try_to() for _ in range(4)))
    report = await examined(t)
    assert (report.wrong, report.sealed) == ([], report.entries)


SEALING = """
import asyncio, sys
from datetime import date
import asyncpg
from points_ledger.proof import sealer
async def main():
    conn = await asyncpg.connect(sys.argv[1])
    one = sealer.Sealer(conn)
    for _ in range(2):
        await one.floor.look(conn)
        one.floor._looked_at = 0.0
    await one.seal(date(2028, 8, 2), at_once=True)
    await one.publish(date(2028, 8, 3))
asyncio.run(main())
"""


@pytest.mark.parametrize("point", sized(faults.SEAL_POINTS[:2], faults.SEAL_POINTS))
async def test_a_sealer_killed_anywhere_leaves_a_chain_the_next_one_goes_on_with(t: Under, point: str) -> None:
    await t.deliver(records(t, life()))
    url = f"{t.settings.database_url}/{await t.pool.fetchval('SELECT current_database()')}"
    died = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SEALING, url, env={**os.environ, faults.VARIABLE: f"{point}:1"}
    )
    assert await asyncio.wait_for(died.wait(), 60) == -9
    await seal(t, publish=AFTER)
    report = await examined(t)
    assert (report.wrong, report.sealed, report.days) == ([], report.entries, 1)


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


async def unguarded(t: Under) -> asyncpg.Connection:
    """As somebody with all rights would: no constraint, no trigger."""
    conn = await asyncpg.connect(f"{t.settings.database_url}/{await t.pool.fetchval('SELECT current_database()')}")
    rows = await conn.fetch(
        """SELECT conrelid::regclass::text AS of, quote_ident(conname) AS name FROM pg_constraint
           WHERE contype IN ('c', 'u', 'f', 'p') AND connamespace = 'public'::regnamespace AND conrelid <> 0"""
    )
    for row in rows:
        await conn.execute(f"ALTER TABLE {row['of']} DROP CONSTRAINT IF EXISTS {row['name']} CASCADE")
    for row in await conn.fetch(
        "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '%UNIQUE%'"
    ):
        await conn.execute(f"DROP INDEX {row['indexname']}")
    await conn.execute("ALTER TABLE transfers ALTER COLUMN seq SET GENERATED BY DEFAULT")
    await conn.execute("SET session_replication_role = replica")
    return conn


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


# --- a statement that proves itself ---


async def proof(t: Under, member: str = "M-2", subject: str = "M-2", **query: object) -> bytes:
    answer = await t.http.get(
        f"/v1/wallets/{member}/statement/proof", params=query, headers=t.auth("member", subject=subject)
    )
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_a_statement_is_verified_offline_against_the_published_root(t: Under) -> None:
    await a_ledger_with_everything(t)
    root = (await t.http.get("/v1/ledger/roots/newest", headers=t.auth("member"))).json()["root"]
    found = statement.verify(await proof(t), root)
    stored = await t.pool.fetchrow("SELECT * FROM accounts WHERE member_id = 'M-2'")
    assert (found.first_no, found.last_no) == (1, stored["transfers_no"])
    assert found.balances == {k: v for k, v in stored.items() if k.startswith(("points_", "growth_", "agent_")) and v}
    older = (await t.http.get("/v1/ledger/roots/2027-05-31", headers=t.auth("member"))).json()["root"]
    part = statement.verify(await proof(t, day="2027-05-31"), older)
    assert 0 < part.entries < found.entries
    with pytest.raises(statement.NotProvenError, match="does not stand under this root"):
        statement.verify(await proof(t), older)


async def test_a_long_statement_comes_in_files_that_follow_one_another(
    t: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_ledger_with_everything(t)
    monkeypatch.setattr(statement, "LINES_MAX", 25)
    root, after, pieces = (await examined(t)).newest, 0, []
    while after is not None:
        content = await proof(t, after=after)
        pieces.append(statement.verify(content, root))
        after = msgspec.json.decode(content)["next_after"]
    assert len(pieces) > 2
    assert [p.first_no for p in pieces[1:]] == [p.last_no + 1 for p in pieces[:-1]]
    assert pieces[-1].last_no == await t.pool.fetchval("SELECT transfers_no FROM accounts WHERE member_id = 'M-2'")


async def test_whatever_is_changed_in_a_statement_is_found(t: Under) -> None:
    """Every value of the first and the last entry, every hash of the file, one entry left out, two exchanged."""
    await a_ledger_with_everything(t)
    root, content = (await examined(t)).newest, await proof(t)
    told = msgspec.json.decode(content)
    statement.verify(content, root)
    tried, missed = 0, []
    for path in places(told):
        changed = msgspec.json.decode(content)
        _change(changed, path)
        with contextlib.suppress(statement.NotProvenError):
            statement.verify(msgspec.json.encode(changed), root)
            missed.append(path)
        tried += 1
    assert missed == []
    assert tried > 80
    for cut in (told["entries"][:3] + told["entries"][4:], [*reversed(told["entries"])]):
        with pytest.raises(statement.NotProvenError, match="missing"):
            statement.verify(msgspec.json.encode({**told, "entries": cut}), root)
    for nonsense in (b"", b"[]", b"{}", content[:-2], b'{"form": 1}'):
        with pytest.raises(statement.NotProvenError):
            statement.verify(nonsense, root)


def places(told: dict) -> list[tuple]:
    found: list[tuple] = [("member_id",), ("days",), ("after",)]
    for n in (0, len(told["entries"]) - 1):
        entry = told["entries"][n]
        found += [("entries", n, "row", i) for i in range(len(entry["row"]))]
        found += [("entries", n, "why", i) for i in range(len(entry["why"] or ()))]
        found += [("entries", n, "path", 0), ("entries", n, "index"), ("entries", n, "batch_no")]
    first = str(told["entries"][0]["batch_no"])
    day = told["batches"][first]["day"]
    found += [("batches", first, name) for name in ("seq_to", "seq_after", "entries", "previous")]
    found += [("published", day, name) for name in ("day_no", "batch_from", "batch_to", "entries")]
    return [*found, ("published", day, "path", 0)]


def _change(told: dict, path: tuple) -> None:
    *way, last = path
    at = told
    for step in way:
        at = at[step]
    value = at[last]
    if isinstance(value, str) and len(value) == 64:
        at[last] = "00" * 32
    elif isinstance(value, int):
        at[last] = value + 1
    else:
        at[last] = f"{value}?"


async def test_who_may_ask_for_roots_and_proofs(t: Under) -> None:
    assert (await t.http.get("/v1/ledger/roots/newest", headers=t.auth("member"))).json()["code"] == "no_root"
    await a_ledger_with_everything(t)
    foreign = await t.http.get("/v1/wallets/M-2/statement/proof", headers=t.auth("member", subject=M))
    assert foreign.status_code == 404
    assert (await t.http.get("/v1/ledger/roots/2028-08-02")).status_code == 401
    assert (await t.http.get("/v1/ledger/roots/2020-01-01", headers=t.auth("member"))).json()["code"] == "no_root"
    assert (await t.http.get("/v1/ledger/roots/yesterday", headers=t.auth("member"))).status_code == 422


async def test_an_entry_that_is_not_what_was_sealed_is_not_proven(t: Under) -> None:
    await a_ledger_with_everything(t)
    conn = await unguarded(t)
    await conn.execute("UPDATE transfers SET amount = amount + 1 WHERE member_id = 'M-2' AND transfer_no = 7")
    await conn.close()
    answer = await t.http.get("/v1/wallets/M-2/statement/proof", headers=t.auth("operator"))
    assert (answer.status_code, answer.json()["code"]) == (409, "entry_changed")
