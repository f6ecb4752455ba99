"""What lies under another number than its person goes by is brought there, soon and by itself.

A merger touches the two accounts it names. What a third number has by then is noted (`astray`), and fetched by way of all numbers
that handed it on, in one transaction: by a service's own command, which this timer gives.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from uuid_utils import uuid7

from tenure.contracts.event import Data, Event
from tenure.settings import Settings
from tenure.spine import clock
from tenure.spine.aside import ASIDE_S, Aside
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door, Item

if TYPE_CHECKING:
    from tenure.spine.runtime import Worker

log: Final = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 1.0
MEMBERS_MAX: Final = 100
CHAIN_MAX: Final = 16


class Whose(NamedTuple):
    """Whose a number is: as was told last, and who has what it had brought, if that is somebody else by now."""

    merged_into: str | None = None
    lies_with: str | None = None


@dataclass(frozen=True, slots=True)
class Gathering:
    """The timer of one service. `astray` selects up to $1 numbers that are, none of $2; `whose` reads one number; `command` takes a
    number, those that what it had brought went through, and to whom all of it goes (nobody: it is its own).
    """

    astray: str
    whose: Callable[[Any, str], Awaitable[Whose]]
    command: Callable[[str, tuple[str, ...], str | None], Data]

    async def gather(self, worker: "Worker") -> None:
        """What cannot be brought over is left alone for a while."""
        backoff, aside = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "gather")), Aside()
        while not worker.stopping.is_set():
            try:
                if await self.once(worker.door, worker.settings, aside=aside):
                    worker.wake_relay.set()
                else:
                    await wait_or(worker.stopping, LOOK_EVERY_S)
                backoff.succeeded()
            except WORLD_DOWN as error:
                log.warning("gathering_waits", service=worker.door.service.name, reason=str(error)[:200])
                await backoff.wait(error)

    async def once(
        self, door: Door, settings: Settings, *, members_max: int = MEMBERS_MAX, aside: Aside | None = None
    ) -> int:
        """Bring over what is astray, of nobody `aside`. Returns of how many numbers.

        One at a time: what one brings over may be what the next has to pass on.
        """
        aside = Aside() if aside is None else aside
        found = await door.pool.fetch(self.astray, members_max, list(aside.keys()))
        if not found:
            return 0
        at, done = await clock.moment(door.pool, settings), 0
        for (number,) in found:
            asked = await self._asked(door.pool, number)
            (outcome,) = await door.transact([_item(door, number, asked, at)]) if asked else (None,)
            if outcome is not None and outcome.wrong is None:
                done += 1
                continue
            reason = str(outcome.wrong) if outcome else "its mergers lead back to it"
            log.error("not_gathered", service=door.service.name, member=number, reason=reason, tries_again_in_s=ASIDE_S)
            aside.put([number])
        return done

    async def _asked(self, pool: Any, number: str) -> Data | None:
        """What there is to bring over as it lies now; None where mergers lead round to where they began."""
        merged_into, lies_with = await self.whose(pool, number)
        if merged_into and await self._way(pool, merged_into, until=number, is_told=True) is None:
            return None
        through = await self._way(pool, lies_with, until=number) if lies_with else ()
        return self.command(number, through or (), merged_into)

    async def _way(self, pool: Any, first: str, *, until: str, is_told: bool = False) -> tuple[str, ...] | None:
        """The numbers that handed on to one another what the first was given; None if they come to `until`, as told."""
        way, here = list[str](), first
        while here not in (until, *way) and len(way) < CHAIN_MAX:
            way.append(here)
            merged_into, lies_with = await self.whose(pool, here)
            following = merged_into if is_told else lies_with or merged_into
            if not following:
                return tuple(way)
            here = following
        return None if is_told else tuple(way)


def _item(door: Door, number: str, asked: Data, at: datetime) -> Item:
    source = f"{door.source}/timer"
    return Item(Event(id=str(uuid7()), source=source, type="Gather", key=number, time=at, data=asked))
