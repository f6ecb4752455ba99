"""What members owe, and since when: old debts are put forward for a write-off.

A debt is repaid oldest first, so what is owed today is the newest of what was ever booked as debt; its age is that of the oldest
booking that is not covered yet. The invariant: a debt keeps its age when it moves to another number with a merger, or back with its
undoing; the day of the merger is no day of a debt.
"""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from points_ledger.rules.account import WALLETS

_OWED: Final = " UNION ALL ".join(
    f"SELECT member_id, '{w}' AS wallet, {w}_debt AS owed FROM accounts WHERE {w}_debt > 0 AND member_id > $1"
    for w in WALLETS
)
DEBTS: Final = f"""
    WITH owed AS (SELECT * FROM ({_OWED}) o ORDER BY member_id, wallet LIMIT $2),
    booked AS (
      SELECT o.member_id, o.wallet, o.owed, t.effective,
             sum(t.amount) OVER later - t.amount AS newer
      FROM owed o JOIN transfers t ON t.member_id = o.member_id AND t.wallet = o.wallet AND t.debit = 'debt'
      WINDOW later AS (PARTITION BY o.member_id, o.wallet ORDER BY t.effective DESC, t.transfer_no DESC))
    SELECT member_id, wallet, owed, min(effective) FILTER (WHERE newer < owed) AS since,
           EXISTS (SELECT FROM account_changes c WHERE c.member_id = booked.member_id AND c.what IN ('merged', 'unmerged')) AS moved
    FROM booked GROUP BY 1, 2, 3 ORDER BY 1, 2"""
# What a debt grew and shrank by; of what moved with a merger, the other side of it: the other account's entry of the same event.
STORY: Final = """
    SELECT t.effective, t.amount, t.debit = 'debt' AS grows, o.member_id AS other, o.transfer_no AS other_no
    FROM transfers t LEFT JOIN LATERAL (
      SELECT x.member_id, x.transfer_no FROM account_changes c JOIN transfers x ON x.member_id = c.member_id AND x.cause = t.cause
        AND x.wallet = t.wallet AND x.kind = 'merge' AND 'debt' IN (x.debit, x.credit)
      WHERE c.cause = t.cause AND c.member_id <> t.member_id LIMIT 1
    ) o ON t.kind = 'merge'
    WHERE t.member_id = $1 AND t.wallet = $2 AND 'debt' IN (t.debit, t.credit) AND ($3::int IS NULL OR t.transfer_no < $3)
    ORDER BY t.transfer_no"""


class Debt(msgspec.Struct, frozen=True):
    """What a member owes, how old the oldest of it is, and whether it is old enough to be put forward for a write-off."""

    member_id: str
    wallet: str
    points: int
    since: date
    age_days: int
    put_forward: bool


class DebtPage(msgspec.Struct, frozen=True):
    items: list[Debt]
    next_after: str | None


async def page(pool: Any, today: date, *, age_days_max: int, after: str, rows_max: int) -> DebtPage:
    """Debts by member. A member's wallets stay on one page: the last member of a full page comes again on the next."""
    items = [await _debt(pool, row, today, age_days_max) for row in await pool.fetch(DEBTS, after, rows_max)]
    if len(items) < rows_max:
        return DebtPage(items, None)
    last = items[-1].member_id
    whole = [debt for debt in items if debt.member_id != last] or items
    return DebtPage(whole, whole[-1].member_id)


async def _debt(pool: Any, row: Any, today: date, age_days_max: int) -> Debt:
    since = row["since"]
    if row["moved"]:
        since = min((one.on for one in await _standing(pool, row["member_id"], row["wallet"])), default=since)
    age_days = max(timedelta(0), today - since).days
    return Debt(row["member_id"], row["wallet"], row["owed"], since, age_days, age_days >= age_days_max)


class _Booking(msgspec.Struct, frozen=True):
    """Points owed since a day; `came_from`: the number it was booked under before it moved here."""

    on: date
    points: int
    came_from: str = ""


class _Cut(NamedTuple):
    taken: list[_Booking]
    left: list[_Booking]


async def _standing(pool: Any, member_id: str, wallet: str, before: int | None = None) -> list[_Booking]:
    """What a member owes, before an entry of theirs or by now, by the days it was booked on, under whichever number."""
    found: list[_Booking] = []
    for row in await pool.fetch(STORY, member_id, wallet, before):
        other = row["other"]
        if not row["grows"]:
            found = _cut(found, row["amount"], _leaving(other) if other else _oldest).left
        elif other is None:
            found.append(_Booking(row["effective"], row["amount"]))
        else:
            there = await _standing(pool, other, wallet, row["other_no"])
            found += [replace(one, came_from=other) for one in _cut(there, row["amount"], _leaving(member_id)).taken]
    return found


def _cut(found: list[_Booking], points: int, order: Callable[[_Booking], Any]) -> _Cut:
    """So many points of the bookings in an order, and the rest."""
    cut = _Cut([], [])
    for one in sorted(found, key=order):
        part = min(points, one.points)
        points -= part
        cut.taken.extend([replace(one, points=part)] if part else [])
        cut.left.extend([replace(one, points=one.points - part)] if part < one.points else [])
    return cut


def _oldest(one: _Booking) -> Any:
    """As debts are repaid."""
    return one.on


def _leaving(number: str) -> Callable[[_Booking], Any]:
    """As debts go to another number: what had come from it first, then the newest."""
    return lambda one: (one.came_from != number, -one.on.toordinal())
