"""Benefits: what each tier brings, who may use it how often, and what a claim is entitled to. All wiring on one screen."""

from pathlib import Path
from typing import Final

from tenure.contracts import policy, tier
from tenure.contracts.decision import DayReached
from tenure.contracts.event import Event
from tenure.service import RouterOf, Service

from benefits import commands, gathering, rules, store
from benefits.problems import PROBLEMS
from benefits.state import State


def keys(event: Event) -> tuple[str, ...]:
    """Members meet when they are merged or parted; every other event is one member's."""
    if isinstance(event.data, policy.CustomerMerged) and event.data.merged_id != event.data.member_id:
        return event.data.member_id, event.data.merged_id
    if isinstance(event.data, policy.CustomerUnmerged):
        return event.data.survivor_id, event.data.merged_id
    if isinstance(event.data, commands.Gather):
        return event.data.numbers
    return (event.key,)


def routers() -> tuple[RouterOf, ...]:
    from benefits import api, appointments, claims_api

    return (api.router, appointments.router, claims_api.router)


SERVICE: Final[Service[State]] = Service(
    name="benefits",
    package="benefits",
    rules={
        policy.PolicyIssued: rules.on_term,
        policy.PolicyRenewed: rules.on_term,
        policy.PremiumPaid: rules.on_term,
        policy.PremiumRefunded: rules.on_term,
        policy.PolicyEndorsed: rules.on_term,
        policy.PolicyCancelled: rules.on_term,
        policy.CancellationReversed: rules.on_term,
        policy.PolicyLapsed: rules.on_term,
        policy.PolicyReinstated: rules.on_term,
        policy.PolicyRescinded: rules.on_term,
        policy.PolicyHolderChanged: rules.on_term,
        policy.PolicyExpiring: rules.on_term,
        policy.PolicyExpired: rules.on_term,
        policy.PolicyAnniversary: rules.on_anniversary,
        policy.ClaimChanged: rules.on_claim,
        policy.CustomerRegistered: rules.on_registered,
        policy.CustomerMerged: rules.on_merged,
        policy.CustomerUnmerged: rules.on_unmerged,
        policy.CustomerErased: rules.on_erased,
        policy.CoverageExtensionConfirmed: rules.on_confirmed,
        policy.CoverageExtensionRejected: rules.on_rejected,
        tier.TierChanged: rules.on_tier_changed,
        DayReached: rules.on_day,
        commands.Gather: rules.on_gather,
        commands.UseBenefit: rules.on_use,
        commands.ReleaseUse: rules.on_release,
    },
    ignores=frozenset(
        {
            "policy.anniversary_revoked",  # the report that was made stays readable
            "no_claim_year.completed",
            "no_claim_year.revoked",
            "member.enrolled",
            "customer.consent_changed",
            "customer.household_linked",
            "tier.progressed",
            "tier.at_risk",
        }
    ),
    load=store.load,
    save=store.save,
    due=store.due,
    keys=keys,
    catch_up=rules.caught_up,
    routers=routers,
    background=(gathering.TIMER.gather,),
    problems=PROBLEMS,
    follows=("tiers",),
    migrations=Path(__file__).parents[1] / "migrations",
)
