"""The notifier's wiring."""

from pathlib import Path
from typing import Final

from tenure.contracts import benefit, mall, message, points, policy, tier
from tenure.contracts.event import Event
from tenure.service import RouterOf, Service
from tenure.telemetry import metrics

from notifier import gathering, sending, store
from notifier.commands import ClaimSms, Gather, ReadMessage, RecordReceipt, SendDue, SetPreferences, SettleSms
from notifier.problems import PROBLEMS
from notifier.rules import earned, expiring, letters, mergers, occasions, preferences, release, tiers


def _keys(event: Event) -> tuple[str, ...]:
    """Members meet when they turn out to be one person, or two after all."""
    if isinstance(event.data, policy.CustomerMerged):
        return event.data.member_id, event.data.merged_id
    if isinstance(event.data, policy.CustomerUnmerged):
        return event.data.survivor_id, event.data.merged_id
    if isinstance(event.data, Gather):
        return event.data.numbers
    return (event.key,)


def routers() -> tuple[RouterOf, ...]:
    from notifier import api

    return (api.router,)


SERVICE: Final = Service[store.State](
    name="notifier",
    package="notifier",
    rules={
        policy.MemberEnrolled: occasions.on_member_enrolled,
        policy.PolicyExpiring: occasions.on_policy_expiring,
        policy.PolicyRenewed: occasions.on_term_settled,
        policy.PolicyCancelled: occasions.on_term_settled,
        policy.PolicyLapsed: occasions.on_term_settled,
        policy.PolicyRescinded: occasions.on_term_settled,
        policy.PolicyHolderChanged: occasions.on_holder_changed,
        policy.ClaimChanged: occasions.on_claim_changed,
        policy.CoverageExtensionConfirmed: occasions.on_extension_confirmed,
        policy.CoverageExtensionRejected: occasions.on_extension_rejected,
        policy.CustomerRegistered: preferences.on_customer_registered,
        policy.ConsentChanged: preferences.on_consent_changed,
        policy.CustomerErased: preferences.on_customer_erased,
        policy.CustomerMerged: mergers.on_customer_merged,
        policy.CustomerUnmerged: mergers.on_customer_unmerged,
        points.PointsGranted: earned.on_points_granted,
        points.PointsExpiring: expiring.on_points_expiring,
        points.PointsHeld: expiring.on_points_held,
        points.PointsReleased: expiring.on_points_back,
        points.PointsRefunded: expiring.on_points_back,
        points.PointsReversed: earned.on_points_reversed,
        tier.TierChanged: tiers.on_tier_changed,
        tier.TierProgressed: tiers.on_tier_progressed,
        tier.TierAtRisk: tiers.on_tier_at_risk,
        benefit.BenefitGranted: tiers.on_benefit_granted,
        benefit.BenefitsGranted: tiers.on_benefits_granted,
        benefit.BenefitRevoked: tiers.on_benefit_revoked,
        benefit.CoverageExtensionRequested: occasions.on_extension_requested,
        benefit.SafetyReportReady: occasions.on_report_ready,
        benefit.ClaimAdvised: occasions.on_claim_advised,
        mall.OrderFulfilled: occasions.on_order_fulfilled,
        mall.OrderFailed: occasions.on_order_failed,
        message.MessageRequested: occasions.on_message_requested,
        Gather: mergers.on_gather,
        SetPreferences: preferences.on_set_preferences,
        SendDue: release.on_send_due,
        ReadMessage: letters.on_read,
        ClaimSms: letters.on_claim_sms,
        SettleSms: letters.on_settle_sms,
        RecordReceipt: letters.on_receipt,
    },
    ignores=frozenset(
        {
            *("policy.issued", "premium.paid", "premium.refunded", "policy.endorsed", "policy.cancellation_reversed"),
            *("policy.reinstated", "policy.expired", "policy.anniversary", "policy.anniversary_revoked"),
            *("no_claim_year.completed", "no_claim_year.revoked", "customer.household_linked"),
            *("points.activated", "points.captured", "points.expired", "points.adjusted"),
            *("benefit.used", "benefit.released", "benefit.recounted", "benefit.expired"),
            *("order.placed", "order.shipped", "order.delivered", "order.refunded", "order.closed"),
            *("message.sent", "message.delivered", "message.failed", "message.suppressed"),
        }
    ),
    load=store.load,
    save=store.save,
    keys=_keys,
    routers=routers,
    background=(sending.send_due, sending.deliver_texts, gathering.TIMER.gather),
    problems=PROBLEMS,
    under_way="""SELECT (SELECT count(*) FROM member WHERE send_at <= now())
                      + (SELECT count(*) FROM message WHERE sms IN ('queued', 'sending'))""",
    gauges=(
        (metrics.messages_waiting, "SELECT count(*) FROM message WHERE sms IN ('queued', 'sending')"),
        (
            metrics.messages_oldest_waiting_age_seconds,
            """SELECT extract(epoch FROM now() - min(recorded_at))::float8 FROM message
               WHERE sms IN ('queued', 'sending')""",
        ),
    ),
    follows=("tiers",),
    migrations=Path(__file__).parents[1] / "migrations",
)
