"""The outbox's way to the log: unpublished rows in order, acknowledged by the broker, then marked.

A crash between send and mark only repeats records, which every inbox drops. One relay works per service: a session lock keeps
a second one waiting. An acknowledgement below one given before means that the log went backwards (a broker that forgot): then
everything retained goes out again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import structlog

from tenure.spine import outbox
from tenure.spine.log import Log, Position, Producer
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.topics import ensure_topics
from tenure.telemetry import metrics

log: Final = structlog.get_logger(__name__)
LOCK: Final = 7_200_001
ROWS_MAX: Final = 500
IDLE_WAIT_S: Final = 0.05


@dataclass(slots=True)
class Relay:
    """Publishes one service's outbox. `wake` is set by writers in this process; writers elsewhere are seen within 50 ms."""

    service: str
    pool: "asyncpg.Pool[asyncpg.Record]"
    log: Log
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    backoff: Backoff = field(default_factory=Backoff)
    _acked: dict[tuple[str, int], int] = field(default_factory=dict)

    async def run(self) -> None:
        while not self.backoff.stopping.is_set():
            try:
                await self._publish_for_ever()
            except WORLD_DOWN as error:
                log.warning("relay_waits", service=self.service, reason=str(error)[:200])
                await self.backoff.wait(error)

    def stop(self) -> None:
        self.backoff.stopping.set()
        self.wake.set()

    async def _publish_for_ever(self) -> None:
        await ensure_topics(self.log)
        producer = await self.log.producer()
        try:
            async with self.pool.acquire() as conn:
                await self._lead(conn, producer)  # type: ignore[arg-type]
        finally:
            await producer.close()

    async def _lead(self, conn: asyncpg.Connection, producer: Producer) -> None:
        while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
            if await wait_or(self.backoff.stopping, 1.0):
                return
        try:
            self._acked = await outbox.acknowledged(conn)
            while not self.backoff.stopping.is_set():
                self.wake.clear()
                published = await self.publish_once(conn, producer)
                self.backoff.succeeded()
                if not published:
                    await wait_or(self.wake, IDLE_WAIT_S)
        finally:
            if not conn.is_closed():
                await conn.execute("SELECT pg_advisory_unlock($1)", LOCK)

    async def publish_once(self, conn: asyncpg.Connection, producer: Producer) -> int:
        """Publish the oldest waiting rows. Returns how many records went out."""
        rows = await outbox.waiting(conn, rows_max=ROWS_MAX)
        records = [record for _, batch in rows for record in batch]
        if not records:
            return 0
        acked = await producer.send(records)
        await outbox.mark_published(conn, [seq for seq, _ in rows], acked)
        metrics.relay_published.labels(self.service).inc(len(records))
        await self._notice_a_log_that_forgot(conn, acked)
        return len(records)

    async def _notice_a_log_that_forgot(self, conn: asyncpg.Connection, acked: Sequence[Position]) -> None:
        backwards = [p for p in acked if p.next_offset <= self._acked.get((p.topic, p.partition), 0)]
        self._acked.update({(p.topic, p.partition): p.next_offset for p in acked})
        if backwards:
            again = await outbox.publish_again(conn)
            self._acked.clear()
            log.error("log_went_backwards", service=self.service, topic=backwards[0].topic, rows_published_again=again)
