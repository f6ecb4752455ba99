"""The log port: what the spine asks of a partitioned log, whichever log it is.

The invariant every implementation keeps: records of one key stand in one partition in the order they were sent, that
partition follows from the key alone (`partition_of`), and a record is delivered again until its position is committed.
So topics with equal partition counts hold all of a member under one partition number, and the range assignor hands
that number of every such topic to the same consumer.

Only two things go wrong here: the world is down (`WorldDown`, try again; also where somebody gave a topic other partitions,
`PartitionsDiffer`) or the record can never be written (`RecordTooLarge`: a fault of the caller).
"""

import struct
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from tenure.spine.kafka_settings import KafkaSettings

RECORD_BYTES_MAX = 900_000
"""Key, value and headers of one record together: under the 1 MiB a broker takes by default, batch overhead included."""

TopicPartition = tuple[str, int]
Headers = Sequence[tuple[str, bytes | None]]
"""Kafka lets a header have no value; none of ours is without."""
OnPartitions = Callable[[list[TopicPartition]], Awaitable[None]]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as delivered."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers
    timestamp_ms: int


class Outgoing(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One record to publish. The key decides the partition, and with it what keeps its order.

    The outbox keeps it as these four fields in this order.
    """

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]] = []


class Position(NamedTuple):
    """Where to go on in one partition: the offset of the first record not yet dealt with."""

    topic: str
    partition: int
    next_offset: int


class WorldDown(Exception):  # noqa: N818 - it names the state of the world, one of the two failures we know
    """The broker cannot be reached or did not answer in time; try again later."""


class RecordTooLarge(ValueError):  # noqa: N818
    """A record is larger than RECORD_BYTES_MAX; publishing it can never succeed."""


class PartitionsDiffer(WorldDown):
    """A topic has another number of partitions than asked for: members' events would not meet, nor stay in order.

    Nothing is written or read until somebody has mended that.
    """


class Producer(Protocol):
    async def send(self, batch: Sequence[Outgoing]) -> list[Position]:
        """Publish in order per key and wait for every ack.

        Answers, in no particular order, one position per partition written: the offset after the last record there.
        Raises WorldDown if any record is not acked before the deadline (some may have been written: send all again,
        order per key holds), and RecordTooLarge before anything is written.
        """
        ...

    async def close(self) -> None: ...


class Consumer(Protocol):
    """A member of a group. Closing it leaves the group; the partitions are then handed to the others."""

    async def poll(self, *, records_max: int, timeout_s: float) -> list[Record]:
        """Records in offset order per partition; empty when none came in time. Raises WorldDown."""
        ...

    async def commit(self, positions: Iterable[Position]) -> None:
        """Remember where the group goes on. Partitions that moved to another consumer meanwhile are passed over.

        Raises WorldDown; a failed commit only means redelivery.
        """
        ...

    def assignment(self) -> frozenset[TopicPartition]: ...

    def high_water(self) -> dict[TopicPartition, int]:
        """The offset the next record written will get, per assigned partition, as of its last fetch."""
        ...

    async def beginnings(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of the first record each of these still has, or will get. Raises WorldDown."""
        ...

    def positions(self) -> dict[TopicPartition, int]:
        """Where the next poll goes on, as far as it is known yet. Nothing while a rebalance is going on."""
        ...

    async def seek(self, positions: Iterable[Position]) -> None:
        """Read on from these positions; those of partitions not assigned are passed over."""
        ...

    async def close(self) -> None: ...


class Log(Protocol):
    async def producer(self) -> Producer: ...

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> Consumer:
        """Join `group`; the first `on_assigned` is done when this returns.

        Every rebalance revokes all partitions a member has, then assigns; never with an empty list.

        Until `on_revoked` returns, nobody else is given its partitions. Raises WorldDown.
        """
        ...

    async def ensure_topics(self, topics: Mapping[str, int]) -> None:
        """Create what is missing, name to partition count. Raises WorldDown, PartitionsDiffer."""
        ...

    async def ends(self, known: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """The offset the next record of each of these partitions will get, which were `known` to end there at least.

        Less than was known means that the log went backwards. Raises WorldDown.
        """
        ...

    async def close(self) -> None: ...


def open_log(address: "str | KafkaSettings") -> Log:
    """`memory://name`: the log of that name in this process; otherwise Kafka, see `KafkaSettings.from_address`."""
    if isinstance(address, str) and address.startswith("memory://"):
        from tenure.spine.memory_log import MemoryLog

        return MemoryLog(address.removeprefix("memory://"))
    from tenure.spine.kafka import KafkaLog
    from tenure.spine.kafka_settings import KafkaSettings

    return KafkaLog(KafkaSettings.from_address(address) if isinstance(address, str) else address)


def refuse_too_large(batch: Iterable[Outgoing]) -> None:
    for record in batch:
        of_data = size = len(record.key) + len(record.value)
        for name, value in record.headers:
            size += len(name) + len(value)
        if size > RECORD_BYTES_MAX:
            raise RecordTooLarge(f"{record.topic}: {of_data} bytes in key and value, {RECORD_BYTES_MAX} are allowed")


def check_counts(wanted: Mapping[str, int], existing: Mapping[str, int]) -> None:
    """Raises PartitionsDiffer."""
    for name, partitions in wanted.items():
        if existing[name] != partitions:
            raise PartitionsDiffer(f"{name} has {existing[name]} partitions, not {partitions}")


def partition_of(key: bytes, partitions: int) -> int:
    """The partition every Kafka client chooses by default, so facts written by any producer meet in one place."""
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


@lru_cache(maxsize=65_536)
def _murmur2(key: bytes) -> int:
    """MurmurHash2 with Kafka's seed; the names m, r and h are the algorithm's own."""
    m, r = 0x5BD1E995, 24
    words, tail = divmod(len(key), 4)
    h = 0x9747B28C ^ len(key)
    for word in struct.unpack_from(f"<{words}I", key):
        k = (word * m) & 0xFFFFFFFF
        k ^= k >> r
        h = ((h * m) & 0xFFFFFFFF) ^ ((k * m) & 0xFFFFFFFF)
    if tail:
        h = ((h ^ int.from_bytes(key[-tail:], "little")) * m) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * m) & 0xFFFFFFFF
    return h ^ (h >> 15)
