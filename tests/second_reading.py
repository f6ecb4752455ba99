"""What a policyholder's points must come to, read once more from DESIGN 5.3, DOMAIN 3 and 12-16 and `programme/earning.yaml` alone.

Written before its author had read the rules of policy-sync or points-ledger; where the two differed, one of them was mended. A life is what was true in the end: no order of arrival, no
versions, no accounts; each entitlement is worked out from scratch on the last day, and what has expired by then is left out.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, NamedTuple

TIER_PERCENT: Final = {"none": 100, "basic": 100, "silver": 110, "gold": 120, "diamond": 150}
DAY: Final = timedelta(1)
Steps = tuple[tuple[date, str], ...]


def years_on(day: date, years: int) -> date:
    """The same day of a later year; a 29 February that is not there is 1 March."""
    leap = day.month == 2 and day.day == 29
    year = day.year + years
    has_it = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return date(year, 3, 1) if leap and not has_it else day.replace(year=year)


def expiry(active_on: date) -> date:
    """24 months after activation, at the end of that month: the first day on which the points are gone."""
    year, month = active_on.year + 2, active_on.month
    return date(year + 1, 1, 1) if month == 12 else date(year, month + 1, 1)


@dataclass
class Claim:
    """`counts`: something was paid and not given back, or it is still open."""

    no: str
    loss: date
    counts: bool


@dataclass
class TermTold:
    """One term as the core sold it, and what befell it. `refunded_before`: how many refunds there were when it was cancelled."""

    no: int
    start: date
    end: date
    premium_fen: int
    renewed_on: date | None = None
    sold_on: date = date.min
    cooling_off_days: int = 0
    payments: list[tuple[date, int]] = field(default_factory=list)
    increases: list[tuple[date, int]] = field(default_factory=list)
    decreases: list[tuple[date, int]] = field(default_factory=list)
    refunds: list[tuple[date, int]] = field(default_factory=list)
    cancelled_on: date | None = None
    lapsed: tuple[date, date | None] | None = None
    void: bool = False
    at_once: bool = False
    refunded_before: int = 0

    @property
    def last(self) -> date:
        return self.cancelled_on or self.end

    def active_on(self, day: date) -> date:
        """When what is dated that day can be used: where there is a cooling-off, not before it ends."""
        return max(day, self.sold_on + timedelta(self.cooling_off_days)) if self.cooling_off_days else day

    @property
    def covers(self) -> list[tuple[date, date]]:
        """Its days of cover: none when void, two runs when it lapsed and was reinstated later."""
        if self.void:
            return []
        if self.lapsed is None or self.lapsed[0] >= self.last:
            return [(self.start, self.last)]
        since, again = self.lapsed
        return [(self.start, since), *([(again, self.last)] if again is not None and again < self.last else [])]


@dataclass
class Life:
    policy_no: str
    terms: list[TermTold]
    claims: list[Claim] = field(default_factory=list)

    @property
    def standing(self) -> list[TermTold]:
        return [t for t in self.terms if not t.void]


class Due(NamedTuple):
    """What one rule owes for one fact: points and growth, usable from `active_on`.

    `number` tells facts of one rule and policy apart; `term_no` names the term it was earned with, where it is one's.
    """

    rule: str
    policy_no: str
    on: date
    active_on: date
    points: int
    growth: int = 0
    number: str = ""
    term_no: int | None = None


def tier_on(day: date, steps: Steps) -> str:
    return next((name for since, name in reversed(steps) if since <= day), "none")


def all_due(life: Life, steps: Steps, last_day: date) -> Iterator[Due]:
    for term in life.standing:
        yield from of_money(life, term)
        yield from of_renewal(life, term, steps)
    yield from of_years(life, steps, last_day)


def of_money(life: Life, term: TermTold) -> Iterator[Due]:
    """A point a yuan paid, two a yuan of more cover; a refund takes its share of either back, in favour of the member's fraction."""
    paid = [(day, less_refunds(term, fen // 100)) for day, fen in term.payments]
    for rule, what in (("premium", paid), ("add_cover", of_more_cover(term))):
        for n, (day, points) in enumerate(what):
            active_on = term.active_on(day)
            yield Due(rule, life.policy_no, day, active_on, points, number=f"{term.no}/{n}", term_no=term.no)


def of_more_cover(term: TermTold) -> list[tuple[date, int]]:
    """Of each increase what is there, in points, once for the same yuan."""
    found = []
    for (day, fen), there in zip(term.increases, still_there(term), strict=True):
        points = 2 * (fen // 100)
        points -= points * (fen - there) // fen if fen else 0
        found.append((day, less_refunds(term, points, sum(fen for _, fen in term.decreases))))
    return found


def still_there(term: TermTold) -> list[int]:
    """A fen that leaves is the newest that came, or else one of the sale, which is put back before more counts as come."""
    came = [(day, 1, n, fen) for n, (day, fen) in enumerate(term.increases)]
    left = [(day, 2, n, fen) for n, (day, fen) in enumerate(term.decreases)]
    there, order, missing = [0] * len(came), list[int](), 0
    for _, what, n, fen in sorted([*came, *left]):
        if what == 1:
            there[n], missing = max(0, fen - missing), max(0, missing - fen)
            order.append(n)
            continue
        leaves = fen
        for newest in reversed(order):
            gone = min(leaves, there[newest])
            there[newest] -= gone
            leaves -= gone
        missing += leaves
    return there


def less_refunds(term: TermTold, points: int, with_less_cover: int = 0) -> int:
    """What refunds leave; the money that came `with_less_cover` took its own already."""
    paid = sum(fen for _, fen in term.payments)
    refunded = min(sum(fen for _, fen in term.refunds), paid)
    own = min(with_less_cover, refunded)
    return points - points * (refunded - own) // (paid - own) if refunded > own else points


def of_renewal(life: Life, term: TermTold, steps: Steps) -> Iterator[Due]:
    if term.renewed_on is None:
        return
    stood = [t.last for t in life.standing if t.no < term.no]
    until = stood[-1] if stood else max(t.start for t in life.terms if t.no < term.no)
    if (term.start - until).days > 30:
        return
    early = 100 if (until - term.renewed_on).days >= 7 else 0
    base = 200 + early + 20 * (term.premium_fen // 100) // 100
    points = less_refunds(term, base * TIER_PERCENT[tier_on(term.renewed_on, steps)] // 100)
    active_on = term.active_on(term.renewed_on)
    yield Due("renewal", life.policy_no, term.renewed_on, active_on, points, number=f"{term.no}", term_no=term.no)


def of_years(life: Life, steps: Steps, last_day: date) -> Iterator[Due]:
    if not life.standing:
        return
    inception = life.standing[0].start
    covered = {d for t in life.standing for start, end in t.covers for d in days_between(start, end)}
    for n in range(1, 60):
        began, day = years_on(inception, n - 1), years_on(inception, n)
        if day > last_day:
            return
        if day - DAY not in covered:
            continue
        broken = any(c.counts and began <= c.loss < day for c in life.claims)
        if not broken and covered.issuperset(days_between(began, day)):
            yield Due("no_claim_year", life.policy_no, day, day, 300, 20, number=f"{n}")
        points = min(100 * n, 1_000) * TIER_PERCENT[tier_on(day, steps)] // 100
        completed = next(t.no for t in life.standing if any(a <= day - DAY < b for a, b in t.covers))
        yield Due("anniversary", life.policy_no, day, day, points, 10, number=f"{n}", term_no=completed)


def days_between(start: date, end: date) -> Iterator[date]:
    return (start + n * DAY for n in range((end - start).days))


class Standing(NamedTuple):
    """A member's points on the last day, when nothing was ever spent."""

    by_rule: dict[str, int]
    pending: int
    available: int
    growth: int


def standing(lives: list[Life], steps: Steps, last_day: date) -> Standing:
    dues = [d for life in lives for d in all_due(life, steps, last_day)]
    by_rule: Counter[str] = Counter()
    for due in dues:
        by_rule[due.rule] += due.points
    return Standing(
        {k: n for k, n in by_rule.items() if n},
        sum(d.points for d in dues if d.active_on > last_day),
        sum(d.points for d in dues if d.active_on <= last_day < expiry(d.active_on)),
        sum(d.growth for d in dues),
    )
