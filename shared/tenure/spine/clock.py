"""Which day it is, for the edges only: rules are told by events (DESIGN section 3, "Time is an event").

`clock: events` = the calendar stands where the newest `day.started` put it (replays, tests, the embedded default); before any
day started it is the wall's date. `clock: wall` = the wall's date, never before the calendar's.

`lead` is the clock of a live platform: one leader per platform, run by policy-sync, that publishes `day.started` for each day
that came. It waits until the facts recorded so far are read, so that an outage over midnight delays the day and never lets it
overtake the facts.
"""

from collections import deque
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog
from asyncpg.connection import Connection

from tenure.calendar import DAY, SHANGHAI, local_date, start_of
from tenure.contracts.time import DayStarted
from tenure.settings import Settings
from tenure.spine.codec import encode, event_of, utc_now
from tenure.spine.leading import leading, lost_sessions
from tenure.spine.log import Outgoing, Producer
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.telemetry import metrics

if TYPE_CHECKING:
    from tenure.spine.runtime import Worker

log: Final = structlog.get_logger(__name__)
LOCK: Final = 7_200_002
LOOK_EVERY_S: Final = 1.0
LEAVE_IT_FOR_S: Final = 5.0
FACTS_WAIT_MAX_S: Final = 60.0
"""Then the leader looks up and waits on: its session must not fall silent."""
DAYS_AT_ONCE_MAX: Final = 31


async def today(pool: "asyncpg.Pool[asyncpg.Record]", settings: Settings) -> date:
    """The business date of a service, as its HTTP edge and timers use it."""
    return business_date(await pool.fetchval("SELECT day FROM calendar"), settings)


def business_date(day: date | None, settings: Settings) -> date:
    """The same where the calendar's newest day is known."""
    wall = local_date(utc_now())
    if settings.clock == "wall":
        return max(day or wall, wall)
    return day or wall


async def moment(pool: "asyncpg.Pool[asyncpg.Record]", settings: Settings) -> datetime:
    """When a command of an edge or a timer happens: on the business date, at the wall's time of day."""
    now = utc_now()
    if settings.clock == "wall":
        return now
    day = await today(pool, settings)
    return now if day == local_date(now) else datetime.combine(day, now.astimezone(SHANGHAI).timetz())


def tick(day: date) -> Outgoing:
    """The record that starts a day. Its id is the day, so a day starts once however often it is published."""
    return encode(
        event_of(DayStarted(date=day), id=f"day-{day.isoformat()}", source="/tenure/clock", time=start_of(day))
    )


def days_that_came(newest: date | None, now: datetime) -> list[date]:
    """The days to start, oldest first: those after the newest up to the local date of `now`, a bounded number at a time."""
    current = local_date(now)
    if newest is None:
        return [current]
    behind = min((current - newest).days, DAYS_AT_ONCE_MAX)
    return [newest + DAY * n for n in range(1, behind + 1)]


async def lead(worker: "Worker") -> None:
    """Publish the days as they come, if this platform follows the wall and nobody else leads."""
    metrics.leading.labels(worker.door.service.name, "clock").set(0)
    if worker.settings.clock != "wall":
        await worker.stopping.wait()
        return
    backoff, lost = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "lead")), lost_sessions()
    while not worker.stopping.is_set():
        try:
            await _lead(worker, lost)
        except WORLD_DOWN as error:
            log.warning("clock_waits", reason=str(error)[:200])
            await backoff.wait(error)


async def _lead(worker: "Worker", lost: deque[int]) -> None:
    producer = await worker.log.producer()
    try:
        async with leading(worker.door.pool, LOCK, worker.stopping, lost) as conn:
            if conn is not None:
                with metrics.leading.labels(worker.door.service.name, "clock").track_inprogress():
                    await _follow_the_wall(worker, conn, producer)
    finally:
        await producer.close()
    if worker.consumer.idle:
        await wait_or(worker.stopping, LEAVE_IT_FOR_S)


async def _follow_the_wall(worker: "Worker", conn: Connection, producer: Producer) -> None:
    """As long as this worker has partitions: one without cannot tell whether the facts of before are read."""
    while not (worker.stopping.is_set() or worker.consumer.idle):
        await _start_days(worker, conn, producer)
        await wait_or(worker.stopping, LOOK_EVERY_S)


async def _start_days(worker: "Worker", conn: Connection, producer: Producer) -> None:
    """A day that came is started when the facts of before are read, but not before the consumer reads at all."""
    newest = await conn.fetchval("SELECT day FROM calendar")
    if not days_that_came(newest, utc_now()):
        return
    if not await worker.consumer.until_read(worker.stopping, wait_max_s=FACTS_WAIT_MAX_S):
        return
    newest = await conn.fetchval("SELECT day FROM calendar")
    if days := days_that_came(newest, utc_now()):
        await producer.send([tick(day) for day in days])
        log.info("day_started", day=days[-1].isoformat())
