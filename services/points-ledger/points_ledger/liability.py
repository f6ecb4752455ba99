"""What the programme owes its members on any day, for actuaries and for the books.

The invariants: everything is added up from the journal, so the answer for a day (`as_of`) by what was recorded up to an instant
(`known_at`) is the same for ever; figures are integers, and what divides floors. A vintage adds up: what was granted, less what was
redeemed, expired, reversed, repaid and deducted, is outstanding or pending (once the days up to `as_of` were lived).

A vintage is what was earned in one month. How points run off is seen from all vintages together: of the points that were there to
redeem in their k-th month of age, so many were redeemed in that month. What of a vintage is expected to be redeemed follows from
the months it has before it, up to the one in which its last lot expires; the rest is expected breakage. Where too little was ever
seen at an age, all is expected to be redeemed then, so a young programme expects no breakage. What is held for orders beyond its
last month is owed.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, Final

import msgspec

from points_ledger.sheets import Cell

MILLION: Final = 1_000_000
EXPOSED_POINTS_MIN: Final = 10_000
METHOD_EN: Final = (
    "Run-off by age: for each month of age k, h(k) = points redeemed in that month / points there to redeem in it, over all "
    "vintages, complete months only; expected breakage of a vintage = what it has outstanding and pending x the product of "
    f"(1 - h(k)) over the months of age before it; an age at which fewer than {EXPOSED_POINTS_MIN} points were seen counts "
    "as h(k) = 1."
)
METHOD_ZH: Final = (
    "按账龄流失法：对每个月龄k，h(k)=当月兑换积分/当月可兑换积分，取全部批次的完整月份；某批次预计失效=其未兑付与待生效积分×剩余各月龄(1-h(k))之积；"
    f"可兑换积分累计不足{EXPOSED_POINTS_MIN}分的月龄按h(k)=1计。"
)
# A lot that moved with a merged customer is history where it was: its journal still counts in its own month.
_LOTS: Final = """
    (SELECT member_id, lot_no, wallet, earned_on, activates_on, expires_on FROM lots
     UNION ALL SELECT member_id, lot_no, wallet, earned_on, activates_on, expires_on FROM moved_lots)"""
_MINE: Final = "('pending', 'available', 'held')"
VINTAGES: Final = f"""
    WITH per_lot AS (
      SELECT member_id, lot_no,
             sum(CASE WHEN credit IN {_MINE} THEN amount ELSE 0 END - CASE WHEN debit IN {_MINE} THEN amount ELSE 0 END) AS net,
             sum(CASE WHEN credit = 'held' THEN amount WHEN debit = 'held' THEN -amount ELSE 0 END) AS held,
             sum(amount) FILTER (WHERE kind IN ('grant', 'adjust') AND credit IN {_MINE}) AS granted,
             sum(CASE kind WHEN 'capture' THEN amount WHEN 'refund' THEN -amount END) AS redeemed,
             sum(CASE WHEN kind = 'expire' THEN amount WHEN debit = 'breakage' THEN -amount END) AS expired,
             sum(CASE kind WHEN 'reverse' THEN amount WHEN 'restore' THEN -amount END)
               FILTER (WHERE 'debt' NOT IN (debit, credit)) AS reversed,
             sum(amount) FILTER (WHERE kind = 'repay') AS repaid,
             sum(amount) FILTER (WHERE kind = 'adjust' AND debit IN {_MINE}) AS deducted
      FROM transfers WHERE lot_no > 0 AND effective <= $1 AND recorded_at <= $2 GROUP BY 1, 2),
    cuts AS (
      SELECT DISTINCT ON (member_id, lot_no) member_id, lot_no, cut_on FROM lot_cuts WHERE recorded_at <= $2
      ORDER BY member_id, lot_no, cut_no DESC),
    owed AS (
      SELECT p.*, l.wallet, date_trunc('month', l.earned_on)::date AS month, l.activates_on,
             coalesce(c.cut_on, l.expires_on) AS ends_on
      FROM per_lot p JOIN {_LOTS} l USING (member_id, lot_no) LEFT JOIN cuts c USING (member_id, lot_no)
      WHERE l.wallet <> 'growth')
    SELECT wallet, month, coalesce(sum(granted), 0)::bigint, coalesce(sum(redeemed), 0)::bigint,
           coalesce(sum(expired), 0)::bigint, coalesce(sum(reversed), 0)::bigint, coalesce(sum(repaid), 0)::bigint,
           coalesce(sum(deducted), 0)::bigint,
           coalesce(sum(CASE WHEN ends_on > $1 THEN net ELSE held END) FILTER (WHERE activates_on <= $1), 0)::bigint,
           coalesce(sum(net) FILTER (WHERE activates_on > $1), 0)::bigint,
           max(ends_on) FILTER (WHERE net > 0) AS last_end
    FROM owed GROUP BY 1, 2 ORDER BY 1, 2"""
RUN_OFF: Final = f"""
    SELECT l.wallet, ((date_part('year', t.effective) - date_part('year', l.earned_on)) * 12
                      + date_part('month', t.effective) - date_part('month', l.earned_on))::int AS age,
           date_trunc('month', l.earned_on)::date AS month,
           sum(CASE WHEN t.kind IN ('grant', 'adjust', 'restore') AND t.credit IN {_MINE} THEN t.amount
                    WHEN t.kind IN ('reverse', 'adjust', 'repay') AND t.debit IN {_MINE} THEN -t.amount ELSE 0 END)::bigint,
           sum(CASE t.kind WHEN 'capture' THEN t.amount WHEN 'refund' THEN -t.amount ELSE 0 END)::bigint,
           sum(CASE t.kind WHEN 'expire' THEN t.amount ELSE 0 END)::bigint
    FROM transfers t JOIN {_LOTS} l USING (member_id, lot_no)
    WHERE t.lot_no > 0 AND l.wallet <> 'growth' AND t.effective < date_trunc('month', $1::date) AND t.recorded_at <= $2
    GROUP BY 1, 2, 3"""


class Vintage(msgspec.Struct, frozen=True):
    """Points earned in one month, and what became of them; `outstanding` may be spent or is held, `pending` is not active yet.

    `expired` does not count what was taken back after it had; `reversed` counts nothing that had been redeemed and became a debt;
    `repaid` went to a debt, `deducted` was taken by hand.
    """

    wallet: str
    month: date
    granted: int
    redeemed: int
    expired: int
    reversed: int
    repaid: int
    deducted: int
    outstanding: int
    pending: int
    expected_breakage: int
    cost_fen: int
    expected_cost_fen: int


class Age(msgspec.Struct, frozen=True):
    """Of `exposed` points there to redeem in this month of their age `redeemed` were; rate and rest in millionths."""

    wallet: str
    age_months: int
    exposed: int
    redeemed: int
    redeemed_ppm: int
    left_ppm: int


class Liability(msgspec.Struct, frozen=True):
    """What was owed at the end of `as_of`, by what was recorded up to `known_at`. Cost at the reference value, before and after
    expected breakage.
    """

    as_of: date
    known_at: datetime
    points_per_cny: int
    outstanding: int
    pending: int
    expected_breakage: int
    cost_fen: int
    expected_cost_fen: int
    method_en: str
    method_zh: str
    vintages: list[Vintage]
    redemption_curve: list[Age]


class Moves(msgspec.Struct, frozen=True):
    """What happened to one vintage in one month of its age."""

    wallet: str
    age: int
    month: date
    came: int
    redeemed: int
    expired: int


Seen = Mapping[tuple[str, int], tuple[int, int]]
"""By wallet and age: the points there to redeem, and those redeemed."""


def seen(moves: Iterable[Moves], as_of: date) -> Seen:
    """All vintages together, complete months only. What comes within a month is there to redeem in it."""
    by_vintage: dict[tuple[str, date], dict[int, Moves]] = {}
    for move in moves:
        by_vintage.setdefault((move.wallet, move.month), {})[move.age] = move
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for (wallet, month), ages in by_vintage.items():
        left = 0
        for age in range(months_between(month, as_of)):
            move = ages.get(age, Moves(wallet, age, month, 0, 0, 0))
            left += move.came
            exposed, redeemed = found.get((wallet, age), (0, 0))
            found[wallet, age] = (exposed + max(left, 0), redeemed + move.redeemed)
            left -= move.redeemed + move.expired
    return found


def months_between(start: date, end: date) -> int:
    """Calendar months from the month of `start` to the month of `end`."""
    return (end.year - start.year) * 12 + end.month - start.month


def expected_to_stay(found: Seen, wallet: str, ages: range, *, exposed_min: int) -> Fraction:
    """Which part of what is left is never redeemed in these months of its age, by what was seen of them; none if there are none."""
    stays = Fraction(1 if ages else 0)
    for k in ages:
        exposed, redeemed = found.get((wallet, k), (0, 0))
        if exposed < max(1, exposed_min):
            return Fraction(0)
        stays *= 1 - min(Fraction(1), max(Fraction(0), Fraction(redeemed, exposed)))
    return stays


def curve(found: Seen) -> list[Age]:
    """The redemption curve, age after age."""
    rows, left = [], dict[str, Fraction]()
    for (wallet, age), (exposed, redeemed) in sorted(found.items()):
        rate = min(Fraction(1), max(Fraction(0), Fraction(redeemed, exposed))) if exposed else Fraction(0)
        left[wallet] = left.get(wallet, Fraction(1)) * (1 - rate)
        rows.append(Age(wallet, age, exposed, redeemed, int(rate * MILLION), int(left[wallet] * MILLION)))
    return rows


async def report(
    conn: Any,
    as_of: date,
    known_at: datetime,
    *,
    points_per_cny: int,
    exposed_min: int = EXPOSED_POINTS_MIN,
) -> Liability:
    """Everything above from the whole journal, read on a patient session."""
    rows = await conn.fetch(VINTAGES, as_of, known_at)
    moves = await conn.fetch(RUN_OFF, as_of, known_at)
    found = seen([Moves(*row) for row in moves], as_of)
    vintages = [_vintage(row, _breakage(row, found, as_of, exposed_min=exposed_min), points_per_cny) for row in rows]
    outstanding, pending = sum(v.outstanding for v in vintages), sum(v.pending for v in vintages)
    breakage = sum(v.expected_breakage for v in vintages)
    return Liability(
        as_of=as_of,
        known_at=known_at,
        points_per_cny=points_per_cny,
        outstanding=outstanding,
        pending=pending,
        expected_breakage=breakage,
        cost_fen=(outstanding + pending) * 100 // points_per_cny,
        expected_cost_fen=(outstanding + pending - breakage) * 100 // points_per_cny,
        method_en=METHOD_EN,
        method_zh=METHOD_ZH,
        vintages=vintages,
        redemption_curve=curve(found),
    )


def _breakage(row: Any, found: Seen, as_of: date, *, exposed_min: int) -> int:
    wallet, month, *_, outstanding, pending, last_end = row
    if last_end is None:
        return 0
    last = months_between(month, last_end - timedelta(1))
    ages = range(months_between(month, as_of), last + 1)
    return int((outstanding + pending) * expected_to_stay(found, wallet, ages, exposed_min=exposed_min))


def _vintage(row: Any, breakage: int, points_per_cny: int) -> Vintage:
    wallet, month, granted, redeemed, expired, reversed_, repaid, deducted, outstanding, pending, _ = row
    owed = outstanding + pending
    return Vintage(
        wallet=wallet,
        month=month,
        granted=granted,
        redeemed=redeemed,
        expired=expired,
        reversed=reversed_,
        repaid=repaid,
        deducted=deducted,
        outstanding=outstanding,
        pending=pending,
        expected_breakage=breakage,
        cost_fen=owed * 100 // points_per_cny,
        expected_cost_fen=(owed - breakage) * 100 // points_per_cny,
    )


HEAD: Final = Vintage.__struct_fields__


def table(found: Liability) -> Sequence[Sequence[Cell]]:
    """The vintages as rows for a file, and their sum."""
    rows: list[Sequence[Cell]] = [[getattr(v, name) for name in HEAD] for v in found.vintages]
    sums = [sum(getattr(v, name) for v in found.vintages) for name in HEAD[2:-2]]
    return [*rows, ["total", found.as_of, *sums, found.cost_fen, found.expected_cost_fen]]
