"""`tenure parked`: look at wrong events, replay them after a repair, or discard them with a reason."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from tenure import database, programme
from tenure.spine import park, parking
from tenure.spine.parking import ParkedEvent
from tenure.spine.transact import Door

from tenure_local.console import fail, out, print_json
from tenure_local.home import Home
from tenure_local.services import SERVICES

parked = typer.Typer(no_args_is_help=True, help="Events that were wrong and wait for someone.")
T = TypeVar("T")
MASK = "***"
PERSONAL = ("name", "phone", "mobile", "address", "identity", "id_number", "email")


@parked.command("list")
def list_parked(
    key: Annotated[str | None, typer.Option(help="Only this policy, member or agent.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List parked events, oldest first, with why each is parked."""

    async def look(door: Door) -> list[dict[str, Any]]:
        async with door.pool.acquire() as conn:
            rows = await parking.listed(conn, key=key, rows_max=1_000)  # type: ignore[arg-type]
        return [_row(door, row) for row in rows]

    rows = [row for found in asyncio.run(_each(look)) for row in found]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        out.print(
            f"{row['service']} #{row['seq']} {row['key']} {row['type']} {row['code']}: {row['detail']} ({row['attempts']}x)"
        )
    out.print(f"{len(rows)} parked" if rows else "nothing is parked")


@parked.command()
def show(service: str, seq: int) -> None:
    """Show one parked event whole, with personal fields masked."""

    async def look(door: Door) -> list[dict[str, Any]]:
        async with door.pool.acquire() as conn:
            rows = await parking.listed(conn, after=seq - 1, rows_max=1)  # type: ignore[arg-type]
        return [{**_row(door, r), "value": masked(r.value)} for r in rows if r.seq == seq]

    found = asyncio.run(_one(service, look))
    if not found:
        fail(f"{service} has no parked event #{seq}")
    print_json(found[0])


@parked.command()
def replay(key: Annotated[str | None, typer.Option(help="Only this key; default all.")] = None) -> None:
    """Send parked events through their service again, in order per key."""

    async def again(door: Door) -> dict[str, int]:
        return {key: await park.replay(door, key)} if key else await park.replay_all(door)

    done = sum(n for found in asyncio.run(_each(again)) for n in found.values())
    out.print(f"{done} events had their effect now")


@parked.command()
def discard(
    service: str, seq: int, reason: Annotated[str, typer.Option(help="Why; it is written to the audit log.")]
) -> None:
    """Take one parked event out for good."""

    async def leave(door: Door) -> int:
        return await door.leave_park([seq], action="discarded", actor=getpass.getuser(), reason=reason)

    if not asyncio.run(_one(service, leave)):
        fail(f"{service} has no parked event #{seq}")
    out.print("discarded; replay its key to let the events behind it pass")


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


def _row(door: Door, event: ParkedEvent) -> dict[str, Any]:
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


async def _each(work: Callable[[Door], Awaitable[T]]) -> list[T]:
    return [await _one(service.name, work) for service in SERVICES]


async def _one(name: str, work: Callable[[Door], Awaitable[T]]) -> T:
    settings = Home().settings()
    service = next((s for s in SERVICES if s.name == name), None)
    if service is None:
        fail(f"there is no service {name}; there are {', '.join(s.name for s in SERVICES)}")
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await database.open_pool(settings, service.database, size_max=2))
        return await work(Door(service, pool, programme.load(settings.programme_dir)))
