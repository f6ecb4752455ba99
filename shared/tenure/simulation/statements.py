"""Every statement of the spine, by its SQL, and what PostgreSQL does when it is asked so.

The conformance suite (`shared/tests/test_store_conformance.py`) runs the same scripts through PostgreSQL and through this, and is
what makes it worth believing.
"""

import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any, Final

from tenure.rulebook import tables as rulebook
from tenure.simulation import park_statements as park
from tenure.simulation.park_statements import NO_ROWS, Answer, claim_new
from tenure.simulation.tables import Transaction
from tenure.spine import answers, floor, inbox, leading, outbox, park_view, parking, progress, transact

REVISIONS: Final = (rulebook.NO_REVISION, rulebook.REVISION, rulebook.REVISION_HEARD, rulebook.REVISION_BOTH)
NOTHING_PUBLISHED: Final = 0
"""In a simulated world nobody publishes rules."""


async def claim(_: Any, tx: Transaction, event_keys: Sequence[uuid.UUID], keys: Sequence[str]) -> Answer:
    pairs = list(zip(event_keys, keys, strict=True))
    blocked = {row["key"] for _, row in tx.all("parked")} & set(keys)
    seen = [e for e, k in pairs if k in blocked and tx.get("inbox", e)] if blocked else []
    wanted = sorted(e for e, k in pairs if k not in blocked) if blocked else sorted(event_keys)
    claimed = await claim_new(tx, wanted)
    found = {"claimed": claimed or None, "blocked": sorted(blocked) or None, "seen": seen or None}
    return [{**found, "revision": NOTHING_PUBLISHED}]


async def claim_all(_: Any, tx: Transaction, event_keys: Sequence[uuid.UUID]) -> Answer:
    return [{"event_key": key} for key in await claim_new(tx, sorted(event_keys))]


async def unclaim(_: Any, tx: Transaction, event_keys: Sequence[uuid.UUID]) -> Answer:
    for key in event_keys:
        if tx.get("inbox", key):
            tx.delete("inbox", key)
    return NO_ROWS


async def emit(_: Any, tx: Transaction, records: bytes, events: int) -> Answer:
    tx.write_outbox()
    seq = tx.store.next_number("outbox")
    tx.put("outbox", seq, {"seq": seq, "records": records, "events": events, "published": False})
    return NO_ROWS


async def waiting(_: Any, tx: Transaction, rows_max: int, events_max: int, above: int) -> Answer:
    found, events = [], 0
    for seq in sorted(seq for seq in tx.store.waiting if seq > above)[:rows_max]:
        if events >= events_max:
            break
        row = tx.store.tables["outbox"][seq]
        events += row["events"]
        found.append(row)
    return found


async def mark(
    _: Any,
    tx: Transaction,
    seqs: Sequence[int],
    topics: Sequence[str],
    partitions: Sequence[int],
    offsets: Sequence[int],
) -> Answer:
    tx.write_outbox()
    for place, offset in zip(zip(topics, partitions, strict=True), offsets, strict=True):
        await tx.lock(("published", place))
        tx.put("published", place, offset)
    marked = []
    for seq in seqs:
        await tx.lock(("outbox", seq))
        if (row := tx.get("outbox", seq)) is not None:
            tx.put("outbox", seq, {**row, "published": True})
            marked.append({"age_s": 0.0})
    return marked


async def drawn(_: Any, tx: Transaction) -> Answer:
    return [{"seq": tx.store.numbers.get("outbox", 0)}]


async def writers(_: Any, tx: Transaction) -> Answer:
    """Who writes to the outbox and is not over: they hold its table's lock until their commit can be seen."""
    return [{"virtualtransaction": str(n)} for n, other in sorted(tx.store.writers.items()) if other is not tx]


async def acknowledged(_: Any, tx: Transaction) -> Answer:
    return _places(tx, "published")


async def forget_acknowledged(_: Any, tx: Transaction) -> Answer:
    for place, _offset in list(tx.all("published")):
        tx.delete("published", place)
    return NO_ROWS


async def publish_again(_: Any, tx: Transaction, rows_max: int) -> Answer:
    tx.write_outbox()
    told = [(seq, row) for seq, row in sorted(tx.all("outbox")) if row["published"]][:rows_max]
    for seq, row in told:
        tx.put("outbox", seq, {**row, "published": False})
    return [{"count": len(told)}]


async def answered(_: Any, tx: Transaction, callers: Sequence[str], keys: Sequence[str]) -> Answer:
    found = (tx.get("idempotency", pair) for pair in zip(callers, keys, strict=True))
    return [row for row in found if row is not None]


