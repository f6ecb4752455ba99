"""Due work: when the calendar moved, every key with something due lives through the new day, in batches, by any number of workers.

Facts come first: due work waits until the consumer has read what was in the log when the day came (with a bound, so that
steady traffic cannot keep a day from coming), because a day reveals what the facts before it imply.

One transaction takes as many keys as fit into a tenth of a second, for so long waits whoever calls for one of them, and much of it
is one stretch of the event loop, which consumer and callers share.

A key that cannot live through its day (a rule or the database refuses) is put aside for a while and reported; it stays due, and
neither spins nor keeps the others waiting.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import structlog

from tenure.spine.aside import ASIDE_S, Aside
from tenure.spine.consumer import Consumer
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import NEWEST_DAY, Door
from tenure.telemetry import metrics

log: Final = structlog.get_logger(__name__)
KEYS_MIN: Final = 10
KEYS_FIRST: Final = 100
KEYS_MAX: Final = 1_000
TRANSACTION_S: Final = 0.1
ASIDE_KEYS_MAX: Final = 10_000
CATCH_UP_WAIT_MAX_S: Final = 30.0
IDLE_WAIT_S: Final = 0.5


@dataclass(slots=True)
class Pace:
    """How many keys the next transaction takes: as many as fit into `TRANSACTION_S` by the last one, twice as many at most."""

    keys: int = KEYS_FIRST

    def learn(self, keys: int, took_s: float) -> None:
        if keys >= self.keys:  # the rest of a day says little
            fitting = min(2 * keys, int(keys * TRANSACTION_S / max(took_s, TRANSACTION_S / 10)))
            self.keys = min(KEYS_MAX, max(KEYS_MIN, fitting))


@dataclass(slots=True)
class DueWork:
    """Runs one service's due work as its calendar moves."""

    door: Door
    consumer: Consumer
    wake_relay: asyncio.Event
    backoff: Backoff = field(default_factory=Backoff)
    pace: Pace = field(default_factory=Pace)
    aside: Aside = field(default_factory=Aside)
    _day: date | None = None
    _patient_until: float = 0.0

    async def run(self) -> None:
        while not self.backoff.stopping.is_set():
            try:
                done = await self._once()
                self.backoff.succeeded()
                if not done:
                    metrics.due_done_timestamp_seconds.labels(self.door.service.name).set_to_current_time()
                    self._patient_until = 0.0
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
        day: date | None = await self.door.pool.fetchval(NEWEST_DAY)
        if day is None:
            return 0
        await self._facts_first(day)
        if self.backoff.stopping.is_set():
            return 0
        began = time.monotonic()
        due = await self.door.fall_due(day, keys_max=min(KEYS_MAX, self.pace.keys), aside=self._left_alone())
        self.pace.learn(due.done + len(due.refused), time.monotonic() - began)
        self._put_aside(due.refused)
        if due.done:
            metrics.due_keys.labels(self.door.service.name).inc(due.done)
            self.wake_relay.set()
        return due.done + len(due.refused)

    async def _facts_first(self, day: date) -> None:
        """From when it came a day waits its time, but not again before every batch, nor for the days that come meanwhile."""
        now = time.monotonic()
        if day != self._day:
            self._day, self._patient_until = day, self._patient_until or now + CATCH_UP_WAIT_MAX_S
        await wait_or(self.consumer.caught_up, max(0.0, self._patient_until - now))

    def _left_alone(self) -> frozenset[str]:
        keys = self.aside.keys()
        metrics.due_aside_keys.labels(self.door.service.name).set(len(keys))
        return keys

    def _put_aside(self, refused: dict[str, str]) -> None:
        """Many more than a few are no accident: then the rest of the day waits with them, and health says why."""
        if not refused:
            return
        name = self.door.service.name
        for key, why in list(refused.items())[:10]:
            log.error("due_work_refused", service=name, key=key, reason=why, tries_again_in_s=ASIDE_S)
        metrics.due_refused.labels(name).inc(len(refused))
        self.aside.put(refused)
        metrics.due_aside_keys.labels(name).set(len(self.aside))
        if len(self.aside) > ASIDE_KEYS_MAX:
            raise TimeoutError(f"{len(self.aside)} keys cannot live through their day, the last: {why}")
