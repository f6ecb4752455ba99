"""The journal is sealed behind the writers' backs: in batches that follow one another, whatever is killed, and nobody waits."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from points_ledger.proof import entries as e
from points_ledger.proof import merkle, sealer, statement
from points_ledger.service import SERVICE
from tenure.calendar import start_of
from tenure.contracts.ledger import RootPublished
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.settings import Settings
from tenure.spine import faults
from tenure.testing import Under, under_test

from .long_forms import sized
from .sealed_ledger import AFTER, DAY, a_ledger_with_everything, examined, hold, seal
from .test_store import life, records
from .world import D, M, did, paid, term


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


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


# --- what is hashed ---

ROW = [7, M, 3, "points", "issuance", "available", 500, 2, "grant", D("2026-01-10"), "e-1", "", 1_768_000_000_123_456]
WHY = [
    "points", "check_up", "a-1", 500, D("2026-01-10"), D("2026-01-10"), None, 1, "activity.completed", "e-1", D("2027-01-01"),
    500, "P-1", 1, "gold", 120, 100, 100, "", "may",
]  # fmt: skip
SEALED_ROW = '[7,"M-1",3,"points","issuance","available",500,2,"grant","2026-01-10","e-1","",1768000000123456]'
SEALED_WHY = (
    '["points","check_up","a-1",500,"2026-01-10","2026-01-10",null,1,"activity.completed","e-1","2027-01-01",'
    '500,"P-1",1,"gold",120,100,100,"","may"]'
)
COLUMNS = "seq member_id transfer_no wallet debit credit amount lot_no kind effective cause hold_id recorded_us"
WHY_COLUMNS = (
    "wallet rule fact granted earned_on activates_on expires_on rules_version source_type source_id remembered_until "
    "base policy_no term_no status status_percent line_percent campaign_percent origin campaign"
)


def test_what_is_hashed_never_changes() -> None:
    """Whoever keeps a root, or a statement under it, verifies it for years to come: byte for byte as decision 0012 writes it."""
    own, one, other = (merkle.leaf(name.encode()) for name in ("own", "one", "other"))
    seal = e.Seal(3, D("2026-01-10"), 2_048, 4_096, 2_048, own, one)
    root = e.Root(D("2026-01-10"), 2, 3, 9, 12_000, own, other)
    hashed = {
        e.entry_leaf(ROW, WHY): f'["entry",1,{SEALED_ROW},{SEALED_WHY}]',
        e.entry_leaf(ROW, None): f'["entry",1,{SEALED_ROW},null]',
        seal.hash: f'["seal",1,3,"2026-01-10",2048,4096,2048,"{own.hex()}","{one.hex()}"]',
        root.leaf: f'["day",1,2,"2026-01-10",3,9,12000,"{own.hex()}"]',
    }
    assert {leaf: merkle.leaf(written.encode()) for leaf, written in hashed.items()} == {leaf: leaf for leaf in hashed}
    assert (" ".join(e.ENTRY), " ".join(e.LOT)) == (COLUMNS, WHY_COLUMNS)


# --- sealing ---


async def test_batches_follow_one_another_and_hold_every_entry(t: Under) -> None:
    await a_ledger_with_everything(t)
    report = await examined(t)
    assert report.wrong == []
    assert (report.entries, report.batches, report.days) == (report.sealed, 3, 3)
    assert report.entries == await t.pool.fetchval("SELECT count(*) FROM transfers") > 150
    assert report.newest == (await t.http.get("/v1/ledger/roots/2028-08-02", headers=t.auth("member"))).json()["root"]
    told = await t.emitted(RootPublished)
    published = await t.pool.fetch("SELECT day, day_no, entries, encode(root, 'hex') AS root FROM roots ORDER BY day")
    assert [(e.day, e.day_no, e.entries, e.root) for e in told] == [tuple(row) for row in published], (
        "told with the root"
    )


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


async def test_the_oldest_entry_without_a_seal_has_an_age_and_none_when_all_are_sealed(t: Under) -> None:
    """What the alert JournalNotSealed reads."""
    await t.feed(did("check_up", "2026-01-10"))
    assert 0 < await t.pool.fetchval(sealer.OLDEST_UNSEALED_AGE) < 60
    await seal(t)
    assert await t.pool.fetchval(sealer.OLDEST_UNSEALED_AGE) == 0
    await t.feed(did("quiz", "2026-01-11"))
    later = sealer.OLDEST_UNSEALED_AGE.replace("now()", "now() + interval '10 minutes'")
    assert 600 < await t.pool.fetchval(later) < 660, "of the oldest that is not sealed"


async def test_a_batch_that_does_not_fill_up_is_sealed_when_it_has_waited(t: Under) -> None:
    await t.feed(did("check_up", "2026-01-10"))
    async with t.pool.acquire() as conn:
        one, sealed = sealer.Sealer(conn), []
        for waited_s in (0, 0, sealer.SEAL_AFTER_S, 0):  # the first look notes who writes
            one.floor._looked_at, one._sealed_at = 0.0, one._sealed_at - waited_s
            sealed.append(await one.seal(DAY))
    assert sealed == [0, 0, 1, 0]


async def test_a_day_is_published_when_it_is_over_with_all_its_seals(t: Under) -> None:
    """Three batches of one day, and one of the next, which is not over yet."""
    for n, day in enumerate((DAY, DAY, DAY, AFTER)):
        await t.feed(did("quiz", f"2026-01-1{n}"))
        await seal(t, day, publish=DAY)
    assert await t.pool.fetchval("SELECT count(*) FROM roots") == 0, "more may be sealed on it"
    await seal(t, AFTER, publish=AFTER)
    (root,) = await t.pool.fetch("SELECT day, batch_from, batch_to, entries, encode(root, 'hex') AS root FROM roots")
    assert tuple(root)[:4] == (DAY, 1, 3, 3)
    assert (await examined(t)).wrong == []
    (told,) = [event for event in await t.emitted_events() if isinstance(event.data, RootPublished)]
    assert (told.time, told.data.day) == (start_of(AFTER), DAY)
    file = await t.http.get(f"/v1/wallets/{M}/statement/proof", headers=t.auth("member", subject=M))
    assert statement.verify(file.content, root["root"]).entries == 3


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


async def test_mergers_and_their_undoing_replay(t: Under) -> None:
    """Lots go to another account and come back, some spent meanwhile; every figure still follows from the entries."""
    theirs = term(member_id="M-3", policy_no="P-3")
    for round_ in range(2):
        await t.feed(paid(theirs, 30_000, n=round_ + 1), paid(term(), 50_000, n=round_ + 1))
        await t.feed(CustomerMerged(member_id=M, merged_id="M-3", effective=D("2026-06-01")), at=D("2026-06-01"))
        await hold(t, 450, f"H-{round_}", "capture", part=400)
        for name in (M, "M-3"):
            undone = CustomerUnmerged(member_id=name, survivor_id=M, merged_id="M-3", effective=D("2026-06-02"))
            await t.feed(undone, at=D("2026-06-02"))
        assert await t.parked() == []
    await seal(t)
    assert (await examined(t)).wrong == []
