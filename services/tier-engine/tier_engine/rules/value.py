"""What a tier costs the programme in a year, by the reference values of its own files: benefits, and the points of its multiplier.

The invariant: every figure comes from the files. A benefit without a reference value counts nothing; one that is granted once in a
life is no yearly cost, but one for each member who comes to its tier for the first time. It is the value if everybody used
everything: an upper bound, meant for comparing two sets of rules.
"""

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec
from tenure.calendar import full_years
from tenure.contracts.programme import BenefitRules, EarningRules, TierRules
from tenure.contracts.programme.benefits import Benefit

from tier_engine.rules.days import InsuredTerm

PERCENT = 100
FEN_PER_CNY = 100
INSURING = ("policy.renewed", "policy.anniversary")
"""What a policy that goes on brings every year; the multiplier of the tier is on these."""


class YearlyRule(msgspec.Struct, frozen=True, kw_only=True):
    """An earning rule that the tier multiplies, as far as a year's renewal and anniversary decide it."""

    fixed: int
    per_cny: int
    per_year: int
    points_max: int | None
    premium_percent: int
    product_lines: frozenset[str] | None

    def of(self, term: InsuredTerm, years: int, premium_points: int) -> int:
        if self.product_lines is not None and term.product_line not in self.product_lines:
            return 0
        cny = term.annual_fen // FEN_PER_CNY
        points = (
            self.fixed + self.per_cny * cny + self.per_year * years + premium_points * self.premium_percent // PERCENT
        )
        return points if self.points_max is None else min(points, self.points_max)


class YearlyPoints(msgspec.Struct, frozen=True, kw_only=True):
    """The points that a year of insuring brings before the tier's multiplier, and the multipliers."""

    rules: tuple[YearlyRule, ...]
    premium_per_cny: int
    percent: dict[str, int]
    points_per_cny: int

    @classmethod
    def by(cls, earning: EarningRules) -> "YearlyPoints":
        premium = sum(r.per_cny for r in earning.rules if r.trigger == "premium.paid" and r.wallet == "points")
        rules = tuple(
            YearlyRule(
                fixed=r.fixed,
                per_cny=r.per_cny,
                per_year=r.per_year,
                points_max=r.points_max,
                premium_percent=r.premium_percent,
                product_lines=r.product_lines,
            )
            for r in earning.rules
            if r.tier_multiplier and r.trigger in INSURING
        )
        return cls(
            rules=rules,
            premium_per_cny=premium,
            percent=dict(earning.tier_percent),
            points_per_cny=earning.points_per_cny,
        )

    def percent_of(self, tier: str) -> int:
        return self.percent.get(tier, PERCENT)

    def of(self, terms: Iterable[InsuredTerm], day: date) -> int:
        """The points of the year from `day`, of the policies in force on it, each renewed once and one anniversary older."""
        begun: dict[str, date] = {}
        in_force: dict[str, InsuredTerm] = {}
        for term in terms:
            if term.void or not term.natural_person:
                continue
            begun[term.policy_no] = min(term.start, begun.get(term.policy_no, term.start))
            if any(start <= day < end for start, end in term.covers):
                in_force[term.policy_no] = term
        return sum(self._of(term, full_years(begun[no], day) + 1) for no, term in in_force.items())

    def _of(self, term: InsuredTerm, years: int) -> int:
        premium_points = self.premium_per_cny * (term.annual_fen // FEN_PER_CNY)
        return sum(rule.of(term, years, premium_points) for rule in self.rules)


def yearly_fen(benefits: BenefitRules, tiers: TierRules, tier: str) -> int:
    """The reference value of a year of a tier's benefits, if all of them are used as often as they may be."""
    rank = tiers.rank(tier)
    return sum(_yearly(benefit, tiers, rank) for benefit in benefits.benefits if _has(benefit, tiers, rank))


def once_fen(benefits: BenefitRules, reached: Mapping[str, int]) -> int:
    """The reference value of what is granted once in a life, to so many members who come to each tier for the first time."""
    return sum(
        (b.reference_fen or 0) * (b.quota or 1) * reached.get(b.from_tier, 0)
        for b in benefits.benefits
        if b.period == "once"
    )


def _has(benefit: Benefit, tiers: TierRules, rank: int) -> bool:
    return 0 <= tiers.rank(benefit.from_tier) <= rank


def _yearly(benefit: Benefit, tiers: TierRules, rank: int) -> int:
    if benefit.reference_fen is None or benefit.period == "once":
        return 0
    quotas = sorted((tiers.rank(name), quota) for name, quota in benefit.quota_by_tier.items())
    best = [quota for at, quota in quotas if 0 <= at <= rank]
    return benefit.reference_fen * (best[-1] if best else benefit.quota or 1)
