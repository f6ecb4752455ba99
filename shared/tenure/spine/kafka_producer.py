"""Publishing to Kafka: whole batches per partition, acked by all replicas, within a deadline.

The invariant: when `send` returns, every record is acked; when it raises, the inner client is gone, and with it every
batch it may still have wanted to send. What it had already put on the wire can only be the start of what is sent again,
so order per key holds and the readers drop the doubles.

A key's partition follows from how many there are. Somebody who gives a topic more of them would move members to others in the
middle of what they are told, so nothing is sent to a topic that has another number than it was ensured with.

Records are packed into batches here rather than handed over one by one: at tens of thousands a second a future and a
metadata look-up per record would cost more than the record.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from tenure.spine.kafka_closing import ended
from tenure.spine.kafka_deadline import within
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import Outgoing, Position, TopicPartition, check_counts, partition_of, refuse_too_large

_Lanes = dict[TopicPartition, list[Outgoing]]


class KafkaProducer:
    def __init__(self, settings: KafkaSettings, declared: Mapping[str, int]) -> None:
        """`declared`: how many partitions each topic has that was ensured."""
        self._settings, self._declared = settings, declared
        self._client: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, batch: Sequence[Outgoing]) -> list[Position]:
        refuse_too_large(batch)
        if not batch:
            return []
        client = None
        try:
            async with within(self._settings.send_deadline_s, "publishing"):
                client = await self._started()
                return await self._publish(client, batch)
        except BaseException:
            await self._discard(client)
            raise

    async def close(self) -> None:
        await self._discard(self._client)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._client is None:
                client = AIOKafkaProducer(**self._settings.producer())
                try:
                    async with within(self._settings.connect_deadline_s, "connecting"):
                        await client.start()
                except BaseException:
                    await _stop(client, self._settings.close_deadline_s)
                    raise
                self._client = client
            return self._client

    async def _publish(self, client: AIOKafkaProducer, batch: Sequence[Outgoing]) -> list[Position]:
        lanes: _Lanes = {}
        counts = {topic: len(await client.partitions_for(topic)) for topic in {out.topic for out in batch}}
        check_counts({topic: self._declared.get(topic, count) for topic, count in counts.items()}, counts)
        for out in batch:
            lanes.setdefault((out.topic, partition_of(out.key, counts[out.topic])), []).append(out)
        return await asyncio.gather(*(_send_lane(client, lane, records) for lane, records in lanes.items()))

    async def _discard(self, client: AIOKafkaProducer | None) -> None:
        if client is None:
            return
        if client is self._client:
            self._client = None
        await _stop(client, self._settings.close_deadline_s)


async def _send_lane(client: AIOKafkaProducer, lane: TopicPartition, records: list[Outgoing]) -> Position:
    """The batches of one partition one after the other: the client takes the next once the last is on its way."""
    topic, partition = lane
    acks: list[asyncio.Future[Any]] = []
    for builder in _packed(client, records):
        ack = await client.send_batch(builder, topic, partition=partition)
        ack.add_done_callback(_look_at)
        acks.append(ack)
    answers = await asyncio.gather(*acks)
    return Position(topic, partition, answers[-1].offset + builder.record_count())


def _look_at(ack: "asyncio.Future[Any]") -> None:
    """Of several batches that fail together only the first is raised; the others must not be reported as forgotten."""
    if not ack.cancelled():
        ack.exception()


def _packed(client: AIOKafkaProducer, records: list[Outgoing]) -> list[Any]:
    builders = [client.create_batch()]
    for out in records:
        if builders[-1].append(timestamp=None, key=out.key, value=out.value, headers=out.headers) is None:
            builders.append(client.create_batch())
            builders[-1].append(timestamp=None, key=out.key, value=out.value, headers=out.headers)
    for builder in builders:
        builder.close()
    return builders


async def _stop(client: AIOKafkaProducer, deadline_s: float) -> None:
    """A clean stop flushes, and would wait for ever on a dead broker; then the sender is cut off."""
    if not await ended(client.stop, deadline_s):
        await ended(client._sender.close, deadline_s)  # noqa: SLF001 - there is no public way to give up
        await ended(client.client.close, deadline_s)
