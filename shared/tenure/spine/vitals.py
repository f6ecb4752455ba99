"""How a service is: the gauges that dashboards and alerts read, taken every few seconds, and the housekeeping of its tables."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

import structlog

from tenure.spine import inbox, outbox
from tenure.spine.consumer import Consumer
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door
from tenure.telemetry import metrics

log: Final = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 5.0
SWEEP_EVERY_LOOKS: Final = 12
SWEEP_ROWS_MAX: Final = 5_000


@dataclass(slots=True)
class Vitals:
    """Looks at one service every five seconds, and once a minute deletes what retention no longer keeps."""

    door: Door
    consumer: Consumer
    outbox_retention_h: int
    inbox_retention_days: int
    backoff: Backoff = field(default_factory=Backoff)

    async def run(self) -> None:
        looks = 0
        while not await wait_or(self.backoff.stopping, LOOK_EVERY_S):
            try:
                await self._look()
                looks += 1
                if looks % SWEEP_EVERY_LOOKS == 0:
                    await self.sweep()
                self.backoff.succeeded()
            except WORLD_DOWN as error:
                await self.backoff.wait(error)

    def stop(self) -> None:
        self.backoff.stopping.set()

    async def _look(self) -> None:
        name = self.door.service.name
        row = await self.door.pool.fetchrow(
            """SELECT (SELECT count(*) FROM outbox WHERE NOT published) AS waiting,
                      (SELECT count(*) FROM parked) AS parked"""
        )
        assert row is not None
        metrics.outbox_waiting.labels(name).set(row["waiting"])
        metrics.parked_events.labels(name).set(row["parked"])
        if self.consumer.last_poll_at:
            metrics.consumer_last_poll_age_seconds.labels(name).set(time.monotonic() - self.consumer.last_poll_at)
        for (topic, partition), high in self.consumer.high_water.items():
            read = self.consumer.positions.get((topic, partition), high)
            metrics.consumer_lag.labels(name, topic, str(partition)).set(max(0, high - read))

    async def sweep(self) -> int:
        """Delete what is past its retention, in bounded statements, as many as it takes. Returns how many rows."""
        swept = 0
        while (done := await self._sweep_some()) and not self.backoff.stopping.is_set():
            swept += done
        if swept:
            log.info("swept", service=self.door.service.name, rows=swept)
        return swept

    async def _sweep_some(self) -> int:
        async with self.door.pool.acquire() as conn:
            outbox_rows = await outbox.forget_older_than(
                conn,  # type: ignore[arg-type]
                retention_h=self.outbox_retention_h,
                rows_max=SWEEP_ROWS_MAX,
            )
            inbox_rows = await inbox.forget_older_than(
                conn,  # type: ignore[arg-type]
                retention_days=self.inbox_retention_days,
                rows_max=SWEEP_ROWS_MAX,
            )
        return outbox_rows + inbox_rows


BLOCKED_EVERY_S: Final = 0.02


async def feel_the_loop(stopping: asyncio.Event) -> None:
    """Measure how long anything holds the event loop: a sleep that ends late was kept waiting."""
    while not stopping.is_set():
        before = time.perf_counter()
        await asyncio.sleep(BLOCKED_EVERY_S)
        metrics.loop_blocked_seconds.observe(max(0.0, time.perf_counter() - before - BLOCKED_EVERY_S))
