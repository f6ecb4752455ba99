"""Whether the books are what they were: every entry against its seal, every stored figure against a replay of the entries.

The invariants: nothing here is taken from what it checks: hashes are computed anew from the rows, balances, lots and holds from the
entries alone; what is wrong is named, row by row, as far as it can be told. Rows are read a stretch at a time, in order of seq.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from points_ledger import audit
from points_ledger.proof import entries as e
from points_ledger.proof import merkle, replay

SEALS_AT_ONCE: Final = 8
NAMED_MAX: Final = 20
SEALS: Final = """
    SELECT batch_no, day, seq_after, seq_to, entries, root, previous, hash, leaves FROM seals
    WHERE batch_no > $1 ORDER BY batch_no LIMIT $2"""
DAYS: Final = """
    SELECT r.day, r.day_no, r.batch_from, r.batch_to, r.entries, r.day_root, r.root,
           (SELECT array_agg(hash ORDER BY batch_no) FROM seals s WHERE s.day = r.day) AS hashes,
           (SELECT min(batch_no) FROM seals s WHERE s.day = r.day) AS first,
           (SELECT coalesce(sum(entries), 0)::bigint FROM seals s WHERE s.day <= r.day) AS sealed
    FROM roots r ORDER BY r.day_no"""
WAITING: Final = "SELECT count(*) FROM transfers WHERE seq > $1"


class Report(msgspec.Struct, frozen=True):
    """What was found. `wrong` is empty if the books are what they were; `newest` is the newest published root, if there is one."""

    entries: int
    sealed: int
    batches: int
    days: int
    wrong: list[str]
    newest: str = ""


@dataclass(slots=True)
class _Chain:
    """The seals read so far, and what was wrong with them and their entries."""

    batch_no: int = 0
    seq_to: int = 0
    hash: bytes = merkle.NOTHING
    entries: int = 0
    wrong: list[str] = field(default_factory=list)


async def examine(pool: Any) -> Report:
    """Check everything. Meant for a replica or a ledger at rest; what is not sealed yet is only replayed."""
    chain = _Chain()
    while rows := await pool.fetch(SEALS, chain.batch_no, SEALS_AT_ONCE):
        found = await pool.fetch(e.SEALED, chain.seq_to, max(row["seq_to"] for row in rows))
        await asyncio.to_thread(_check_batches, chain, rows, found)
    days = await pool.fetch(DAYS)
    wrong = [*chain.wrong, *_wrong_days(days), *await replay.differences(pool)]
    wrong += [name for name, holds in (await audit.verify(pool)).items() if not holds]
    waiting = await pool.fetchval(WAITING, chain.seq_to)
    newest = days[-1]["root"].hex() if days else ""
    return Report(chain.entries + waiting, chain.entries, chain.batch_no, len(days), wrong, newest)


def _check_batches(chain: _Chain, seals: Sequence[Any], rows: Sequence[Any]) -> None:
    at = 0
    for record in seals:
        seal, first = e.Seal(*record[:7]), at
        while at < len(rows) and rows[at]["seq"] <= seal.seq_to:
            at += 1
        _check_link(chain, seal, record["hash"])
        _check_entries(chain, seal, merkle.split(record["leaves"]), rows[first:at])
        chain.batch_no, chain.seq_to, chain.hash = seal.batch_no, seal.seq_to, record["hash"]
        chain.entries += at - first


def _check_link(chain: _Chain, seal: e.Seal, stored: bytes) -> None:
    follows = (chain.batch_no + 1, chain.seq_to, chain.hash)
    if (seal.batch_no, seal.seq_after, seal.previous) != follows:
        _name(chain, f"seal {seal.batch_no} does not follow the one before")
    if seal.hash != stored:
        _name(chain, f"seal {seal.batch_no} was changed")


def _check_entries(chain: _Chain, seal: e.Seal, sealed: list[bytes], rows: Sequence[Any]) -> None:
    """The hashes of the rows are those that were sealed, in order; otherwise which rows are not, and how many are gone."""
    leaves = [e.leaf_of(row) for row in rows]
    if not sealed or len(sealed) != seal.entries or merkle.root(sealed) != seal.root:
        _name(chain, f"seal {seal.batch_no}: its list of entries was changed")
    if leaves == sealed:
        return
    known = Counter(sealed)
    known.subtract(leaves)
    strange = [row for row, own in zip(rows, leaves, strict=True) if known[own] < 0]
    for row in strange:
        _name(chain, f"seal {seal.batch_no}: {_called(row)} is not as it was sealed")
    if len(leaves) != len(sealed) or not strange:
        _name(
            chain, f"seal {seal.batch_no}: {len(sealed)} entries were sealed, {len(leaves)} are there or out of order"
        )


def _called(row: Any) -> str:
    if e.is_entry(row):
        return f"entry {row['member_id']}/{row['transfer_no']}"
    return f"lot {row['member_id']}:{row['lot_no']}"


def _name(chain: _Chain, what: str) -> None:
    if len(chain.wrong) < NAMED_MAX:
        chain.wrong.append(what)


def _wrong_days(rows: Sequence[Any]) -> list[str]:
    """Published days that are not what their seals come to."""
    wrong, leaves = [], list[bytes]()
    for n, row in enumerate(rows, 1):
        root, hashes = e.Root(*row[:7]), row["hashes"] or []
        leaves.append(root.leaf)
        whole = (n, row["first"], (row["first"] or 0) + len(hashes) - 1, row["sealed"])
        if whole != (root.day_no, root.batch_from, root.batch_to, root.entries):
            wrong.append(f"root {root.day}: its seals are not those it names")
        elif merkle.root(hashes) != root.day_root or merkle.root(leaves) != root.root:
            wrong.append(f"root {root.day} was changed")
    return wrong[:NAMED_MAX]
