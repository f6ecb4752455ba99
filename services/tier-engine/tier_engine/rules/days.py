"""Insured days and annual premium (DESIGN 5.1): what a member's terms and growth are worth on any day.

The invariant: a `Profile` says of every day exactly what its definition says, the number of distinct dates before that day,
29 February left out, with cover under an eligible policy; but it never walks over days. It cuts time at the days on which
cover or premium changes, and looks days up by bisection.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Self

import msgspec
from tenure.calendar import DAY, DAYS_PER_YEAR, Period, day_number, days_without_29_february, round_half_up, union
from tenure.contracts.policy import Term
from tenure.contracts.programme.tiers import GrowthCredit, TierRules, is_eligible

Growth = tuple[tuple[date, int], ...]
"""Growth points earned per day (negative: taken back), by day."""


class InsuredTerm(msgspec.Struct, frozen=True, array_like=True):
    """What the tier needs of a policy term; `annual_fen` is its premium made annual, 0 for a void one."""

    policy_no: str
    term_no: int
    member_id: str
    version: int
    product_line: str
    natural_person: bool
    void: bool
    start: date
    end: date
    premium_fen: int
    annual_fen: int
    covers: tuple[Period, ...]

    @classmethod
    def of(cls, term: Term) -> Self:
        void = term.status == "void"
        return cls(
            policy_no=term.policy_no,
            term_no=term.term_no,
            member_id=term.member_id,
            version=term.version,
            product_line=term.product_line,
            natural_person=term.natural_person,
            void=void,
            start=term.start,
            end=term.end,
            premium_fen=term.premium_fen,
            annual_fen=0 if void else annualised(term.premium_fen, term.start, term.end),
            covers=() if void else _disjoint(term.covers),
        )

    @property
    def key(self) -> tuple[str, int, str]:
        """Whose share of which term it is: a term that changed hands has one share for each holder."""
        return self.policy_no, self.term_no, self.member_id

    @property
    def runs_out(self) -> bool:
        """Whether its holder has cover until its end, and so can go on: it has not lapsed by then, nor is it another's."""
        return bool(self.covers) and self.covers[-1][1] == self.end


class Measures(NamedTuple):
    """What counts on one day."""

    insured_days: int
    annual_premium_fen: int
    covered: bool

    @property
    def insured_years(self) -> int:
        return self.insured_days // DAYS_PER_YEAR


def annualised(premium_fen: int, start: date, end: date) -> int:
    """The premium of `[start, end)` for 365 days, half up; 0 for a term without a day that counts."""
    days = days_without_29_february(start, end)
    return round_half_up(premium_fen * DAYS_PER_YEAR, days) if days else 0


def _disjoint(covers: Sequence[Period]) -> tuple[Period, ...]:
    if len(covers) == 1 and covers[0][0] < covers[0][1]:
        return tuple(covers)
    return tuple(union(covers))


def eligible(term: InsuredTerm, rules: TierRules) -> bool:
    return is_eligible(term.product_line, natural_person=term.natural_person, lines=rules.eligible_product_lines)


class Profile:
    """The measures of every day, as pieces of time between changes: piece `i` begins on `starts[i]`."""

    __slots__ = ("covered", "days", "numbers", "premium", "starts")

    def __init__(self, terms: Iterable[InsuredTerm], growth: Growth, rules: TierRules) -> None:
        self.starts: list[date] = []
        self.numbers: list[int] = []
        self.covered: list[bool] = []
        self.premium: list[int] = []
        self.days: list[int] = []
        credit = rules.growth_credit
        edges = _edges(terms, rules)
        if credit is not None and growth:
            edges += [(day + DAY, 0, 0) for day, _ in growth]
        edges.sort(key=itemgetter(0))
        self._cut(edges)
        if credit is not None and growth:
            self._add_credit(growth, credit)

    def _cut(self, edges: list[tuple[date, int, int]]) -> None:
        """One piece per day on which something changes."""
        covers = premium = days = number = 0
        before: date | None = None
        for start, policies, fen in edges:
            if start != before:
                before, previous, number = start, number, day_number(start)
                if covers:
                    days += number - previous
                self.starts.append(start)
                self.numbers.append(number)
                self.days.append(days)
                self.covered.append(covers > 0)
                self.premium.append(premium)
            covers += policies
            premium += fen
            self.covered[-1] = covers > 0
            self.premium[-1] = premium

    def _add_credit(self, growth: Growth, credit: GrowthCredit) -> None:
        self.days = [
            days + growth_days(growth, start, credit) for days, start in zip(self.days, self.starts, strict=True)
        ]

    def at(self, day: date) -> Measures:
        i = bisect_right(self.starts, day) - 1
        if i < 0:
            return Measures(0, 0, False)
        days = self.days[i]
        if self.covered[i]:
            days += day_number(day) - self.numbers[i]
        return Measures(days, self.premium[i], self.covered[i])


def _edges(terms: Iterable[InsuredTerm], rules: TierRules) -> list[tuple[date, int, int]]:
    """Each day on which a cover begins or ends, with what it adds: policies in force, and premium."""
    edges: list[tuple[date, int, int]] = []
    for term in terms:
        if not eligible(term, rules):
            continue
        for start, end in term.covers:
            edges.append((start, 1, term.annual_fen))
            edges.append((end, -1, -term.annual_fen))
    return edges


def growth_days(growth: Growth, day: date, credit: GrowthCredit) -> int:
    """The insured days that growth earned before `day` is worth: capped within each calendar year, never below none."""
    earned = ((on.year, points) for on, points in growth if on < day)
    total = 0
    for _, of_year in groupby(earned, key=itemgetter(0)):
        points = sum(p for _, p in of_year)
        total += min(credit.days_max_per_calendar_year, points * credit.days_per_point)
    return max(0, total)


def insured_days(terms: Iterable[InsuredTerm], growth: Growth, rules: TierRules, day: date) -> int:
    """How many insured days lie before `day`."""
    return Profile(terms, growth, rules).at(day).insured_days


def annual_premium(terms: Iterable[InsuredTerm], rules: TierRules, day: date) -> int:
    """The annualised premium in fen of all eligible terms in force on `day`."""
    return Profile(terms, (), rules).at(day).annual_premium_fen


def first_day_with_number(number: int) -> date:
    """The earliest day whose `day_number` is at least this: the day on which so many counted days lie behind.

    Where a 29 February and the 1 March after it share the number, it is the 29 February. Beyond the calendar: its last day.
    """
    year, rest = divmod(number - 1, DAYS_PER_YEAR)
    if year >= date.max.year:
        return date.max
    first = date(year + 1, 1, 1)
    ordinal = first.toordinal() + rest
    day = date.fromordinal(ordinal)
    return day if day_number(day) == number else date.fromordinal(ordinal + 1)
