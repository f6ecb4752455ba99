"""mall, on one screen: what it reads, how it decides, where it keeps state, what it serves."""

from pathlib import Path

from tenure.contracts.points import PointsReleased
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.tier import TierChanged
from tenure.service import RouterOf, Service

from mall import commands, store, worker
from mall.keys import keys
from mall.problems import PROBLEMS
from mall.rules import members, orders, quotes, shelves, steps
from mall.states import State


def routers() -> tuple[RouterOf, ...]:
    from mall.api import counter, shop

    return (shop.router, counter.router)


SERVICE = Service[State](
    name="mall",
    package="mall",
    rules={
        TierChanged: members.on_tier,
        CustomerMerged: members.on_merged,
        CustomerUnmerged: members.on_unmerged,
        PointsReleased: steps.on_points_released,
        commands.MakeQuote: quotes.on_quote,
        commands.SweepQuotes: quotes.on_sweep,
        commands.PlaceOrder: orders.on_order,
        commands.FindOrder: orders.on_find,
        commands.ClaimOrder: orders.on_claim,
        commands.StepAnswered: steps.on_answer,
        commands.LastStepAnswered: steps.on_last_answer,
        commands.ViewCode: orders.on_view,
        commands.AskRefund: orders.on_refund,
        commands.Ship: orders.on_ship,
        commands.Deliver: orders.on_deliver,
        commands.OpenShelf: shelves.on_open,
        commands.OpenCodeShelf: shelves.on_open_codes,
        commands.LoadCodes: shelves.on_load,
        commands.AdjustStock: shelves.on_adjust,
    },
    ignores=frozenset(
        {
            "policy.issued",
            "policy.renewed",
            "premium.paid",
            "premium.refunded",
            "policy.endorsed",
            "policy.cancelled",
            "policy.cancellation_reversed",
            "policy.lapsed",
            "policy.reinstated",
            "policy.rescinded",
            "policy.holder_changed",
            "policy.expiring",
            "policy.expired",
            "policy.anniversary",
            "policy.anniversary_revoked",
            "no_claim_year.completed",
            "no_claim_year.revoked",
            "member.enrolled",
            "claim.changed",
            "customer.registered",
            "customer.household_linked",
            "customer.consent_changed",
            "customer.erased",
            "coverage_extension.confirmed",
            "coverage_extension.rejected",
            "tier.progressed",
            "tier.at_risk",
            "points.granted",
            "points.activated",
            "points.held",
            "points.captured",
            "points.refunded",
            "points.reversed",
            "points.expiring",
            "points.expired",
            "points.adjusted",
        }
    ),
    load=store.load,
    save=store.save,
    keys=keys,
    routers=routers,
    background=(worker.run,),
    problems=PROBLEMS,
    under_way="SELECT count(*) FROM orders WHERE next_try_at IS NOT NULL",
    follows=("tiers",),
    migrations=Path(__file__).parents[1] / "migrations",
)
