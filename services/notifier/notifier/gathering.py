"""What lies under another number than its person goes by is brought there, soon and by itself."""

from typing import TYPE_CHECKING, Any, Final

import structlog
from tenure.contracts.event import Event
from tenure.spine.aside import ASIDE_S, Aside
from tenure.spine.codec import utc_now
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door, Item
from uuid_utils import uuid7

from notifier.commands import Gather
from notifier.rules.member import Book
from notifier.store import book_of

if TYPE_CHECKING:
    from tenure.spine.runtime import Worker

log: Final = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 1.0
MEMBERS_MAX: Final = 100
CHAIN_MAX: Final = 16
SOURCE: Final = "/tenure/notifier/timer"
_ASTRAY: Final = """
SELECT member_id FROM member WHERE astray AND member_id <> ALL ($2::text[]) ORDER BY member_id LIMIT $1
"""


async def gather(worker: "Worker") -> None:
    """What cannot be brought over is left alone for a while."""
    backoff, aside = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "gather")), Aside()
    while not worker.stopping.is_set():
        try:
            if await gather_once(worker.door, aside=aside):
                worker.wake_relay.set()
            else:
                await wait_or(worker.stopping, LOOK_EVERY_S)
            backoff.succeeded()
        except WORLD_DOWN as error:
            log.warning("gathering_waits", reason=str(error)[:200])
            await backoff.wait(error)


async def gather_once(door: Door, *, members_max: int = MEMBERS_MAX, aside: Aside | None = None) -> int:
    """Bring over what is astray, of nobody `aside`. Returns of how many numbers.

    One at a time: what one brings over may be what the next has to pass on.
    """
    aside = Aside() if aside is None else aside
    found = await door.pool.fetch(_ASTRAY, members_max, list(aside.keys()))
    done = 0
    for number in (row["member_id"] for row in found):
        asked = await _asked(door.pool, number, await book_of(door.pool, number))
        (outcome,) = await door.transact([_item(asked)]) if asked else (None,)
        if outcome is not None and outcome.wrong is None:
            done += 1
            continue
        reason = str(outcome.wrong) if outcome else "its mergers lead back to it"
        log.error("not_gathered", member=number, reason=reason, tries_again_in_s=ASIDE_S)
        aside.put([number])
    return done


async def _asked(pool: Any, number: str, book: Book) -> Gather | None:
    """What there is to bring over as it lies now; None where mergers lead round to where they began."""
    if book.merged_into is not None and await _way(pool, book.merged_into, until=number, is_told=True) is None:
        return None
    through = await _way(pool, book.lies_with, until=number) if book.lies_with else ()
    return Gather(member_id=number, through=through or (), to_id=book.merged_into)


async def _way(pool: Any, first: str, *, until: str, is_told: bool = False) -> tuple[str, ...] | None:
    """The numbers that handed on to one another what the first was given; None if they come to `until`, as told."""
    way, here = list[str](), first
    while here not in (until, *way) and len(way) < CHAIN_MAX:
        way.append(here)
        book = await book_of(pool, here)
        following = book.merged_into if is_told else book.lies_with or book.merged_into
        if not following:
            return tuple(way)
        here = following
    return None if is_told else tuple(way)


def _item(asked: Gather) -> Item:
    return Item(Event(id=str(uuid7()), source=SOURCE, type="Gather", key=asked.member_id, time=utc_now(), data=asked))
