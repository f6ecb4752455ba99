"""What each event changes in a member's row. Nothing is told to the world, and nothing is refused: a view shows what is said."""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, Final

from msgspec.structs import replace
from tenure.calendar import DAYS_PER_YEAR
from tenure.contracts import benefit, mall, points, policy, tier
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme

from member_view.rules.arithmetic import moved
from member_view.rules.view import (
    Advice,
    Answer,
    Claim,
    Expiring,
    Grant,
    Label,
    Order,
    Purse,
    Standing,
    Term,
    View,
    settled,
)
from member_view.rules.words import is_by, worded

Change = Callable[[View, Any, Programme], View]
ORDER_STATUS: Final[Mapping[type, str]] = {
    mall.OrderPlaced: "placed",
    mall.OrderFulfilled: "fulfilled",
    mall.OrderFailed: "failed",
    mall.OrderShipped: "shipped",
    mall.OrderDelivered: "delivered",
    mall.OrderRefunded: "refunded",
    mall.OrderClosed: "closed",
}


def rule(change: Change) -> Callable[[View | None, Event, Programme], Decision[View]]:
    """The rule of an event type: the change, the days lived, and what they leave behind. An erased member stays blank."""

    def decide(state: View | None, event: Event, programme: Programme) -> Decision[View]:
        view = state or View(member_id=event.key)
        if view.erased:
            return Decision(view)
        after = change(view, event.data, programme)
        return Decision(after if after.erased else _worded(settled(_lived(after, event), view), view, programme))

    return decide


def _worded(view: View, before: View, programme: Programme) -> View:
    """In the words of its newest day; what did not touch the tier leaves them, but where other rules came into force."""
    if view.standing is before.standing and is_by(view.standing, programme.tiers.at(view.lived_to)):
        return view
    return worded(view, programme.tiers, view.lived_to)


def _lived(view: View, event: Event) -> View:
    """An event no newer than the newest brings no later day either."""
    if view.updated_at is not None and event.time <= view.updated_at:
        return view
    return replace(view, lived_to=max(view.lived_to, event.day), updated_at=event.time.astimezone(UTC))


def on_enrolled(view: View, data: policy.MemberEnrolled, _: Programme) -> View:
    return replace(view, enrolled_on=min(view.enrolled_on or data.effective, data.effective))


def on_term(view: View, data: policy.TermEvent, _: Programme) -> View:
    """The highest version of a term stands."""
    t = data.term
    known = view.terms.get(t.id)
    if known is not None and known.version >= t.version:
        return view
    term = Term(
        id=t.id,
        policy_no=t.policy_no,
        term_no=t.term_no,
        version=t.version,
        product_line=t.product_line,
        start=t.start,
        end=t.end,
        status=t.status,
        covers=t.covers,
        natural_person=t.natural_person,
    )
    return replace(view, terms={**view.terms, t.id: term})


def on_claim(view: View, data: policy.ClaimChanged, _: Programme) -> View:
    """As it stands; one that turned out to be another's is gone."""
    if data.handed_over == "from":
        return replace(view, claims={no: c for no, c in view.claims.items() if no != data.claim_no})
    claim = Claim(
        claim_no=data.claim_no,
        policy_no=data.policy_no,
        product_line=data.product_line,
        status=data.status,
        amount_fen=data.amount_fen,
        effective=data.effective,
    )
    return replace(view, claims={**view.claims, data.claim_no: claim})


def on_answered(
    view: View, data: policy.CoverageExtensionConfirmed | policy.CoverageExtensionRejected, _: Programme
) -> View:
    endorsement = data.endorsement_no if isinstance(data, policy.CoverageExtensionConfirmed) else None
    answer = Answer(request_id=data.request_id, endorsement_no=endorsement)
    return replace(view, answers={**view.answers, data.request_id: answer})


def on_erased(view: View, _data: policy.CustomerErased, _: Programme) -> View:
    return View(member_id=view.member_id, erased=True)


def on_points(view: View, data: points.PointsEvent, _: Programme) -> View:
    purse = moved(view.purses.get(data.wallet, Purse()), data)
    return replace(view, purses={**view.purses, data.wallet: purse})


def on_expiring(view: View, data: points.PointsExpiring, _: Programme) -> View:
    others = (e for e in view.expiring if (e.wallet, e.expires_on) != (data.wallet, data.expires_on))
    soon = Expiring(wallet=data.wallet, expires_on=data.expires_on, amount=data.amount)
    return replace(view, expiring=(*others, soon))


