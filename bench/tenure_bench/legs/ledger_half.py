"""One of two worker processes of the ledger on one database and one group: each drains the partitions it was given.

It says that it is ready once it has its half, begins when it is told to (the driver's stop), and says so again when its half is
committed up to `ends`. What it measures is its own CPU alone; the clock, PostgreSQL and the broker are read by whoever drives both.
"""

import asyncio
import time
from typing import Final

import asyncpg
from points_ledger.service import SERVICE
from tenure import database, programme
from tenure.spine.consumer import Consumer
from tenure.spine.log import open_log
from tenure.spine.transact import Door

from tenure_bench.children import Driver
from tenure_bench.legs.held import Holding
from tenure_bench.measure import Cost, Measured
from tenure_bench.world import Place

LOOK_EVERY_S: Final = 0.002
ASK_EVERY_S: Final = 0.05
JOIN_S_MAX: Final = 60.0
READ: Final = """
SELECT count(*) FROM progress p JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS t (topic, partition, ends)
  ON p.topic = t.topic AND p.partition = t.partition AND p.next_offset >= t.ends
"""


async def run(place: Place, driver: Driver, *, ends: list[tuple[str, int, int]]) -> Measured:
    settings = place.settings()
    pool = await database.open_pool(settings, place.database)
    log = Holding(open_log(settings.kafka))
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
    wrong = [] if _mine(log, ends) == mine else ["partitions moved while it was measured"]
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


def _mine(log: Holding, ends: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Which of these partitions this member was given."""
    return [end for end in ends if end[:2] in log.given]


async def _half_of(log: Holding, ends: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    async with asyncio.timeout(JOIN_S_MAX):
        while len(mine := _mine(log, ends)) * 2 != len(ends):
            await asyncio.sleep(LOOK_EVERY_S)
    return mine
