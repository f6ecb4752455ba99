"""One suite, three logs: what the spine relies on holds for the in-memory log as it does for Kafka."""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.partitioner import murmur2
from tenure.embedded.choose import start_wheel_broker
from tenure.embedded.server import free_port
from tenure.spine.log import (
    RECORD_BYTES_MAX,
    Consumer,
    Log,
    Outgoing,
    PartitionsDiffer,
    Position,
    Record,
    RecordTooLarge,
    TopicPartition,
    WorldDown,
    open_log,
    partition_of,
)

SETTLED_WITHIN_S = 90.0
_names = itertools.count()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """With short sessions, since this broker holds every join back for half of one."""
    chosen = start_wheel_broker(tmp_path_factory.mktemp("wheel"))
    yield f"{chosen.bootstrap}?idempotent=false&fetch_wait_ms=50&session_timeout_ms=1000&heartbeat_interval_ms=300"
    chosen.stop()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka), "wheel"])
def address(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return f"memory://conformance-{next(_names)}"
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def topic() -> str:
    return f"policy-{os.getpid()}-{next(_names)}"


@dataclass
class Members:
    """Opens consumers and closes whatever a test left open."""

    log: Log
    opened: list[Any] = field(default_factory=list)

    async def join(self, group: str, *topics: str, **callbacks: Any) -> Consumer:
        consumer = await self.log.consumer(group, topics, **callbacks)
        self.opened.append(consumer)
        return consumer


@pytest.fixture
async def log(address: str) -> AsyncIterator[Log]:
    opened = open_log(address)
    yield opened
    await opened.close()


@pytest.fixture
async def members(log: Log) -> AsyncIterator[Members]:
    crew = Members(log)
    yield crew
    for consumer in crew.opened:
        await consumer.close()


@pytest.fixture
async def publish(log: Log) -> AsyncIterator[Callable[..., Awaitable[list[Position]]]]:
    producer = await log.producer()

    async def send(topic: str, *pairs: tuple[str, str]) -> list[Position]:
        headers = [("ce_type", b"policy.renewed"), ("ce_id", b"1")]
        return await producer.send([Outgoing(topic, key.encode(), value.encode(), headers) for key, value in pairs])

    yield send
    await producer.close()


async def read(consumer: Consumer, count: int) -> list[Record]:
    """Polls until `count` records are there; the test's own time-out is the limit."""
    records: list[Record] = []
    while len(records) < count:
        records += await consumer.poll(records_max=100, timeout_s=1.0)
    return records


def after(records: list[Record]) -> list[Position]:
    ends = {(r.topic, r.partition): r.offset + 1 for r in records}
    return [Position(topic, partition, end) for (topic, partition), end in ends.items()]


def values(records: list[Record], key: str) -> list[str]:
    return [r.value.decode() for r in records if r.key == key.encode()]


async def test_records_of_one_member_arrive_in_the_order_sent(log, topic, members, publish):
    await log.ensure_topics({topic: 3})
    for number in range(5):
        await publish(topic, *[(f"member-{m}", f"{number}.{part}") for part in range(4) for m in range(6)])
    records = await read(await members.join("order", topic), 120)
    expected = [f"{number}.{part}" for number in range(5) for part in range(4)]
    assert {m: values(records, f"member-{m}") for m in range(6)} == dict.fromkeys(range(6), expected)


async def test_a_record_comes_out_as_it_went_in(log, topic, members, publish):
    await log.ensure_topics({topic: 3})
    (position,) = await publish(topic, ("member-1", "续保"))
    (record,) = await read(await members.join("whole", topic), 1)
    assert (record.topic, record.partition, record.offset) == (topic, partition_of(b"member-1", 3), 0)
    assert (record.key, record.value.decode()) == (b"member-1", "续保")
    assert list(record.headers) == [("ce_type", b"policy.renewed"), ("ce_id", b"1")]
    assert record.timestamp_ms > 1_600_000_000_000
    assert position == Position(topic, record.partition, 1)


async def test_what_was_not_committed_is_delivered_again(log, topic, members, publish):
    await log.ensure_topics({topic: 3})
    await publish(topic, ("member-1", "a"), ("member-1", "b"))
    first = await members.join("again", topic)
    before = await read(first, 2)
    await first.close()
    assert await read(await members.join("again", topic), 2) == before


async def test_a_group_goes_on_after_its_commit(log, topic, members, publish):
    await log.ensure_topics({topic: 3})
    await publish(topic, ("member-1", "a"), ("member-1", "b"))
    first = await members.join("resume", topic)
    await first.commit(after((await read(first, 2))[:1]))
    await first.close()
    assert values(await read(await members.join("resume", topic), 1), "member-1") == ["b"]


async def test_another_group_reads_everything_for_itself(log, topic, members, publish):
    await log.ensure_topics({topic: 3})
    await publish(topic, ("member-1", "a"))
    ledger = await members.join("ledger", topic)
    await ledger.commit(after(await read(ledger, 1)))
    assert values(await read(await members.join("tiers", topic), 1), "member-1") == ["a"]


async def both_settled(first: Consumer, second: Consumer, partitions: int) -> None:
    deadline = time.monotonic() + SETTLED_WITHIN_S
    while len(first.assignment() | second.assignment()) < partitions or first.assignment() & second.assignment():
        await first.poll(records_max=10, timeout_s=0.1)
        await second.poll(records_max=10, timeout_s=0.1)
        assert time.monotonic() < deadline, f"{first.assignment()} and {second.assignment()}"


async def test_two_consumers_share_and_keep_a_member_together_across_topics(log, topic, members):
    other = f"{topic}-points"
    await log.ensure_topics({topic: 4, other: 4})
    first = await members.join("share", topic, other)
    second = await members.join("share", topic, other)
    await both_settled(first, second, 8)
    for consumer in (first, second):
        numbers = {name: {n for t, n in consumer.assignment() if t == name} for name in (topic, other)}
        assert numbers[topic] == numbers[other]
        assert len(numbers[topic]) == 2


async def test_a_rebalance_revokes_all_then_assigns(log, topic, members):
    await log.ensure_topics({topic: 4})
    story: list[tuple[str, list[TopicPartition]]] = []
    shared = asyncio.Event()

    async def assigned(partitions: list[TopicPartition]) -> None:
        story.append(("assigned", partitions))
        if len(partitions) == 2:
            shared.set()

    async def revoked(partitions: list[TopicPartition]) -> None:
        story.append(("revoked", partitions))

    first = await members.join("story", topic, on_assigned=assigned, on_revoked=revoked)
    everything = [(topic, n) for n in range(4)]
    second = await members.join("story", topic)
    await both_settled(first, second, 4)
    await shared.wait()
    assert story[:2] == [("assigned", everything), ("revoked", everything)]
    assert story[2] == ("assigned", sorted(first.assignment()))
    assert len(first.assignment()) == 2


async def test_the_one_who_stays_gets_what_the_other_leaves(log, topic, members, publish):
    await log.ensure_topics({topic: 4})
    stays = await members.join("leave", topic)
    leaves = await members.join("leave", topic)
    await both_settled(stays, leaves, 4)
    await leaves.close()
    await publish(topic, *[(f"member-{m}", "x") for m in range(40)])
    assert len({r.key for r in await read(stays, 40)}) == 40
    assert len(stays.assignment()) == 4


async def test_what_arrives_in_a_poll_that_outlasts_a_rebalance_is_not_passed_over(log, topic, members, publish):
    await log.ensure_topics({topic: 4})
    stays = await members.join("outlasts", topic)
    first = asyncio.create_task(stays.poll(records_max=100, timeout_s=60))
    comes = await members.join("outlasts", topic)
    keys = {f"member-{m}".encode() for m in range(40)}
    await publish(topic, *[(key.decode(), "x") for key in keys])
    records = await first
    async with asyncio.timeout(SETTLED_WITHIN_S):
        while keys - {r.key for r in records}:
            for consumer in (stays, comes):
                records += await consumer.poll(records_max=100, timeout_s=0.2)


async def test_a_commit_for_a_partition_of_someone_else_is_passed_over(log, topic, members, publish):
    await log.ensure_topics({topic: 1})
    await publish(topic, ("member-1", "a"))
    consumer = await members.join("foreign", topic)
    await read(consumer, 1)
    await consumer.commit([Position("not-mine", 0, 5), Position(topic, 7, 1)])
    await consumer.close()
    assert len(await read(await members.join("foreign", topic), 1)) == 1


async def test_poll_gives_back_an_empty_list_in_time(log, topic, members):
    await log.ensure_topics({topic: 3})
    consumer = await members.join("idle", topic)
    async with asyncio.timeout(2.0):
        assert await consumer.poll(records_max=10, timeout_s=0.3) == []


async def test_poll_wakes_when_something_is_published(log, topic, members, publish):
    await log.ensure_topics({topic: 3})
    consumer = await members.join("awake", topic)
    async with asyncio.timeout(10.0):
        records, _ = await asyncio.gather(
            consumer.poll(records_max=10, timeout_s=30), publish(topic, ("member-1", "a"))
        )
    assert values(records, "member-1") == ["a"]


async def test_after_a_turn_that_took_long_the_next_record_comes_at_once(log, topic, members, publish):
    """Also where partitions beside it are idle: what lies ready and what is asked for next must not wait for them."""
    await log.ensure_topics({topic: 6})
    consumer = await members.join("turns", topic)
    await publish(topic, ("member-1", "0"))
    assert values(await read(consumer, 1), "member-1") == ["0"]
    waited = []
    for turn in range(3):
        await publish(topic, ("member-1", f"{turn} ready"))
        await asyncio.sleep(0.25)  # the turn, in which it is fetched
        assert values(await consumer.poll(records_max=10, timeout_s=5), "member-1") == [f"{turn} ready"]
        await publish(topic, ("member-1", f"{turn} next"))
        asked = time.monotonic()
        assert values(await consumer.poll(records_max=10, timeout_s=5), "member-1") == [f"{turn} next"]
        waited.append(time.monotonic() - asked)
    assert min(waited) < 0.1, waited


async def test_poll_gives_no_more_than_asked_for_and_loses_nothing(log, topic, members, publish):
    await log.ensure_topics({topic: 3})
    await publish(topic, *[(f"member-{n}", str(n)) for n in range(50)])
    consumer = await members.join("limit", topic)
    seen: list[Record] = []
    while len(seen) < 50:
        polled = await consumer.poll(records_max=7, timeout_s=1.0)
        assert len(polled) <= 7
        seen += polled
    assert sorted(int(r.value) for r in seen) == list(range(50))


async def test_high_water_is_where_the_next_record_will_stand(log, topic, members, publish):
    await log.ensure_topics({topic: 1})
    await publish(topic, ("member-1", "a"), ("member-2", "b"))
    (position,) = await publish(topic, ("member-3", "c"), ("member-4", "d"))
    consumer = await members.join("water", topic)
    await read(consumer, 4)
    assert consumer.high_water() == {(topic, 0): 4}
    assert position == Position(topic, 0, 4)


async def test_seek_goes_back_and_forth(log, topic, members, publish):
    await log.ensure_topics({topic: 1})
    await publish(topic, ("m", "a"), ("m", "b"), ("m", "c"))
    consumer = await members.join("seek", topic)
    await read(consumer, 3)
    await consumer.seek([Position(topic, 0, 1), Position("not-mine", 0, 0)])
    assert values(await read(consumer, 2), "m") == ["b", "c"]


async def test_every_producer_chooses_the_partition_kafka_clients_choose(log, topic, members, publish):
    await log.ensure_topics({topic: 5})
    keys = [f"member-{n}" * (n % 4 + 1) for n in range(40)]
    await publish(topic, *[(key, "x") for key in keys])
    records = await read(await members.join("places", topic), 40)
    assert {r.key: r.partition for r in records} == {k.encode(): (murmur2(k.encode()) & 0x7FFFFFFF) % 5 for k in keys}


async def test_ensuring_a_topic_twice_changes_nothing_and_another_count_is_refused(log, topic, members, publish):
    await log.ensure_topics({topic: 3})
    await publish(topic, ("member-1", "a"))
    await log.ensure_topics({topic: 3, f"{topic}-new": 2})
    assert len(await read(await members.join("twice", topic), 1)) == 1
    with pytest.raises(PartitionsDiffer, match="has 3 partitions, not 4"):
        await log.ensure_topics({topic: 4})


@pytest.mark.kafka
async def test_nothing_is_sent_to_a_topic_that_somebody_gave_other_partitions(kafka: str, topic: str):
    """A member's events would go on in another partition, beside those that still wait in the first."""
    log = open_log(kafka)
    await log.ensure_topics({topic: 3})
    out = Outgoing(topic, b"member-1", b"x", [])
    before, after_it = await log.producer(), await log.producer()
    await before.send([out])
    await give_partitions(kafka, topic, 4)
    with pytest.raises(PartitionsDiffer, match="has 4 partitions, not 3"):
        await after_it.send([out])
    await before.close()
    await after_it.close()
    assert sum((await log.ends({(topic, partition): 0 for partition in range(4)})).values()) == 1


async def give_partitions(kafka: str, topic: str, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(count)})
    await admin.close()


