"""Retention on a real Kafka deletes the beginning of a log: whoever comes new reads what is left, and who had read before is told of a gap."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog.testing
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition
from tenure.contracts.topics import TOPICS
from tenure.embedded.kafka import Kafka
from tenure.spine.log import open_log
from tenure.spine.topics import ensure_topics
from tenure.telemetry import metrics

from .conftest import NewLane
from .lane import Lane
from .load import Load, drained, feed_some, verify
from .test_world import at_work, effects

pytestmark = pytest.mark.kafka
POINTS = next(topic for topic in TOPICS if topic.name == "points.v1")


@asynccontextmanager
async def administered(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def trim(lane: Lane) -> None:
    """What stands in the log is gone, as after its retention."""
    ends = await lane.log().ends({(POINTS.name, n): 0 for n in range(POINTS.partitions)})
    gone = {TopicPartition(f"{lane.name}.{topic}", n): RecordsToDelete(end) for (topic, n), end in ends.items()}
    async with administered(lane.kafka) as admin:
        await admin.delete_records(gone)


def gaps() -> float:
    return float(metrics.log_gaps.labels("mall", POINTS.name)._value.get())


async def kept(admin: AIOKafkaAdminClient) -> dict[str, str]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, t.name) for t in TOPICS])
    return {r[3]: dict(entry[:2] for entry in r[4])["retention.ms"] for answer in answers for r in answer.resources}


async def test_topics_are_kept_as_declared_and_what_is_kept_otherwise_is_said_and_left(broker: Kafka) -> None:
    declared = {t.name: "-1" if t.retention_days is None else str(t.retention_days * 86_400_000) for t in TOPICS}
    async with administered(broker.address) as admin:
        with structlog.testing.capture_logs() as said:
            await ensure_topics(open_log(broker.address))
            assert await kept(admin) == declared
            assert said == []
            hour = {"retention.ms": "3600000"}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "tier.v1", hour)])
            async with asyncio.timeout(30):
                while await kept(admin) != declared | {"tier.v1": hour["retention.ms"]}:
                    await asyncio.sleep(0.1)
            await ensure_topics(open_log(broker.address))
        assert await kept(admin) == declared | {"tier.v1": hour["retention.ms"]}
    assert [(line["event"], line["topic"]) for line in said] == [("topic_kept_otherwise", "tier.v1")]


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
