"""What is sealed, as bytes: an entry with what explains it, a lot that no entry was made for, a batch of them, a day of batches.

The invariant: the bytes are a JSON array in UTF-8 without spaces, dates as YYYY-MM-DD, hashes as hex, instants as microseconds
since 1970; they depend on the row alone, so that whoever has the row has its hash. The forms
never change: a new one gets a new number.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import msgspec

from points_ledger.columns import TRANSFER, listed
from points_ledger.proof import merkle

FORM: Final = 1
ENTRY: Final = ("seq", *TRANSFER, "recorded_us")
LOT: Final = (
    "wallet",
    "rule",
    "fact",
    "granted",
    "earned_on",
    "activates_on",
    "expires_on",
    "rules_version",
    "source_type",
    "source_id",
    "remembered_until",
    "base",
    "policy_no",
    "term_no",
    "status",
    "status_percent",
    "line_percent",
    "campaign_percent",
    "origin",
    "campaign",
)
"""What explains an entry: the columns of its lot that are written once."""
_WHY: Final = listed(LOT)
_EXPLAINING: Final = f"""LEFT JOIN (
      SELECT member_id, lot_no, {_WHY} FROM lots UNION ALL SELECT member_id, lot_no, {_WHY} FROM moved_lots
    ) l USING (member_id, lot_no)"""
SELECT: Final = f"""
    SELECT t.seq, {listed(TRANSFER, "t.")}, (extract(epoch FROM t.recorded_at) * 1000000)::bigint AS recorded_us,
           l.lot_no IS NOT NULL AS explained, {listed(LOT, "l.")}
    FROM transfers t {_EXPLAINING}"""
"""Every entry with what explains it; to be narrowed and ordered."""
_NAMED: Final = {"member_id": "x.member_id", "lot_no": "x.lot_no"}
_NO_ENTRY: Final = ", ".join(_NAMED.get(name, f"NULL::{kind}") for name, kind in TRANSFER.items())
SEALED: Final = f"""
    {SELECT} WHERE t.seq > $1 AND t.seq <= $2
    UNION ALL
    SELECT x.seq, {_NO_ENTRY}, NULL::bigint, l.lot_no IS NOT NULL, {listed(LOT, "l.")}
    FROM empty_lots x {_EXPLAINING} WHERE x.seq > $1 AND x.seq <= $2
    ORDER BY 1"""
"""What is sealed of a stretch, in its order: entries, and lots that were granted nothing; of these only number and place."""
_encode: Final = msgspec.json.Encoder().encode
_EXPLAINED: Final = len(ENTRY)


def row_of(record: Any) -> list[Any]:
    """An entry's own columns."""
    return list(record[:_EXPLAINED])


def why_of(record: Any) -> list[Any] | None:
    """What explains it; None where no lot is concerned."""
    return list(record[_EXPLAINED + 1 :]) if record[_EXPLAINED] else None


def entry_leaf(row: Sequence[Any], why: Sequence[Any] | None) -> bytes:
    """The hash of one entry."""
    return merkle.leaf(_encode(["entry", FORM, row, why]))


def is_entry(record: Any) -> bool:
    """Whether it is an entry, and not a lot that was granted nothing."""
    return record["transfer_no"] is not None


def leaf_of(record: Any) -> bytes:
    if is_entry(record):
        return entry_leaf(row_of(record), why_of(record))
    number = [record["seq"], record["member_id"], record["lot_no"]]
    return merkle.leaf(_encode(["lot", FORM, number, why_of(record)]))


class Seal(msgspec.Struct, frozen=True):
    """A sealed batch: the entries with `seq_after` < seq <= `seq_to`, and the hash of the seal before."""

    batch_no: int
    day: date
    seq_after: int
    seq_to: int
    entries: int
    root: bytes
    previous: bytes

    @property
    def hash(self) -> bytes:
        seqs = (self.seq_after, self.seq_to)
        return merkle.leaf(
            _encode(["seal", FORM, self.batch_no, self.day, *seqs, self.entries, self.root.hex(), self.previous.hex()])
        )


class Root(msgspec.Struct, frozen=True):
    """A published day: `day_root` stands for the seals of the day, `root` for all days so far."""

    day: date
    day_no: int
    batch_from: int
    batch_to: int
    entries: int
    day_root: bytes
    root: bytes

    @property
    def leaf(self) -> bytes:
        """What stands for this day in the tree of days."""
        return merkle.leaf(
            _encode(
                ["day", FORM, self.day_no, self.day, self.batch_from, self.batch_to, self.entries, self.day_root.hex()]
            )
        )


def publish(day: date, seals: Sequence[Seal], before: Sequence[Root]) -> Root:
    """The root of a day, from its seals and the days before it."""
    assert seals, "a day that sealed nothing is not published"
    entries = (before[-1].entries if before else 0) + sum(seal.entries for seal in seals)
    day_root = merkle.root([seal.hash for seal in seals])
    own = Root(day, len(before) + 1, seals[0].batch_no, seals[-1].batch_no, entries, day_root, merkle.NOTHING)
    return msgspec.structs.replace(own, root=merkle.root([*(root.leaf for root in before), own.leaf]))
