"""What PostgreSQL does when the park is asked: rows by their number, taken under their lock, and who let them go."""

import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tenure.simulation.tables import Transaction

Row = dict[str, Any]
Answer = list[Row]
NO_ROWS: Final[Answer] = []
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


async def claim_new(tx: Transaction, wanted: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """INSERT ... ON CONFLICT DO NOTHING: a claim that another transaction holds is waited for, and is new if that one went back."""
    claimed = []
    mine = tx.writes.setdefault("inbox", {})
    committed, locks, held = tx.store.tables["inbox"], tx.store.locks, tx.held
    for key in wanted:
        if key in committed or mine.get(key) is True:
            continue
        if key in locks:
            await tx.lock(key)
            if key in committed:
                continue
        else:
            locks[key] = tx
            held.append(key)
        mine[key] = True
        claimed.append(key)
    return claimed


async def park(_: Any, tx: Transaction, *columns: Sequence[Any]) -> Answer:
    names = ("event_key", "key", "topic", "partition", "offset", "headers", "value", "code", "detail")
    for values in zip(*columns, strict=True):
        row = dict(zip(names, values, strict=True))
        await tx.lock(("parked", row["event_key"]))
        known = next((r for _, r in tx.all("parked") if r["event_key"] == row["event_key"]), None)
        seq = tx.store.next_number("parked")
        if known is None:
            tx.put("parked", seq, {"seq": seq, **row, "attempts": 1, "parked_at": _EPOCH})
        else:
            tx.put("parked", known["seq"], {**known, "attempts": known["attempts"] + 1})
    return NO_ROWS


async def listed(_: Any, tx: Transaction, after: int, key: str | None, rows_max: int) -> Answer:
    rows = sorted(tx.all("parked"))
    return [dict(r) for seq, r in rows if seq > after and (key is None or r["key"] == key)][:rows_max]


async def oldest(
    _: Any,
    tx: Transaction,
    after: int,
    keys: Collection[str] | None,
    up_to: int | None,
    skip: Collection[str],
    rows_max: int,
) -> Answer:
    rows = (r for seq, r in sorted(tx.all("parked")) if seq > after and (up_to is None or seq <= up_to))
    return [dict(r) for r in rows if (keys is None or r["key"] in keys) and r["key"] not in skip][:rows_max]


async def parked_count(_: Any, tx: Transaction) -> Answer:
    return [{"count": sum(1 for _ in tx.all("parked"))}]


async def parked_keys(_: Any, tx: Transaction) -> Answer:
    return [{"key": key} for key in dict.fromkeys(row["key"] for _, row in sorted(tx.all("parked")))]


async def take_turns(_: Any, tx: Transaction, turns: int, keys: Collection[str], mask: int) -> Answer:
    """An advisory lock for each hash of a key, in order; which keys share one does not matter here."""
    for turn in sorted({sum(key.encode()) & mask for key in keys}):
        await tx.lock((turns, turn))
    return NO_ROWS


async def still_parked(_: Any, tx: Transaction, seqs: Collection[int]) -> Answer:
    found = []
    for seq in sorted(seqs):
        if (row := tx.get("parked", seq)) is not None:
            await tx.lock(("parked", row["event_key"]))
            if tx.get("parked", seq) is not None:
                found.append({"seq": seq})
    return found


async def leave(conn: Any, tx: Transaction, seqs: Sequence[int], action: str, actor: str, reason: str) -> Answer:
    there = {row["seq"] for row in await still_parked(conn, tx, seqs)}
    gone = [tx.get("parked", seq) for seq in seqs if seq in there]
    await claim_new(tx, sorted(row["event_key"] for row in gone))
    for row in gone:
        tx.delete("parked", row["seq"])
        logged = {
            **{n: row[n] for n in ("seq", "event_key", "key")},
            "action": action,
            "actor": actor,
            "reason": reason,
        }
        tx.put("parked_log", tx.store.next_number("parked_log"), logged)
    return [{"count": len(gone)}]


async def refuse_again(_: Any, tx: Transaction, seq: int, code: str, detail: str) -> Answer:
    if (row := tx.get("parked", seq)) is not None:
        tx.put("parked", seq, {**row, "attempts": row["attempts"] + 1, "code": code, "detail": detail})
    return NO_ROWS
