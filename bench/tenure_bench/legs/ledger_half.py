"""One of two worker processes of the ledger on one database and one group: each drains the partitions it was given.

It says that it is ready once it has its half, begins when it is told to (the driver's stop), and says so again when its half is
committed up to `ends`. What it measures is its own CPU alone; the clock, PostgreSQL and the broker are read by whoever drives both.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from points_ledger.service import SERVICE
from tenure import database, programme
from tenure.spine.consumer import Consumer
from tenure.spine.log import Consumer as LogConsumer
from tenure.spine.log import Log, OnPartitions, Record, open_log
from tenure.spine.transact import Door

from tenure_bench.children import Driver
from tenure_bench.measure import Cost, Measured
from tenure_bench.world import Place

LOOK_EVERY_S: Final = 0.002
ASK_EVERY_S: Final = 0.05
JOIN_S_MAX: Final = 60.0
READ: Final = """
SELECT count(*) FROM progress p JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS t (topic, partition, ends)
  ON p.topic = t.topic AND p.partition = t.partition AND p.next_offset >= t.ends
"""


class _Held:
    """A member of the group that polls nothing until it may."""

    def __init__(self, client: LogConsumer, may: asyncio.Event) -> None:
        self.client, self.may = client, may

    async def poll(self, *, records_max: int, timeout_s: float) -> list[Record]:
        await self.may.wait()
        return await self.client.poll(records_max=records_max, timeout_s=timeout_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


class _Holding:
    """A log whose consumers are held."""

    def __init__(self, log: Log) -> None:
        self.log, self.may = log, asyncio.Event()
        self.client: LogConsumer | None = None

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> _Held:
        self.client = await self.log.consumer(group, topics, on_assigned=on_assigned, on_revoked=on_revoked)
        return _Held(self.client, self.may)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)

    def mine(self, ends: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
        """Which of these partitions this member was given."""
        given = self.client.assignment() if self.client is not None else frozenset()
        return [end for end in ends if end[:2] in given]


async def run(place: Place, driver: Driver, *, ends: list[tuple[str, int, int]]) -> Measured:
    settings = place.settings()
    pool = await database.open_pool(settings, place.database)
    log = _Holding(open_log(settings.kafka))
    consumer = Consumer(
        Door(SERVICE, pool, programme.load(settings.programme_dir)),
        log,
        batch_records_max=settings.batch_records_max,
        poll_timeout_s=settings.poll_timeout_s,
        parked_run_max=settings.parked_run_max,
        lanes_max=settings.consumer_lanes_max,
    )
    running = asyncio.create_task(consumer.run())
    mine = await _half_of(log, ends)
    driver.ready()
    while not driver.asked_to_stop():
        await asyncio.sleep(LOOK_EVERY_S)
    begun, cpu = time.perf_counter(), time.process_time()
    log.may.set()
    while any(consumer.progress.recorded.get((topic, partition), 0) < end for topic, partition, end in mine):
        consumer.committed.clear()
        await consumer.committed.wait()
    cost = Cost(time.perf_counter() - begun, {"services": time.process_time() - cpu})
    wrong = [] if log.mine(ends) == mine else ["partitions moved while it was measured"]
    driver.ready()
    await _other_half(pool, ends)
    consumer.stop()
    await running
    await pool.close()
    return Measured(1, cost, wrong)


async def _other_half(pool: "asyncpg.Pool[asyncpg.Record]", ends: list[tuple[str, int, int]]) -> None:
    """Who left the group earlier would have the other given its partitions while it is measured."""
    async with asyncio.timeout(JOIN_S_MAX):
        while await pool.fetchval(READ, *map(list, zip(*ends, strict=True))) != len(ends):
            await asyncio.sleep(ASK_EVERY_S)


async def _half_of(log: _Holding, ends: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    async with asyncio.timeout(JOIN_S_MAX):
        while len(mine := log.mine(ends)) * 2 != len(ends):
            await asyncio.sleep(LOOK_EVERY_S)
    return mine
