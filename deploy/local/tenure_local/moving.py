"""What takes a while on a running platform, each with a bar: replays, days that come, and the wait until all is done."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from rich.progress import Progress, TaskID
from tenure.calendar import local_date
from tenure.contracts.event import Event
from tenure.settings import Settings
from tenure.spine.codec import utc_now

from tenure_local.console import progress
from tenure_local.drained import Backlog, Targets, watch
from tenure_local.home import Home
from tenure_local.playback import CalendarError, calendar, publish_days, replay

TICK_DAYS_MAX: Final = 3_660


class NotDrainedError(Exception):
    """Something is left to do after the time given; the message says what."""


async def replay_events(home: Home, events: Sequence[Event], since: date, until: date) -> int:
    """Replay between two days. Returns how many facts were published. Raises CalendarError."""
    if until < since:
        raise CalendarError(f"--to {until} lies before --from {since}")
    settings = home.settings()
    check_came(settings, until)
    async with watch(settings, home.addresses().worker_url) as services:
        with progress() as bars:
            task = bars.add_task("replaying facts", total=sum(e.day <= until for e in events))
            return await replay(
                settings,
                events,
                Targets(home.targets),
                services,
                since=since,
                until=until,
                told=lambda n: bars.advance(task, n),
            )


async def let_days_come(home: Home, until: date) -> date:
    """Start the days after the newest up to `until`. Returns where the calendar stands then. Raises CalendarError."""
    settings = home.settings()
    check_came(settings, until)
    async with watch(settings, home.addresses().worker_url) as services:
        newest = await calendar(services)
        if newest is not None and newest >= until:
            return newest
        after = newest or until - timedelta(days=1)
        if (until - after).days > TICK_DAYS_MAX:
            raise CalendarError(f"from {after} to {until} is more than {TICK_DAYS_MAX:,} days; go there in steps")
        await publish_days(settings, after, until, Targets(home.targets), services)
    return until


def check_came(settings: Settings, until: date) -> None:
    """On the wall's clock a day comes with its date, and nothing takes back one that came too early. Raises CalendarError."""
    if settings.clock == "wall" and until > (today := local_date(utc_now())):
        raise CalendarError(f"this platform goes by the wall's clock: {until} comes by itself, and today is {today}")


async def drain(home: Home, *, within_s: float) -> Backlog:
    """Wait until nothing is left to do. Raises NotDrainedError, WorkerGoneError."""
    latest = Backlog()
    with progress() as bars:
        task = bars.add_task("draining", total=None)

        def seen(backlog: Backlog) -> None:
            nonlocal latest
            latest = backlog
            _show(bars, task, backlog.total)

        try:
            async with asyncio.timeout(within_s), watch(home.settings(), home.addresses().worker_url) as services:
                return await services.until_drained(Targets(home.targets).positions(), seen=seen)
        except TimeoutError:
            raise NotDrainedError(f"not done after {within_s:g} s: {left(latest)}; `tenure doctor` says more") from None


def _show(bars: Progress, task: TaskID, waiting: int) -> None:
    most = max(bars.tasks[task].total or 0, waiting)
    bars.update(task, total=most, completed=most - waiting)


def left(backlog: Backlog) -> str:
    """What is still to do, as a person reads it."""
    kinds = {
        "to read": backlog.unread,
        "to publish": backlog.unpublished,
        "under way": backlog.under_way,
    }
    found = [f"{name} has {n:,} {kind}" for kind, counts in kinds.items() for name, n in counts.items() if n]
    found += [f"{name} has work due" for name, is_due in backlog.due.items() if is_due]
    return ", ".join(found) or "transactions are still open"
