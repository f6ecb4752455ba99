"""Reservations end by timer, even when the mall is down: one of the few things that follow the wall's clock.

The invariant: the timer only asks; the rule decides under the account's lock, so a capture and a time-out never both happen.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from tenure.calendar import start_of
from tenure.contracts.event import Event
from tenure.spine.aside import ASIDE_S, Aside
from tenure.spine.codec import utc_now
from tenure.spine.gather import Gatherer
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.runtime import Worker
from tenure.spine.transact import Door, Item

from points_ledger.commands import ReleaseHold

log: Final = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 1.0
HOLDS_MAX: Final = 500
TIMED_OUT: Final = """
    SELECT hold_id, member_id FROM holds WHERE state = 'held' AND expires_at <= $1 AND hold_id <> ALL ($3::text[])
    ORDER BY expires_at LIMIT $2"""


@dataclass(slots=True)
class Timer:
    """Releases what was held too long. What is refused is put aside for a while: it keeps nobody waiting, and does not spin."""

    door: Door
    aside: Aside = field(default_factory=Aside)

    async def release(self, now: datetime, moment: datetime) -> int:
        """Release holds whose time was over at `now` (the wall's), as of the business `moment`. Returns how many were done."""
        rows = await self.door.pool.fetch(TIMED_OUT, now, HOLDS_MAX, list(self.aside.keys()))
        # The gatherer halves what the database refuses down to the hold that is at fault.
        outcomes = await Gatherer(self.door, batch_items_max=HOLDS_MAX).submit(
            [Item(_release(row["hold_id"], row["member_id"], moment)) for row in rows]
        )
        refused = [(row["hold_id"], o.wrong) for row, o in zip(rows, outcomes, strict=True) if o.wrong is not None]
        for hold_id, wrong in refused:
            log.error("hold_not_released", hold_id=hold_id, reason=str(wrong), tries_again_in_s=ASIDE_S)
        self.aside.put(hold_id for hold_id, _ in refused)
        return len(rows) - len(refused)


async def release_timed_out(worker: Worker) -> None:
    """Release what was held too long, until the worker stops."""
    backoff, timer = Backoff(stopping=worker.stopping), Timer(worker.door)
    while not worker.stopping.is_set():
        try:
            released = await timer.release(utc_now(), start_of(await worker.today()))
            backoff.succeeded()
            if released:
                worker.wake_relay.set()
            else:
                await wait_or(worker.stopping, LOOK_EVERY_S)
        except WORLD_DOWN as error:
            log.warning("timer_waits", reason=str(error)[:200])
            await backoff.wait(error)


def _release(hold_id: str, member_id: str, moment: datetime) -> Event:
    return Event(
        id=f"timeout:{hold_id}",
        source="/tenure/points-ledger/timers",
        type="ReleaseHold",
        key=member_id,
        time=moment,
        data=ReleaseHold(hold_id=hold_id, reason="timed_out"),
    )