def on_tier_changed(view: View, data: tier.TierChanged, _: Programme) -> View:
    """A tier about to drop still is, whatever changed of its past, while it is the same: tier-engine says when it no longer is."""
    was = view.standing
    stays = data.to_tier == was.tier
    standing = Standing(
        tier=data.to_tier,
        since=data.timeline[-1].effective if data.timeline else None,
        nearest=data.nearest,
        covered=was.covered,
        insured_days=data.insured_days,
        annual_premium_fen=data.annual_premium_fen,
        measured_on=max((data.effective, *(step.effective for step in data.timeline[-1:]))),
        drops_to=was.drops_to if stays else None,
        drops_on=was.drops_on if stays else None,
    )
    return replace(view, standing=standing)


def on_progressed(view: View, data: tier.TierProgressed, programme: Programme) -> View:
    was = view.standing
    if was.drops_on is not None and _is_confirmed(programme, was.tier, data):
        was = replace(was, drops_to=None, drops_on=None)
    standing = replace(
        was,
        nearest=data.nearest,
        covered=data.covered,
        insured_days=data.insured_days,
        annual_premium_fen=data.annual_premium_fen,
        measured_on=data.effective,
    )
    return replace(view, standing=standing)


def _is_confirmed(programme: Programme, name: str, data: tier.TierProgressed) -> bool:
    """As tier-engine says; an event of before it did is judged by the rules of its day."""
    if data.confirmed is not None:
        return data.confirmed and data.tier == name
    return _holds(programme, name, data)


def _holds(programme: Programme, name: str, data: tier.TierProgressed) -> bool:
    """Whether a condition of the tier holds again, so that it is no longer about to drop."""
    measured = {
        "insured_years": data.insured_days // DAYS_PER_YEAR,
        "annual_premium_fen": data.annual_premium_fen if data.covered else 0,
    }
    rules = programme.tiers.at(data.effective)
    conditions = [c for t in rules.tiers if t.name == name for c in t.any_of]
    return any(c.holds(measured[c.measure]) for c in conditions)


def on_at_risk(view: View, data: tier.TierAtRisk, _: Programme) -> View:
    return replace(view, standing=replace(view.standing, drops_to=data.to_tier, drops_on=data.drops_on))


def on_granted(view: View, data: benefit.BenefitGranted, programme: Programme) -> View:
    return replace(view, grants={**view.grants, data.grant_id: _grant(view, data, programme)})


def on_several_granted(view: View, data: benefit.BenefitsGranted, programme: Programme) -> View:
    return replace(view, grants={**view.grants, **{g.grant_id: _grant(view, g, programme) for g in data.grants}})


def _grant(view: View, data: benefit.BenefitGranted | benefit.Granted, programme: Programme) -> Grant:
    known = programme.benefits.newest.benefit(data.benefit)
    before = view.grants.get(data.grant_id)
    return Grant(
        grant_id=data.grant_id,
        benefit=data.benefit,
        label=Label(known.label_zh, known.label_en) if known else Label(data.benefit, data.benefit),
        tier=data.tier,
        quota=data.quota,
        remaining=None if data.quota is None else max(0, data.quota - data.used),
        period_start=data.period_start,
        period_end=data.period_end,
        request_id=before.request_id if before else view.requests.get(data.grant_id),
    )


def on_used(
    view: View, data: benefit.BenefitUsed | benefit.BenefitReleased | benefit.BenefitRecounted, _: Programme
) -> View:
    grant = view.grants.get(data.grant_id)
    if grant is None:
        return view
    return replace(view, grants={**view.grants, data.grant_id: replace(grant, remaining=data.remaining)})


def on_gone(view: View, data: benefit.BenefitRevoked | benefit.BenefitExpired, _: Programme) -> View:
    if data.grant_id not in view.grants:
        return view
    return replace(view, grants={k: v for k, v in view.grants.items() if k != data.grant_id})


def on_requested(view: View, data: benefit.CoverageExtensionRequested, _: Programme) -> View:
    """Whichever comes first, the grant or its request: the grant carries the request."""
    view = replace(view, requests={**view.requests, data.grant_id: data.request_id})
    grant = view.grants.get(data.grant_id)
    if grant is None:
        return view
    return replace(view, grants={**view.grants, data.grant_id: replace(grant, request_id=data.request_id)})


def on_advised(view: View, data: benefit.ClaimAdvised, _: Programme) -> View:
    advice = Advice(
        claim_no=data.claim_no,
        effective=data.effective,
        fast_track=data.fast_track,
        on_site_survey_waived=data.on_site_survey_waived,
    )
    return replace(view, advice={**view.advice, data.claim_no: advice})


def on_order(view: View, data: mall.OrderEvent, _: Programme) -> View:
    known = view.orders.get(data.order_id)
    order = Order(
        order_id=data.order_id,
        sku=data.sku,
        quantity=data.quantity,
        points=data.points,
        status=ORDER_STATUS[type(data)],
        effective=data.effective,
        via=known.via if known else (),
    )
    return replace(view, orders={**view.orders, data.order_id: order})


def seen_only(view: View, _data: object, _: Programme) -> View:
    """Nothing but that the member has lived to that day."""
    return view
