"""policy-sync on one screen: the core's facts in, canonical policy events and milestones out."""

from pathlib import Path

from tenure.contracts import core
from tenure.contracts.decision import DayReached
from tenure.service import RouterOf, Service
from tenure.spine import clock
from tenure.telemetry import metrics

from policy_sync import gap_reads, importing, rules, store
from policy_sync.commands import Correct, DismissGap, KeepContact
from policy_sync.problems import PROBLEMS
from policy_sync.rules import controls, imports

_POLICY_FACTS = (
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
)
_CUSTOMER_FACTS = (
    core.CustomerRegistered,
    core.CustomerMerged,
    core.CustomerUnmerged,
    core.HouseholdLinked,
    core.ConsentChanged,
    core.CustomerErased,
    core.CoverageExtensionConfirmed,
    core.CoverageExtensionRejected,
)


def routers() -> tuple[RouterOf, ...]:
    from policy_sync import api, control_api, gap_api, import_api

    return (api.router, gap_api.router, control_api.router, import_api.router)


SERVICE = Service(
    name="policy-sync",
    package="policy_sync",
    rules={
        **dict.fromkeys(_POLICY_FACTS, rules.on_fact),
        **dict.fromkeys(_CUSTOMER_FACTS, rules.on_customer),
        DayReached: rules.on_day,
        KeepContact: rules.on_contact,
        DismissGap: rules.on_dismissed,
        Correct: rules.on_correct,
        **imports.rules(),
        **controls.rules(),
    },
    load=store.load,
    save=store.save,
    due=store.due,
    keys=rules.keys,
    routers=routers,
    background=(clock.lead, importing.read_on),
    gauges=((metrics.gap_oldest_age_seconds, gap_reads.OLDEST_AGE),),
    under_way="SELECT count(*) FROM imports WHERE stage = 'queued'",
    problems=PROBLEMS,
    migrations=Path(__file__).parents[1] / "migrations",
)
