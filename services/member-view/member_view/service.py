"""member-view's wiring."""

from pathlib import Path
from typing import Final

from tenure.contracts import benefit, mall, points, policy, tier
from tenure.contracts.event import Event
from tenure.service import RouterOf, Service

from member_view import handing_over, store
from member_view.commands import HandOver
from member_view.rules import changes, mergers
from member_view.rules.changes import rule
from member_view.rules.view import View


def _keys(event: Event) -> tuple[str, ...]:
    """Two rows meet when two members turn out to be one person, or not to be."""
    if isinstance(event.data, policy.CustomerMerged | HandOver):
        return event.data.member_id, event.data.merged_id
    if isinstance(event.data, policy.CustomerUnmerged):
        return event.data.survivor_id, event.data.merged_id
    return (event.key,)


def routers() -> tuple[RouterOf, ...]:
    from member_view import api

    return (api.router,)


SERVICE: Final = Service[View](
    name="member-view",
    package="member_view",
    rules={
        policy.PolicyIssued: rule(changes.on_term),
        policy.PolicyRenewed: rule(changes.on_term),
        policy.PremiumPaid: rule(changes.on_term),
        policy.PremiumRefunded: rule(changes.on_term),
        policy.PolicyEndorsed: rule(changes.on_term),
        policy.PolicyCancelled: rule(changes.on_term),
        policy.CancellationReversed: rule(changes.on_term),
        policy.PolicyLapsed: rule(changes.on_term),
        policy.PolicyReinstated: rule(changes.on_term),
        policy.PolicyRescinded: rule(changes.on_term),
        policy.PolicyHolderChanged: rule(changes.on_term),
        policy.PolicyExpiring: rule(changes.on_term),
        policy.PolicyExpired: rule(changes.on_term),
        policy.PolicyAnniversary: rule(changes.seen_only),
        policy.MemberEnrolled: rule(changes.on_enrolled),
        policy.ClaimChanged: rule(changes.on_claim),
        policy.CoverageExtensionConfirmed: rule(changes.on_answered),
        policy.CoverageExtensionRejected: rule(changes.on_answered),
        policy.CustomerErased: rule(changes.on_erased),
        policy.CustomerMerged: mergers.on_merged,
        policy.CustomerUnmerged: mergers.on_unmerged,
        HandOver: mergers.on_left_over,
        points.PointsGranted: rule(changes.on_points),
        points.PointsActivated: rule(changes.on_points),
        points.PointsHeld: rule(changes.on_points),
        points.PointsCaptured: rule(changes.on_points),
        points.PointsReleased: rule(changes.on_points),
        points.PointsRefunded: rule(changes.on_points),
        points.PointsReversed: rule(changes.on_points),
        points.PointsExpired: rule(changes.on_points),
        points.PointsAdjusted: rule(changes.on_points),
        points.PointsExpiring: rule(changes.on_expiring),
        tier.TierChanged: rule(changes.on_tier_changed),
        tier.TierProgressed: rule(changes.on_progressed),
        tier.TierAtRisk: rule(changes.on_at_risk),
        benefit.BenefitGranted: rule(changes.on_granted),
        benefit.BenefitsGranted: rule(changes.on_several_granted),
        benefit.BenefitUsed: rule(changes.on_used),
        benefit.BenefitReleased: rule(changes.on_used),
        benefit.BenefitRecounted: rule(changes.on_used),
        benefit.BenefitRevoked: rule(changes.on_gone),
        benefit.BenefitExpired: rule(changes.on_gone),
        benefit.CoverageExtensionRequested: rule(changes.on_requested),
        benefit.ClaimAdvised: rule(changes.on_advised),
        mall.OrderPlaced: rule(changes.on_order),
        mall.OrderFulfilled: rule(changes.on_order),
        mall.OrderFailed: rule(changes.on_order),
        mall.OrderShipped: rule(changes.on_order),
        mall.OrderDelivered: rule(changes.on_order),
        mall.OrderRefunded: rule(changes.on_order),
        mall.OrderClosed: rule(changes.on_order),
    },
    ignores=frozenset(
        {
            *("policy.anniversary_revoked", "no_claim_year.completed", "no_claim_year.revoked"),
            *("customer.registered", "customer.consent_changed", "customer.household_linked", "safety_report.ready"),
        }
    ),
    load=store.load,
    save=store.save,
    keys=_keys,
    routers=routers,
    background=(handing_over.TIMER.gather,),
    follows=("tiers",),
    migrations=Path(__file__).parents[1] / "migrations",
)
