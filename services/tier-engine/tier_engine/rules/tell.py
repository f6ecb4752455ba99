"""Differences as they are told: steps that were added one by one, a corrected past as one change, a risk once while it stands.

The invariant: whoever keeps the newest `timeline` that was told holds the one of the state.
"""

from collections.abc import Iterator
from datetime import date

from tenure.calendar import DAY
from tenure.contracts.programme import TierRules, Versions
from tenure.contracts.tier import NO_TIER, Step, TierAtRisk, TierChanged

from tier_engine.rules.member import Member
from tier_engine.rules.timeline import Life, Risk, live
from tier_engine.rules.why import easiest, nearest, policies_behind, reasons


def changes_told(before: Member, after: Member, life: Life) -> Iterator[TierChanged]:
    """Each step that was added, in order; or, if what had been told is no longer so, the whole correction as one."""
    old, new, stood_to = before.timeline, after.timeline, _stood_to(before, after, life)
    if new[: len(old)] != old:
        yield change(after, life, _first_difference(old, new), was=old, retroactive=True)
        return
    for i in range(len(old), len(new)):
        effective = new[i].effective
        late = stood_to is not None and effective < stood_to
        yield change(after, life, effective, was=new[:i], steps=i + 1, retroactive=late)


def _stood_to(before: Member, after: Member, life: Life) -> date | None:
    """Until when what was told was the truth, as far as was known: the day lived to, and the days after it on which nothing
    was due (days that bring nothing do not call here). What changes before that day, a fact has changed in hindsight.
    """
    if before.lived_to is None or after.lived_to is None:
        return None
    due = before.due_on
    # A day of new rules, or on which a risk is over, may have changed nothing else.
    if before.warned is not None or any(segment.start == due for segment in life.segments[1:]):
        due = live(before.terms, before.growth, _versions(life)).next_change(before.lived_to)
    quiet = after.lived_to if due is None else min(after.lived_to, due - DAY)
    return max(before.lived_to, quiet)


def _versions(life: Life) -> Versions[TierRules]:
    return Versions([segment.ladder.rules for segment in life.segments])


def _first_difference(old: tuple[Step, ...], new: tuple[Step, ...]) -> date:
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    return min(step.effective for step in (*old[same : same + 1], *new[same : same + 1]))


def change(
    member: Member,
    life: Life,
    effective: date,
    *,
    was: tuple[Step, ...],
    steps: int | None = None,
    retroactive: bool = True,
) -> TierChanged:
    """The change to the first so many steps of the member's timeline, measured on the day the newest of them counts from."""
    timeline = member.timeline[:steps]
    day = max(effective, timeline[-1].effective) if timeline else effective
    segment = life.segment_at(day)
    rules, measures = segment.ladder.rules, segment.profile.at(day)
    tier = timeline[-1].tier if timeline else NO_TIER
    return TierChanged(
        member_id=member.member_id,
        from_tier=was[-1].tier if was else NO_TIER,
        to_tier=tier,
        effective=effective,
        retroactive=retroactive,
        reasons=reasons(rules, tier, measures, day),
        nearest=nearest(rules, tier, measures, day),
        policies=policies_behind(member.terms, rules, day),
        insured_days=measures.insured_days,
        annual_premium_fen=measures.annual_premium_fen,
        rules_version=rules.version,
        timeline=timeline,
    )


def never_held(member: Member, was: tuple[Step, ...], versions: Versions[TierRules]) -> TierChanged:
    return change(member, live((), (), versions), was[0].effective, was=was)


def warning(member: Member, risk: Risk, life: Life) -> TierAtRisk:
    day = member.lived_to or risk.effective
    segment = life.segment_at(day)
    return TierAtRisk(
        member_id=member.member_id,
        tier=risk.tier,
        to_tier=risk.to_tier,
        effective=risk.effective,
        drops_on=risk.drops_on,
        nearest=easiest(segment.ladder.rules, risk.tier, segment.profile.at(day), day),
    )
