"""One member's entries with the proof that they stand under a published root; verified from the file alone, without a database.

The invariants: a proof leads from the bytes of each entry to the root by hashes only, and so does the root's own date; entries are
numbered by member without a gap, so none can be left out between the first and the last shown (nothing proves how many follow);
balances are added up from the entries, not taken from anybody.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any, Final

import msgspec

from points_ledger.proof import entries as e
from points_ledger.proof import merkle
from points_ledger.rules.account import BALANCES, balance

FORM: Final = 2
AS_PUBLISHED: Final = re.compile("[0-9a-fA-F]{64}")
"""Of the file; what is hashed has a form of its own."""
LINES_MAX: Final = 200

ROOT: Final = "SELECT day, day_no, batch_from, batch_to, entries, day_root, root FROM roots WHERE day = $1"
DAYS: Final = (
    "SELECT day, day_no, batch_from, batch_to, entries, day_root, root FROM roots WHERE day_no <= $1 ORDER BY day_no"
)
LINES: Final = f"{e.SELECT} WHERE t.member_id = $1 AND t.transfer_no > $2 ORDER BY t.transfer_no LIMIT $3"
BATCHES: Final = """
    SELECT DISTINCT s.batch_no, s.day, s.seq_after, s.seq_to, s.entries, s.root, s.previous, s.leaves
    FROM unnest($1::bigint[]) AS t (seq)
    JOIN LATERAL (SELECT * FROM seals WHERE seq_to >= t.seq ORDER BY seq_to LIMIT 1) s ON s.seq_after < t.seq"""
HASHES_OF_DAYS: Final = "SELECT day, hash FROM seals WHERE day = ANY ($1::date[]) ORDER BY batch_no"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """From a leaf to the root of its tree: which leaf it is, and the hashes beside its way."""

    index: int
    path: list[str]


class Proven(Step, frozen=True, kw_only=True):
    """One entry: its columns, what explains it, and where it is sealed."""

    row: list[Any]
    why: list[Any] | None
    batch_no: int


class Batch(Step, frozen=True, kw_only=True):
    """A seal, and its place among those of its day."""

    day: date
    seq_after: int
    seq_to: int
    entries: int
    previous: str


class Day(Step, frozen=True, kw_only=True):
    """A published day, and its place among all days up to the root's. `day_root` stands for its seals."""

    day_no: int
    batch_from: int
    batch_to: int
    entries: int
    day_root: str


class ProvenStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A member's entries after `after`, oldest first, under the root of `day`, which is the last of `days` and among `published`.

    `next_after`: where the next file goes on; nothing proves that there is none.
    """

    form: int
    member_id: str
    day: date
    days: int
    root: str
    after: int
    columns: list[str]
    why_columns: list[str]
    entries: list[Proven]
    batches: dict[str, Batch]
    published: dict[date, Day]
    next_after: int | None


class Found(msgspec.Struct, frozen=True):
    """What a statement that holds says: of entries `first_no` to `last_no`, and nothing of later ones.

    `balances` are what these entries come to; the member's own only where it begins with the first entry.
    """

    member_id: str
    day: date
    first_no: int
    last_no: int
    entries: int
    balances: dict[str, int]


class NotProvenError(Exception):
    """The statement does not stand under this root; the message says where it fails."""


async def root_of(pool: Any, day: date) -> e.Root | None:
    row = await pool.fetchrow(ROOT, day)
    return e.Root(*row) if row else None


class _Trees:
    """The batches a statement needs and the days they are in, as trees."""

    def __init__(self, batches: Sequence[Any], days: Sequence[e.Root], hashes: Sequence[Any]) -> None:
        self.days = days
        self.seals = [e.Seal(*row[:7]) for row in batches]
        self.of_batch = {row["batch_no"]: merkle.levels(merkle.split(row["leaves"])) for row in batches}
        by_day: dict[date, list[bytes]] = {}
        for row in hashes:
            by_day.setdefault(row["day"], []).append(row["hash"])
        self.of_day = {day: merkle.levels(leaves) for day, leaves in by_day.items()}
        self.of_days = merkle.levels([day.leaf for day in days])

    def proven(self, record: Any) -> Proven | None:
        """None for an entry that was sealed after the root's day, or is not sealed yet. Raises NotProvenError."""
        seal = next((s for s in self.seals if s.seq_after < record["seq"] <= s.seq_to), None)
        if seal is None:
            return None
        row, why, tree = e.row_of(record), e.why_of(record), self.of_batch[seal.batch_no]
        own = e.entry_leaf(row, why)
        if own not in tree[0]:
            raise NotProvenError(f"entry {record['transfer_no']} is not what was sealed")
        index = tree[0].index(own)
        return Proven(index=index, path=_hex(merkle.path(tree, index)), row=row, why=why, batch_no=seal.batch_no)

    def batches(self, numbers: AbstractSet[int]) -> dict[str, Batch]:
        first = {day.day: day.batch_from for day in self.days}
        wanted = [seal for seal in self.seals if seal.batch_no in numbers]
        return {str(s.batch_no): _batch(s, s.batch_no - first[s.day], self.of_day[s.day]) for s in wanted}

    def published(self, days: AbstractSet[date]) -> dict[date, Day]:
        return {day.day: _day(day, self.of_days) for day in self.days if day.day in days}


