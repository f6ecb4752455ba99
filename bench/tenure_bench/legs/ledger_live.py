"""The ledger's consumer while events keep coming: it is told when to stop, and answers when each event became visible."""

import asyncio
import time
from pathlib import Path
from typing import Final

import msgspec
from points_ledger import audit
from points_ledger.service import SERVICE
from tenure import database, programme
from tenure.spine.consumer import Consumer
from tenure.spine.log import open_log
from tenure.spine.transact import Door

from tenure_bench.children import Driver
from tenure_bench.legs import visible
from tenure_bench.legs.ledger import Joined
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place

LOOK_EVERY_S: Final = 0.02
FINISH_S_MAX: Final = 15.0
QUIET_S: Final = 0.6


async def run(place: Place, driver: Driver, *, out: str, lag_max: int | None = None) -> Measured:
    """Consume until asked to stop; `out` gets (event key, seconds) of every commit. `figures.begun` is when it began to join.

    It says that it is ready once it has joined, and once more when no more than `lag_max` records wait.
    """
    settings = place.settings()
    pool = await database.open_pool(settings, place.database)
    door = Door(SERVICE, pool, programme.load(settings.programme_dir))
    log = Joined(open_log(settings.kafka))
    consumer = Consumer(
        door,
        log,  # type: ignore[arg-type]
        batch_records_max=settings.batch_records_max,
        poll_timeout_s=settings.poll_timeout_s,
        parked_run_max=settings.parked_run_max,
        lanes_max=settings.consumer_lanes_max,
    )
    begun = time.time()
    meter = Meter(place.trees)
    running = asyncio.create_task(consumer.run())
    await log.until_joined(running)
    driver.ready()
    while lag_max is not None and not _has_caught_up(consumer, lag_max):
        await asyncio.sleep(LOOK_EVERY_S)
    driver.ready()
    await visible.until_stopped(driver)
    cost = meter.stop()
    await _finish(consumer)
    consumer.stop()
    await running
    async with pool.acquire() as conn:
        seen = await visible.committed(conn)  # type: ignore[arg-type]
        await conn.execute("ANALYZE")
        wrong = [name for name, holds in (await audit.verify(conn)).items() if not holds]
    await pool.close()
    Path(out).write_bytes(msgspec.msgpack.encode([(key.bytes, at) for key, at in seen.items()]))
    return Measured(len(seen) or 1, cost, wrong, {"begun": begun})


def _has_caught_up(consumer: Consumer, lag_max: int) -> bool:
    return bool(consumer.positions) and int(consumer.health()["lag"]) <= lag_max


async def _finish(consumer: Consumer) -> None:
    """The load has ended: read what is left of it."""
    asked = time.monotonic()
    while not (consumer.caught_up.is_set() and consumer.last_poll_at > asked + QUIET_S):
        if time.monotonic() > asked + FINISH_S_MAX:
            return
        await asyncio.sleep(LOOK_EVERY_S)
