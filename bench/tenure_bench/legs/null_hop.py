"""A null hop: getmany, send, commit the offsets; nothing in between. What the log alone costs."""

from aiokafka import AIOKafkaConsumer
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import Outgoing, open_log

from tenure_bench.children import Driver
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import NULL_TOPIC, Place

GROUP = "bench.null-hop"


async def run(place: Place, driver: Driver, *, topic: str, events: int) -> Measured:
    """Carry `events` records of `topic` over, as they are."""
    del driver
    settings = place.settings()
    producer = await open_log(settings.kafka).producer()
    client = AIOKafkaConsumer(topic, **KafkaSettings.from_address(settings.kafka).consumer(GROUP))
    await client.start()
    carried = 0
    meter = Meter(place.trees)
    while carried < events:
        polled = await client.getmany(timeout_ms=500, max_records=settings.batch_records_max)
        records = [Outgoing(NULL_TOPIC, r.key, r.value, list(r.headers)) for part in polled.values() for r in part]
        if records:
            await producer.send(records)
            await client.commit()
        carried += len(records)
    cost = meter.stop()
    await client.stop()
    await producer.close()
    return Measured(carried, cost, [] if carried == events else [f"{carried} records, not {events}"])
