"""One of the seven worker processes of the whole pipeline: a service with its consumer and its relay.

It says that it is ready once the consumer has its partitions, lets it poll when it is told to, and ends when it is told again.
What it measures is its own CPU alone; the clock, PostgreSQL, the broker and the books are read by whoever drives it. Background
timers do not run: a queued message stays queued.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from tenure import database, programme
from tenure.spine.log import open_log
from tenure.spine.runtime import Runtime
from tenure.spine.transact import Door
from tenure_local.services import SERVICES

from tenure_bench.children import Driver
from tenure_bench.legs.held import Holding
from tenure_bench.measure import Cost, Measured
from tenure_bench.world import Place

JOIN_S_MAX: Final = 60.0
LOOK_EVERY_S: Final = 0.01


async def run(place: Place, driver: Driver, *, service: str) -> Measured:
    settings = place.settings()
    wired = next(one for one in SERVICES if one.name == service)
    async with AsyncExitStack() as stack:
        pool = await database.open_pool(settings, place.databases[service])
        stack.push_async_callback(pool.close)
        log = Holding(open_log(settings.kafka))
        door = Door(replace(wired, background=(), due=None), pool, programme.load(settings.programme_dir))
        await stack.enter_async_context(Runtime(door, log, settings))
        await _joined(log, partitions=sum(topic.partitions for topic in wired.reads))
        driver.ready()
        await driver.until_told()
        begun, cpu = time.perf_counter(), time.process_time()
        log.may.set()
        await driver.until_told()
        cost = Cost(time.perf_counter() - begun, {"services": time.process_time() - cpu})
    return Measured(1, cost)


async def _joined(log: Holding, *, partitions: int) -> None:
    async with asyncio.timeout(JOIN_S_MAX):
        while len(log.given) < partitions:
            await asyncio.sleep(LOOK_EVERY_S)
