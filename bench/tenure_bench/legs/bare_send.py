"""The relay's floor: the same records, already in memory, sent and acknowledged."""

from pathlib import Path

from tenure.spine.log import open_log

from tenure_bench.children import Driver
from tenure_bench.legs.publisher import load
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place

AT_ONCE = 10_000


async def run(place: Place, driver: Driver, *, records: str) -> Measured:
    """`records` is a file of records, as the publisher's."""
    del driver
    waiting = load(Path(records))
    producer = await open_log(place.kafka).producer()
    meter = Meter(place.trees)
    for n in range(0, len(waiting), AT_ONCE):
        await producer.send(waiting[n : n + AT_ONCE])
    cost = meter.stop()
    await producer.close()
    return Measured(len(waiting), cost)
