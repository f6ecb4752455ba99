"""From publish to visible: when each event's effect was committed, by PostgreSQL's own clock, against when it was handed over.

Nobody asks while it runs: `track_commit_timestamp` remembers when each row's transaction was committed.
"""

import asyncio
import uuid
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from tenure.spine.codec import event_key

from tenure_bench.children import Driver

LOOK_EVERY_S: Final = 0.02
COMMITTED: Final = "SELECT event_key, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at FROM inbox"


async def committed(conn: asyncpg.Connection) -> dict[uuid.UUID, float]:
    """Event key to the second in which it was committed."""
    return {row["event_key"]: row["at"] for row in await conn.fetch(COMMITTED)}


def seen(path: Path) -> dict[bytes, float]:
    """What a live leg wrote: event key to the second in which it became visible."""
    return dict(msgspec.msgpack.decode(path.read_bytes(), type=list[tuple[bytes, float]]))


def handed_over(path: Path, source: str) -> dict[bytes, float]:
    """Event key to the second in which the publisher handed it over."""
    told = msgspec.msgpack.decode(path.read_bytes(), type=list[tuple[str, float]])
    return {event_key(source, event_id).bytes: at for event_id, at in told}


async def until_stopped(driver: Driver) -> None:
    while not driver.asked_to_stop():
        await asyncio.sleep(LOOK_EVERY_S)
