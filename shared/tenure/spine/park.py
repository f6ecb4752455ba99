"""Draining the park: parked events go through the write door again, in order per key, many keys in one transaction.

The invariant: a key is drained from its oldest event on, and stops at the first that is still wrong; no other key waits for
it. Each event that leaves is written down with who let it pass. A drain that ends in the middle, or runs twice at once, doubles
nothing: it is the rows that are still parked that count, and they are taken under their lock.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg
import msgspec
from msgspec.structs import replace

from tenure.contracts.event import WrongEventError
from tenure.spine import park_view
from tenure.spine.item import item_of
from tenure.spine.parking import ParkedEvent
from tenure.spine.retry import is_fault_of_the_data
from tenure.spine.transact import Door, Item, Outcome

ROWS_MAX: Final = 250
STUCK_SHOWN_MAX: Final = 100
TRIES_MAX: Final = 10
TRY_AGAIN_S_MAX: Final = 1.0
BUSY: Final = (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError)
Tell = Callable[["Drained"], None]


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Which parked events to send through again; all of them if nothing is named.

    `code` names what blocks a key; `seq` one event, before which those of its key go that wait before it.
    """

    key: str | None = None
    code: str | None = None
    seq: int | None = None


class Stuck(msgspec.Struct, frozen=True):
    """A key whose oldest event is still wrong, and why."""

    key: str
    seq: int
    code: str
    detail: str


@dataclass
class Drained:
    """How many events of each key had their effect now, which keys are stuck, and whether there was time for all."""

    passed: Counter[str] = field(default_factory=Counter)
    stuck: dict[str, Stuck] = field(default_factory=dict)
    complete: bool = False


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """How many events had their effect, and which keys are still stuck. Not `complete`: there was no time for all, ask again."""

    passed: int
    keys: int
    complete: bool
    stuck_keys: int
    stuck: list[Stuck]


def replayed(drained: Drained) -> Replayed:
    """What operators are told of it: why a key is stuck is covered as it is in their lists."""
    stuck = list(drained.stuck.values())
    return Replayed(
        passed=drained.passed.total(),
        keys=len(drained.passed),
        complete=drained.complete,
        stuck_keys=len(stuck),
        stuck=[replace(s, detail=park_view.covered(s.detail)) for s in stuck[:STUCK_SHOWN_MAX]],
    )


async def replay(door: Door, key: str) -> int:
    """Replay one key until it is empty or meets an event that is still wrong. Returns how many had their effect now."""
    return (await drain(door, Which(key=key))).passed[key]


async def replay_all(door: Door) -> dict[str, int]:
    """Replay every key. Returns how many events of each had their effect."""
    return dict((await drain(door)).passed)


async def drain(
    door: Door,
    which: Which = Which(),  # noqa: B008 - frozen
    *,
    by: str = "replay",
    latest: datetime | None = None,
    within_s: float | None = None,
    tell: Tell | None = None,
) -> Drained:
    """Send parked events through again; what was told of later than `latest` stays, with those behind it.

    Raises what the door raises when the world is down; what passed before has passed.
    """
    drained, after, rows_max = Drained(), 0, ROWS_MAX
    until = time.monotonic() + within_s if within_s is not None else None
    keys = await _keys(door, which)
    while until is None or time.monotonic() < until:
        rows = await park_view.oldest(
            door.pool, keys, after=after, up_to=which.seq, skip=list(drained.stuck), rows_max=rows_max
        )
        if not rows:
            if not after:
                drained.complete = True
                break
            after = 0  # what was parked behind these meanwhile
            continue
        if await _pass(door, [_item(row, by, latest) for row in rows], drained):
            after, rows_max = rows[-1].seq, min(ROWS_MAX, rows_max * 2)
            if tell:
                tell(drained)
        else:
            rows_max = max(1, len(rows) // 2)
    return drained


async def _keys(door: Door, which: Which) -> list[str] | None:
    """The keys to drain; None for all. Named once, before the first leaves: what blocks a key changes as it is drained."""
    if which.seq is not None:
        row = await park_view.one(door.pool, which.seq)
        return [row.key] if row and which.key in (None, row.key) else []
    if which.code is not None:
        keys = await park_view.blocked_by(door.pool, which.code)
        return [key for key in keys if which.key in (None, key)]
    return None if which.key is None else [which.key]


async def _pass(door: Door, items: list[Item], drained: Drained) -> bool:
    """These in one transaction. False if the database refuses one of several: they are to be tried in halves."""
    try:
        outcomes = await _transact(door, items)
    except Exception as error:
        if not is_fault_of_the_data(error) and not isinstance(error, asyncpg.QueryCanceledError):
            raise
        if len(items) > 1:
            return False
        if isinstance(error, asyncpg.QueryCanceledError):
            raise
        items[0].wrong = WrongEventError("data_refused", f"the database refused its effect: {type(error).__name__}")
        outcomes = await _transact(door, items)
    for item, outcome in zip(items, outcomes, strict=True):
        assert item.parked_seq is not None
        if outcome.wrong is not None:
            stuck = Stuck(item.key, item.parked_seq, outcome.wrong.code, outcome.wrong.detail)
            drained.stuck.setdefault(item.key, stuck)
        elif not outcome.seen:
            drained.passed[item.key] += 1
    return True


async def _transact(door: Door, items: list[Item]) -> list[Outcome]:
    """Consumers and other replays hold these keys now and then, for as long as a batch takes."""
    for _ in range(TRIES_MAX - 1):
        try:
            return await door.transact(items)
        except BUSY:
            await asyncio.sleep(random.uniform(0, TRY_AGAIN_S_MAX))
    return await door.transact(items)


def _item(row: ParkedEvent, by: str, latest: datetime | None) -> Item:
    item = item_of(row.record, latest)
    item.parked_seq, item.by = row.seq, by
    item.key = row.key  # what it was parked under, even if this version reads another key from it
    return item
