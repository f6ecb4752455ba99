"""A member's statement, as a bank's reads: what came, what went, and what stood after each line.

The invariants: a line's `balance` is what its wallet was worth right after it (pending, available and held, less debt), so
opening balance + changes = closing balance; a page costs the same however long the story is, because its cursor carries the
balances it goes on from, signed, so that nobody shows themselves others; filters leave lines out and change no figure. One
statement reads balances and lines, so they are of the same instant whoever writes meanwhile.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final

import msgspec
from tenure.contracts.points import Wallet

from points_ledger.rules.account import WALLETS, Kind

EXPORT_ROWS_MAX: Final = 100_000
_MINE: Final = "('pending', 'available', 'held', 'debt')"
_CHANGE: Final = f"""(CASE WHEN t.credit IN {_MINE} THEN t.amount ELSE 0 END
    - CASE WHEN t.debit IN {_MINE} THEN t.amount ELSE 0 END)"""
_FIELDS: Final = (
    """t.transfer_no, t.effective, t.wallet, t.kind, t.debit, t.credit, t.amount, t.lot_no, t.hold_id, t.recorded_at"""
)
_NEWER: Final = ", ".join(
    f"sum(CASE WHEN t.wallet = '{wallet}' THEN {_CHANGE} ELSE 0 END) OVER story AS {wallet}" for wallet in WALLETS
)
# An index look-up for each line shown: joined, the plan might read all reservations there are.
_ORDER: Final = "(SELECT nullif(h.reference, '') FROM holds h WHERE h.hold_id = {}.hold_id) AS order_reference"
_EARNED: Final = ", ".join(f"coalesce(l.{name}, m.{name}) AS {name}" for name in ("rule", "fact", "earned_on"))
_FILTER: Final = """($3::text IS NULL OR s.wallet = $3) AND ($4::text[] IS NULL OR s.kind = ANY ($4))
      AND ($5::date IS NULL OR s.effective >= $5) AND ($6::date IS NULL OR s.effective < $6)"""
_NOW: Final = ", ".join(f"a.{w}_pending + a.{w}_available + a.{w}_held - a.{w}_debt AS {w}_now" for w in WALLETS)
# A running sum needs no more than the rows it has passed, so the limit ends the scan of the journal.
PAGE: Final = f"""
    SELECT s.*, {_EARNED}, {_ORDER.format("s")}, {_NOW} FROM (
      SELECT {_FIELDS}, {_CHANGE} AS change, {_NEWER}
      FROM transfers t WHERE t.member_id = $1 AND ($2::int IS NULL OR t.transfer_no < $2)
      WINDOW story AS (ORDER BY t.transfer_no DESC ROWS UNBOUNDED PRECEDING)
      ORDER BY t.transfer_no DESC) s
    JOIN accounts a ON a.member_id = $1
    LEFT JOIN lots l ON l.member_id = $1 AND l.lot_no = s.lot_no
    LEFT JOIN moved_lots m ON m.member_id = $1 AND m.lot_no = s.lot_no
    WHERE {_FILTER} ORDER BY s.transfer_no DESC LIMIT $7"""
# By value date: the journal of a late fact stands where its date stands. One row at least, and in each what stood before them all.
EXPORT: Final = f"""
    SELECT before.opening, line.* FROM
      (SELECT coalesce(jsonb_object_agg(wallet, change), '{{}}') AS opening FROM (
         SELECT t.wallet, sum({_CHANGE})::bigint AS change FROM transfers t
         WHERE t.member_id = $1 AND t.effective < $3 AND ($2::text IS NULL OR t.wallet = $2) GROUP BY 1) sums) before
    LEFT JOIN (
      SELECT {_FIELDS}, {_CHANGE} AS change, {_EARNED}, {_ORDER.format("t")}
      FROM transfers t LEFT JOIN lots l USING (member_id, lot_no) LEFT JOIN moved_lots m USING (member_id, lot_no)
      WHERE t.member_id = $1 AND ($2::text IS NULL OR t.wallet = $2)
        AND ($3::date IS NULL OR t.effective >= $3) AND ($4::date IS NULL OR t.effective < $4)
      ORDER BY t.effective, t.transfer_no LIMIT $5) line ON true
    ORDER BY line.effective, line.transfer_no"""


class Line(msgspec.Struct, frozen=True):
    """One movement: `amount` from `debit` to `credit`, which changed the wallet by `change` and left `balance` in it.

    What only moves within the wallet (activated, held, released, a debt repaid) changes it by 0. `rule` and `reference` say what
    the points had been earned for, and `earned_on` when; `order_reference` what they are reserved, spent or given back for, as the
    mall wrote it.
    """

    no: int
    effective: date
    wallet: str
    kind: str
    debit: str
    credit: str
    amount: int
    change: int
    balance: int
    entry_id: str | None
    hold_id: str | None
    recorded_at: datetime
    rule: str | None
    reference: str | None
    order_reference: str | None = None
    earned_on: date | None = None


class From(msgspec.Struct, frozen=True, array_like=True):
    """Where a page goes on: below line `no`, from these balances."""

    no: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    balances: dict[Wallet, int]


class Filter(msgspec.Struct, frozen=True):
    """Which lines to show; `start` is in, `end` is not."""

    wallet: Wallet | None = None
    kinds: tuple[Kind, ...] = ()
    start: date | None = None
    end: date | None = None


class Statement(msgspec.Struct, frozen=True):
    """Lines by value date between two balances, for one member."""

    member_id: str
    opening: dict[str, int]
    lines: list[Line]
    closing: dict[str, int]


async def secret(conn: Any) -> bytes:
    """What cursors are signed with: all processes on this database have the same."""
    found: bytes = await conn.fetchval("SELECT secret FROM cursor_secret")
    return found


async def page(conn: Any, member_id: str, after: From | None, which: Filter, rows_max: int) -> list[tuple[Line, From]]:
    """The newest lines below `after`, each with where a page after it would go on."""
    rows = await conn.fetch(
        PAGE,
        member_id,
        after.no if after else None,
        which.wallet,
        list(which.kinds) or None,
        which.start,
        which.end,
        rows_max,
    )
    begin = after.balances if after else _now(rows)
    return [_with_place(member_id, row, begin) for row in rows]


def _now(rows: Sequence[Any]) -> dict[Wallet, int]:
    return {wallet: rows[0][f"{wallet}_now"] for wallet in WALLETS} if rows else {}


def _with_place(member_id: str, row: Any, begin: dict[Wallet, int]) -> tuple[Line, From]:
    """The running sums count the line itself, so what stood after it is one change more than what is below it."""
    below: dict[Wallet, int] = {wallet: begin.get(wallet, 0) - int(row[wallet]) for wallet in WALLETS}
    line = _line(member_id, row, below[row["wallet"]] + row["change"])
    return line, From(line.no, below)


def _line(member_id: str, row: Any, balance: int) -> Line:
    return Line(
        no=row["transfer_no"],
        effective=row["effective"],
        wallet=row["wallet"],
        kind=row["kind"],
        debit=row["debit"],
        credit=row["credit"],
        amount=row["amount"],
        change=row["change"],
        balance=balance,
        entry_id=f"{member_id}:{row['lot_no']}" if row["lot_no"] else None,
        hold_id=row["hold_id"] or None,
        recorded_at=row["recorded_at"],
        rule=row["rule"],
        reference=row["fact"],
        order_reference=row["order_reference"],
        earned_on=row["earned_on"],
    )


async def whole(conn: Any, member_id: str, which: Filter) -> Statement | None:
    """All lines of a period by value date; None if there are more than EXPORT_ROWS_MAX."""
    opening: dict[str, int] = {w: 0 for w in WALLETS if which.wallet in (None, w)}
    rows = await conn.fetch(EXPORT, member_id, which.wallet, which.start, which.end, EXPORT_ROWS_MAX + 1)
    if len(rows) > EXPORT_ROWS_MAX:
        return None
    opening |= _opening(rows[0]["opening"])
    lines, closing = _run(member_id, rows if rows[0]["effective"] else (), opening)
    shown = [line for line in lines if not which.kinds or line.kind in which.kinds]
    return Statement(member_id, opening, shown, closing)


_opening: Final = msgspec.json.Decoder(dict[str, int]).decode


def _run(member_id: str, rows: Iterable[Any], opening: dict[str, int]) -> tuple[Sequence[Line], dict[str, int]]:
    closing, lines = dict(opening), []
    for row in rows:
        closing[row["wallet"]] += row["change"]
        lines.append(_line(member_id, row, closing[row["wallet"]]))
    return lines, closing
