"""Which grants a member has, and for which periods: a pure function of the tier timeline, the rule versions and the region.

The invariants: the order in which facts and days arrived is not an argument, so it cannot matter; a grant's id is made of member,
benefit and period, so a recomputed past cannot grant anything twice. A benefit's year runs from the day it was first granted, and
goes on counting while the tier is lost, so that losing and regaining a tier never opens a fresh quota.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise, takewhile
from typing import Final, NamedTuple

from tenure.calendar import DAY, Period, add_years
from tenure.contracts.programme import BenefitRules, Programme, Versions
from tenure.contracts.programme.benefits import Benefit
from tenure.contracts.programme.order import ranks_on, reaches
from tenure.contracts.programme.tiers import is_eligible
from tenure.contracts.tier import tier_on

from benefits.rules.homes import homes_of, season_in
from benefits.state import Grant, KnownTerm, State, Use

FOREVER: Final = date.max


class Stretch(NamedTuple):
    """Days `[start, end)` through which neither the tier nor the rules change; `end` is FOREVER for the last one known."""

    start: date
    end: date
    tier: str
    rules: BenefitRules


class Span(NamedTuple):
    """Days `[start, end)` on which a member is entitled to a benefit without interruption."""

    start: date
    end: date


class Life(NamedTuple):
    """What a plan is made from: the facts of a member, the rules, and the last day that may be looked at."""

    state: State
    programme: Programme
    lived_to: date


class Entitlements(NamedTuple):
    """What a member is entitled to and when, and the newest rules met (None where there was no tier yet)."""

    benefits: Sequence[tuple[Benefit, list[Span]]]
    rules: BenefitRules | None


def entitlements(life: Life) -> Entitlements:
    """They rest on the timeline, the rules and the days lived alone, whatever was granted or used."""
    found = stretches(life)
    return Entitlements(list(entitled(found, life.programme)), found[-1].rules if found else None)


def planned(life: Life, held: Entitlements) -> dict[str, Grant]:
    """Every grant that the facts imply up to `lived_to`, by id, as if the core had not answered any request yet."""
    if held.rules is None:
        return {}
    return {
        grant.id: grant
        for benefit, spans in held.benefits
        for grant in _grants(life, benefit, spans, windows(life, benefit, spans, held.rules))
    }


def stretches(life: Life) -> list[Stretch]:
    """The member's life cut where the tier or the rules change, up to `lived_to`."""
    timeline, versions = life.state.tiers, life.programme.benefits
    if not timeline:
        return []
    days = {s.effective for s in timeline} | {v.effective for v in versions.all if v.effective > timeline[0].effective}
    cuts = [*sorted(day for day in days if day <= life.lived_to), FOREVER]
    return [Stretch(a, b, tier_on(timeline, a), versions.at(a)) for a, b in pairwise(cuts)]


def entitled(found: Sequence[Stretch], programme: Programme) -> Iterator[tuple[Benefit, list[Span]]]:
    """Each benefit, as last defined while the member had it, with the spans of entitlement."""
    spans: dict[str, list[Span]] = {}
    newest: dict[str, Benefit] = {}
    for stretch in found:
        ranks = ranks_on(programme.tiers, stretch.start)
        rank = ranks.get(stretch.tier, -1)
        for benefit in stretch.rules.benefits:
            if 0 <= ranks.get(benefit.from_tier, -1) <= rank:
                newest[benefit.code] = benefit
                _extend(spans.setdefault(benefit.code, []), stretch)
    for code, benefit in newest.items():
        yield benefit, spans[code]


def is_entitled(benefit: Benefit, tier: str, programme: Programme, day: date) -> bool:
    """Whether the tier is at least the one the benefit begins with, by the order of tiers on that day."""
    return reaches(programme.tiers, tier, benefit.from_tier, day)


def _extend(spans: list[Span], stretch: Stretch) -> None:
    if spans and spans[-1].end == stretch.start:
        spans[-1] = Span(spans[-1].start, stretch.end)
    else:
        spans.append(Span(stretch.start, stretch.end))


def windows(life: Life, benefit: Benefit, spans: Sequence[Span], rules: BenefitRules) -> list[Period]:
    """The periods of a benefit that began by `lived_to` and in which the member was entitled on some day."""
    periods = _periods(life, benefit, spans[0].start, rules)
    if len(spans) == 1 and spans[0].end == FOREVER:  # from the first day on, as for most: what ended before it fell out
        since = spans[0].start
        return [(start, end) for start, end in periods if since < end]
    return [(start, end) for start, end in periods if any(span.start < end and start < span.end for span in spans)]