async def test_a_record_beyond_the_limit_is_the_callers_fault_and_nothing_is_written(log, topic, members, publish):
    await log.ensure_topics({topic: 1})
    with pytest.raises(RecordTooLarge):
        await publish(topic, ("member-1", "fits"), ("member-1", "x" * RECORD_BYTES_MAX))
    large = "x" * (RECORD_BYTES_MAX - 100)
    position = await publish(topic, ("member-1", large), ("member-1", "next"), ("member-1", "last"))
    records = await read(await members.join("large", topic), 3)
    assert [r.value.decode() for r in records] == [large, "next", "last"], "more than fits into one batch"
    assert position == [Position(topic, 0, 3)]
    assert {tuple(r.headers) for r in records} == {(("ce_type", b"policy.renewed"), ("ce_id", b"1"))}


async def test_sending_nothing_is_nothing(publish, topic):
    assert await publish(topic) == []


async def test_a_dead_broker_is_world_down_within_the_deadline():
    deadlines = "send_deadline_s=1&join_deadline_s=1&topics_deadline_s=1&close_deadline_s=1"
    log = open_log(f"127.0.0.1:{free_port()}?{deadlines}")
    producer = await log.producer()
    async with asyncio.timeout(5):
        with pytest.raises(WorldDown):
            await log.ensure_topics({"policy.v1": 1})
        with pytest.raises(WorldDown):
            await producer.send([Outgoing("policy.v1", b"member-1", b"x", [])])
        with pytest.raises(WorldDown):
            await log.consumer("dead", ["policy.v1"])
    await producer.close()


