"""Makes visible what the facts imply: compares the planned grants with those told before, and tells the differences by date.

The invariants: a member that was settled is settled again without a word; nothing is ever taken back that was used; a coverage
extension is active through the core's endorsement and in no other way, and such an endorsement outlives the tier: it is a
contract, not a gift.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Final

import msgspec
from tenure.calendar import DAY
from tenure.contracts.benefit import (
    BenefitEvent,
    BenefitExpired,
    BenefitGranted,
    BenefitRecounted,
    BenefitRevoked,
    CoverageExtensionRequested,
)
from tenure.contracts.programme import Programme
from tenure.contracts.tier import tier_on

from benefits.rules.endorsements import answer_of
from benefits.rules.homes import homes_of, season_in
from benefits.rules.plan import Entitlements, Life, entitlements, is_entitled, planned, terms_of
from benefits.rules.telling import Told, together
from benefits.state import Answer, Grant, State, Status, Use

ORDER_IN_A_DAY: Final = (BenefitExpired, BenefitRevoked, BenefitGranted, BenefitRecounted, CoverageExtensionRequested)
USABLE: Final = frozenset({"active", "requested", "used"})
"""In these, what is left of a grant is shown to its member."""
replace = msgspec.structs.replace


def settle(
    state: State, programme: Programme, day: date, *, ask: bool = True, used: str = ""
) -> tuple[State, tuple[Told, ...]]:
    """The member lived to `day` (or longer before): the state then, and what is to be told.

    `used`: the grant of which the caller tells a use, or that one is given back, and so what is left of it.

    `ask` False (imported history) holds requests to the core back until the member next lives through a day that is not.
    """
    life = Life(state, programme, max(state.lived_to, day))
    held = entitlements(life)
    grants = standing(life, held)
    told = [e for grant in grants.values() for e in _told(_before(grant, state), grant, life, ask=ask)]
    told += [
        e for grant in grants.values() if grant.id != used for e in _recounted(state.grants.get(grant.id), grant, life)
    ]
    gone = [e for grant in state.grants.values() if grant.id not in grants for e in _gone(grant, state.member_id)]
    if ask:
        grants = {i: replace(g, asked=g.policy_no or "") if _asks(g) else g for i, g in grants.items()}
    over = {i for i, g in grants.items() if _is_over(g, life.lived_to)}
    after = replace(
        state,
        grants={i: g for i, g in grants.items() if i not in over},
        over=tuple(sorted(i.removeprefix(f"{state.member_id}.") for i in over)),
        lived_to=life.lived_to,
    )
    after = replace(after, due_on=next_day(Life(after, programme, life.lived_to), held))
    events = sorted((*told, *gone), key=lambda e: (e.effective, ORDER_IN_A_DAY.index(type(e)), e.benefit))
    return (state if after == state else after), tuple(together(events))


def status_of(grant: Grant, answer: Answer | None, day: date) -> Status:
    """What a grant is on a day, given the core's answer if it is a coverage extension."""
    if answer is not None:
        return _answered(answer, day)
    if grant.remaining == 0:
        return "used"
    if grant.revoked_on is not None:
        return "revoked"
    if grant.period_end is not None and grant.period_end <= day:
        return "expired"
    return "requested" if grant.request_id else "active"


def _answered(answer: Answer, day: date) -> Status:
    if not answer.is_confirmed:
        return "rejected"
    return "expired" if answer.end is not None and answer.end <= day else "active"


def _before(grant: Grant, state: State) -> Grant | None:
    """What was told of a grant: of one that is over everything was."""
    is_over = state.over and grant.id.removeprefix(f"{state.member_id}.") in state.over
    return grant if is_over else state.grants.get(grant.id)


def _is_over(grant: Grant, day: date) -> bool:
    """Its period has passed and nothing of it was used: the facts imply it again at any time, so its name is enough."""
    has_passed = grant.period_end is not None and grant.period_end <= day
    return has_passed and not grant.used and not grant.is_kept and grant.status in ("expired", "revoked", "rejected")


