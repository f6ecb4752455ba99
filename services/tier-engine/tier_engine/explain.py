"""Explains: each change of a tier with what it rested on, in sentences to read aloud; and what had been told by when.

The invariant: a sentence and the structure beside it come from the same measures, those the timeline was cut from.
"""

from collections.abc import Iterable
from datetime import date, datetime

import msgspec
from tenure.contracts.programme import Programme
from tenure.contracts.tier import NO_TIER, Condition, Step, tier_on

from tier_engine.rules import Life, Member, live, standing_of
from tier_engine.rules.evidence import Evidence, evidence
from tier_engine.rules.why import nearest, policies_behind, reasons
from tier_engine.store import Record
from tier_engine.views import LabelledStep, following_tier, labelled, risk_now, still_missing
from tier_engine.words import Words, behind, changed, holds, joined, label, progress
from tier_engine.words import told as told_words


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the tier and why, measured on its day under the rules of its day.

    `reasons` are the conditions that held, `nearest` the one of the next tier that was nearest to holding, `evidence` the days
    and premiums they were measured from.
    """

    effective: date
    from_tier: str
    to_tier: str
    cause: str
    reasons: tuple[Condition, ...]
    insured_days: int
    annual_premium_fen: int
    policies: tuple[str, ...]
    evidence: Evidence
    nearest: Condition | None
    rules_version: int
    rules_effective: date
    protection_months: int
    zh: str
    en: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What we had told by the end of `on` about `as_of`, and what we know now: they differ where a later fact changed the past.

    Days after the last one that the member had lived to when it was told were not told about: the tier just went on.
    """

    member_id: str
    on: date
    as_of: date
    tier: str
    label_zh: str
    label_en: str
    tier_since: date | None
    timeline: tuple[LabelledStep, ...]
    decision: "Said | None"
    tier_now: str
    differs: bool
    zh: str
    en: str


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as it was told at the time, whatever is known now."""

    decided_at: datetime
    effective: date
    from_tier: str
    to_tier: str
    retroactive: bool
    backfill: bool
    cause: str
    cause_type: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    member_id: str
    as_of: date
    tier: str
    zh: str
    en: str
    changes: tuple[Reason, ...]
    nearest: Condition | None
    nearest_zh: str
    nearest_en: str
    decisions: tuple[Said, ...]


def why(member: Member, programme: Programme, day: date, said: Iterable[tuple[object, ...]]) -> Why:
    life = live(member.terms, member.growth, programme.tiers)
    rules, s = programme.tiers.at(day), standing_of(life, day)
    still, risk = still_missing(s.tier, s.nearest, rules), risk_now(life, rules, day)
    sum_up = joined(
        holds(s.tier, s.tier_since, rules, lapsed=s.lapsed),
        progress(s.insured_days, s.annual_premium_fen),
        *((Words(risk.zh, risk.en),) if risk else ()),
        following_tier(member, programme, day)[1],
    )
    return Why(
        member_id=member.member_id,
        as_of=day,
        tier=s.tier,
        zh=sum_up.zh,
        en=sum_up.en,
        changes=_reasons(member, life, day),
        nearest=s.nearest,
        nearest_zh=still.zh,
        nearest_en=still.en,
        decisions=tuple(Said(**dict(zip(Said.__struct_fields__, one, strict=True))) for one in said),  # type: ignore[arg-type]
    )


def told(
    member: Member, programme: Programme, *, on: date, as_of: date, newest: tuple[Record, tuple[Step, ...]] | None
) -> Told:
    """`newest` is the last decision told by then, with its timeline."""
    record, timeline = newest or (None, ())
    begun = [step for step in timeline if step.effective <= as_of]
    tier, since = (begun[-1].tier, begun[-1].effective) if begun else (NO_TIER, None)
    now = tier_on(live(member.terms, member.growth, programme.tiers).steps, as_of)
    rules = programme.tiers.at(as_of)
    named, words = label(rules, tier), told_words(tier, since, on=on, as_of=as_of, rules=rules)
    return Told(
        member_id=member.member_id,
        on=on,
        as_of=as_of,
        tier=tier,
        label_zh=named.zh,
        label_en=named.en,
        tier_since=since,
        timeline=labelled(timeline, programme),
        decision=Said(**record._asdict()) if record else None,
        tier_now=now,
        differs=tier != now,
        zh=words.zh,
        en=words.en,
    )


def _reasons(member: Member, life: Life, day: date) -> tuple[Reason, ...]:
    timeline = life.until(day)
    before = (NO_TIER, *(step.tier for step in timeline))
    return tuple(_reason(member, life, step, came) for step, came in zip(timeline, before, strict=False))


def _reason(member: Member, life: Life, step: Step, came_from: str) -> Reason:
    segment = life.segment_at(step.effective)
    rules, measures = segment.ladder.rules, segment.profile.at(step.effective)
    met = reasons(rules, step.tier, measures, step.effective)
    found = evidence(member.terms, member.growth, rules, step.effective)
    words = joined(changed(step, came_from, met, rules), behind(found))
    return Reason(
        effective=step.effective,
        from_tier=came_from,
        to_tier=step.tier,
        cause=step.cause,
        reasons=met,
        insured_days=measures.insured_days,
        annual_premium_fen=measures.annual_premium_fen,
        policies=policies_behind(member.terms, rules, step.effective),
        evidence=found,
        nearest=nearest(rules, step.tier, measures, step.effective),
        rules_version=rules.version,
        rules_effective=rules.effective,
        protection_months=rules.protection_months,
        zh=words.zh,
        en=words.en,
    )
