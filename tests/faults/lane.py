"""A lane: one toy service on a database, topics and a consumer group of its own, so that many can be tormented at once."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tenure.contracts.topics import TOPICS
from tenure.settings import Settings
from tenure.spine.log import Consumer, Log, OnPartitions, Outgoing, Position, Producer, Record, TopicPartition, open_log
from tenure.spine.transact import Door

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "shared" / "tests"))
from toy import TOY  # noqa: E402

SETTINGS: dict[str, Any] = {
    "batch_records_max": 5,
    "poll_timeout_s": 0.1,
    "pool_size_max": 6,
    "lock_timeout_ms": 500,
    "statement_timeout_ms": 2_000,
    "idle_in_transaction_timeout_ms": 2_000,
}
QUICK = "?session_timeout_ms=1000&heartbeat_interval_ms=300&fetch_wait_ms=100&silence_s_max=3&send_deadline_s=4&join_deadline_s=12"
"""A broker given a name of one second is told of a death after one second."""
USED = {topic.name: topic.partitions for topic in TOPICS if topic in TOY.reads or topic.name == "message.v1"}


class Lane(msgspec.Struct, frozen=True):
    name: str
    database: str
    database_url: str
    kafka: str

    def settings(self) -> Settings:
        return Settings(
            database_url=self.database_url, kafka=self.kafka + QUICK, programme_dir=ROOT / "programme", **SETTINGS
        )

    def log(self) -> "LaneLog":
        return LaneLog(open_log(self.settings().kafka), f"{self.name}.")

    def door(self, pool: Any) -> Door:
        return Door(TOY, pool, None)


@dataclass
class LaneLog:
    """The log under other names: `points.v1` of this lane is `a.points.v1` on the broker."""

    log: Log
    prefix: str

    def out(self, name: str) -> str:
        return self.prefix + name

    def back(self, name: str) -> str:
        return name.removeprefix(self.prefix)

    async def producer(self) -> Producer:
        return LaneProducer(self, await self.log.producer())

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> Consumer:
        def named(told: OnPartitions | None) -> OnPartitions | None:
            async def tell(places: list[TopicPartition]) -> None:
                assert told is not None
                await told([(self.back(topic), partition) for topic, partition in places])

            return tell if told else None

        inner = await self.log.consumer(
            self.prefix + group,
            [self.out(t) for t in topics],
            on_assigned=named(on_assigned),
            on_revoked=named(on_revoked),
        )
        return LaneConsumer(self, inner)

    async def ensure_topics(self, topics: Mapping[str, int]) -> None:
        await self.log.ensure_topics({self.out(name): count for name, count in topics.items() if name in USED})

    async def ends(self, known: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        found = await self.log.ends({(self.out(topic), n): end for (topic, n), end in known.items()})
        return {(self.back(topic), n): end for (topic, n), end in found.items()}

    async def close(self) -> None:
        await self.log.close()


@dataclass
class LaneProducer:
    lane: LaneLog
    inner: Producer

    async def send(self, batch: Sequence[Outgoing]) -> list[Position]:
        sent = await self.inner.send([msgspec.structs.replace(o, topic=self.lane.out(o.topic)) for o in batch])
        return [Position(self.lane.back(p.topic), p.partition, p.next_offset) for p in sent]

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class LaneConsumer:
    lane: LaneLog
    inner: Consumer

    async def poll(self, *, records_max: int, timeout_s: float) -> list[Record]:
        polled = await self.inner.poll(records_max=records_max, timeout_s=timeout_s)
        return [msgspec.structs.replace(r, topic=self.lane.back(r.topic)) for r in polled]

    async def commit(self, positions: Iterable[Position]) -> None:
        await self.inner.commit(self._out(positions))

    async def seek(self, positions: Iterable[Position]) -> None:
        await self.inner.seek(self._out(positions))

    def _out(self, positions: Iterable[Position]) -> list[Position]:
        return [Position(self.lane.out(p.topic), p.partition, p.next_offset) for p in positions]

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._back(dict.fromkeys(self.inner.assignment(), 0)))

    def high_water(self) -> dict[TopicPartition, int]:
        return self._back(self.inner.high_water())

    async def beginnings(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return self._back(await self.inner.beginnings([(self.lane.out(topic), n) for topic, n in places]))

    def positions(self) -> dict[TopicPartition, int]:
        return self._back(self.inner.positions())

    def _back(self, places: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return {(self.lane.back(topic), n): at for (topic, n), at in places.items()}

    async def close(self) -> None:
        await self.inner.close()
