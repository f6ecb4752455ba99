"""When rules are published, every member is judged again (DOMAIN 26), once, through the write door.

A member is due when its timeline changes under the rules it was judged by; a version published since may change it sooner.
So a starting worker looks for members judged by other rules than the newest. Those whom an event touched in the meantime are
judged already, and what is interrupted goes on at the next start.
"""

from datetime import date
from typing import TYPE_CHECKING, Final

import structlog
from tenure.calendar import start_of
from tenure.contracts.event import Event
from tenure.spine.retry import WORLD_DOWN, Backoff
from tenure.spine.transact import Door, Item
from uuid_utils import uuid7

from tier_engine import store
from tier_engine.rules import Reviewed, newest_version

if TYPE_CHECKING:
    from tenure.spine.runtime import Worker

log: Final = structlog.get_logger(__name__)
MEMBERS_MAX: Final = 500


async def review(worker: "Worker") -> None:
    """Judge again whoever was judged by other rules; ends when none is left."""
    backoff = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "review"))
    after, total = "", 0
    while not worker.stopping.is_set():
        try:
            last = await review_some(worker.door, after)
        except WORLD_DOWN as error:
            await backoff.wait(error)
            continue
        backoff.succeeded()
        if last is None:
            break
        worker.wake_relay.set()
        after, total = last, total + MEMBERS_MAX
    if total:
        log.info("members_judged_by_new_rules", members_max=total)


async def review_some(door: Door, after: str) -> str | None:
    """Judge the next members again. Returns the last one's id, None when there was none."""
    version = newest_version(door.programme.tiers)
    waiting = await store.judged_by_older_rules(door.pool, version, after=after, rows_max=MEMBERS_MAX)
    if not waiting:
        return None
    today: date | None = await door.pool.fetchval("SELECT day FROM calendar")
    events = [_event(member_id, max(d for d in (lived_to, today) if d)) for member_id, lived_to in waiting]
    await door.transact([Item(event) for event in events])
    return waiting[-1][0]


def _event(member_id: str, day: date) -> Event:
    return Event(
        id=str(uuid7()),
        source="/tenure/tier-engine/review",
        type="rules_published",
        key=member_id,
        time=start_of(day),
        data=Reviewed(member_id=member_id),
    )
