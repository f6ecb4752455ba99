"""Why a member has a tier: conditions measured on a day, the nearest one still missing, and sentences to read aloud.

The invariant: a reason is never written by hand. It is a condition of the rules in force on that day, measured by the same
profile the timeline was cut from.
"""

from collections.abc import Iterable
from datetime import date
from typing import Final

import msgspec
from tenure.calendar import DAYS_PER_YEAR, day_number
from tenure.contracts.programme import Programme, TierRules
from tenure.contracts.programme.tiers import TierCondition
from tenure.contracts.tier import NO_TIER, Condition

from tier_engine.rules.days import Growth, InsuredTerm, Measures, eligible, first_day_with_number
from tier_engine.rules.timeline import Life, live

POLICIES_MAX: Final = 100


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A member's tier on one day, and what it rests on. `tier_since` is the day of the last change."""

    member_id: str | None
    insured_days: int
    annual_premium_fen: int
    qualified_tier: str
    tier: str
    tier_since: date | None
    covered: bool
    lapsed: bool
    nearest: Condition | None


def standing(
    terms: Iterable[InsuredTerm], growth: Growth, programme: Programme, day: date, *, member_id: str | None = None
) -> Standing:
    """How a member with these terms and this growth stands on `day`."""
    return standing_of(live(terms, growth, programme.tiers), day, member_id=member_id)


def standing_of(life: Life, day: date, *, member_id: str | None = None) -> Standing:
    segment = life.segment_at(day)
    ladder, m = segment.ladder, segment.profile.at(day)
    timeline = life.until(day)
    tier = timeline[-1].tier if timeline else NO_TIER
    qualified = ladder.qualified(m.insured_days, m.annual_premium_fen)
    return Standing(
        member_id=member_id,
        insured_days=m.insured_days,
        annual_premium_fen=m.annual_premium_fen,
        qualified_tier=ladder.names[qualified] if timeline else NO_TIER,
        tier=tier,
        tier_since=timeline[-1].effective if timeline else None,
        covered=m.covered,
        lapsed=bool(timeline) and not m.covered,
        nearest=nearest(ladder.rules, tier, m, day),
    )


def reasons(rules: TierRules, tier: str, m: Measures, day: date) -> tuple[Condition, ...]:
    """All conditions of a tier that hold."""
    return tuple(c for c in _conditions(rules, tier, m, day) if not c.missing)


def nearest(rules: TierRules, tier: str, m: Measures, day: date) -> Condition | None:
    """The condition of the next tier up that is nearest to being met; None at the top."""
    up = rules.rank(tier) + 1
    return easiest(rules, rules.tiers[up].name, m, day) if 0 < up < len(rules.tiers) else None


def easiest(rules: TierRules, tier: str, m: Measures, day: date) -> Condition | None:
    """The condition of `tier` of which the smallest share is missing."""
    return min(
        (c for c in _conditions(rules, tier, m, day) if c.missing), key=lambda c: c.missing / _whole(c), default=None
    )


def policies_behind(terms: Iterable[InsuredTerm], rules: TierRules, day: date) -> tuple[str, ...]:
    """The policies whose cover counts on that day: those begun by then, the newest ones if there are very many."""
    begun: dict[str, date] = {}
    for term in terms:
        if term.covers and term.covers[0][0] <= day and eligible(term, rules):
            begun[term.policy_no] = max(term.start, begun.get(term.policy_no, term.start))
    newest = sorted(begun, key=lambda policy_no: (begun[policy_no], policy_no))[-POLICIES_MAX:]
    return tuple(sorted(newest))


def _conditions(rules: TierRules, tier: str, m: Measures, day: date) -> Iterable[Condition]:
    rule = rules.rule(tier)
    return (_measured(tier, c, m, day) for c in rule.any_of) if rule else ()


def _measured(tier: str, condition: TierCondition, m: Measures, day: date) -> Condition:
    if condition.measure == "annual_premium_fen":
        actual, missing, expected = m.annual_premium_fen, max(0, condition.least - m.annual_premium_fen), None
    else:
        actual = m.insured_years
        missing = max(0, condition.least * DAYS_PER_YEAR - m.insured_days)
        expected = first_day_with_number(day_number(day) + missing) if missing and m.covered else None
    return Condition(
        tier=tier,
        measure=condition.measure,
        actual=actual,
        threshold=condition.threshold,
        operator=condition.operator,
        missing=missing,
        expected_on=expected,
    )


def _whole(condition: Condition) -> int:
    unit = DAYS_PER_YEAR if condition.measure == "insured_years" else 1
    least = condition.threshold + (condition.operator == ">")
    return max(1, least * unit)
