"""The hand-written loop while events keep coming: the latency of a Python process that reads, decodes and writes, without rules."""

import time
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer
from tenure.spine.kafka_settings import KafkaSettings

from tenure_bench.children import Driver
from tenure_bench.legs import set_based, visible
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place

POLL_MS: Final = 50


async def run(place: Place, driver: Driver, *, topic: str, out: str) -> Measured:
    """As `hop_live`: ready when it has joined; ends when it is asked to, and nothing comes any more."""
    settings = place.settings()
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    client = AIOKafkaConsumer(topic, **KafkaSettings.from_address(settings.kafka).consumer(set_based.GROUP))
    await client.start()
    begun, meter = time.time(), Meter(place.trees)
    driver.ready()
    driver.ready()
    while True:
        polled = await client.getmany(timeout_ms=POLL_MS, max_records=settings.batch_records_max)
        read = {(tp.topic, tp.partition): records[-1].offset + 1 for tp, records in polled.items()}
        if read:
            await set_based.apply(conn, [r for records in polled.values() for r in records], read)
            await client.commit()
        elif driver.asked_to_stop():
            break
    cost = meter.stop()
    await client.stop()
    seen = await visible.committed(conn)
    await conn.close()
    Path(out).write_bytes(msgspec.msgpack.encode([(key.bytes, at) for key, at in seen.items()]))
    return Measured(len(seen) or 1, cost, [], {"begun": begun})