async def prove(pool: Any, member_id: str, root: e.Root, *, after: int, lines_max: int) -> ProvenStatement:
    """The member's entries from number `after` + 1 on that stand under this root. Raises NotProvenError: one was changed."""
    rows = await pool.fetch(LINES, member_id, after, lines_max + 1)
    days = [e.Root(*row) for row in await pool.fetch(DAYS, root.day_no)]
    sealed = await pool.fetch(BATCHES, [row["seq"] for row in rows])
    batches = [row for row in sealed if row["day"] <= root.day]
    hashes = await pool.fetch(HASHES_OF_DAYS, sorted({row["day"] for row in batches}))
    return await asyncio.to_thread(_put_together, member_id, rows, _Trees(batches, days, hashes), after, lines_max)


def _put_together(member_id: str, rows: Sequence[Any], trees: _Trees, after: int, lines_max: int) -> ProvenStatement:
    proven = [p for row in rows if (p := trees.proven(row)) is not None]
    shown, newest = proven[:lines_max], trees.days[-1]
    batches = trees.batches({entry.batch_no for entry in shown})
    return ProvenStatement(
        form=FORM,
        member_id=member_id,
        day=newest.day,
        days=newest.day_no,
        root=newest.root.hex(),
        after=after,
        columns=list(e.ENTRY),
        why_columns=list(e.LOT),
        entries=shown,
        batches=batches,
        published=trees.published({newest.day, *(batch.day for batch in batches.values())}),
        next_after=shown[-1].row[2] if len(proven) > lines_max else None,
    )


def _batch(seal: e.Seal, index: int, of_day: list[list[bytes]]) -> Batch:
    return Batch(
        index=index,
        path=_hex(merkle.path(of_day, index)),
        day=seal.day,
        seq_after=seal.seq_after,
        seq_to=seal.seq_to,
        entries=seal.entries,
        previous=seal.previous.hex(),
    )


def _day(root: e.Root, of_days: list[list[bytes]]) -> Day:
    return Day(
        index=root.day_no - 1,
        path=_hex(merkle.path(of_days, root.day_no - 1)),
        day_no=root.day_no,
        batch_from=root.batch_from,
        batch_to=root.batch_to,
        entries=root.entries,
        day_root=root.day_root.hex(),
    )


def _hex(hashes: Sequence[bytes]) -> list[str]:
    return [one.hex() for one in hashes]


# --- without a database ---


class _OfForm(msgspec.Struct):
    form: int


