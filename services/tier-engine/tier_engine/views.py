"""What the API answers with, built from a member and a day: the same pure rules that decide, labelled and worded.

The invariant: an answer for a past day is what the rules say today about that day, so it never disagrees with the timeline.
"""

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
from tenure.calendar import DAYS_PER_YEAR, add_years, full_years
from tenure.contracts.programme import Programme, TierRules
from tenure.contracts.tier import NO_TIER, Condition, Step, tier_on

from tier_engine.rules import InsuredTerm, Life, Member, live, standing_of
from tier_engine.rules.days import annualised
from tier_engine.rules.evidence import next_if_cover_goes_on
from tier_engine.words import Words, at_risk, goes_on, label, missing


class LabelledStep(msgspec.Struct, frozen=True):
    effective: date
    tier: str
    cause: str
    label_zh: str
    label_en: str


class AtRisk(msgspec.Struct, frozen=True):
    since: date
    to_tier: str
    drops_on: date
    zh: str
    en: str


class TierView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a member stands. `upcoming` is what follows by time alone from what is known, no renewal assumed;
    `next_if_cover_goes_on` is the next upgrade if every policy in force then goes on for its premium.
    """

    member_id: str
    as_of: date
    tier: str
    label_zh: str
    label_en: str
    tier_since: date | None
    qualified_tier: str
    insured_days: int
    insured_years: int
    annual_premium_fen: int
    covered: bool
    lapsed: bool
    nearest: Condition | None
    nearest_zh: str
    nearest_en: str
    at_risk: AtRisk | None
    timeline: tuple[LabelledStep, ...]
    upcoming: tuple[LabelledStep, ...]
    next_if_cover_goes_on: LabelledStep | None
    next_zh: str
    next_en: str
    merged_into: str | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A member's line in the listing of all. `told` is the tier the world was told last: another than `tier` when the day asked
    about is not the day the member has lived to.
    """

    member_id: str
    insured_days: int
    annual_premium_fen: int
    qualified_tier: str
    tier: str
    tier_since: date | None
    told: str


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """`next_after` is where the next page begins; null on the last one."""

    as_of: date
    items: Sequence[Row]
    next_after: str | None


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """What renewing a policy for the same length and premium from its current end would bring."""

    member_id: str
    policy_no: str
    renewed_from: date
    renewed_to: date
    tier_now: str
    qualified_at_start: str
    tier_at_start: str
    tier_at_end: str
    insured_years_at_end: int
    annual_premium_fen_at_start: int


def tier_view(member: Member, programme: Programme, day: date) -> TierView:
    life = live(member.terms, member.growth, programme.tiers)
    rules, s = programme.tiers.at(day), standing_of(life, day)
    named, still = label(rules, s.tier), still_missing(s.tier, s.nearest, rules)
    following, then = following_tier(member, programme, day)
    return TierView(
        member_id=member.member_id,
        as_of=day,
        tier=s.tier,
        label_zh=named.zh,
        label_en=named.en,
        tier_since=s.tier_since,
        qualified_tier=s.qualified_tier,
        insured_days=s.insured_days,
        insured_years=s.insured_days // DAYS_PER_YEAR,
        annual_premium_fen=s.annual_premium_fen,
        covered=s.covered,
        lapsed=s.lapsed,
        nearest=s.nearest,
        nearest_zh=still.zh,
        nearest_en=still.en,
        at_risk=risk_now(life, rules, day),
        timeline=labelled(life.until(day), programme),
        upcoming=labelled((step for step in life.steps if step.effective > day), programme),
        next_if_cover_goes_on=next(iter(labelled((following,), programme)), None) if following else None,
        next_zh=then.zh,
        next_en=then.en,
        merged_into=member.merged_into,
    )


def row(member: Member, programme: Programme, day: date) -> Row:
    s = standing_of(live(member.terms, member.growth, programme.tiers), day)
    return Row(
        member_id=member.member_id,
        insured_days=s.insured_days,
        annual_premium_fen=s.annual_premium_fen,
        qualified_tier=s.qualified_tier,
        tier=s.tier,
        tier_since=s.tier_since,
        told=member.timeline[-1].tier if member.timeline else NO_TIER,
    )


def renewal(member: Member, policy_no: str, programme: Programme, day: date) -> Renewal | None:
    """None if the member has no term of that policy to renew: the newest of theirs may lapse, or be another's, before its end."""
    terms = [t for t in member.terms if t.policy_no == policy_no]
    newest = max((t for t in terms if t.covers), key=lambda t: t.end, default=None)
    again = renewed(newest, term_no=max(t.term_no for t in terms) + 1) if newest and newest.runs_out else None
    if again is None:
        return None
    life = live((*member.terms, again), member.growth, programme.tiers)
    at_start, at_end = standing_of(life, again.start), standing_of(life, again.end)
    return Renewal(
        member_id=member.member_id,
        policy_no=policy_no,
        renewed_from=again.start,
        renewed_to=again.end,
        tier_now=tier_on(life.steps, day),
        qualified_at_start=at_start.qualified_tier,
        tier_at_start=at_start.tier,
        tier_at_end=at_end.tier,
        insured_years_at_end=at_end.insured_days // DAYS_PER_YEAR,
        annual_premium_fen_at_start=at_start.annual_premium_fen,
    )


def renewed(term: InsuredTerm, *, term_no: int) -> InsuredTerm | None:
    """The next term: from this one's end, as long (in whole years where this one is), for the same premium.

    None for cover that lasts for life: nothing comes after it.
    """
    years = full_years(term.start, term.end)
    whole = years > 0 and add_years(term.start, years) == term.end
    try:
        end = add_years(term.end, years) if whole else term.end + (term.end - term.start)
    except (OverflowError, ValueError):
        return None
    return msgspec.structs.replace(
        term,
        term_no=term_no,
        start=term.end,
        end=end,
        annual_fen=annualised(term.premium_fen, term.end, end),
        covers=((term.end, end),),
    )


def following_tier(member: Member, programme: Programme, day: date) -> tuple[Step | None, Words]:
    following = next_if_cover_goes_on(member.terms, member.growth, programme.tiers, day)
    return following, goes_on(following, programme.tiers.at(following.effective if following else day))


def labelled(steps: Iterable[Step], programme: Programme) -> tuple[LabelledStep, ...]:
    found = []
    for step in steps:
        words = label(programme.tiers.at(step.effective), step.tier)
        found.append(LabelledStep(step.effective, step.tier, step.cause, words.zh, words.en))
    return tuple(found)


def still_missing(tier: str, nearest: Condition | None, rules: TierRules) -> Words:
    return Words("尚无保障。", "No cover yet.") if tier == NO_TIER else missing(nearest, rules)


def risk_now(life: Life, rules: TierRules, day: date) -> AtRisk | None:
    risk = life.risk_at(day)
    if risk is None:
        return None
    words = at_risk(risk.drops_on, risk.to_tier, rules)
    return AtRisk(risk.effective, risk.to_tier, risk.drops_on, words.zh, words.en)
