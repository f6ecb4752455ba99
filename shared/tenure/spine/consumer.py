"""Takes a service's topics from the log to the write door, one way: poll, decode, transact, commit.

The database commit is what counts; the offset is a hint, committed after it, and a failed commit only means redelivery, which
the inbox drops. A batch the database refuses is halved until the faulty event stands alone and is parked. Ticks (`day.started`)
move the service's calendar in the same transaction, and wake its due work.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import structlog

from tenure.contracts.event import WrongEventError
from tenure.contracts.time import DayStarted
from tenure.spine.codec import decode
from tenure.spine.log import Consumer as LogConsumer
from tenure.spine.log import Log, Position, Record, WorldDown
from tenure.spine.retry import WORLD_DOWN, Backoff
from tenure.spine.topics import ensure_topics
from tenure.spine.transact import Door, Item, Outcome, is_fault_of_the_data
from tenure.telemetry import metrics

log: Final = structlog.get_logger(__name__)


class ParkedRunError(Exception):
    """Too many events in a row were wrong: more likely the consumer is, so it stops until someone looks."""


@dataclass(slots=True)
class Consumer:
    """One service's consumer. `run` returns when `stop` is called, or raises ParkedRunError."""

    door: Door
    log: Log
    batch_records_max: int
    poll_timeout_s: float
    parked_run_max: int
    backoff: Backoff = field(default_factory=Backoff)
    committed: asyncio.Event = field(default_factory=asyncio.Event)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    last_poll_at: float = 0.0
    parked_run: int = 0
    high_water: dict[tuple[str, int], int] = field(default_factory=dict)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)

    async def run(self) -> None:
        """Consume until stopped; whatever happens to the world, a new client takes over where the last one was."""
        while not self.backoff.stopping.is_set():
            try:
                await self._consume()
            except WORLD_DOWN as error:
                log.warning("consumer_waits", service=self.door.service.name, reason=str(error)[:200])
                self.caught_up.clear()
                await self.backoff.wait(error)

    def stop(self) -> None:
        self.backoff.stopping.set()

    async def _consume(self) -> None:
        service = self.door.service
        topics = [t.name for t in service.reads]
        await ensure_topics(self.log)
        client = await self.log.consumer(f"tenure.{service.name}", topics)
        try:
            while not self.backoff.stopping.is_set():
                await self._turn(client)
                self.backoff.succeeded()
        finally:
            await client.close()

    async def _turn(self, client: LogConsumer) -> None:
        records = await client.poll(records_max=self.batch_records_max, timeout_s=self.poll_timeout_s)
        self.last_poll_at = time.monotonic()
        self.high_water = client.high_water()
        if not records:
            if client.assignment():
                self.caught_up.set()
            return
        self.caught_up.clear()
        positions = await self._apply(records)
        self.committed.set()
        try:
            await client.commit(positions)
        except WorldDown as error:
            log.info("commit_failed_will_be_redelivered", service=self.door.service.name, reason=str(error)[:200])

    async def _apply(self, records: Sequence[Record]) -> list[Position]:
        positions = _ends(records)
        items, day = self._items(records)
        with metrics.batch_seconds.labels(self.door.service.name).time():
            outcomes = await self._transact(items, positions, day)
        for record in records:
            metrics.events_consumed.labels(self.door.service.name, record.topic).inc()
        self.positions.update({(p.topic, p.partition): p.next_offset for p in positions})
        self._count_parked(outcomes)
        return positions

    def _items(self, records: Sequence[Record]) -> tuple[list[Item], date | None]:
        items: list[Item] = []
        day: date | None = None
        for record in records:
            try:
                event = decode(record.headers, record.value)
            except WrongEventError as wrong:
                items.append(Item(None, record, wrong))
                continue
            if isinstance(event.data, DayStarted):
                day = max(day or event.data.date, event.data.date)
            elif event.type not in self.door.service.ignores:
                items.append(Item(event, record))
        return items, day

    async def _transact(self, items: list[Item], positions: Sequence[Position], day: date | None) -> list[Outcome]:
        """The batch, or its halves down to the one event that the database refuses."""
        try:
            return await self.door.transact(items, positions=positions, day=day)
        except Exception as error:
            if isinstance(error, WORLD_DOWN) and not is_fault_of_the_data(error):
                raise
            if not is_fault_of_the_data(error) or not items:
                raise
            if len(items) == 1:
                return await self._park_alone(items[0], error, positions, day)
            middle = len(items) // 2
            first = await self._transact(items[:middle], (), None)
            return first + await self._transact(items[middle:], positions, day)

    async def _park_alone(
        self, item: Item, error: Exception, positions: Sequence[Position], day: date | None
    ) -> list[Outcome]:
        log.error("database_refused_event", service=self.door.service.name, error=type(error).__name__)
        wrong = WrongEventError("data_refused", f"the database refused its effect: {type(error).__name__}")
        return await self.door.transact([Item(item.event, item.record, wrong)], positions=positions, day=day)

    def _count_parked(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.wrong is None:
                self.parked_run = 0
                continue
            self.parked_run += 1
            metrics.events_parked.labels(self.door.service.name, outcome.wrong.code).inc()
        if self.parked_run >= self.parked_run_max:
            raise ParkedRunError(f"{self.parked_run} events in a row were parked; see `tenure parked list`")

    def health(self) -> dict[str, Any]:
        """What `/health/ready` and `doctor` show."""
        lag = sum(max(0, high - self.positions.get(tp, high)) for tp, high in self.high_water.items())
        return {
            "seconds_since_poll": round(time.monotonic() - self.last_poll_at, 1) if self.last_poll_at else None,
            "lag": lag,
            "failures": self.backoff.failures,
            "reason": self.backoff.reason,
        }


def _ends(records: Sequence[Record]) -> list[Position]:
    ends: dict[tuple[str, int], int] = {}
    for r in records:
        ends[r.topic, r.partition] = r.offset + 1
    return [Position(topic, partition, offset) for (topic, partition), offset in sorted(ends.items())]