def standing(life: Life, held: Entitlements | None = None) -> dict[str, Grant]:
    """All grants there ever were: those planned, with their statuses, and those of before that are kept because they were used."""
    state = life.state
    plan = planned(life, held or entitlements(life))
    orphans = [g for g in state.grants.values() if g.id not in plan]
    plan = {i: _with_request(g, state.grants.get(i), orphans) for i, g in plan.items()}
    kept = {g.id: g for g in (_kept(orphan, plan, state) for orphan in orphans) if g is not None}
    return {i: _as_of(g, state, life.lived_to) for i, g in {**plan, **kept}.items()}


def _as_of(grant: Grant, state: State, day: date) -> Grant:
    status = status_of(grant, answer_of(grant, state), day)
    return grant if status == grant.status else replace(grant, status=status)


def _with_request(grant: Grant, before: Grant | None, orphans: Iterable[Grant]) -> Grant:
    """The request made before stays the request: the grant's own, or of the one it replaces when its period was corrected."""
    if grant.request_id is None:
        return grant
    source = before or next((o for o in orphans if o.benefit == grant.benefit and _overlap(o, grant)), None)
    if source is None or source.request_id is None:
        return grant
    return replace(
        grant, request_id=source.request_id, asked=source.asked, policy_no=grant.policy_no or source.policy_no
    )


def _overlap(a: Grant, b: Grant) -> bool:
    return a.period_start < (b.period_end or date.max) and b.period_start < (a.period_end or date.max)


def _kept(orphan: Grant, plan: Mapping[str, Grant], state: State) -> Grant | None:
    """A grant that no longer follows from the tier, if uses of it count for no other one, or the core endorsed it."""
    heirs = [g for g in plan.values() if g.benefit == orphan.benefit]
    uses = sum(use.grant_id == orphan.id and not any(_counts(heir, use) for heir in heirs) for use in state.uses)
    answer = answer_of(orphan, state)
    endorsed = answer is not None and answer.is_confirmed and all(h.request_id != orphan.request_id for h in heirs)
    if not uses and not endorsed:
        return None
    return replace(orphan, is_kept=True, used=uses, quota=uses or None)


def _counts(heir: Grant, use: Use) -> bool:
    return heir.used > 0 and (heir.period_end is None or heir.period_start <= use.on < heir.period_end)


def _told(before: Grant | None, grant: Grant, life: Life, *, ask: bool) -> Iterator[BenefitEvent]:
    """What is new about a grant that stands."""
    who, now = life.state.member_id, grant.status
    was = before.status if before else None
    if not grant.is_kept and (change := _change(before, grant)):
        yield _granted(grant, who, *change)
    if ask and _asks(grant):
        yield CoverageExtensionRequested(
            member_id=who,
            grant_id=grant.id,
            benefit=grant.benefit,
            effective=grant.granted_on,
            request_id=grant.request_id or grant.id,
            clause=_clause(grant, life),
            policy_no=grant.policy_no,
        )
    if grant.is_kept and before and not before.is_kept:
        yield from _gone(before, who)
    elif now == "revoked" != was and grant.revoked_on:
        yield _revoked(grant, who, grant.revoked_on, _why_revoked(grant, life))
    elif now == "expired" != was:
        yield BenefitExpired(member_id=who, grant_id=grant.id, benefit=grant.benefit, effective=ended_on(grant, life))


def _recounted(before: Grant | None, grant: Grant, life: Life) -> Iterator[BenefitRecounted]:
    """What is left of a grant that stays as it was told; where it is told anew, that is told with it."""
    if before is None or grant.is_kept or {before.status, grant.status} - USABLE or _change(before, grant):
        return
    if grant.remaining is not None and grant.remaining != before.remaining:
        yield BenefitRecounted(
            member_id=life.state.member_id,
            grant_id=grant.id,
            benefit=grant.benefit,
            effective=life.lived_to,
            remaining=grant.remaining,
        )


def _why_revoked(grant: Grant, life: Life) -> str:
    """What the tier of the day before would still bring was lost with it; else the programme took it back."""
    day = grant.revoked_on or life.lived_to
    benefit, tier = life.programme.benefits.at(day).benefit(grant.benefit), tier_on(life.state.tiers, day - DAY)
    return "tier_lost" if benefit and is_entitled(benefit, tier, life.programme, day) else "withdrawn"


