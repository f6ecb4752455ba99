"""points-ledger on one screen: what it hears, which rule decides, where it keeps accounts, what it serves."""

from pathlib import Path
from typing import Final

from tenure.contracts import activity, policy, tier
from tenure.contracts.decision import DayReached
from tenure.service import RouterOf, Service
from tenure.telemetry import metrics

from points_ledger import commands, saving, store, timers, unpaid
from points_ledger.problems import PROBLEMS
from points_ledger.proof import sealer
from points_ledger.rules import activities, adjustments, decide, earning, given_up, holds, standing, terms
from points_ledger.rules.account import Account
from points_ledger.rules.decide import rule
from points_ledger.rules.given_up import told
from points_ledger.rules.unmerger import on_unmerged


def routers() -> tuple[RouterOf, ...]:
    from points_ledger import api, api_accounts, api_adjustments, api_statement, operations
    from points_ledger.proof import api as proof

    of_wallets = (api.router, api_statement.router, api_accounts.router)
    return (*of_wallets, api_adjustments.router, operations.router, proof.router)


SERVICE: Final = Service[Account](
    name="points-ledger",
    package="points_ledger",
    rules={
        # Insuring and staying: learn of the term, settle what changed, earn.
        policy.PolicyIssued: told(decide.on_term),
        policy.PolicyRenewed: told(decide.on_term),
        policy.PremiumPaid: told(decide.on_term),
        policy.PremiumRefunded: told(decide.on_term),
        policy.PolicyEndorsed: told(decide.on_term),
        policy.PolicyCancelled: told(decide.on_term),
        policy.CancellationReversed: told(decide.on_term),
        policy.PolicyRescinded: told(decide.on_term),
        policy.PolicyLapsed: told(decide.on_term),
        policy.PolicyReinstated: told(decide.on_term),
        policy.PolicyAnniversary: told(earning.on_anniversary),
        policy.PolicyAnniversaryRevoked: told(terms.on_anniversary_revoked),
        policy.NoClaimYearCompleted: told(earning.on_no_claim_year),
        policy.NoClaimYearRevoked: told(terms.on_no_claim_year_revoked),
        tier.TierChanged: rule(terms.on_tier_changed),
        policy.CustomerMerged: decide.on_merger,
        policy.CustomerUnmerged: decide.rule_of_two(on_unmerged),
        # Activities, agents' services, referrals.
        activity.ActivityCompleted: rule(activities.on_activity),
        activity.AgentServiceRecorded: rule(activities.on_activity),
        activity.ReferralConverted: decide.on_referral,
        commands.RecordActivity: rule(activities.on_recorded),
        # Redemption and correction, over HTTP.
        commands.PlaceHold: rule(holds.on_place),
        commands.CaptureHold: rule(holds.on_capture),
        commands.ReleaseHold: rule(holds.on_release),
        commands.RefundHold: rule(holds.on_refund),
        commands.ProposeAdjustment: rule(adjustments.on_proposed),
        commands.ApproveAdjustment: rule(adjustments.on_approved),
        commands.RejectAdjustment: rule(adjustments.on_rejected),
        # Agents: leaving, returning, being a customer, too.
        commands.LeaveAgent: rule(standing.on_left),
        commands.ReturnAgent: rule(standing.on_returned),
        commands.LinkMembership: decide.on_link,
        DayReached: given_up.on_due,
    },
    ignores=frozenset(
        {
            "policy.expiring",
            "policy.expired",
            "policy.holder_changed",  # years follow the person, and so do points already earned
            "member.enrolled",
            "claim.changed",
            "customer.registered",
            "customer.consent_changed",
            "customer.erased",  # the ledger is pseudonymous: it knows no name to erase
            "customer.household_linked",
            "coverage_extension.confirmed",
            "coverage_extension.rejected",
            "tier.progressed",
            "tier.at_risk",
        }
    ),
    rulebooks=("earning",),
    load=store.load,
    save=saving.save,
    due=store.due,
    keys=decide.keys,
    routers=routers,
    background=(timers.release_timed_out, sealer.seal_entries),
    problems=PROBLEMS,
    gauges=(
        (metrics.holds_open, "SELECT count(*) FROM holds WHERE state = 'held'"),
        (metrics.journal_unsealed_rows, sealer.UNSEALED),
        (metrics.journal_oldest_unsealed_age_seconds, sealer.OLDEST_UNSEALED_AGE),
    ),
    forgets=(("unpaid", unpaid.forget),),
    migrations=Path(__file__).parents[1] / "migrations",
)
