"""The wiring of tier-engine: what it reads, which rule decides, where members are kept, what it serves."""

from pathlib import Path

from tenure.contracts import points, policy
from tenure.contracts.decision import DayReached
from tenure.service import RouterOf, Service

from tier_engine import rules, store
from tier_engine.problems import PROBLEMS
from tier_engine.review import review
from tier_engine.rules import Member
from tier_engine.whatif.work import simulate

TERM_EVENTS = (
    policy.PolicyIssued,
    policy.PolicyRenewed,
    policy.PremiumPaid,
    policy.PremiumRefunded,
    policy.PolicyEndorsed,
    policy.PolicyCancelled,
    policy.CancellationReversed,
    policy.PolicyLapsed,
    policy.PolicyReinstated,
    policy.PolicyRescinded,
    policy.PolicyHolderChanged,
)


def routers() -> tuple[RouterOf, ...]:
    from tier_engine import api
    from tier_engine.whatif import api as whatif_api

    return (api.router, whatif_api.router)


SERVICE: Service[Member] = Service(
    name="tier-engine",
    package="tier_engine",
    rules={
        **dict.fromkeys(TERM_EVENTS, rules.on_term),
        policy.PolicyExpiring: rules.on_ending,
        policy.PolicyExpired: rules.on_ending,
        policy.CustomerMerged: rules.on_merged,
        policy.CustomerUnmerged: rules.on_unmerged,
        points.PointsGranted: rules.on_granted,
        points.PointsReversed: rules.on_reversed,
        DayReached: rules.on_day,
        rules.Reviewed: rules.on_reviewed,
    },
    ignores=frozenset(
        {
            # Milestones and claims: the terms say it already.
            "policy.anniversary",
            "policy.anniversary_revoked",
            "no_claim_year.completed",
            "no_claim_year.revoked",
            "member.enrolled",
            "claim.changed",
            # The person: ids are all we know of one, and those stay.
            "customer.registered",
            "customer.consent_changed",
            "customer.erased",
            "customer.household_linked",
            # Free cover is not a term of the member's own.
            "coverage_extension.confirmed",
            "coverage_extension.rejected",
            # Movements within wallets; what counts here is growth earned and taken back.
            "points.activated",
            "points.held",
            "points.captured",
            "points.released",
            "points.refunded",
            "points.expiring",
            "points.expired",
            "points.adjusted",
        }
    ),
    load=store.load,
    save=store.save,
    due=store.due,
    keys=rules.keys,
    catch_up=rules.caught_up,
    routers=routers,
    background=(review, simulate),
    problems=PROBLEMS,
    rulebooks=("tiers",),
    follows=("earning",),
    migrations=Path(__file__).parents[1] / "migrations",
)
