"""The tier, day by day, as literally as DESIGN 5.1 and 5.2 say it: slow, and the judge of the fast one."""

from bisect import bisect_left
from datetime import date, timedelta
from fractions import Fraction
from functools import cache
from math import floor

from tenure.contracts.programme import TierRules, Versions
from tier_engine.rules import InsuredTerm

DAY = timedelta(days=1)


def dates(start, end):
    while start < end:
        yield start
        start += DAY


def is_29_february(day):
    return (day.month, day.day) == (2, 29)


def is_eligible(term, rules):
    return term.natural_person and (
        rules.eligible_product_lines is None or term.product_line in rules.eligible_product_lines
    )


class Facts:
    """The same facts under one version of the rules."""

    def __init__(self, terms: list[InsuredTerm], growth, rules: TierRules):
        self.terms = [t for t in terms if is_eligible(t, rules)]
        self.growth, self.rules = growth, rules
        self.covered = {x for t in self.terms for start, end in t.covers for x in dates(start, end)}
        self.counted = sorted(x for x in self.covered if not is_29_february(x))

    def insured_days(self, d: date) -> int:
        return bisect_left(self.counted, d) + self.growth_credit(d)

    def growth_credit(self, d: date) -> int:
        if self.rules.growth_credit is None:
            return 0
        credit = 0
        for year in {on.year for on, _ in self.growth}:
            earned = sum(points for on, points in self.growth if on.year == year and on < d)
            worth = earned * self.rules.growth_credit.days_per_point
            credit += min(self.rules.growth_credit.days_max_per_calendar_year, worth)
        return max(0, credit)

    def annual_premium(self, d: date) -> int:
        return sum(
            self.annualised(t) for t in self.terms if not t.void and any(start <= d < end for start, end in t.covers)
        )

    @staticmethod
    @cache  # counting days takes a while, and a term is asked about on each of its days
    def annualised(term: InsuredTerm) -> int:
        n = len([x for x in dates(term.start, term.end) if not is_29_february(x)])
        return floor(Fraction(term.premium_fen * 365, n) + Fraction(1, 2)) if n else 0

    def qualified(self, d: date) -> str:
        measured = {
            "insured_years": self.insured_days(d) // 365,
            "annual_premium_fen": self.annual_premium(d),
        }
        best = self.rules.tiers[0].name
        for tier in self.rules.tiers:
            if any(c.holds(measured[c.measure]) for c in tier.any_of):
                best = tier.name
        return best


def twelve_months_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return date(day.year + 1, 3, 1)


def tiers_by_day(terms, growth, versions: Versions[TierRules], first: date, last: date):
    """Yields (day, insured days, annual premium, qualified tier or None, tier or None) for every day from first to last."""
    facts = {rules.version: Facts(terms, growth, rules) for rules in versions.all}
    tier = confirmed = None
    for d in dates(first, last + DAY):
        rules = versions.at(d)
        today = facts[rules.version]
        rank = [t.name for t in rules.tiers].index
        q = today.qualified(d)
        if tier is None and d in today.covered:
            tier, confirmed = rules.tiers[0].name, d
        if tier is not None:
            if rank(q) > rank(tier):
                tier, confirmed = q, d
            elif rank(q) == rank(tier):
                confirmed = d
            elif d >= twelve_months_after(confirmed):
                tier, confirmed = rules.tiers[rank(tier) - 1].name, d
        yield d, today.insured_days(d), today.annual_premium(d), q if tier else None, tier
