"""Publishes at a steady rate, and writes down when it handed over each event. It is the load, not part of what is measured."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from tenure.spine.log import Outgoing, open_log

from tenure_bench.children import Driver
from tenure_bench.measure import Cost, Measured
from tenure_bench.world import Place

TICK_S: Final = 0.004


async def run(place: Place, driver: Driver, *, records: str, rate: float, out: str) -> Measured:
    """Publish what the file `records` holds until all of it is out or it is asked to stop; `out` gets (event id, seconds)."""
    waiting = load(Path(records))
    producer = await open_log(place.kafka).producer()
    await producer.send(waiting[:1])  # connects
    driver.ready()
    handed: list[tuple[str, float]] = []
    begun, done = time.perf_counter(), 1
    while done < len(waiting) and not driver.asked_to_stop():
        await asyncio.sleep(TICK_S)
        due = min(len(waiting), 1 + int((time.perf_counter() - begun) * rate))
        if due > done:
            now = time.time()
            handed += ((event_id(record), now) for record in waiting[done:due])
            await producer.send(waiting[done:due])
            done = due
    seconds = time.perf_counter() - begun
    await producer.close()
    Path(out).write_bytes(msgspec.msgpack.encode(handed))
    return Measured(max(1, done - 1), Cost(seconds, {}))


def event_id(record: Outgoing) -> str:
    return dict(record.headers)["ce_id"].decode()


def save(records: Sequence[Outgoing], path: Path) -> str:
    path.write_bytes(msgspec.msgpack.encode(list(records)))
    return str(path)


def load(path: Path) -> list[Outgoing]:
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Outgoing])
