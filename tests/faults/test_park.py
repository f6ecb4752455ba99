"""The park under load, with the real ledger on a durable PostgreSQL: thousands of parked events are replayed in time and none twice, by
whoever replays them and however often that one is killed; members with nothing parked do not notice.
"""

import asyncio
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from points_ledger.audit import VERIFY
from points_ledger.service import SERVICE as LEDGER
from tenure.contracts.activity import ActivityCompleted
from tenure.contracts.event import WrongEventError
from tenure.embedded.postgres import Postgres
from tenure.settings import Settings
from tenure.spine import park
from tenure.spine.codec import decode
from tenure.spine.log import Outgoing, Record
from tenure.spine.transact import Item
from tenure.testing import Under, under_test

from .conftest import LONG

EVENTS = 10_000 if LONG else 400
PER_MEMBER = 20
REPLAY_S_MAX = 60.0
JANUARY = date(2026, 1, 1)


@pytest.fixture
def durable(settings: Settings, server: Postgres) -> Settings:
    return settings.model_copy(update={"database_url": server.url, "lock_timeout_ms": 5_000})


@pytest.fixture
async def ledger(durable: Settings) -> AsyncIterator[Under]:
    async with under_test(LEDGER, durable) as under:
        yield under


def quizzes(t: Under, members: int, each: int = PER_MEMBER, *, first_day: int = 0, prefix: str = "M") -> list[Record]:
    """One quiz a day for each member, the days in order."""
    return t.records(
        *(
            ActivityCompleted(
                member_id=f"{prefix}-{m:05}",
                activity_id=f"q-{prefix}-{m}-{n}",
                kind="quiz",
                on=JANUARY + timedelta(days=n),
            )
            for n in range(first_day, first_day + each)
            for m in range(members)
        )
    )


async def take(t: Under, records: list[Record], *, at_once: int = 2_000) -> None:
    for start in range(0, len(records), at_once):
        await t.deliver(records[start : start + at_once])


async def park_behind_poison(t: Under, records: list[Record]) -> None:
    """Something wrong before each member's first event, and someone who discards it: what is left waits for a replay."""
    keys = sorted({r.key or b"" for r in records})
    wrong = [t.as_record(park_poison(key)) for key in keys]
    await t.door.transact([Item(None, r, WrongEventError("malformed", "poison")) for r in wrong])
    await take(t, records)
    seqs = [r["seq"] for r in await t.pool.fetch("SELECT seq FROM parked WHERE code = 'malformed'")]
    assert await t.door.leave_park(seqs, action="discarded", actor="li", reason="poison") == len(keys)


def park_poison(key: bytes) -> Outgoing:
    return Outgoing("activity.v1", key, b"{", [])


async def books(t: Under) -> dict[str, list[tuple[object, ...]]]:
    """What the ledger holds, without the ids and instants that differ from run to run."""
    accounts = (
        "SELECT member_id, points_available, points_held, points_pending, growth_available FROM accounts ORDER BY 1"
    )
    lots = "SELECT member_id, wallet, remaining, earned_on FROM lots ORDER BY 1, 2, 4, 3"
    moves = "SELECT member_id, wallet, kind, amount, effective, count(*) FROM transfers GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
    return {sql: [tuple(row) for row in await t.pool.fetch(sql)] for sql in (accounts, lots, moves)}


