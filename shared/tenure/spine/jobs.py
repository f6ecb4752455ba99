"""Due work: when the calendar moved, every key with something due lives through the new day, in batches, by any number of workers.

Facts come first: due work waits until the consumer has read what was in the log when the day came (with a bound, so that
steady traffic cannot keep a day from coming), because a day reveals what the facts before it imply.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import structlog

from tenure.spine.consumer import Consumer
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door
from tenure.telemetry import metrics

log: Final = structlog.get_logger(__name__)
KEYS_MAX: Final = 1_000
CATCH_UP_WAIT_MAX_S: Final = 30.0
IDLE_WAIT_S: Final = 0.5


@dataclass(slots=True)
class DueWork:
    """Runs one service's due work as its calendar moves."""

    door: Door
    consumer: Consumer
    wake_relay: asyncio.Event
    backoff: Backoff = field(default_factory=Backoff)

    async def run(self) -> None:
        while not self.backoff.stopping.is_set():
            try:
                done = await self._once()
                self.backoff.succeeded()
                if not done:
                    self.consumer.committed.clear()
                    await wait_or(self.consumer.committed, IDLE_WAIT_S)
            except WORLD_DOWN as error:
                log.warning("due_work_waits", service=self.door.service.name, reason=str(error)[:200])
                await self.backoff.wait(error)

    def stop(self) -> None:
        self.backoff.stopping.set()
        self.consumer.committed.set()
        self.consumer.caught_up.set()

    async def _once(self) -> int:
        await wait_or(self.consumer.caught_up, CATCH_UP_WAIT_MAX_S)
        day: date | None = await self.door.pool.fetchval("SELECT day FROM calendar")
        if day is None or self.backoff.stopping.is_set():
            return 0
        done = await self.door.fall_due(day, keys_max=KEYS_MAX)
        if done:
            metrics.due_keys.labels(self.door.service.name).inc(done)
            self.wake_relay.set()
        return done