def _periods(life: Life, benefit: Benefit, anchor: date, rules: BenefitRules) -> Iterator[Period]:
    if benefit.period == "season":
        homes = homes_of(life.state)
        days = (season_in(homes, rules, year) for year in range(anchor.year, life.lived_to.year + 1))
        yield from ((start, end) for start, end in days if start <= life.lived_to)
    elif benefit.period == "year":
        starts = (add_years(anchor, n) for n in range(life.lived_to.year - anchor.year + 2))
        yield from takewhile(lambda year: year[0] <= life.lived_to, pairwise(starts))
    else:
        yield anchor, FOREVER


def _grants(life: Life, benefit: Benefit, spans: Sequence[Span], periods: Sequence[Period]) -> Iterator[Grant]:
    for n, period in enumerate(periods):
        held = spans if len(spans) == 1 else [s for s in spans if s.start < period[1] and period[0] < s.end]
        yield _grant(life, benefit, held, period, is_renewal=n > 0)


def _grant(life: Life, benefit: Benefit, held: Sequence[Span], period: Period, *, is_renewal: bool) -> Grant:
    """The grant of one period, of which `held` are the spans of entitlement it meets."""
    start, end = period
    state = life.state
    granted_on = max(start, held[0].start)
    revoked_on = held[-1].end if held[-1].end < end else None
    last_day = min(life.lived_to, (revoked_on or end) - DAY)
    tier, versions = tier_on(state.tiers, last_day), life.programme.benefits
    grant_id = f"{state.member_id}.{benefit.code}.{start.isoformat().replace('-', '')}"
    return Grant(
        id=grant_id,
        benefit=benefit.code,
        period_start=start,
        period_end=None if end == FOREVER else end,
        granted_on=granted_on,
        tier=tier,
        quota=quota_at(versions.at(last_day).benefit(benefit.code) or benefit, tier, life.programme, last_day),
        quota_since=max(d for d in (granted_on, *_quota_days(state, benefit, versions)) if d <= last_day),
        status="requested" if benefit.is_extension else "active",
        used=sum(counts_for(use, benefit, period) for use in state.uses) if state.uses else 0,
        is_renewal=is_renewal,
        restored_on=held[-1].start if len(held) > 1 else None,
        revoked_on=revoked_on,
        request_id=grant_id if benefit.is_extension else None,
        policy_no=policy_to_extend(state, benefit, granted_on, life.lived_to) if benefit.is_extension else None,
    )


def _quota_days(state: State, benefit: Benefit, versions: Versions[BenefitRules]) -> Iterator[date]:
    """The days on which the member's quota of this benefit may have become another: of a tier, and of rules that say otherwise."""
    yield from (step.effective for step in state.tiers)
    for before, rules in pairwise(versions.all):
        was, now = before.benefit(benefit.code), rules.benefit(benefit.code)
        if was and now and (was.quota, was.quota_by_tier) != (now.quota, now.quota_by_tier):
            yield rules.effective


def quota_at(benefit: Benefit, tier: str, programme: Programme, day: date) -> int | None:
    """How often it may be used in a period by a member of that tier: the override of the highest tier reached, else the quota."""
    if not benefit.quota_by_tier:
        return benefit.quota
    ranks = ranks_on(programme.tiers, day)
    rank = ranks.get(tier, -1)
    reached = [name for name in benefit.quota_by_tier if 0 <= ranks.get(name, -1) <= rank]
    return benefit.quota_by_tier[max(reached, key=ranks.__getitem__)] if reached else benefit.quota


def counts_for(use: Use, benefit: Benefit, period: Period) -> bool:
    """A use counts for the period its day lies in; what is granted once in a membership is used up by any use ever."""
    return use.benefit == benefit.code and (benefit.period == "once" or period[0] <= use.on < period[1])


def policy_to_extend(state: State, benefit: Benefit, granted_on: date, lived_to: date) -> str | None:
    """The policy to which an extension can be added: of its line, and the first with cover on or after the grant's day."""
    covers = [
        (max(start, granted_on), term.policy_no)
        for term in terms_of(state, benefit.product_line)
        for start, end in term.covers
        if end > granted_on and start <= lived_to
    ]
    return min(covers)[1] if covers else None


def terms_of(state: State, product_line: str | None) -> Iterator[KnownTerm]:
    return (term for term in state.terms.values() if term.product_line == product_line)


def in_force(state: State, programme: Programme, day: date) -> bool:
    """Whether the member has cover on a day that counts for the tier then; a member without is lapsed and can use nothing."""
    lines = programme.tiers.at(day).eligible_product_lines
    return any(
        start <= day < end and is_eligible(term.product_line, natural_person=term.natural_person, lines=lines)
        for term in state.terms.values()
        for start, end in term.covers
    )