async def answer(_: Any, tx: Transaction, *columns: Sequence[Any]) -> Answer:
    for values in zip(*columns, strict=True):
        row = dict(zip(("caller", "key", "fingerprint", "ok", "body"), values, strict=True))
        pair = (row["caller"], row["key"])
        await tx.lock(("idempotency", pair))
        if tx.get("idempotency", pair) is not None:
            raise _unique_violation("idempotency")
        tx.put("idempotency", pair, row)
    return NO_ROWS


def _unique_violation(table: str) -> Exception:
    import asyncpg

    error = asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
    error.table_name = table
    return error


async def advance(
    _: Any,
    tx: Transaction,
    topics: Sequence[str],
    partitions: Sequence[int],
    offsets: Sequence[int],
    known: Sequence[int],
) -> Answer:
    went_back = 0
    for place, offset, before in zip(zip(topics, partitions, strict=True), offsets, known, strict=True):
        went_back += (tx.get("progress", place) or 0) < before
        await tx.lock(("progress", place))
        if offset > (tx.get("progress", place) or 0):
            tx.put("progress", place, offset)
    return [{"count": went_back}]


async def emit_and_advance(_: Any, tx: Transaction, *arguments: Any) -> Answer:
    *places, records, events = arguments
    await emit(_, tx, records, events)
    return await advance(_, tx, *places)


async def go_back(
    _: Any, tx: Transaction, topics: Sequence[str], partitions: Sequence[int], offsets: Sequence[int]
) -> Answer:
    for place, offset in zip(zip(topics, partitions, strict=True), offsets, strict=True):
        await tx.lock(("progress", place))
        if tx.get("progress", place) is not None:
            tx.put("progress", place, offset)
    return NO_ROWS


async def recorded(_: Any, tx: Transaction) -> Answer:
    return _places(tx, "progress")


def _places(tx: Transaction, table: str) -> Answer:
    return [{"topic": t, "partition": p, "next_offset": offset} for (t, p), offset in tx.all(table)]


async def start_day(_: Any, tx: Transaction, day: date) -> Answer:
    await tx.lock("calendar")
    tx.put("calendar", True, max(tx.get("calendar", True) or day, day))
    return NO_ROWS


async def newest_day(_: Any, tx: Transaction) -> Answer:
    day = tx.get("calendar", True)
    return [] if day is None else [{"day": day}]


async def try_lock(conn: Any, tx: Transaction, lock: int) -> Answer:
    return [{"locked": tx.store.session_locks.setdefault(lock, conn) is conn}]


async def end_lost(_: Any, tx: Transaction, lock: int, pids: Collection[int]) -> Answer:
    leader = tx.store.session_locks.get(lock)
    if leader is None or leader.pid not in pids:
        return NO_ROWS
    leader.drop()
    return [{"pg_terminate_backend": True}]


async def unlock(conn: Any, tx: Transaction, lock: int) -> Answer:
    if tx.store.session_locks.get(lock) is conn:
        del tx.store.session_locks[lock]
    return [{"unlocked": True}]


async def nothing_published(_: Any, __: Transaction) -> Answer:
    return [{"revision": NOTHING_PUBLISHED}]


async def nothing(_: Any, __: Transaction) -> Answer:
    return NO_ROWS


STATEMENTS: Final[Mapping[str, Callable[..., Awaitable[Answer]]]] = MappingProxyType(
    {
        **{inbox.claiming(asked): claim for asked in REVISIONS},
        inbox.CLAIM_ALL: claim_all,
        inbox.UNCLAIM: unclaim,
        outbox.EMIT: emit,
        outbox.WAITING: waiting,
        floor.DRAWN: drawn,
        floor.WRITERS: writers,
        outbox.MARK: mark,
        outbox.ACKNOWLEDGED: acknowledged,
        outbox.FORGET_ACKNOWLEDGED: forget_acknowledged,
        outbox.PUBLISH_AGAIN: publish_again,
        parking.PARK: park.park,
        parking.LISTED: park.listed,
        park_view.OLDEST: park.oldest,
        parking.COUNT: park.parked_count,
        parking.KEYS: park.parked_keys,
        parking.TAKE_TURNS: park.take_turns,
        parking.STILL_PARKED: park.still_parked,
        parking.LEAVE: park.leave,
        parking.REFUSE_AGAIN: park.refuse_again,
        answers.ANSWERED: answered,
        answers.ANSWER: answer,
        progress.EMIT_AND_ADVANCE: emit_and_advance,
        progress.ADVANCE: advance,
        progress.GO_BACK: go_back,
        transact.START_DAY: start_day,
        transact.NEWEST_DAY: newest_day,
        **dict.fromkeys(REVISIONS, nothing_published),
        progress.RECORDED: recorded,
        leading.TRY_LOCK: try_lock,
        leading.END_LOST: end_lost,
        leading.UNLOCK: unlock,
        leading.LIMIT_SILENCE: nothing,
        leading.FORGET_SILENCE: nothing,
    }
)
