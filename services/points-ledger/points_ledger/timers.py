"""Reservations end by timer, even when the mall is down: one of the few things that follow the wall's clock.

The invariant: the timer only asks; the rule decides under the account's lock, so a capture and a time-out never both happen.
"""

from datetime import datetime
from typing import Final

import structlog
from tenure.calendar import start_of
from tenure.contracts.event import Event
from tenure.spine.codec import utc_now
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.runtime import Worker
from tenure.spine.transact import Door, Item

from points_ledger.commands import ReleaseHold

log: Final = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 1.0
HOLDS_MAX: Final = 500
TIMED_OUT: Final = """
    SELECT hold_id, member_id FROM holds WHERE state = 'held' AND expires_at <= $1 ORDER BY expires_at LIMIT $2"""


async def release_timed_out(worker: Worker) -> None:
    """Release what was held too long, until the worker stops."""
    backoff = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "release_timed_out"))
    while not worker.stopping.is_set():
        try:
            released = await release_once(worker.door, utc_now(), start_of(await worker.today()))
            backoff.succeeded()
            if released:
                worker.wake_relay.set()
            else:
                await wait_or(worker.stopping, LOOK_EVERY_S)
        except WORLD_DOWN as error:
            log.warning("timer_waits", reason=str(error)[:200])
            await backoff.wait(error)


async def release_once(door: Door, now: datetime, moment: datetime) -> int:
    """Release holds whose time was over at `now` (the wall's), as of the business `moment`. Returns how many were asked for."""
    rows = await door.pool.fetch(TIMED_OUT, now, HOLDS_MAX)
    items = [Item(_release(row["hold_id"], row["member_id"], moment)) for row in rows]
    if items:
        await door.transact(items)
    return len(items)


def _release(hold_id: str, member_id: str, moment: datetime) -> Event:
    return Event(
        id=f"timeout:{hold_id}",
        source="/tenure/points-ledger/timers",
        type="ReleaseHold",
        key=member_id,
        time=moment,
        data=ReleaseHold(hold_id=hold_id, reason="timed_out"),
    )
