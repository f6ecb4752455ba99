"""What `tenure parked` does: look at wrong events in every service's park, send them through again, take them out.

It asks the databases themselves, so it works when nothing else of the platform does. The invariant: whoever looks sees why an
event is parked and nothing that could be personal data; whoever lets one go is written down.
"""

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec
from tenure import database, programme
from tenure.spine import park, park_view
from tenure.spine.codec import latest_of, utc_now
from tenure.spine.park import Drained, Replayed, Which, replayed
from tenure.spine.park_view import Left, ParkedCode, ParkedRow, ParkedWhole
from tenure.spine.transact import Door

from tenure_local.home import Home
from tenure_local.services import SERVICES

T = TypeVar("T")
PAGE_ROWS: Final = 500


class NoSuchParkedError(Exception):
    """There is no such service, or it has no such event."""


class Listing(msgspec.Struct, frozen=True):
    """What was asked for, and how much is parked in all, by service and code."""

    rows: list[ParkedRow]
    codes: dict[str, list[ParkedCode]]

    @property
    def total(self) -> int:
        return sum(code.events for codes in self.codes.values() for code in codes)


def listed(
    home: Home,
    *,
    service: str | None = None,
    key: str | None = None,
    code: str | None = None,
    older_than_h: float | None = None,
    rows_max: int = 1_000,
) -> Listing:
    """What is parked, service by service, oldest first. Raises NoSuchParkedError."""
    before = datetime.now(UTC) - timedelta(hours=older_than_h) if older_than_h is not None else None
    left = rows_max

    async def look(door: Door) -> tuple[str, list[ParkedRow], list[ParkedCode]]:
        nonlocal left
        rows: list[ParkedRow] = []
        while left > 0:
            after, size = rows[-1].seq if rows else 0, min(left, PAGE_ROWS)
            page = await park_view.page(door.pool, after=after, key=key, code=code, before=before, rows_max=size)
            rows += [park_view.row_of(door.service.name, row) for row in page]
            left -= len(page)
            if len(page) < size:
                break
        return door.service.name, rows, await park_view.summary(door.pool)

    found = asyncio.run(_each(home, service, look))
    return Listing([row for _, rows, _ in found for row in rows], {name: codes for name, _, codes in found if codes})


def shown(home: Home, service: str, seq: int) -> ParkedWhole:
    """One parked event whole. Raises NoSuchParkedError."""

    async def look(door: Door) -> ParkedWhole | None:
        row = await park_view.one(door.pool, seq)
        return park_view.whole_of(service, row) if row else None

    (found,) = asyncio.run(_each(home, service, look))
    if found is None:
        raise NoSuchParkedError(f"{service} has no parked event #{seq}; `tenure parked list` shows what there is")
    return found


def sent_again(
    home: Home, which: Which, *, service: str | None = None, tell: Callable[[int], None] = lambda _: None
) -> dict[str, Replayed]:
    """Send what is parked through again. Returns for each service that had something what became of it."""
    before, latest = 0, latest_of(home.settings().clock, utc_now())

    async def again(door: Door) -> tuple[str, Drained]:
        nonlocal before
        drained = await park.drain(door, which, by=_me(), latest=latest, tell=lambda d: tell(before + d.passed.total()))
        before += drained.passed.total()
        return door.service.name, drained

    found = asyncio.run(_each(home, service, again))
    return {name: replayed(drained) for name, drained in found if drained.passed or drained.stuck}


def discarded(home: Home, service: str, seqs: Sequence[int], *, reason: str) -> list[str]:
    """Take events out for good. Returns their keys. Raises NoSuchParkedError: also where somebody let one go in the meantime."""
    seqs = list(dict.fromkeys(seqs))
    keys = list(dict.fromkeys(shown(home, service, seq).key for seq in seqs))

    async def leave(door: Door) -> int:
        return await door.leave_park(seqs, action="discarded", actor=_me(), reason=reason)

    (done,) = asyncio.run(_each(home, service, leave))
    if done < len(seqs):
        raise NoSuchParkedError(
            f"{done} of {len(seqs)} were discarded; the others left the park just before: `tenure parked audit` says how"
        )
    return keys


def audited(home: Home, *, service: str | None = None, key: str | None = None, rows_max: int = 100) -> list[Left]:
    """Who took what out of the park, the newest first."""

    async def look(door: Door) -> list[Left]:
        return await park_view.audit(door.pool, door.service.name, key=key, rows_max=rows_max)

    found = [left for rows in asyncio.run(_each(home, service, look)) for left in rows]
    return sorted(found, key=lambda left: left.at, reverse=True)[:rows_max]


def _me() -> str:
    return getpass.getuser()


async def _each(home: Home, name: str | None, work: Callable[[Door], Awaitable[T]]) -> list[T]:
    """Do it with the door of one service, or of all. Raises NoSuchParkedError."""
    settings = home.settings()
    services = [s for s in SERVICES if name in (None, s.name)]
    if not services:
        raise NoSuchParkedError(f"there is no service {name}; there are {', '.join(s.name for s in SERVICES)}")
    rules: Any = programme.load(settings.programme_dir)
    done: list[T] = []
    for service in services:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(await database.open_pool(settings, service.database, size_max=2))
            done.append(await work(Door(service, pool, rules)))
    return done
