"""Takes the records of one poll through the write door: decode, transact, and count what became of them.

A batch the database refuses is halved until the faulty event stands alone and is parked. Ticks (`day.started`) move the service's
calendar in the same transaction, and wake its due work. How far the log was read commits with the effects.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import asyncpg
import structlog

from tenure.contracts.event import WrongEventError
from tenure.contracts.time import DayStarted
from tenure.spine import parking
from tenure.spine.codec import latest_of, type_of, utc_now
from tenure.spine.item import item_of
from tenure.spine.lanes import in_lanes
from tenure.spine.log import Position, Record
from tenure.spine.progress import Progress, Reached, ends_of
from tenure.spine.retry import is_fault_of_the_data
from tenure.spine.transact import Door, Item, Outcome
from tenure.telemetry import metrics

log: Final = structlog.get_logger(__name__)
RECORDS_BETWEEN_BREATHS: Final = 500


@dataclass(slots=True)
class Intake:
    """Of one consumer. `parked_run` is how many events in a row were wrong, up to the newest; `longest_run` is the longest of
    the newest poll, though a good event may have ended it; `alive_at` when it last went to the door.
    """

    door: Door
    progress: Progress
    lanes_max: int = 1
    clock: str = "events"
    parked_run: int = 0
    longest_run: int = 0
    alive_at: float = field(default_factory=time.monotonic)

    async def apply(self, records: Sequence[Record]) -> list[Position]:
        """Large polls in lanes side by side. Should one fail, the poll is done again, and the inbox drops what the others did."""
        self.longest_run = self.parked_run
        applied = [self._apply_lane(lane) for lane in in_lanes(records, lanes_max=self.lanes_max)]
        for failure in await asyncio.gather(*applied, return_exceptions=True):
            if failure is not None:
                raise failure
        return ends_of(records)

    async def _apply_lane(self, records: Sequence[Record]) -> None:
        positions = self.progress.reached(ends_of(records))
        items, day = await self.items(records)
        with metrics.batch_seconds.labels(self.door.service.name).time():
            outcomes = await self.transact(items, positions, day)
        self.progress.advance(positions)
        self._count(items, outcomes)

    async def items(self, records: Sequence[Record]) -> tuple[list[Item], date | None]:
        items: list[Item] = []
        day: date | None = None
        ignores = self.door.service.ignores
        latest = latest_of(self.clock, utc_now())
        for n, record in enumerate(records):
            if n % RECORDS_BETWEEN_BREATHS == RECORDS_BETWEEN_BREATHS - 1:
                await asyncio.sleep(0)
            if type_of(record.headers) in ignores:
                continue  # whatever is in it
            item = item_of(record, latest)
            if item.event is not None and isinstance(item.event.data, DayStarted):
                day = max(day or item.event.data.date, item.event.data.date)
            else:
                items.append(item)
        return items, day

    async def transact(self, items: list[Item], positions: Sequence[Reached], day: date | None) -> list[Outcome]:
        """The batch, or its halves: down to the one event that the database refuses, or until they fit into its time limit."""
        self.alive_at = time.monotonic()
        try:
            return await self.door.transact(items, positions=positions, day=day)
        except Exception as error:
            if not _is_halved_for(error, len(items)):
                raise
            if len(items) == 1:
                return await self._park_alone(items[0], error, positions, day)
        metrics.batches_halved.labels(self.door.service.name).inc()
        middle = len(items) // 2
        first = await self.transact(items[:middle], [p.unmoved for p in positions if p.known], None)
        return first + await self.transact(items[middle:], positions, day)

    async def _park_alone(
        self, item: Item, error: Exception, positions: Sequence[Reached], day: date | None
    ) -> list[Outcome]:
        log.error("database_refused_event", service=self.door.service.name, error=type(error).__name__)
        wrong = WrongEventError("data_refused", f"the database refused its effect: {type(error).__name__}")
        return await self.door.transact([Item(item.event, item.record, wrong)], positions=positions, day=day)

    def _count(self, items: Sequence[Item], outcomes: Sequence[Outcome]) -> None:
        """Metrics, and the run of parked events. Those that only queue say nothing about the consumer."""
        name = self.door.service.name
        consumed: Counter[str] = Counter()
        for item, outcome in zip(items, outcomes, strict=True):
            if outcome.wrong is not None:
                self.parked_run += outcome.wrong.code != parking.BEHIND
                self.longest_run = max(self.longest_run, self.parked_run)
                metrics.events_parked.labels(name, outcome.wrong.code).inc()
            elif not outcome.seen:
                assert item.record is not None
                self.parked_run = 0
                consumed[item.record.topic] += 1
        for topic, events in consumed.items():
            metrics.events_consumed.labels(name, topic).inc(events)


def _is_halved_for(error: Exception, items: int) -> bool:
    if isinstance(error, asyncpg.QueryCanceledError):
        return items > 1
    return items > 0 and is_fault_of_the_data(error)
