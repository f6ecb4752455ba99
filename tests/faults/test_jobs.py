"""Due work with several workers that die in the middle, after days of outage, and beside a consumer that must not starve.

Run long (`make test-faults`) the backlog has a million keys.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, timedelta
from pathlib import Path

import asyncpg
import pytest
from tenure import database
from tenure.contracts.message import MessageRequested
from tenure.settings import Settings
from tenure.spine import outbox
from tenure.spine.codec import decode, encode, event_of, utc_now
from tenure.spine.log import Log
from tenure.spine.runtime import Runtime
from tenure.testing import Under, under_test

from .conftest import LONG, NewLane
from .lane import Lane
from .load import connect, listen
from .test_world import at_work, process

from toy import TOY, grant  # isort: skip - its folder is on the path once the lane is imported

KEYS = 40_000 if LONG else 5_000
BACKLOG = 1_000_000 if LONG else 10_000
FAULTS = ["transact.saved:2", "transact.loaded:2", "transact.emitted:3", "transact.decided:4"][: None if LONG else 2]
DELAY_S_MAX = 5.0
TODAY = date(2026, 1, 6)
DUE = "INSERT INTO totals (key, due_on) SELECT 'D-' || n, $2::date - n % 5 FROM generate_series(1, $1::int) AS n"


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_workers_that_die_in_the_middle_let_each_key_live_through_its_day_once(
    new_lane: NewLane, tmp_path: Path
) -> None:
    lane = await new_lane()
    async with await database.open_pool(lane.settings(), lane.database) as pool:
        await pool.execute(DUE, KEYS, TODAY)
        await lane.door(pool).transact([], day=TODAY)
        async with AsyncExitStack() as stack:
            dying = [await stack.enter_async_context(process(lane, tmp_path, fault=f)) for f in FAULTS]
            async with asyncio.timeout(60):
                assert [await node.wait() for node in dying] == [-9] * len(FAULTS)
        left = await pool.fetchval("SELECT count(*) FROM totals WHERE due_on IS NOT NULL")
        assert 0 < left <= KEYS, "they died in the middle of it"
        async with AsyncExitStack() as stack:
            for _ in range(4):
                await stack.enter_async_context(at_work(lane))
            async with asyncio.timeout(120):
                while await pool.fetchval(
                    """SELECT EXISTS (SELECT FROM totals WHERE due_on IS NOT NULL)
                           OR EXISTS (SELECT FROM outbox WHERE NOT published)"""
                ):
                    await asyncio.sleep(0.05)
        days = {r["days"]: r["n"] for r in await pool.fetch("SELECT days, count(*) AS n FROM totals GROUP BY 1")}
        told = await told_per_key(pool)
    print(f"{len(FAULTS)} deaths, {left} of {KEYS} keys left to four workers")
    assert days == {1: KEYS}
    assert told == {f"D-{n}": 1 for n in range(1, KEYS + 1)}
    await heard_once(lane)


async def told_per_key(pool: "asyncpg.Pool[asyncpg.Record]") -> Counter[str]:
    rows = await pool.fetch("SELECT records FROM outbox")
    return Counter(decode(o.headers, o.value).data.member_id for row in rows for o in outbox.unpack(row["records"]))


async def heard_once(lane: Lane) -> None:
    conn = await connect(lane)
    acked = {(r["topic"], r["partition"]): r["next_offset"] for r in await conn.fetch("SELECT * FROM published")}
    await conn.close()
    heard, _ = await listen(lane, acked)
    assert len(heard) == KEYS
    assert all(amounts == [-1] for amounts in heard.values())


@pytest.fixture
async def toy(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(TOY, settings) as t:
        yield t


@asynccontextmanager
async def delays(t: Under, log: Log, prefix: str) -> AsyncIterator[list[float]]:
    """How long it takes from an event's publication to its effect, one after another, half of them for keys of that prefix."""
    producer, measured, over = await log.producer(), list[float](), asyncio.Event()

    async def one(n: int) -> float:
        member, event = f"{prefix if n % 2 else 'M' + prefix}-{n}", f"beat-{prefix}-{n}"
        began = time.monotonic()
        await producer.send([encode(event_of(grant(member, 1), id=event, source="/test", time=utc_now()))])
        while not await t.pool.fetchval("SELECT amount FROM totals WHERE key = $1", member):
            await asyncio.sleep(0.005)
        return time.monotonic() - began

    async def measure() -> None:
        n = 0
        while not over.is_set():
            measured.append(await one(n := n + 1))

    task = asyncio.create_task(measure())
    yield measured
    over.set()
    await task


@pytest.mark.timeout(3_000)
async def test_due_work_flat_out_does_not_starve_the_consumer(toy: Under, log: Log, settings: Settings) -> None:
    async with Runtime(toy.door, log, settings) as runtime:
        async with delays(toy, log, "C") as calm:
            async with asyncio.timeout(30):
                while len(calm) < 20:
                    await asyncio.sleep(0.05)
        await toy.pool.execute(DUE.replace("'D-'", "'B-'"), BACKLOG, TODAY)
        await toy.pool.execute("CREATE INDEX ON totals (due_on, key)")  # as every service has
        await toy.pool.execute("ANALYZE totals")
        began = time.monotonic()
        async with delays(toy, log, "B") as busy:
            await toy.door.transact([], day=TODAY)
            while await toy.pool.fetchval("SELECT EXISTS (SELECT FROM totals WHERE due_on <= $1)", TODAY):
                await asyncio.sleep(0.2)
            took_s = time.monotonic() - began
        assert not runtime.failed.is_set()
    assert await toy.pool.fetchval("SELECT count(*) FROM totals WHERE key LIKE 'B-%' AND days > 0") == BACKLOG
    p50, p99, longest = statistics.median(busy), sorted(busy)[len(busy) * 99 // 100], max(busy)
    print(
        f"{BACKLOG} keys in {took_s:.1f} s, {BACKLOG / took_s:.0f}/s; from publication to effect meanwhile p50 {p50:.3f} s, "
    )
    print(f"p99 {p99:.3f} s, max {longest:.3f} s of {len(busy)}; without due work p50 {statistics.median(calm):.3f} s")
    assert len(busy) >= 10
    assert longest < DELAY_S_MAX


async def test_days_of_outage_are_caught_up_oldest_first(toy: Under, log: Log, settings: Settings) -> None:
    """The day comes after five were missed: keys live through it in the order they fell due."""
    await toy.pool.execute(DUE, 5_000, TODAY)
    await toy.door.transact([], day=TODAY)
    fell_due = {r["key"]: r["due_on"] for r in await toy.pool.fetch("SELECT key, due_on FROM totals")}
    async with Runtime(toy.door, log, settings), asyncio.timeout(30):
        while await toy.pool.fetchval("SELECT EXISTS (SELECT FROM totals WHERE due_on IS NOT NULL)"):
            await asyncio.sleep(0.05)
    order = [m.member_id for m in await toy.emitted(MessageRequested)]
    assert len(order) == 5_000
    batches = [{fell_due[key] for key in order[n : n + 1_000]} for n in range(0, 5_000, 1_000)]
    assert batches == [{TODAY - timedelta(days=4 - n)} for n in range(5)]
