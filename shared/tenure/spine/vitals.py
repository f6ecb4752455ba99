"""How a service is: the gauges that dashboards and alerts read, taken every few seconds, and the housekeeping of its tables.

The invariant: what this process knows by itself is told even while the database is down; and that it is down is told, too.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import asyncpg
import structlog
from asyncpg.connection import Connection

from tenure.calendar import local_date
from tenure.settings import Settings
from tenure.spine import inbox, outbox
from tenure.spine.codec import utc_now
from tenure.spine.consumer import Consumer
from tenure.spine.log import TopicPartition
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door
from tenure.telemetry import metrics

log: Final = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 5.0
SWEEP_EVERY_LOOKS: Final = 12
SWEEP_ROWS_MAX: Final = 5_000
_OUTBOX: Final = """
SELECT count(*) AS rows, coalesce(extract(epoch FROM now() - min(emitted_at)), 0)::float8 AS age_s
FROM outbox WHERE NOT published
"""
_PARKED: Final = """
SELECT code, count(*) AS events, extract(epoch FROM now() - min(parked_at))::float8 AS age_s FROM parked GROUP BY code
"""


@dataclass(slots=True)
class Vitals:
    """Looks at one service every five seconds, and once a minute deletes what retention no longer keeps."""

    door: Door
    consumer: Consumer
    settings: Settings
    backoff: Backoff = field(default_factory=Backoff)
    _places: set[TopicPartition] = field(default_factory=set)
    _codes: set[str] = field(default_factory=set)

    async def run(self) -> None:
        looks = 0
        while True:
            try:
                await self.look()
                looks += 1
                if looks % SWEEP_EVERY_LOOKS == 0:
                    await self.sweep()
                self.backoff.succeeded()
            except WORLD_DOWN as error:
                await self.backoff.wait(error)
            if await wait_or(self.backoff.stopping, LOOK_EVERY_S):
                return

    def stop(self) -> None:
        self.backoff.stopping.set()

    async def look(self) -> None:
        """Take every gauge once. Raises what PostgreSQL raises when it is down, after it was told that it is."""
        name = self.door.service.name
        self._tell_places(name)
        try:
            await self._ask_the_database(name)
        except WORLD_DOWN:
            metrics.database_up.labels(name).set(0)
            raise
        metrics.database_up.labels(name).set(1)

    def _tell_places(self, name: str) -> None:
        """Position against high water; a partition that moved elsewhere is told there."""
        if not self.door.service.reads:
            return
        read, high = self.consumer.positions, self.consumer.high_water
        places = read.keys() & high.keys()
        metrics.consumer_partitions.labels(name).set(len(read) if self.consumer.joined else 0)
        for topic, partition in self._places - places:
            metrics.consumer_lag_records.remove(name, topic, str(partition))
            metrics.consumer_position.remove(name, topic, str(partition))
        self._places = places
        for place in places:
            labels = name, place[0], str(place[1])
            metrics.consumer_position.labels(*labels).set(read[place])
            metrics.consumer_lag_records.labels(*labels).set(max(0, high[place] - read[place]))

    async def _ask_the_database(self, name: str) -> None:
        async with self.door.pool.acquire(timeout=LOOK_EVERY_S) as pooled:
            conn: Connection = pooled  # type: ignore[assignment]
            waiting = await conn.fetchrow(_OUTBOX)
            assert waiting is not None
            metrics.outbox_waiting_rows.labels(name).set(waiting["rows"])
            metrics.outbox_oldest_waiting_age_seconds.labels(name).set(waiting["age_s"])
            self._tell_parked(name, await conn.fetch(_PARKED))
            self._tell_calendar(name, await conn.fetchval("SELECT day FROM calendar"))
            for gauge, sql in self.door.service.gauges:
                gauge.set(await conn.fetchval(sql) or 0)

    def _tell_parked(self, name: str, rows: "list[asyncpg.Record]") -> None:
        for code in self._codes - {row["code"] for row in rows}:
            metrics.parked_events.labels(name, code).set(0)
        for row in rows:
            metrics.parked_events.labels(name, row["code"]).set(row["events"])
        self._codes |= {row["code"] for row in rows}
        metrics.parked_oldest_age_seconds.labels(name).set(max((row["age_s"] for row in rows), default=0))

    def _tell_calendar(self, name: str, day: date | None) -> None:
        behind = (local_date(utc_now()) - day).days if day is not None and self.settings.clock == "wall" else 0
        metrics.calendar_behind_days.labels(name).set(max(0, behind))

    async def sweep(self) -> int:
        """Delete what is past its retention, in bounded statements, as many as it takes. Returns how many rows."""
        swept = 0
        while (done := await self._sweep_some()) and not self.backoff.stopping.is_set():
            swept += done
        metrics.swept_timestamp_seconds.labels(self.door.service.name).set_to_current_time()
        if swept:
            log.info("swept", service=self.door.service.name, rows=swept)
        return swept

    async def _sweep_some(self) -> int:
        async with self.door.pool.acquire() as conn:
            outbox_rows = await outbox.forget_older_than(
                conn,  # type: ignore[arg-type]
                retention_h=self.settings.outbox_retention_h,
                rows_max=SWEEP_ROWS_MAX,
            )
            inbox_rows = await inbox.forget_older_than(
                conn,  # type: ignore[arg-type]
                retention_days=self.settings.inbox_retention_days,
                rows_max=SWEEP_ROWS_MAX,
            )
            own = {table: await forget(conn, SWEEP_ROWS_MAX) for table, forget in self.door.service.forgets}  # type: ignore[arg-type]
        swept = {"outbox": outbox_rows, "inbox": inbox_rows, **own}
        for table, rows in swept.items():
            metrics.swept_rows.labels(self.door.service.name, table).inc(rows)
        return sum(swept.values())


BLOCKED_EVERY_S: Final = 0.02
BLOCKED_WINDOW_S: Final = 60.0


async def feel_the_loop(stopping: asyncio.Event) -> None:
    """Measure how long anything holds the event loop: a sleep that ends late was kept waiting."""
    worst: deque[tuple[float, float]] = deque()  # (when, how long), falling: the first is the worst of the window
    while not stopping.is_set():
        before = time.perf_counter()
        await asyncio.sleep(BLOCKED_EVERY_S)
        now = time.perf_counter()
        blocked = max(0.0, now - before - BLOCKED_EVERY_S)
        metrics.loop_blocked_seconds.observe(blocked)
        while worst and worst[-1][1] <= blocked:
            worst.pop()
        worst.append((now, blocked))
        while worst[0][0] < now - BLOCKED_WINDOW_S:
            worst.popleft()
        metrics.loop_blocked_max_seconds.set(worst[0][1])
