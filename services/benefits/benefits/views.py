"""What the app and the agent platform are shown: a member's grants on a day, in one language.

The invariant: a read never lags behind the calendar. The state is settled to the day asked about before it is shown, exactly as
the due work will settle it, so an expired grant is not offered because a tick is late.
"""

from collections.abc import Iterator
from datetime import date
from typing import Literal

import msgspec
from tenure.contracts.programme import Programme
from tenure.contracts.programme.benefits import Benefit
from tenure.contracts.tier import tier_on

from benefits.rules.endorsements import answer_of
from benefits.rules.plan import Life, in_force
from benefits.rules.settle import settle, standing
from benefits.state import Grant, State

Language = Literal["zh", "en"]


class GrantView(msgspec.Struct, frozen=True, kw_only=True):
    """`usable`: it can be used on `as_of`. `remaining` null = as often as needed; `period_end` null = as long as the tier lasts."""

    grant_id: str
    benefit: str
    label: str
    detail: str
    category: str
    kind: str
    status: str
    usable: bool
    quota: int | None
    used: int
    remaining: int | None
    granted_on: date
    period_start: date
    period_end: date | None
    revoked_on: date | None
    endorsement_no: str | None
    covered_from: date | None
    covered_to: date | None
    rejected_because: str | None


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """`merged_into`: the number this one was given up for; the benefits are there."""

    member_id: str
    tier: str
    as_of: date
    in_force: bool
    benefits: tuple[GrantView, ...]
    merged_into: str | None = None


def member_view(state: State, programme: Programme, day: date, *, language: Language, history: bool) -> MemberView:
    """A member's benefits on a day: those of the current periods, or all there ever were."""
    now, _ = settle(state, programme, day)
    covered = in_force(now, programme, day)
    ever = standing(Life(now, programme, now.lived_to)) if history else now.grants
    shown = (g for g in ever.values() if history or is_current(g, day))
    ranked = sorted(shown, key=lambda g: (_place(g, programme, day), g.period_start))
    return MemberView(
        member_id=now.member_id,
        tier=tier_on(now.tiers, day),
        as_of=day,
        in_force=covered,
        benefits=tuple(_view(grant, now, programme, day, language=language, covered=covered) for grant in ranked),
        merged_into=now.merged_into,
    )


def is_current(grant: Grant, day: date) -> bool:
    """Of a period that is not over, or standing by an endorsement beyond it."""
    return grant.period_end is None or day < grant.period_end or grant.status == "active"


def _place(grant: Grant, programme: Programme, day: date) -> int:
    codes = [b.code for b in programme.benefits.at(day).benefits]
    return codes.index(grant.benefit) if grant.benefit in codes else len(codes)


def _view(
    grant: Grant, state: State, programme: Programme, day: date, *, language: Language, covered: bool
) -> GrantView:
    benefit = _benefit(grant, programme, day)
    answer = answer_of(grant, state)
    confirmed = answer if answer is not None and answer.is_confirmed else None
    covers_today = confirmed is None or (confirmed.start or date.max) <= day < (confirmed.end or date.max)
    return GrantView(
        grant_id=grant.id,
        benefit=grant.benefit,
        label=_said(benefit, "label", language) or grant.benefit,
        detail=_said(benefit, "detail", language),
        category=benefit.category if benefit else "service",
        kind=benefit.kind if benefit else "service",
        status=grant.status,
        usable=covered and grant.status == "active" and covers_today,
        quota=grant.quota,
        used=grant.used,
        remaining=grant.remaining,
        granted_on=grant.granted_on,
        period_start=grant.period_start,
        period_end=grant.period_end,
        revoked_on=grant.revoked_on,
        endorsement_no=confirmed.endorsement_no if confirmed else None,
        covered_from=confirmed.start if confirmed else None,
        covered_to=confirmed.end if confirmed else None,
        rejected_because=answer.reason if answer is not None and not answer.is_confirmed else None,
    )


def _benefit(grant: Grant, programme: Programme, day: date) -> Benefit | None:
    """As the rules have it today, or had it when it was granted."""
    days: Iterator[date] = iter((day, grant.granted_on))
    return next((found for d in days if (found := programme.benefits.at(d).benefit(grant.benefit))), None)


def _said(benefit: Benefit | None, what: str, language: Language) -> str:
    return str(getattr(benefit, f"{what}_{language}")) if benefit else ""
