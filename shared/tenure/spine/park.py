"""Draining the park: replay the events of a key in order through the write door, stopping at one that is still wrong."""

from typing import Final

from tenure.contracts.event import WrongEventError
from tenure.spine import parking
from tenure.spine.codec import decode
from tenure.spine.parking import ParkedEvent
from tenure.spine.transact import Door, Item, is_fault_of_the_data

ROWS_MAX: Final = 500


async def replay(door: Door, key: str) -> int:
    """Replay one key until it is empty or meets an event that is still wrong. Returns how many had their effect now."""
    done, rows_max = 0, ROWS_MAX
    while rows := await _oldest(door, key, rows_max=rows_max):
        try:
            outcomes = await door.transact([_item(row) for row in rows])
        except Exception as error:
            if not is_fault_of_the_data(error):
                raise
            if len(rows) > 1:
                rows_max = len(rows) // 2
                continue
            wrong = WrongEventError("data_refused", f"the database refused its effect: {type(error).__name__}")
            outcomes = await door.transact([_item(rows[0], wrong)])
        done += sum(o.wrong is None and not o.seen for o in outcomes)
        if any(o.wrong is not None for o in outcomes):
            break
    return done


async def replay_all(door: Door) -> dict[str, int]:
    """Replay every key. Returns how many events of each had their effect."""
    async with door.pool.acquire() as conn:
        keys = await parking.keys(conn)  # type: ignore[arg-type]
    return {key: await replay(door, key) for key in keys}


async def _oldest(door: Door, key: str, *, rows_max: int) -> list[ParkedEvent]:
    async with door.pool.acquire() as conn:
        return await parking.listed(conn, key=key, rows_max=rows_max)  # type: ignore[arg-type]


def _item(row: ParkedEvent, wrong: WrongEventError | None = None) -> Item:
    try:
        return Item(decode(row.headers, row.value), row.record, wrong, parked_seq=row.seq)
    except WrongEventError as malformed:
        return Item(None, row.record, malformed, parked_seq=row.seq)
