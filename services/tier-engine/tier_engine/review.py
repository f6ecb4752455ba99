"""When rules are published or withdrawn, every member is judged again (DOMAIN 26), once, through the write door.

A member is due when its timeline changes under the rules it was judged by; a version published since may change it sooner. So a
worker looks, when it starts and every few seconds, for members judged by another set of versions than the one that stands now.
Those whom an event touched in the meantime are judged already, what is interrupted goes on, and what another transaction judged
by the old rules while these were published is found the next time. With nothing to do, a look is two probes of an index.
"""

from datetime import date
from typing import TYPE_CHECKING, Final

import structlog
from tenure.calendar import start_of
from tenure.contracts.event import Event
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door, Item
from uuid_utils import uuid7

from tier_engine import store
from tier_engine.rules import Reviewed

if TYPE_CHECKING:
    from tenure.spine.runtime import Worker

log: Final = structlog.get_logger(__name__)
MEMBERS_MAX: Final = 500
LOOK_EVERY_S: Final = 2.0
BEGINNING: Final = (-1, "")


async def review(worker: "Worker") -> None:
    """Look again and again whether anybody was judged by other rules; runs until the worker stops."""
    backoff = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "review"))
    while not worker.stopping.is_set():
        try:
            if members := await review_all(worker):
                log.info("members_judged_by_new_rules", members=members)
            backoff.succeeded()
        except WORLD_DOWN as error:
            await backoff.wait(error)
            continue
        await wait_or(worker.stopping, LOOK_EVERY_S)


async def review_all(worker: "Worker") -> int:
    """Judge again whoever was judged by other rules. Returns how many."""
    after, total = BEGINNING, 0
    while not worker.stopping.is_set():
        waiting = await review_some(worker.door, after)
        if not waiting:
            break
        worker.wake_relay.set()
        after, total = waiting[-1][:2], total + len(waiting)
    return total


async def review_some(door: Door, after: tuple[int, str] = BEGINNING) -> list[store.Waiting]:
    """Judge the next members again. Returns whom."""
    programme = await door.follow_rules(door.pool)
    digest = programme.tiers.digest
    waiting = await store.judged_by_other_rules(door.pool, digest, after=after, rows_max=MEMBERS_MAX)
    if waiting:
        today: date | None = await door.pool.fetchval("SELECT day FROM calendar")
        await door.transact([Item(_event(w.member_id, max(d for d in (w.lived_to, today) if d))) for w in waiting])
    return waiting


def _event(member_id: str, day: date) -> Event:
    return Event(
        id=str(uuid7()),
        source="/tenure/tier-engine/review",
        type="rules_published",
        key=member_id,
        time=start_of(day),
        data=Reviewed(member_id=member_id),
    )
