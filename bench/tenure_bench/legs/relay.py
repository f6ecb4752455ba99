"""The relay alone: an outbox full of a ledger's rows, until the broker has acknowledged them all and they are marked."""

import asyncio
from pathlib import Path
from typing import Final

from tenure import database
from tenure.spine.log import open_log
from tenure.spine.relay import Relay

from tenure_bench import books
from tenure_bench.children import Driver
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place

LOOK_EVERY_S: Final = 0.01
WAITING: Final = "SELECT EXISTS (SELECT FROM outbox WHERE NOT published)"


async def run(place: Place, driver: Driver, *, rows: str, events: int) -> Measured:
    """`rows` is the file with a service's rows; of them only the outbox is written here, unpublished as it was."""
    del driver
    settings = place.settings()
    pool = await database.open_pool(settings, place.database)
    async with pool.acquire() as conn:
        for chunk in books.Snapshot.load(Path(rows)).chunks:
            outbox = {t: content for t, content in chunk.tables.items() if t == "outbox"}
            await books.copy(conn, books.Chunk(outbox))  # type: ignore[arg-type]
    relay = Relay("points-ledger", pool, open_log(settings.kafka))
    meter = Meter(place.trees)
    running = asyncio.create_task(relay.run())
    while await pool.fetchval(WAITING):
        await asyncio.sleep(LOOK_EVERY_S)
    cost = meter.stop()
    relay.stop()
    await running
    acked = await pool.fetchval("SELECT sum(next_offset) FROM published")
    waiting = await pool.fetchval("SELECT coalesce(sum(events) FILTER (WHERE published), 0) FROM outbox")
    await pool.close()
    wrong = [] if waiting == events and acked else [f"{waiting} of {events} records published"]
    return Measured(events, cost, wrong)