async def test_a_broker_that_dies_is_world_down_for_who_was_connected_and_back_after_a_restart(tmp_path: Path):
    """Also: a client that reconnects does not create topics by asking for them, with a count of the broker's own."""
    waits = "&send_deadline_s=2&silence_s_max=1&commit_deadline_s=1&close_deadline_s=1&topics_deadline_s=5"
    with_broker = start_wheel_broker(tmp_path)
    log = open_log(with_broker.address + waits)
    await log.ensure_topics({"policy.v1": 3})
    producer, consumer = await log.producer(), await log.consumer("g", ["policy.v1"])
    out = Outgoing("policy.v1", b"member-1", b"x", [])
    await producer.send([out])
    read_first = await read(consumer, 1)
    with_broker.stop()
    with pytest.raises(WorldDown):
        await producer.send([out])
    with pytest.raises(WorldDown):
        await read(consumer, 1)
    with pytest.raises(WorldDown):
        await consumer.commit(after(read_first))
    again = start_wheel_broker(tmp_path, port=int(with_broker.bootstrap.rpartition(":")[2]))
    with pytest.raises(WorldDown):
        await producer.send([out])
    await log.ensure_topics({"policy.v1": 3})
    assert await producer.send([out]) == [Position("policy.v1", partition_of(b"member-1", 3), 1)]
    await consumer.close()
    await producer.close()
    again.stop()