def _change(before: Grant | None, grant: Grant) -> tuple[str, date] | None:
    """How a grant differs from what was told of it, and since when."""
    if before is None or before.is_kept:
        return "renewed" if grant.is_renewal else "new", grant.granted_on
    is_endorsed_again = grant.request_id is not None and (before.status, grant.status) == ("expired", "active")
    if is_endorsed_again or (before.status == "revoked" and grant.revoked_on is None):
        return "restored", grant.restored_on or grant.granted_on
    if before.quota != grant.quota and grant.revoked_on is None:
        raised = grant.quota is None or (before.quota is not None and grant.quota > before.quota)
        return "quota_raised" if raised else "quota_lowered", grant.quota_since
    return None


def _granted(grant: Grant, member_id: str, change: str, effective: date) -> BenefitGranted:
    return BenefitGranted(
        member_id=member_id,
        grant_id=grant.id,
        benefit=grant.benefit,
        effective=effective,
        tier=grant.tier,
        quota=grant.quota,
        period_start=grant.period_start,
        period_end=grant.period_end,
        change=change,  # type: ignore[arg-type]
        used=grant.used,
    )


def _asks(grant: Grant) -> bool:
    """Whether the core is still to be asked, or asked again because only now there is a policy for the clause."""
    return grant.status == "requested" and (grant.asked is None or (grant.policy_no or "") not in ("", grant.asked))


def _clause(grant: Grant, life: Life) -> str:
    benefit = life.programme.benefits.at(grant.granted_on).benefit(grant.benefit)
    assert benefit is not None, "a benefit in force on the day of its grant"
    assert benefit.clause, "an extension has a clause"
    return benefit.clause


def ended_on(grant: Grant, life: Life) -> date:
    answer = answer_of(grant, life.state)
    end = answer.end if answer is not None and answer.is_confirmed else grant.period_end
    return end or grant.granted_on


def _gone(grant: Grant, member_id: str) -> Iterator[BenefitRevoked]:
    """The past was corrected: what is still open of a grant that should not have been is taken back."""
    if grant.status in ("active", "requested") and not grant.is_kept:
        yield _revoked(grant, member_id, grant.granted_on, "corrected")


def _revoked(grant: Grant, member_id: str, effective: date, reason: str) -> BenefitRevoked:
    return BenefitRevoked(
        member_id=member_id, grant_id=grant.id, benefit=grant.benefit, effective=effective, reason=reason
    )


def next_day(life: Life, held: Entitlements) -> date | None:
    """The first day after `lived_to` that implies something more, None if no day does."""
    return min((day for day in _days_ahead(life, held) if day > life.lived_to), default=None)


def _days_ahead(life: Life, held: Entitlements) -> Iterator[date]:
    state = life.state
    if state.tiers:
        yield from (step.effective for step in state.tiers)
        yield from (version.effective for version in life.programme.benefits.all)
    for grant in state.grants.values():
        answer = answer_of(grant, state)
        if answer is not None and answer.end is not None:
            yield answer.end
        if grant.period_end is not None and grant.revoked_on is None and not grant.is_kept:
            yield grant.period_end
        if grant.status == "requested":
            yield from _days_of_asking(life, grant)
    yield from _seasons_ahead(life, held)


def _days_of_asking(life: Life, grant: Grant) -> Iterator[date]:
    if grant.asked is None:
        yield life.lived_to + DAY
    if grant.policy_no is None:
        benefit = life.programme.benefits.at(grant.granted_on).benefit(grant.benefit)
        terms = terms_of(life.state, benefit.product_line if benefit else None)
        yield from (start for term in terms for start, _ in term.covers)


def _seasons_ahead(life: Life, held: Entitlements) -> Iterator[date]:
    """The starts of the coming seasons for whoever has a benefit of the season now."""
    if held.rules is None:
        return
    if any(b.period == "season" and spans[-1].end == date.max for b, spans in held.benefits):
        homes, year = homes_of(life.state), life.lived_to.year
        yield from (season_in(homes, held.rules, of)[0] for of in (year, year + 1))
