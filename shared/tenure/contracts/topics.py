"""The one table of topics: name, key, who produces, who consumes, how long it is kept, and which events flow there.

Everything that routes, documents or checks events reads this table: the spine's codec, topic creation, JSON Schemas, the
AsyncAPI document, the contract tests. An event type stands in exactly one topic, but for `coverage_extension.*` answers, whose
raw facts and canonical events have names of their own.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tenure.contracts import (
    activity,
    benefit,
    core,
    ledger,
    mall,
    message,
    points,
    policy,
    publication,
    reconciliation,
    tier,
    time,
)
from tenure.contracts.event import Data
from tenure.contracts.topic import Topic

# One number for all topics keyed by member: with the range assignor, all of a member's events meet in one consumer (DESIGN 4).
MEMBER_PARTITIONS: Final = 6
CORE_PARTITIONS: Final = 6


def _facts(*classes: type[Data]) -> Mapping[str, type[Data]]:
    return MappingProxyType({cls.__name__: cls for cls in classes})


TOPICS: Final[tuple[Topic, ...]] = (
    Topic(
        name="core.policy.v1",
        key="policy_no",
        partitions=CORE_PARTITIONS,
        retention_days=30,
        producer="insurer core",
        consumers=("policy-sync",),
        types=_facts(
            core.PolicyIssued,
            core.PremiumPaid,
            core.PremiumRefunded,
            core.PolicyRenewed,
            core.PolicyEndorsed,
            core.PolicyCancelled,
            core.CancellationReversed,
            core.PolicyLapsed,
            core.PolicyReinstated,
            core.PolicyRescinded,
            core.PolicyHolderChanged,
        ),
    ),
    Topic(
        name="core.claim.v1",
        key="policy_no",
        partitions=CORE_PARTITIONS,
        retention_days=30,
        producer="insurer core",
        consumers=("policy-sync",),
        types=_facts(
            core.ClaimReported,
            core.ClaimRegistered,
            core.ClaimSurveyed,
            core.ClaimAssessed,
            core.ClaimApproved,
            core.ClaimDeclined,
            core.ClaimPaid,
            core.ClaimClosed,
            core.ClaimReopened,
            core.ClaimWithdrawn,
        ),
    ),
    Topic(
        name="core.customer.v1",
        key="member_id",
        partitions=CORE_PARTITIONS,
        retention_days=30,
        producer="insurer core",
        consumers=("policy-sync",),
        types=_facts(
            core.CustomerRegistered,
            core.CustomerMerged,
            core.CustomerUnmerged,
            core.HouseholdLinked,
            core.ConsentChanged,
            core.CustomerErased,
            core.CoverageExtensionConfirmed,
            core.CoverageExtensionRejected,
        ),
    ),
    Topic(
        name="policy.v1",
        key="member_id",
        partitions=MEMBER_PARTITIONS,
        retention_days=90,
        producer="policy-sync",
        consumers=("points-ledger", "tier-engine", "benefits", "mall", "notifier", "member-view"),
        types=MappingProxyType(
            {
                "policy.issued": policy.PolicyIssued,
                "policy.renewed": policy.PolicyRenewed,
                "premium.paid": policy.PremiumPaid,
                "premium.refunded": policy.PremiumRefunded,
                "policy.endorsed": policy.PolicyEndorsed,
                "policy.cancelled": policy.PolicyCancelled,
                "policy.cancellation_reversed": policy.CancellationReversed,
                "policy.lapsed": policy.PolicyLapsed,
                "policy.reinstated": policy.PolicyReinstated,
                "policy.rescinded": policy.PolicyRescinded,
                "policy.holder_changed": policy.PolicyHolderChanged,
                "policy.expiring": policy.PolicyExpiring,
                "policy.expired": policy.PolicyExpired,
                "policy.anniversary": policy.PolicyAnniversary,
                "policy.anniversary_revoked": policy.PolicyAnniversaryRevoked,
                "no_claim_year.completed": policy.NoClaimYearCompleted,
                "no_claim_year.revoked": policy.NoClaimYearRevoked,
                "member.enrolled": policy.MemberEnrolled,
                "claim.changed": policy.ClaimChanged,
                "customer.registered": policy.CustomerRegistered,
                "customer.merged": policy.CustomerMerged,
                "customer.unmerged": policy.CustomerUnmerged,
                "customer.household_linked": policy.HouseholdLinked,
                "customer.consent_changed": policy.ConsentChanged,
                "customer.erased": policy.CustomerErased,
                "coverage_extension.confirmed": policy.CoverageExtensionConfirmed,
                "coverage_extension.rejected": policy.CoverageExtensionRejected,
            }
        ),
    ),
    Topic(
        name="activity.v1",
        key="member_id or agent_id",
        partitions=MEMBER_PARTITIONS,
        retention_days=30,
        producer="app, agent platform, points-ledger under a merged customer's other number",
        consumers=("points-ledger",),
        types=MappingProxyType(
            {
                "activity.completed": activity.ActivityCompleted,
                "agent_service.recorded": activity.AgentServiceRecorded,
                "referral.converted": activity.ReferralConverted,
            }
        ),
    ),
    Topic(
        name="points.v1",
        key="member_id",
        partitions=MEMBER_PARTITIONS,
        retention_days=90,
        producer="points-ledger",
        consumers=("tier-engine", "mall", "notifier", "member-view"),
        types=MappingProxyType(
            {
                "points.granted": points.PointsGranted,
                "points.activated": points.PointsActivated,
                "points.held": points.PointsHeld,
                "points.captured": points.PointsCaptured,
                "points.released": points.PointsReleased,
                "points.refunded": points.PointsRefunded,
                "points.reversed": points.PointsReversed,
                "points.expiring": points.PointsExpiring,
                "points.expired": points.PointsExpired,
                "points.adjusted": points.PointsAdjusted,
            }
        ),
    ),
    Topic(
        name="tier.v1",
        key="member_id",
        partitions=MEMBER_PARTITIONS,
        retention_days=90,
        producer="tier-engine",
        consumers=("points-ledger", "benefits", "mall", "notifier", "member-view"),
        types=MappingProxyType(
            {
                "tier.changed": tier.TierChanged,
                "tier.progressed": tier.TierProgressed,
                "tier.at_risk": tier.TierAtRisk,
            }
        ),
    ),
    Topic(
        name="benefit.v1",
        key="member_id",
        partitions=MEMBER_PARTITIONS,
        retention_days=90,
        producer="benefits",
        consumers=("notifier", "member-view"),
        types=MappingProxyType(
            {
                "benefit.granted": benefit.BenefitGranted,
                "benefits.granted": benefit.BenefitsGranted,
                "benefit.used": benefit.BenefitUsed,
                "benefit.released": benefit.BenefitReleased,
                "benefit.recounted": benefit.BenefitRecounted,
                "benefit.revoked": benefit.BenefitRevoked,
                "benefit.expired": benefit.BenefitExpired,
                "coverage_extension.requested": benefit.CoverageExtensionRequested,
                "safety_report.ready": benefit.SafetyReportReady,
                "claim.advised": benefit.ClaimAdvised,
            }
        ),
    ),
    Topic(
        name="mall.v1",
        key="member_id",
        partitions=MEMBER_PARTITIONS,
        retention_days=90,
        producer="mall",
        consumers=("notifier", "member-view"),
        types=MappingProxyType(
            {
                "order.placed": mall.OrderPlaced,
                "order.fulfilled": mall.OrderFulfilled,
                "order.failed": mall.OrderFailed,
                "order.shipped": mall.OrderShipped,
                "order.delivered": mall.OrderDelivered,
                "order.refunded": mall.OrderRefunded,
                "order.closed": mall.OrderClosed,
            }
        ),
    ),
    Topic(
        name="message.v1",
        key="member_id",
        partitions=MEMBER_PARTITIONS,
        retention_days=30,
        producer="notifier, any for message.requested",
        consumers=("notifier",),
        types=MappingProxyType(
            {
                "message.requested": message.MessageRequested,
                "message.sent": message.MessageSent,
                "message.delivered": message.MessageDelivered,
                "message.failed": message.MessageFailed,
                "message.suppressed": message.MessageSuppressed,
            }
        ),
    ),
    Topic(
        name="reconciliation.v1",
        key="policy_no",
        partitions=CORE_PARTITIONS,
        retention_days=30,
        producer="policy-sync",
        consumers=("insurer core",),
        types=MappingProxyType({"facts.requested": reconciliation.FactsRequested}),
    ),
    Topic(
        name="ledger.v1",
        key="ledger",
        partitions=1,
        retention_days=366,
        producer="points-ledger",
        consumers=("auditors' archive",),
        types=MappingProxyType({"ledger.root_published": ledger.RootPublished}),
    ),
    Topic(
        name="programme.v1",
        key="kind of rules",
        partitions=1,
        retention_days=None,
        producer="tier-engine, points-ledger",
        consumers=("tier-engine", "benefits", "mall", "notifier", "member-view"),
        types=MappingProxyType(
            {"rules.published": publication.RulesPublished, "rules.withdrawn": publication.RulesWithdrawn}
        ),
    ),
    Topic(
        name="time.v1",
        key="calendar",
        partitions=1,
        retention_days=90,
        producer="clock",
        consumers=("policy-sync", "points-ledger", "tier-engine", "benefits", "mall", "notifier", "member-view"),
        types=MappingProxyType({"day.started": time.DayStarted}),
    ),
)

TYPES: Final[Mapping[str, type[Data]]] = MappingProxyType({name: cls for t in TOPICS for name, cls in t.types.items()})
TYPE_OF: Final[Mapping[type[Data], str]] = MappingProxyType({cls: name for name, cls in TYPES.items()})
TOPIC_OF: Final[Mapping[str, Topic]] = MappingProxyType({name: t for t in TOPICS for name in t.types})


def read_by(service: str) -> tuple[Topic, ...]:
    """The topics a service consumes, in the table's order."""
    return tuple(t for t in TOPICS if service in t.consumers)
