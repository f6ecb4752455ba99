"""What `tenure parked` does: look at wrong events in every service's park, send them through again, take them out.

The invariant: whoever looks sees why an event is parked and nothing that could be personal data.
"""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import msgspec
from tenure import database, programme
from tenure.spine import park, parking
from tenure.spine.parking import ParkedEvent
from tenure.spine.transact import Door

from tenure_local.home import Home
from tenure_local.services import SERVICES

T = TypeVar("T")
Row = dict[str, Any]
LISTED_MAX: Final = 1_000
MASK: Final = "***"
PERSONAL: Final = ("name", "phone", "mobile", "address", "identity", "id_number", "email")


class NoSuchParkedError(Exception):
    """There is no such service, or it has no such event."""


def listed(home: Home, key: str | None) -> list[Row]:
    """What is parked, service by service, oldest first."""

    async def look(door: Door) -> list[Row]:
        async with door.pool.acquire() as conn:
            rows = await parking.listed(conn, key=key, rows_max=LISTED_MAX)  # type: ignore[arg-type]
        return [_row(door, row) for row in rows]

    return [row for found in asyncio.run(_each(home, look)) for row in found]


def shown(home: Home, service: str, seq: int) -> Row:
    """One parked event whole. Raises NoSuchParkedError."""

    async def look(door: Door) -> list[Row]:
        async with door.pool.acquire() as conn:
            rows = await parking.listed(conn, after=seq - 1, rows_max=1)  # type: ignore[arg-type]
        return [{**_row(door, r), "value": masked(r.value)} for r in rows if r.seq == seq]

    found = asyncio.run(_one(home, service, look))
    if not found:
        raise NoSuchParkedError(f"{service} has no parked event #{seq}; `tenure parked list` shows what there is")
    return found[0]


def replayed(home: Home, key: str | None) -> int:
    """Send what is parked through again. Returns how many events had their effect now."""

    async def again(door: Door) -> dict[str, int]:
        return {key: await park.replay(door, key)} if key else await park.replay_all(door)

    return sum(n for found in asyncio.run(_each(home, again)) for n in found.values())


def discarded(home: Home, service: str, seq: int, *, reason: str) -> str:
    """Take one event out for good. Returns its key. Raises NoSuchParkedError."""
    key: str = shown(home, service, seq)["key"]

    async def leave(door: Door) -> int:
        return await door.leave_park([seq], action="discarded", actor=getpass.getuser(), reason=reason)

    asyncio.run(_one(home, service, leave))
    return key


def masked(value: bytes) -> Any:
    """The value of an event for a human's eyes: fields that could hold personal data are covered."""
    try:
        decoded = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return f"{len(value)} bytes that are not JSON"
    return _mask(decoded)


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: MASK if any(p in k.lower() for p in PERSONAL) else _mask(v) for k, v in value.items()}
    return [_mask(v) for v in value] if isinstance(value, list) else value


def _row(door: Door, event: ParkedEvent) -> Row:
    headers = {name: value.decode(errors="replace") for name, value in event.headers}
    return {
        "service": door.service.name,
        "seq": event.seq,
        "key": event.key,
        "type": headers.get("ce_type", "?"),
        "id": headers.get("ce_id", "?"),
        "code": event.code,
        "detail": event.detail,
        "attempts": event.attempts,
        "parked_at": event.parked_at.isoformat(),
    }


async def _each(home: Home, work: Callable[[Door], Awaitable[T]]) -> list[T]:
    return [await _one(home, service.name, work) for service in SERVICES]


async def _one(home: Home, name: str, work: Callable[[Door], Awaitable[T]]) -> T:
    settings = home.settings()
    service = next((s for s in SERVICES if s.name == name), None)
    if service is None:
        raise NoSuchParkedError(f"there is no service {name}; there are {', '.join(s.name for s in SERVICES)}")
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await database.open_pool(settings, service.database, size_max=2))
        return await work(Door(service, pool, programme.load(settings.programme_dir)))
