"""The outbox's way to the log: unpublished rows in order, acknowledged by the broker, then marked.

A crash between send and mark only repeats records, which every inbox drops. One relay works per service: a session lock keeps
a second one waiting. A log that went backwards (a broker that forgot) is noticed by asking where it ends, whenever the relay begins
or the consumer had to join anew, and by acknowledgements below those given before: then everything retained goes out again,
oldest first, before anything new. What must reach whoever comes later, however long ago it was told, is told anew (`tell_again`).
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import structlog
from asyncpg.connection import Connection

from tenure.contracts.topics import TOPICS
from tenure.spine import outbox, spans
from tenure.spine.faults import reach
from tenure.spine.floor import Floor
from tenure.spine.leading import leading, lost_sessions
from tenure.spine.log import Log, Outgoing, Position, Producer, RecordTooLarge, TopicPartition, partition_of
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.topics import ensure_topics
from tenure.telemetry import metrics

log: Final = structlog.get_logger(__name__)
LOCK: Final = 7_200_001
ROWS_MAX: Final = 500
EVENTS_MAX: Final = 10_000
REPAIR_ROWS_MAX: Final = 5_000
IDLE_WAIT_S: Final = 0.05
QUIET_WAIT_S: Final = 0.2
QUIET_AFTER_LOOKS: Final = 100
"""After five seconds without anything to publish it looks less often: most of the day most services have nothing to say."""
_WAITED_FOR: Final[tuple[type[BaseException], ...]] = (*WORLD_DOWN, RecordTooLarge)
_PARTITIONS: Final = {topic.name: topic.partitions for topic in TOPICS}
_KEPT: Final = frozenset(topic.name for topic in TOPICS if topic.retention_days is None)
TellAgain = Callable[[Connection], Awaitable[None]]


@dataclass(slots=True)
class Relay:
    """Publishes one service's outbox. `wake` is set by writers in this process; writers elsewhere are seen within 50 ms, and
    within 200 ms when nothing had been told for five seconds.

    `doubt` is set by whoever has reason to think that the log may have forgotten. `tell_again` is asked whenever the log is not
    known to hold anything of a topic that is kept for ever: it puts all of it into the outbox once more.
    """

    service: str
    pool: "asyncpg.Pool[asyncpg.Record]"
    log: Log
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    doubt: asyncio.Event = field(default_factory=asyncio.Event)
    backoff: Backoff = field(default_factory=Backoff)
    tell_again: TellAgain | None = None
    _acked: dict[TopicPartition, int] = field(default_factory=dict)
    _lost: deque[int] = field(default_factory=lost_sessions)
    _floor: Floor = field(default_factory=Floor)
    _newest: int = 0

    async def run(self) -> None:
        while not self.backoff.stopping.is_set():
            try:
                await self._publish_for_ever()
            except _WAITED_FOR as error:
                # What is too large is refused before it gets here; should a limit be lowered, nothing may overtake the record.
                log.warning("relay_waits", service=self.service, reason=str(error)[:200])
                await self.backoff.wait(error)

    def stop(self) -> None:
        self.backoff.stopping.set()
        self.wake.set()

    async def _publish_for_ever(self) -> None:
        await ensure_topics(self.log)
        producer = await self.log.producer()
        try:
            async with leading(self.pool, LOCK, self.backoff.stopping, self._lost) as conn:
                if conn is not None:
                    await self._lead(conn, producer)
        finally:
            await producer.close()

    async def _lead(self, conn: Connection, producer: Producer) -> None:
        self._acked, self._floor = await outbox.acknowledged(conn), Floor()
        await self._tell_what_is_kept(conn)
        self.doubt.set()
        with metrics.leading.labels(self.service, "relay").track_inprogress():
            await self._publish_while_leading(conn, producer)

    async def _publish_while_leading(self, conn: Connection, producer: Producer) -> None:
        looks = 0
        while not self.backoff.stopping.is_set():
            self.wake.clear()
            if self.doubt.is_set():
                await self._ask_where_the_log_ends(conn)
            published = await self.publish_once(conn, producer)
            self.backoff.succeeded()
            looks = 0 if published else looks + 1
            if not published:
                await wait_or(self.wake, IDLE_WAIT_S if looks < QUIET_AFTER_LOOKS else QUIET_WAIT_S)

    async def publish_once(self, conn: Connection, producer: Producer) -> int:
        """Publish the oldest waiting rows. Returns how many records went out."""
        if self._floor.seq < self._newest:  # else nothing was published that could be passed over
            await self._floor.look(conn)
        rows = await outbox.waiting(conn, rows_max=ROWS_MAX, events_max=EVENTS_MAX, above=self._floor.seq)
        self._floor.rise(rows[0][0] if rows else None)
        self._newest = max(self._newest, rows[-1][0] if rows else 0)
        records = [record for _, batch in rows for record in batch]
        reach("relay.read")
        if not records:
            return 0
        span = spans.sending(self.service, records)
        acked = await producer.send(records)
        if span is not None:
            span.end()
        reach("relay.sent")
        if backwards := self._backwards(records, acked):
            await self._repair(conn, backwards)  # these rows are not marked: they go out again in their place
            return len(records)
        waited_s = await outbox.mark_published(conn, [seq for seq, _ in rows], acked)
        reach("relay.marked")
        self._acked.update({(p.topic, p.partition): p.next_offset for p in acked})
        self._measure(len(records), waited_s)
        return len(records)

    def _measure(self, records: int, waited_s: Sequence[float]) -> None:
        metrics.relay_published.labels(self.service).inc(records)
        took = metrics.relay_publish_seconds.labels(self.service)
        for seconds in waited_s:
            took.observe(max(0.0, seconds))

    def _backwards(self, records: Sequence[Outgoing], acked: Sequence[Position]) -> TopicPartition | None:
        """A partition in which these records begin before the end that was acknowledged earlier."""
        written = Counter((r.topic, partition_of(r.key, _PARTITIONS[r.topic])) for r in records)
        for topic, partition, end in acked:
            if end - written[topic, partition] < self._acked.get((topic, partition), 0):
                return topic, partition
        return None

    async def _ask_where_the_log_ends(self, conn: Connection) -> None:
        self.doubt.clear()
        try:
            ends = await self.log.ends(self._acked)
        except BaseException:
            self.doubt.set()
            raise
        if lost := next((place for place, end in ends.items() if end < self._acked[place]), None):
            await self._repair(conn, lost)

    async def _repair(self, conn: Connection, place: TopicPartition) -> None:
        rows = 0
        while done := await outbox.publish_again(conn, rows_max=REPAIR_ROWS_MAX):
            rows += done
        await outbox.forget_acknowledged(conn)
        self._acked.clear()
        self._floor = Floor()
        await self._tell_what_is_kept(conn)
        metrics.log_went_backwards.labels(self.service, place[0]).inc()
        log.error("log_went_backwards", service=self.service, topic=place[0], rows_published_again=rows)

    async def _tell_what_is_kept(self, conn: Connection) -> None:
        if self.tell_again is not None and not any(topic in _KEPT for topic, _ in self._acked):
            await self.tell_again(conn)
