"""The floor of latency: what comes is sent on to another topic, then one row is committed for it; then it counts as visible."""

import time
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer
from tenure.spine.codec import event_key
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import Outgoing, open_log

from tenure_bench.children import Driver
from tenure_bench.legs import visible
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import NULL_TOPIC, Place

GROUP: Final = "bench.hop-live"
POLL_MS: Final = 50
ONE_ROW: Final = "INSERT INTO inbox (event_key) VALUES ($1)"


async def run(place: Place, driver: Driver, *, topic: str, out: str) -> Measured:
    settings = place.settings()
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    producer = await open_log(settings.kafka).producer()
    client = AIOKafkaConsumer(topic, **KafkaSettings.from_address(settings.kafka).consumer(GROUP))
    await client.start()
    begun, meter = time.time(), Meter(place.trees)
    hops: list[list[Any]] = []
    driver.ready()
    driver.ready()
    while True:
        polled = await client.getmany(timeout_ms=POLL_MS, max_records=settings.batch_records_max)
        records = [r for part in polled.values() for r in part]
        if not records and driver.asked_to_stop():
            break
        if not records:
            continue
        await producer.send([Outgoing(NULL_TOPIC, r.key, r.value, list(r.headers)) for r in records])
        keys = [_key(r) for r in records]
        await conn.execute(ONE_ROW, keys[0])
        hops.append(keys)
        await client.commit()
    cost = meter.stop()
    await client.stop()
    await producer.close()
    at = await visible.committed(conn)
    await conn.close()
    seen = [(key.bytes, at[keys[0]]) for keys in hops for key in keys]
    Path(out).write_bytes(msgspec.msgpack.encode(seen))
    return Measured(len(seen) or 1, cost, [], {"begun": begun})


def _key(record: Any) -> Any:
    headers = dict(record.headers)
    return event_key(headers["ce_source"].decode(), headers["ce_id"].decode())
