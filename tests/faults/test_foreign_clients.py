"""What the core's own clients may write, on a real Kafka: transactions, any compression, headers without a value. None of it stops a service."""

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from tenure.spine import parking

from .conftest import NewLane
from .lane import Lane
from .load import Load, drained, renamed, verify
from .test_trimmed import gaps
from .test_world import at_work

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


def client_of(lane: Lane, **settings: Any) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=lane.kafka, **settings)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_records_are_read_however_the_core_compresses_them(new_lane: NewLane, codec: str) -> None:
    lane = await new_lane()
    load = Load(lane, 1)
    async with client_of(lane, compression_type=codec, linger_ms=50) as core:
        sent = [
            await core.send(out.topic, out.value, key=out.key, headers=out.headers)
            for out in renamed(load, load.some(40))
        ]
        await asyncio.gather(*sent)
    async with at_work(lane):
        await drained(load)
    await verify(load)


async def test_a_core_that_writes_in_transactions_is_not_told_that_records_are_missing(new_lane: NewLane) -> None:
    """A mark stands in the log where its transaction ends: the client goes on behind it, and no record was there."""
    lane, before = await new_lane(), gaps()
    load = Load(lane, 1)
    async with client_of(lane, transactional_id=f"core-{lane.name}") as core:
        for out in renamed(load, load.some(8)):
            async with core.transaction():
                await core.send_and_wait(out.topic, out.value, key=out.key, headers=out.headers)
    for _ in range(2):
        async with at_work(lane) as worker, asyncio.timeout(60):
            await drained(load)
            await worker.consumer.caught_up.wait()
    await verify(load)
    assert gaps() == before


class Latin1(str):
    """A name as a client writes it that knows no better."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return super().encode("latin-1")


@pytest.mark.parametrize("codec", [None, "gzip"])
async def test_a_header_whose_name_is_no_text_stops_nobody(
    new_lane: NewLane, monkeypatch: pytest.MonkeyPatch, codec: str | None
) -> None:
    """What lacks something that an event must have is parked with what it has; what lacks nothing has its effect."""
    lane, odd = await new_lane(), (Latin1("pr\xe4mie"), b"1")
    load = Load(lane, 1)
    for module in ("producer", "message_accumulator"):  # the quick one in C takes no such name
        monkeypatch.setattr(f"aiokafka.producer.{module}.DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    async with client_of(lane, compression_type=codec, linger_ms=50) as core:
        sent = [await core.send(f"{lane.name}.points.v1", b"{}", key=b"M-wrong", headers=[odd])]
        for n, out in enumerate(renamed(load, load.some(40))):
            headers = out.headers if n % 3 else [odd, *out.headers]
            sent.append(await core.send(out.topic, out.value, key=out.key, headers=headers))
        await asyncio.gather(*sent)
    async with at_work(lane) as worker:
        await drained(load)
        async with worker.door.pool.acquire() as conn, asyncio.timeout(30):
            while not (rows := await parking.listed(conn)):  # type: ignore[arg-type]
                await asyncio.sleep(0.05)
    assert [(row.key, row.code, row.headers) for row in rows] == [
        ("M-wrong", "missing_attribute", [("pr\\xe4mie", b"1")])
    ]
