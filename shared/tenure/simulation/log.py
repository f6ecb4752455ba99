"""The in-memory log as one process meets it: acknowledgements are lost, records come twice, sessions end.

The invariant: what it does to the spine, Kafka may do: order per key holds within what is sent again as a whole, and a position
that is not committed is delivered again. The log behind it is `MemoryLog`, which passes Kafka's conformance suite.
"""

from collections.abc import Iterable, Mapping, Sequence

from tenure.simulation.storm import Storm
from tenure.spine.log import OnPartitions, Outgoing, Position, Record, TopicPartition, WorldDown
from tenure.spine.memory_log import MemoryConsumer, MemoryLog, MemoryProducer


class StormyLog:
    """A `Log`; one for each process."""

    def __init__(self, log: MemoryLog, storm: Storm) -> None:
        self.log, self.storm = log, storm
        self.clients: list[StormyConsumer] = []
        self.missed = False  # a rebalance went by while the process was stopped

    async def producer(self) -> "StormyProducer":
        return StormyProducer(await self.log.producer(), self.storm)

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> "StormyConsumer":
        await self.storm.broker("poll failed")
        heard = {"on_assigned": self._if_it_hears(on_assigned), "on_revoked": self._if_it_hears(on_revoked)}
        client = StormyConsumer(self.log.member(group, topics, **heard), self)
        self.clients.append(client)  # before it joins: whoever is killed on the way is in the group all the same
        await client.consumer.join()
        return client

    def _if_it_hears(self, callback: OnPartitions | None) -> OnPartitions | None:
        """The group does not wait for a process that is stopped or gone, and such a one learns nothing."""
        if callback is None:
            return None

        async def told(places: list[TopicPartition]) -> None:
            if self.storm.going_on.is_set() and not self.storm.silent:
                await callback(places)
            else:
                self.missed = True

        return told

    async def ensure_topics(self, topics: Mapping[str, int]) -> None:
        await self.log.ensure_topics(topics)

    async def ends(self, known: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        await self.storm.broker("poll failed")
        return await self.log.ends(known)

    async def expire_sessions(self) -> None:
        """The group goes on without this process: it was not heard of for too long."""
        for client in list(self.clients):
            await client.expire()

    async def close(self) -> None:
        """Nothing is held."""


class StormyProducer:
    def __init__(self, producer: MemoryProducer, storm: Storm) -> None:
        self.producer, self.storm = producer, storm

    async def send(self, batch: Sequence[Outgoing]) -> list[Position]:
        await self.storm.broker("records not sent")
        if self.storm.dice.strikes("records sent in part"):
            await self.producer.send(batch[: len(batch) // 2])
            raise WorldDown("records sent in part")
        acked = await self.producer.send(batch)
        if self.storm.dice.strikes("records sent twice"):
            acked = await self.producer.send(batch)
        await self.storm.broker("records sent, acknowledgement lost")
        return acked

    async def close(self) -> None:
        """Nothing is held."""


class StormyConsumer:
    def __init__(self, consumer: MemoryConsumer, log: StormyLog) -> None:
        self.consumer, self.log, self.storm = consumer, log, log.storm
        self.expired = False

    async def poll(self, *, records_max: int, timeout_s: float) -> list[Record]:
        await self.storm.broker("poll failed")
        if self.expired or self.log.missed:
            self.log.missed = False
            raise WorldDown("the group went on without this member")
        records = await self.consumer.poll(records_max=records_max, timeout_s=timeout_s)
        await self.storm.moment()
        return records

    async def commit(self, positions: Iterable[Position]) -> None:
        await self.storm.broker("offsets not committed")
        await self.consumer.commit(positions)
        await self.storm.broker("offsets committed, answer lost")

    def assignment(self) -> frozenset[TopicPartition]:
        return self.consumer.assignment()

    def high_water(self) -> dict[TopicPartition, int]:
        return self.consumer.high_water()

    async def beginnings(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        await self.storm.broker("beginnings not told")
        return await self.consumer.beginnings(places)

    def positions(self) -> dict[TopicPartition, int]:
        return self.consumer.positions()

    async def seek(self, positions: Iterable[Position]) -> None:
        await self.consumer.seek(positions)

    async def close(self) -> None:
        """Leave the group; a process that ended says nothing, and its session ends later."""
        if not self.storm.silent:
            await self.expire()

    async def expire(self) -> None:
        self.expired = True
        if self in self.log.clients:
            self.log.clients.remove(self)
            await self.consumer.close()
