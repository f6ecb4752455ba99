"""Using a grant, and giving a use back. The dates decide: a grant that ended at midnight cannot be used at nine, told or not.

The invariants: a use is of a day on which the tier brought the benefit, and never one more than the quota of that day; a member
without cover that counts uses nothing; a coverage extension is used within the days its endorsement covers; the same reference
used twice is one use.
"""

import msgspec
from tenure.contracts.benefit import BenefitReleased, BenefitUsed
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme
from tenure.contracts.tier import tier_on

from benefits.commands import ReleaseUse, UseBenefit
from benefits.rules.endorsements import answer_of
from benefits.rules.plan import Life, in_force, is_entitled, quota_at
from benefits.rules.settle import settle, standing
from benefits.state import Appointment, Grant, State, Use

replace = msgspec.structs.replace


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a caller."""

    use_id: str
    grant_id: str
    benefit: str
    on: str
    used: int
    remaining: int | None


def on_use(state: State | None, event: Event, programme: Programme) -> Decision[State | None]:
    """Raises RefusedError: grant_unknown, benefit_revoked, outside_period, not_in_force, extension_not_active, quota_used_up,
    not_bookable.
    """
    asked: UseBenefit = event.data
    if state is None:
        raise RefusedError("grant_unknown", "there is no such grant")
    settled, told = settle(state, programme, asked.today)
    grant = settled.grants.get(asked.grant_id) or _over(settled, programme, asked.grant_id)
    if grant is None:
        raise RefusedError("grant_unknown", "there is no such grant")
    if again := _same_reference(settled, asked):
        return Decision(state, reply=_reply(grant, again))
    _must_be_bookable(grant, asked, programme)
    quota = _quota_if_usable(settled, grant, asked, programme)
    use = Use(
        id=event.id,
        grant_id=grant.id,
        benefit=grant.benefit,
        on=asked.on,
        reference=asked.reference,
        slot_region=asked.slot_region,
        is_appointment=asked.is_appointment,
        quota=quota,
    )
    after, more = settle(replace(settled, uses=(*settled.uses, use)), programme, asked.today, used=grant.id)
    grant = after.grants[grant.id]
    used = BenefitUsed(
        member_id=state.member_id,
        grant_id=grant.id,
        benefit=grant.benefit,
        effective=asked.on,
        use_id=use.id,
        remaining=grant.remaining,
        reference=use.reference,
    )
    return Decision(after, emit=(*told, used, *more), rows=_rows(state, use, "booked"), reply=_reply(grant, use))


def on_release(state: State | None, event: Event, programme: Programme) -> Decision[State | None]:
    """Raises RefusedError use_unknown, use_is_over: what took place yesterday is not for its member to say it did not."""
    asked: ReleaseUse = event.data
    use = next((u for u in state.uses if u.id == asked.use_id), None) if state else None
    if state is None or use is None or asked.grant_id not in (None, use.grant_id):
        raise RefusedError("use_unknown", "there is no such use, or it was given back")
    if asked.is_by_member and use.on < asked.today:
        raise RefusedError("use_is_over", f"it was on {use.on}")
    without = replace(state, uses=tuple(u for u in state.uses if u is not use))
    after, told = settle(without, programme, asked.today, used=use.grant_id)
    grant = after.grants.get(use.grant_id) or _over(after, programme, use.grant_id)
    released = BenefitReleased(
        member_id=state.member_id,
        grant_id=use.grant_id,
        benefit=use.benefit,
        effective=asked.today,
        use_id=use.id,
        remaining=grant.remaining if grant else 0,
    )
    return Decision(after, emit=(released, *told), rows=_rows(state, use, "cancelled"), reply=_reply(grant, use))


def _over(state: State, programme: Programme, grant_id: str) -> Grant | None:
    """A grant whose period passed unused can still have been used within it, and be told so late."""
    return standing(Life(state, programme, state.lived_to)).get(grant_id)


def _must_be_bookable(grant: Grant, asked: UseBenefit, programme: Programme) -> None:
    """Somebody comes to the house for a service; nobody does for a discount."""
    benefit = programme.benefits.at(asked.today).benefit(grant.benefit)
    if asked.is_appointment and (benefit is None or benefit.kind != "service"):
        raise RefusedError("not_bookable", f"{grant.benefit} is not a service")


def _quota_if_usable(state: State, grant: Grant, asked: UseBenefit, programme: Programme) -> int | None:
    """Cover, tier and quota are asked for on the day of the use, or today for a day that is still to come."""
    gone = grant.is_kept or (grant.revoked_on is not None and grant.revoked_on <= asked.on)
    if gone and not _endorsed(state, grant):
        raise RefusedError("benefit_revoked", f"{grant.benefit} is no longer granted")
    if not in_force(state, programme, min(asked.on, asked.today)):
        raise RefusedError("not_in_force", "the member has no cover that counts on that day")
    if grant.request_id is not None:
        _must_be_endorsed(state, grant, asked)
    elif asked.on < grant.granted_on or (grant.period_end is not None and grant.period_end <= asked.on):
        raise RefusedError("outside_period", "the day lies outside the grant's period")
    quota = grant.quota if grant.request_id is not None else _quota_on(state, grant, asked, programme)
    if quota is not None and grant.used >= quota:
        raise RefusedError("quota_used_up", f"all {quota} uses of the period are used")
    return quota


def _quota_on(state: State, grant: Grant, asked: UseBenefit, programme: Programme) -> int | None:
    """How often the tier of that day allows it. A tier that was lost and regained since did not bring it in between."""
    day = min(asked.on, asked.today)
    benefit, tier = programme.benefits.at(day).benefit(grant.benefit), tier_on(state.tiers, day)
    if benefit is None or not is_entitled(benefit, tier, programme, day):
        raise RefusedError("benefit_revoked", f"{grant.benefit} was not granted on that day")
    return quota_at(benefit, tier, programme, day)


def _endorsed(state: State, grant: Grant) -> bool:
    answer = answer_of(grant, state)
    return answer is not None and answer.is_confirmed


def _must_be_endorsed(state: State, grant: Grant, asked: UseBenefit) -> None:
    answer = answer_of(grant, state)
    if answer is None or not answer.is_confirmed or answer.start is None or answer.end is None:
        raise RefusedError("extension_not_active", "the core has not endorsed the extension")
    if not answer.start <= asked.on < answer.end:
        raise RefusedError("extension_not_active", "the endorsement does not cover that day")


def _same_reference(state: State, asked: UseBenefit) -> Use | None:
    if not asked.reference:
        return None
    return next((u for u in state.uses if (u.grant_id, u.reference) == (asked.grant_id, asked.reference)), None)


def _rows(state: State, use: Use, status: str) -> tuple[Appointment, ...]:
    if not use.is_appointment:
        return ()
    return (
        Appointment(
            use_id=use.id,
            grant_id=use.grant_id,
            member_id=state.member_id,
            benefit=use.benefit,
            slot_date=use.on,
            region=use.slot_region,
            status=status,  # type: ignore[arg-type]
        ),
    )


def _reply(grant: Grant | None, use: Use) -> Used:
    """Nothing is left of a grant that was kept for this use alone."""
    return Used(
        use_id=use.id,
        grant_id=use.grant_id,
        benefit=use.benefit,
        on=use.on.isoformat(),
        used=grant.used if grant else 0,
        remaining=grant.remaining if grant else 0,
    )