async def test_the_memory_log_can_be_told_to_fail_and_to_forget():
    from tenure.spine.memory_log import MemoryLog

    log = MemoryLog("knobs")
    await log.ensure_topics({"policy.v1": 1})
    producer, consumer = await log.producer(), await log.consumer("g", ["policy.v1"])
    out = Outgoing("policy.v1", b"member-1", b"x", [])
    log.fail_next(2)
    for _ in range(2):
        with pytest.raises(WorldDown):
            await producer.send([out])
    await producer.send([out])
    log.forget()
    for call in (producer.send([out]), consumer.poll(records_max=1, timeout_s=0), consumer.commit([])):
        with pytest.raises(WorldDown):
            await call
    await log.ensure_topics({"policy.v1": 1})
    assert await producer.send([out]) == [Position("policy.v1", 0, 1)]
    assert len(await (await log.consumer("g", ["policy.v1"])).poll(records_max=9, timeout_s=0)) == 1


async def test_positions_and_ends_say_how_far_reading_and_writing_have_come(log, topic, members, publish):
    await log.ensure_topics({topic: 1})
    await publish(topic, ("member-1", "a"), ("member-1", "b"), ("member-1", "c"))
    consumer = await members.join("where", topic)
    await read(consumer, 3)
    assert consumer.positions() == {(topic, 0): 3}
    assert await consumer.beginnings([(topic, 0)]) == {(topic, 0): 0}
    assert await log.ends({(topic, 0): 3}) == {(topic, 0): 3}
    assert await log.ends({(topic, 0): 1}) == {(topic, 0): 3}
    assert await log.ends({(topic, 0): 70}) == {(topic, 0): 3}, "this log went backwards"
    await consumer.seek([Position(topic, 0, 1)])
    assert consumer.positions() == {(topic, 0): 1}
    assert await log.ends({}) == {}
