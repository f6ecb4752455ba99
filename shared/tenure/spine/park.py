"""Draining the park: replay the events of a key in order through the write door, stopping at one that is still wrong."""

from typing import Final

from tenure.contracts.event import WrongEventError
from tenure.spine import parking
from tenure.spine.codec import decode
from tenure.spine.parking import ParkedEvent
from tenure.spine.transact import Door, Item

ROWS_MAX: Final = 500


async def replay(door: Door, key: str) -> int:
    """Replay one key until it is empty or meets an event that is still wrong. Returns how many had their effect now."""
    done = 0
    while rows := await _oldest(door, key):
        outcomes = await door.transact([_item(row) for row in rows])
        passed = sum(o.wrong is None for o in outcomes)
        done += passed
        if passed < len(outcomes):
            break
    return done


async def replay_all(door: Door) -> dict[str, int]:
    """Replay every key. Returns how many events of each had their effect."""
    async with door.pool.acquire() as conn:
        keys = await parking.keys(conn)  # type: ignore[arg-type]
    return {key: await replay(door, key) for key in keys}


async def _oldest(door: Door, key: str) -> list[ParkedEvent]:
    async with door.pool.acquire() as conn:
        return await parking.listed(conn, key=key, rows_max=ROWS_MAX)  # type: ignore[arg-type]


def _item(row: ParkedEvent) -> Item:
    try:
        return Item(decode(row.headers, row.value), row.record, parked_seq=row.seq)
    except WrongEventError as wrong:
        return Item(None, row.record, wrong, parked_seq=row.seq)
