"""Imports and replays: facts published to the log as a core would, in order of time, with the days in between.

A replay keeps the clock's rule (docs/decisions/0004): a day is published only when policy-sync has read every fact before it and
told what follows. Facts may run ahead of days by a bounded window; that changes no result, because every rule decides by dates. The
first day is lived through before another comes: what is history alone lives from there.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from itertools import islice
from typing import Final

from msgspec.structs import replace
from tenure.calendar import DAY
from tenure.contracts.event import Event
from tenure.contracts.topics import TOPIC_OF
from tenure.settings import Settings
from tenure.spine.clock import tick
from tenure.spine.codec import encode
from tenure.spine.log import Position, Producer, open_log
from tenure.spine.topics import ensure_topics

from tenure_local.drained import Targets, Watch

FACTS_AT_ONCE_MAX: Final = 2_000
DAYS_AT_ONCE_MAX: Final = 31
WINDOWS_AHEAD_MAX: Final = 2
Progress = Callable[[int], None]


class CalendarError(Exception):
    """The platform's calendar stands later than where the replay begins; time does not run backwards."""


async def publish_history(settings: Settings, events: Iterable[Event], targets: Targets, *, told: Progress) -> int:
    """Publish facts as backfill: they change state and history, earn nothing, send nothing. Returns how many."""
    count = 0
    async with sending(settings) as producer:
        for batch in _batches(events):
            targets.add(await producer.send([encode(replace(e, backfill=True)) for e in batch]))
            count += len(batch)
            told(len(batch))
    targets.save()
    return count


async def replay(
    settings: Settings,
    events: Sequence[Event],
    targets: Targets,
    watch: Watch,
    *,
    since: date,
    until: date,
    told: Progress,
) -> int:
    """Publish facts as they happened, from `since` to `until` (inclusive), with every day's start between them.

    `events` must be sorted by time; those before `since` go first, as history. Raises CalendarError.
    """
    newest = await calendar(watch)
    if newest is not None and newest > since:
        raise CalendarError(
            f"this platform's calendar stands at {newest}, after {since}; `tenure down --reset` starts it anew"
        )
    history = [e for e in events if e.day < since]
    count = await publish_history(settings, history, targets, told=told)
    await watch.until_facts_read(targets.positions())
    async with sending(settings) as producer:
        count += await _stream(
            producer, [e for e in events if since <= e.day <= until], targets, watch, since, until, told
        )
    targets.save()
    return count


async def _stream(
    producer: Producer, live: list[Event], targets: Targets, watch: Watch, since: date, until: date, told: Progress
) -> int:
    targets.add(await producer.send([tick(since)]))
    await watch.until_lived(since, targets.positions())
    started = since
    ahead: deque[tuple[date, list[Position]]] = deque()
    for window, last in _windows(live, since, until):
        if window:
            targets.add(await producer.send([encode(e) for e in window]))
            told(len(window))
        ahead.append((last, list(targets.positions())))
        if len(ahead) >= WINDOWS_AHEAD_MAX:
            started = await _days_come(producer, targets, watch, started, *ahead.popleft())
    while ahead:
        started = await _days_come(producer, targets, watch, started, *ahead.popleft())
    return len(live)


async def _days_come(
    producer: Producer, targets: Targets, watch: Watch, started: date, last: date, facts: list[Position]
) -> date:
    """Once the facts up to `last` are read, publish the days after `started` up to it."""
    await watch.until_facts_read(p for p in facts if p.topic.startswith("core."))
    days = [started + DAY * n for n in range(1, (last - started).days + 1)]
    if days:
        targets.add(await producer.send([tick(day) for day in days]))
    return max(started, last)


def _windows(live: list[Event], since: date, until: date) -> Iterator[tuple[list[Event], date]]:
    """Cut facts into windows of whole days: at most so many facts or days. Each with the day up to which it reaches."""
    window: list[Event] = []
    begun = since
    for event in live:
        day = event.day
        full = len(window) >= FACTS_AT_ONCE_MAX and day > window[-1].day
        if full or (day - begun).days >= DAYS_AT_ONCE_MAX:
            yield window, day - DAY
            window, begun = [], day
        window.append(event)
    yield window, until


async def calendar(watch: Watch) -> date | None:
    """The newest day any service has seen start."""
    days = [day for conn in watch.connections() if (day := await conn.fetchval("SELECT day FROM calendar")) is not None]
    return max(days, default=None)


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    rest = iter(events)
    while batch := list(islice(rest, FACTS_AT_ONCE_MAX)):
        yield batch


@asynccontextmanager
async def sending(settings: Settings) -> AsyncIterator[Producer]:
    log = open_log(settings.kafka)
    try:
        await ensure_topics(log)
        producer = await log.producer()
        try:
            yield producer
        finally:
            await producer.close()
    finally:
        await log.close()


def in_order(events: Iterable[Event]) -> list[Event]:
    """Sorted by time, and by topic within one instant: policies before claims, facts before activities."""
    rank = {"core.customer.v1": 0, "core.policy.v1": 1, "core.claim.v1": 2}
    return sorted(events, key=lambda e: (e.time, rank.get(TOPIC_OF[e.type].name, 3)))


async def publish_days(settings: Settings, after: date, until: date, targets: Targets, watch: Watch) -> None:
    """Start every day after `after` up to and including `until`; all but the first when it has been lived through."""
    first, *others = (after + DAY * n for n in range(1, (until - after).days + 1))
    async with sending(settings) as producer:
        targets.add(await producer.send([tick(first)]))
        if others:
            await watch.until_lived(first, targets.positions())
            targets.add(await producer.send([tick(day) for day in others]))
    targets.save()