async def test_ten_thousand_parked_events_are_replayed_within_a_minute_and_none_is_doubled(
    ledger: Under, durable: Settings
) -> None:
    records = quizzes(ledger, EVENTS // PER_MEMBER)
    await park_behind_poison(ledger, records)
    assert await ledger.pool.fetchval("SELECT count(*) FROM parked") == EVENTS
    began = time.perf_counter()
    drained = await park.drain(ledger.door, by="li")
    took = time.perf_counter() - began
    print(f"\n{EVENTS:,} parked events of {EVENTS // PER_MEMBER:,} members replayed in {took:.1f} s")
    assert (drained.passed.total(), drained.stuck, drained.complete) == (EVENTS, {}, True)
    assert took <= REPLAY_S_MAX
    await ledger.deliver(records[:500])
    async with under_test(LEDGER, durable) as clean:
        await take(clean, quizzes(clean, EVENTS // PER_MEMBER))
        assert await books(ledger) == await books(clean)
    assert await ledger.pool.fetchval("SELECT sum(points_available) FROM accounts") == 10 * EVENTS
    assert all((await ledger.pool.fetchrow(VERIFY)).values())


async def test_replays_that_are_killed_run_twice_and_race_new_events_double_nothing_and_keep_the_order(
    ledger: Under, durable: Settings
) -> None:
    members = EVENTS // PER_MEMBER
    await park_behind_poison(ledger, quizzes(ledger, members))
    before = EVENTS
    points = ("transact.before_commit:2", "transact.committed:1", "transact.saved:1")
    for point in points if LONG else points[1:2]:
        assert await killed_in(ledger, durable, point) == -signal.SIGKILL
        left = await ledger.pool.fetchval("SELECT count(*) FROM parked")
        assert left <= before
        before = left
    assert 0 < before < EVENTS
    new = quizzes(ledger, members, 4, first_day=PER_MEMBER)
    drains = [park.drain(ledger.door, by=f"li-{n}") for n in range(2)]
    found = await asyncio.gather(*drains, take(ledger, new, at_once=max(50, members // 4)))
    last = await park.drain(ledger.door)
    assert found[0].passed.total() + found[1].passed.total() + last.passed.total() >= before
    assert await ledger.parked() == []
    async with under_test(LEDGER, durable) as clean:
        await take(clean, quizzes(clean, members, PER_MEMBER + 4))
        assert await books(ledger) == await books(clean)
    assert await in_order(ledger)
    assert all((await ledger.pool.fetchrow(VERIFY)).values())


async def killed_in(t: Under, settings: Settings, point: str) -> int:
    name = await t.pool.fetchval("SELECT current_database()")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("drain.py")),
        settings.database_url,
        name,
        env={"TENURE_FAULT_POINT": point, "PATH": "/usr/bin:/bin"},
    )
    return await asyncio.wait_for(child.wait(), 60)


async def in_order(t: Under) -> bool:
    """Whether every member's events had their effects in the order of their days."""
    days: dict[str, list[date]] = {}
    for event in await t.emitted_events():
        if event.type == "points.granted":
            days.setdefault(event.key, []).append(event.data.effective)  # type: ignore[attr-defined]
    return bool(days) and all(seen == sorted(seen) for seen in days.values())


async def test_members_with_nothing_parked_are_not_slower_for_ten_thousand_keys_that_are(
    durable: Settings,
) -> None:
    async with under_test(LEDGER, durable) as empty, under_test(LEDGER, durable) as full:
        await park_unreadable(full, EVENTS)
        took: dict[str, list[float]] = {"empty": [], "full": []}
        rounds = 12 if LONG else 4
        for n in range(rounds):
            pair = [("empty", empty), ("full", full)]
            for name, t in pair if n % 2 else reversed(pair):
                records = quizzes(t, 500, 1, first_day=n, prefix="F")
                items = [Item(decode(r.headers, r.value), r) for r in records]
                began = time.perf_counter()
                await t.door.transact(items)
                took[name].append(time.perf_counter() - began)
        without, beside = (statistics.median(took[name]) for name in ("empty", "full"))
        print(f"\na batch of 500: {without * 1e3:.0f} ms, beside {EVENTS:,} parked keys {beside * 1e3:.0f} ms")
        assert await full.pool.fetchval("SELECT count(DISTINCT key) FROM parked") == EVENTS
        assert beside < 3 * without + 0.1
        assert (await books(full)) == (await books(empty))


async def park_unreadable(t: Under, keys: int) -> None:
    for start in range(0, keys, 2_000):
        wrong = [t.as_record(park_poison(b"W-%05d" % n)) for n in range(start, min(keys, start + 2_000))]
        await t.door.transact([Item(None, r, WrongEventError("malformed", "poison")) for r in wrong])