def verify(content: bytes, root: str) -> Found:
    """Whether a statement's date and every entry of it stand under the published root. Raises NotProvenError."""
    _must(
        AS_PUBLISHED.fullmatch(root) is not None, "the root is not one: 64 hexadecimal digits, as they were published"
    )
    try:
        form = msgspec.json.decode(content, type=_OfForm).form
        _must(form == FORM, f"the file has form {form}, and this program reads form {FORM}: ask for the statement anew")
        told = msgspec.json.decode(content, type=ProvenStatement)
        _check_days(told, bytes.fromhex(root))
        _check_entries(told)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotProvenError(f"this is not a proven statement: {error}") from None
    last_no = told.after + len(told.entries)
    return Found(told.member_id, told.day, told.after + 1, last_no, len(told.entries), _balances(told))


def _check_days(told: ProvenStatement, root: bytes) -> None:
    """Every day shown is one of the root's, and the statement's own is the last of them."""
    _must(bytes.fromhex(told.root) == root, f"the file does not stand under this root, but under {told.root}")
    for of, day in told.published.items():
        own = e.Root(
            of, day.day_no, day.batch_from, day.batch_to, day.entries, bytes.fromhex(day.day_root), merkle.NOTHING
        )
        above = merkle.root_from(own.leaf, day.index, told.days, _bytes(day.path))
        _must(above == root and day.day_no == day.index + 1, f"the day {of} does not stand under this root")
    newest = told.published.get(told.day)
    _must(newest is not None and newest.day_no == told.days, f"this root is not that of {told.day}")


def _check_entries(told: ProvenStatement) -> None:
    """Every entry is the member's, follows the one before, and stands under a day shown."""
    _must(told.columns == list(e.ENTRY) and told.why_columns == list(e.LOT), "the columns are not those of this form")
    _must(bool(told.entries), "the file has no entries, so it proves nothing")
    for no, entry in enumerate(told.entries, told.after + 1):
        _must(len(entry.row) == len(e.ENTRY), f"what should be entry {no} has not the columns of an entry")
        _must(entry.row[1] == told.member_id, f"what should be entry {no} is another member's")
        _must(entry.row[2] == no, f"between entries {no - 1} and {entry.row[2]} some are missing")
        batch = told.batches[str(entry.batch_no)]
        day_root = bytes.fromhex(told.published[batch.day].day_root)
        _must(_day_root_above(told, entry, batch) == day_root, f"entry {no} does not stand under this root")
    _must(told.next_after in {None, no}, f"the next file goes on after entry {no}, not after {told.next_after}")


def _day_root_above(told: ProvenStatement, entry: Proven, batch: Batch) -> bytes | None:
    """From an entry through its batch to the seals of its day; None where a path does not fit."""
    of_batch = merkle.root_from(e.entry_leaf(entry.row, entry.why), entry.index, batch.entries, _bytes(entry.path))
    if of_batch is None or not batch.seq_after < entry.row[0] <= batch.seq_to:
        return None
    seal = e.Seal(
        entry.batch_no,
        batch.day,
        batch.seq_after,
        batch.seq_to,
        batch.entries,
        of_batch,
        bytes.fromhex(batch.previous),
    )
    day = told.published[batch.day]
    return merkle.root_from(seal.hash, batch.index, day.batch_to - day.batch_from + 1, _bytes(batch.path))


def _balances(told: ProvenStatement) -> dict[str, int]:
    """What the entries shown come to; a debt is what the member owes, so it grows by debits."""
    found: Counter[str] = Counter()
    at = {name: n for n, name in enumerate(e.ENTRY)}
    for entry in told.entries:
        wallet, amount = entry.row[at["wallet"]], entry.row[at["amount"]]
        for ledger, sign in ((entry.row[at["debit"]], -1), (entry.row[at["credit"]], 1)):
            found[balance(wallet, ledger)] += -sign * amount if ledger == "debt" else sign * amount
    return {name: found[name] for name in BALANCES if found[name]}


def _bytes(path: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(one) for one in path]


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise NotProvenError(what)
