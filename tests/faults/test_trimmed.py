"""Retention on a real Kafka deletes the beginning of a log: whoever comes new reads what is left, and who had read before is told of a gap."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from tenure.contracts.topics import TOPICS
from tenure.telemetry import metrics

from .conftest import NewLane
from .lane import Lane
from .load import Load, drained, feed_some, verify
from .test_world import at_work, effects

pytestmark = pytest.mark.kafka
POINTS = next(topic for topic in TOPICS if topic.name == "points.v1")


async def trim(lane: Lane) -> None:
    """What stands in the log is gone, as after its retention."""
    ends = await lane.log().ends({(POINTS.name, n): 0 for n in range(POINTS.partitions)})
    gone = {TopicPartition(f"{lane.name}.{topic}", n): RecordsToDelete(end) for (topic, n), end in ends.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=lane.kafka)
    await admin.start()
    try:
        await admin.delete_records(gone)
    finally:
        await admin.close()


def gaps() -> float:
    return float(metrics.log_gaps.labels("mall", POINTS.name)._value.get())


async def test_who_comes_to_a_log_whose_beginning_is_gone_reads_what_is_left(new_lane: NewLane) -> None:
    lane, before = await new_lane(), gaps()
    await feed_some(Load(lane, 1), 40)
    await trim(lane)
    left = Load(lane, 2)
    await feed_some(left, 40)
    async with at_work(lane):
        await drained(left)
    await verify(left)
    assert gaps() == before, "it had read nothing, so it missed nothing"


async def test_what_was_deleted_before_it_was_read_is_told_and_reading_goes_on(new_lane: NewLane) -> None:
    lane, before = await new_lane(), gaps()
    load = Load(lane, 3)
    await feed_some(load, 40)
    async with at_work(lane):
        await drained(load)
    read = load.events
    await feed_some(load, 40)
    await trim(lane)
    lost, load.sent = load.events - read, []  # the core does not repeat what is gone
    await feed_some(load, 40)
    async with at_work(lane), asyncio.timeout(60):
        while await effects(lane) < load.events - lost:
            await asyncio.sleep(0.05)
    assert await effects(lane) == load.events - lost
    assert gaps() > before
