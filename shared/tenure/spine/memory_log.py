"""A log inside the process, for tests: the same promises as Kafka, kept by plain lists.

The invariant: what the conformance suite proves of Kafka it proves of this log, so a test that passes here says
something about production. Waiting is done by futures, never by sleeping. One event loop at a time.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from tenure.spine.log import (
    OnPartitions,
    Outgoing,
    Position,
    Record,
    TopicPartition,
    WorldDown,
    check_counts,
    partition_of,
    refuse_too_large,
)

_member_ids = itertools.count()


class _Group:
    """The members of one group and what they committed. A rebalance begins when somebody joins or leaves."""

    def __init__(self) -> None:
        self.members: list[MemoryConsumer] = []
        self.committed: dict[TopicPartition, int] = {}
        self.changing = asyncio.Lock()


class _Broker:
    """What a broker remembers; it lives as long as the process, under its name."""

    def __init__(self) -> None:
        self.topics: dict[str, list[list[Record]]] = {}
        self.groups: dict[str, _Group] = {}
        self.waiters: dict[asyncio.Future[None], None] = {}  # in order, so that a simulation repeats
        self.failures_left = 0
        self.incarnation = 0

    def check(self) -> None:
        if self.failures_left:
            self.failures_left -= 1
            raise WorldDown("this log was told to fail")

    def topic(self, name: str) -> list[list[Record]]:
        try:
            return self.topics[name]
        except KeyError:
            raise WorldDown(f"no topic {name}") from None

    def wake(self) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.get_loop().call_soon_threadsafe(_finish, waiter)

    async def changed(self, timeout_s: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self.waiters[waiter] = None
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await waiter
        finally:
            self.waiters.pop(waiter, None)


def _finish(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


_brokers: dict[str, _Broker] = {}


class MemoryLog:
    """A `Log`; every one opened by the same name in this process is the same log."""

    def __init__(self, name: str) -> None:
        self._broker = _brokers.setdefault(name, _Broker())

    async def producer(self) -> "MemoryProducer":
        return MemoryProducer(self._broker)

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> "MemoryConsumer":
        consumer = self.member(group, topics, on_assigned=on_assigned, on_revoked=on_revoked)
        try:
            await consumer.join()
        except (
            BaseException
        ):  # whoever is cancelled on the way in is in by then, and nobody else would take it out again
            await consumer.close()
            raise
        return consumer

    def member(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> "MemoryConsumer":
        """Somebody who is about to `join`."""
        for name in topics:
            self._broker.topic(name)
        return MemoryConsumer(self._broker, group, topics, on_assigned=on_assigned, on_revoked=on_revoked)

    async def ensure_topics(self, topics: Mapping[str, int]) -> None:
        self._broker.check()
        for name, partitions in topics.items():
            self._broker.topics.setdefault(name, [[] for _ in range(partitions)])
        check_counts(topics, {name: len(self._broker.topics[name]) for name in topics})

    async def ends(self, known: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        self._broker.check()
        return {place: len(self._broker.topic(place[0])[place[1]]) for place in known}

    async def close(self) -> None:
        """Nothing is held: what was written stays for whoever opens the name again."""

    def forget(self) -> None:
        """Lose topics, records, groups and commits, as a memory-only broker does when it restarts.

        Consumers of before meet WorldDown from then on, and so does every send until the topics are ensured again.
        """
        self._broker.topics.clear()
        self._broker.groups.clear()
        self._broker.incarnation += 1
        self._broker.wake()

    def fail_next(self, times: int) -> None:
        """Let that many of the next calls (send, poll, commit, ensure_topics) raise WorldDown."""
        self._broker.failures_left = times


class MemoryProducer:
    def __init__(self, broker: _Broker) -> None:
        self._broker = broker

    async def send(self, batch: Sequence[Outgoing]) -> list[Position]:
        refuse_too_large(batch)
        self._broker.check()
        places = [self._broker.topic(out.topic) for out in batch]
        now_ms = time.time_ns() // 1_000_000
        written: dict[TopicPartition, int] = {}
        for out, partitions in zip(batch, places, strict=True):
            partition = partition_of(out.key, len(partitions))
            records = partitions[partition]
            headers = tuple(out.headers)
            records.append(Record(out.topic, partition, len(records), out.key, out.value, headers, now_ms))
            written[out.topic, partition] = len(records)
        self._broker.wake()
        return [Position(topic, partition, end) for (topic, partition), end in written.items()]

    async def close(self) -> None:
        """Nothing is held."""


class MemoryConsumer:
    def __init__(
        self,
        broker: _Broker,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None,
        on_revoked: OnPartitions | None,
    ) -> None:
        self.member_id = next(_member_ids)
        self.topics = frozenset(topics)
        self._broker = broker
        self._incarnation = broker.incarnation
        self._group = broker.groups.setdefault(group, _Group())
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._next: dict[TopicPartition, int] = {}
        self._turns: deque[TopicPartition] = deque()

    async def join(self) -> None:
        await asyncio.shield(asyncio.create_task(self._change(joins=True)))

    async def close(self) -> None:
        self._next.clear()
        self._turns.clear()
        await asyncio.shield(asyncio.create_task(self._change(joins=False)))

    async def _change(self, *, joins: bool) -> None:
        """The broker goes on with it when whoever asked for it is gone: otherwise nobody would be given what was taken away."""
        async with self._group.changing:
            members = self._group.members
            if joins != (self in members):
                others = [member for member in members if member is not self]
                await _rebalance(self._broker, self._group, [*others, self] if joins else others)

    async def poll(self, *, records_max: int, timeout_s: float) -> list[Record]:
        deadline = time.monotonic() + timeout_s
        await asyncio.sleep(0)  # as a network would: whoever polls in a loop must not keep the loop from everybody else
        while True:
            self._check()
            records = self._take(records_max)
            left_s = deadline - time.monotonic()
            if records or left_s <= 0:
                return records
            await self._broker.changed(left_s)

    def _take(self, records_max: int) -> list[Record]:
        """Partitions take turns at being first, so that a full one cannot starve the others."""
        taken: list[Record] = []
        for topic, partition in tuple(self._turns):
            start = self._next[topic, partition]
            found = self._broker.topics[topic][partition][start : start + records_max - len(taken)]
            self._next[topic, partition] = start + len(found)
            taken += found
        self._turns.rotate(-1)
        return taken

    def _check(self) -> None:
        self._broker.check()
        if self._incarnation != self._broker.incarnation:
            raise WorldDown("the log has forgotten this consumer")

    async def commit(self, positions: Iterable[Position]) -> None:
        self._check()
        for topic, partition, next_offset in positions:
            if (topic, partition) in self._next:
                self._group.committed[topic, partition] = next_offset

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._next)

    def high_water(self) -> dict[TopicPartition, int]:
        topics = self._broker.topics
        return {(topic, n): len(topics[topic][n]) for topic, n in self._next if topic in topics}

    async def beginnings(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Nothing is ever deleted here."""
        self._check()
        return dict.fromkeys(places, 0)

    def positions(self) -> dict[TopicPartition, int]:
        return dict(self._next)

    async def seek(self, positions: Iterable[Position]) -> None:
        for topic, partition, next_offset in positions:
            if (topic, partition) in self._next:
                self._next[topic, partition] = next_offset
        self._broker.wake()

    async def revoke(self) -> None:
        """The partitions stay committable until the callback is done, as with Kafka."""
        revoked = sorted(self._next)
        self._turns.clear()
        if revoked and self._on_revoked:
            await self._on_revoked(revoked)
        self._next.clear()

    async def assign(self, partitions: list[TopicPartition]) -> None:
        self._next = {place: self._group.committed.get(place, 0) for place in partitions}
        self._turns = deque(partitions)
        if partitions and self._on_assigned:
            await self._on_assigned(partitions)


async def _rebalance(broker: _Broker, group: _Group, members: list[MemoryConsumer]) -> None:
    """Revoke everything, then assign by range, as Kafka's eager protocol does."""
    for member in group.members:
        await member.revoke()
    group.members = sorted(members, key=lambda member: member.member_id)
    for member in group.members:
        await member.assign(_range_of(broker, group, member))
    broker.wake()


def _range_of(broker: _Broker, group: _Group, member: MemoryConsumer) -> list[TopicPartition]:
    """Per topic, the subscribers in order of id each get an equal run of partitions, the first ones one more."""
    mine: list[TopicPartition] = []
    for topic in sorted(member.topics & broker.topics.keys()):
        subscribers = [other for other in group.members if topic in other.topics]
        each, more = divmod(len(broker.topics[topic]), len(subscribers))
        place = subscribers.index(member)
        start = each * place + min(place, more)
        mine += [(topic, partition) for partition in range(start, start + each + (place < more))]
    return mine
