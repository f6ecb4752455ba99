"""What a tier rests on, piece by piece: which policies covered which days, what they cost a year, what growth added.

The invariant: the days of the intervals, with the growth's, are exactly the insured days of the measures on that day, and the
premiums of the policies in force are exactly the annual premium; so whoever reads it can add it up.
"""

from collections.abc import Iterable
from datetime import date

import msgspec
from tenure.calendar import Period, add_years, days_without_29_february, union
from tenure.contracts.programme import TierRules, Versions
from tenure.contracts.tier import Step

from tier_engine.rules.compare import carried_on
from tier_engine.rules.days import Growth, InsuredTerm, eligible, growth_days
from tier_engine.rules.timeline import live, shares_that_count

POLICIES_MAX = 100
INTERVALS_MAX = 200
AHEAD_YEARS = 30
LAST = date(9999, 11, 1)


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """Days with cover without a gap, `start` to before `end`; `days` leaves out 29 February."""

    start: date
    end: date
    days: int


class PolicyEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """One policy's part: its days with cover before the day (others may have covered the same), and its premium a year on it."""

    policy_no: str
    product_line: str
    start: date
    days: int
    in_force: bool
    annual_premium_fen: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """`insured_days` = the sum of the intervals' days + `growth_days`. Of very many policies or intervals, the newest."""

    insured_days: int
    intervals: tuple[Interval, ...]
    growth_points: int
    growth_days: int
    annual_premium_fen: int
    policies: tuple[PolicyEvidence, ...]


def evidence(terms: Iterable[InsuredTerm], growth: Growth, rules: TierRules, day: date) -> Evidence:
    """What counts on `day` under the rules in force on it."""
    counted = [t for t in shares_that_count(tuple(terms)) if t.covers and eligible(t, rules)]
    intervals = [_interval(p) for p in union(clipped for t in counted for clipped in _before(t.covers, day))]
    policies = _policies(counted, day)
    credit = rules.growth_credit
    credited = growth_days(growth, day, credit) if credit is not None else 0
    return Evidence(
        insured_days=sum(i.days for i in intervals) + credited,
        intervals=tuple(intervals[-INTERVALS_MAX:]),
        growth_points=sum(points for on, points in growth if on < day),
        growth_days=credited,
        annual_premium_fen=sum(p.annual_premium_fen for p in policies),
        policies=tuple(policies[-POLICIES_MAX:]),
    )


def _before(covers: Iterable[Period], day: date) -> list[Period]:
    return [(start, min(end, day)) for start, end in covers if start < day]


def _interval(period: Period) -> Interval:
    start, end = period
    return Interval(start=start, end=end, days=days_without_29_february(start, end))


def _policies(terms: list[InsuredTerm], day: date) -> list[PolicyEvidence]:
    """Those begun by then, in the order in which they began."""
    of: dict[str, list[InsuredTerm]] = {}
    for term in terms:
        if term.covers[0][0] <= day:
            of.setdefault(term.policy_no, []).append(term)
    return sorted((_policy(no, held, day) for no, held in of.items()), key=lambda p: (p.start, p.policy_no))


def _policy(policy_no: str, held: list[InsuredTerm], day: date) -> PolicyEvidence:
    days = union(clipped for t in held for clipped in _before(t.covers, day))
    now = [t for t in held if any(start <= day < end for start, end in t.covers)]
    return PolicyEvidence(
        policy_no=policy_no,
        product_line=held[-1].product_line,
        start=min(t.covers[0][0] for t in held),
        days=sum(days_without_29_february(*period) for period in days),
        in_force=bool(now),
        annual_premium_fen=sum(t.annual_fen for t in now),
    )


def next_if_cover_goes_on(
    terms: tuple[InsuredTerm, ...], growth: Growth, versions: Versions[TierRules], day: date
) -> Step | None:
    """The next upgrade if every policy in force on `day` simply goes on, within thirty years."""
    until = add_years(day, AHEAD_YEARS) if day.year + AHEAD_YEARS < LAST.year else LAST
    steps = live(carried_on(terms, day, until), growth, versions).steps
    return next((s for s in steps if s.effective > day and s.cause == "upgrade"), None)
