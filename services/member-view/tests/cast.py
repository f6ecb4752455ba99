"""One member's story as five services tell it, for member-view's tests."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from tenure.calendar import start_of
from tenure.contracts import benefit, mall, points, policy, tier
from tenure.contracts.event import Data, Event
from tenure.contracts.tier import Condition, Step
from tenure.contracts.topics import TYPE_OF

M: Final = "M-1"
D: Final = date(2026, 3, 1)
NEAREST: Final = Condition(
    tier="diamond",
    measure="insured_years",
    actual=6,
    threshold=8,
    operator=">=",
    missing=700,
    expected_on=date(2028, 2, 1),
)


def event(data: Data, when: datetime | None = None) -> Event:
    day = getattr(data, "effective", D)
    return Event(
        id="e", source="/test", type=TYPE_OF.get(type(data), "x"), key=M, time=when or start_of(day), data=data
    )


def term(
    version: int = 1,
    *,
    policy_no: str = "P-1",
    end: date = date(2026, 12, 1),
    status: Any = "in_force",
    line: str = "home",
    person: bool = True,
) -> policy.Term:
    start = date(end.year - 1, end.month, end.day)
    return policy.Term(
        policy_no=policy_no,
        term_no=1,
        member_id=M,
        product_line=line,
        start=start,
        end=end,
        written_end=end,
        premium_fen=80_001,
        status=status,
        version=version,
        covers=() if status == "void" else ((start, end),),
        natural_person=person,
        inception=start,
    )


def issued(version: int = 1, **more: Any) -> policy.PolicyIssued:
    return policy.PolicyIssued(member_id=M, term=term(version, **more), effective=D)


def cancelled(version: int = 2, **more: Any) -> policy.PolicyCancelled:
    return policy.PolicyCancelled(
        member_id=M, term=term(version, status="void", **more), effective=D, kind="cooling_off"
    )


def claim(status: Any, claim_no: str = "C-1", *, effective: date = D, handed_over: Any = None) -> policy.ClaimChanged:
    return policy.ClaimChanged(
        member_id=M,
        claim_no=claim_no,
        policy_no="P-1",
        product_line="home",
        loss_date=effective,
        status=status,
        amount_fen=500_000,
        effective=effective,
        handed_over=handed_over,
    )


def advised(claim_no: str = "C-1") -> benefit.ClaimAdvised:
    return benefit.ClaimAdvised(
        member_id=M, claim_no=claim_no, tier="gold", fast_track=True, on_site_survey_waived=True, effective=D
    )


def tier_changed(to: str = "gold", *, since: date = date(2018, 3, 1)) -> tier.TierChanged:
    return tier.TierChanged(
        member_id=M,
        from_tier="silver",
        to_tier=to,
        effective=since,
        retroactive=False,
        reasons=(),
        nearest=NEAREST,
        policies=("P-1",),
        insured_days=2_200,
        annual_premium_fen=80_001,
        rules_version=1,
        timeline=(Step(effective=since, tier=to, cause="upgrade"),),
    )


def progressed(*, covered: bool = True) -> tier.TierProgressed:
    return tier.TierProgressed(
        member_id=M,
        tier="gold",
        effective=D,
        insured_days=2_300,
        annual_premium_fen=80_001,
        nearest=NEAREST,
        covered=covered,
    )


def grant(
    amount: int, *, lot: str = "L-1", pending: bool = False, repaid: int = 0, wallet: Any = "points"
) -> points.PointsGranted:
    return points.PointsGranted(
        member_id=M,
        wallet=wallet,
        amount=amount,
        effective=D,
        lot_id=lot,
        entry_id=lot,
        rule="premium",
        rules_version=1,
        activates_on=date(2026, 3, 16) if pending else D,
        expires_on=date(2028, 4, 1),
        source_type="premium.paid",
        repaid_debt=repaid,
    )


def activated(amount: int, *, repaid: int = 0) -> points.PointsActivated:
    return points.PointsActivated(
        member_id=M, wallet="points", amount=amount, effective=D, lot_id="L-1", expires_on=None, repaid_debt=repaid
    )


def held(amount: int) -> points.PointsHeld:
    return points.PointsHeld(member_id=M, wallet="points", amount=amount, effective=D, hold_id="H-1")


def captured(amount: int) -> points.PointsCaptured:
    return points.PointsCaptured(member_id=M, wallet="points", amount=amount, effective=D, hold_id="H-1")


def released(amount: int, *, repaid: int = 0) -> points.PointsReleased:
    return points.PointsReleased(
        member_id=M, wallet="points", amount=amount, effective=D, hold_id="H-1", reason="requested", repaid_debt=repaid
    )


def refunded(amount: int, *, repaid: int = 0) -> points.PointsRefunded:
    return points.PointsRefunded(
        member_id=M, wallet="points", amount=amount, effective=D, hold_id="H-1", repaid_debt=repaid
    )


def taken_back(*, pending: int = 0, lots: int = 0, debt: int = 0, expired: int = 0) -> points.PointsReversed:
    return points.PointsReversed(
        member_id=M,
        wallet="points",
        amount=pending + lots + debt + expired,
        effective=D,
        entry_id="E-1",
        rule="premium",
        from_pending=pending,
        from_lots=lots,
        as_debt=debt,
        from_expired=expired,
    )


def expired(amount: int) -> points.PointsExpired:
    return points.PointsExpired(member_id=M, wallet="points", amount=amount, effective=D, lot_id="L-1")


def adjusted(amount: int, *, repaid: int = 0) -> points.PointsAdjusted:
    return points.PointsAdjusted(
        member_id=M,
        wallet="points",
        amount=amount,
        effective=D,
        entry_id="E-2",
        reason="goodwill",
        ticket="T-1",
        repaid_debt=repaid,
    )


def soon(amount: int, *, expires_on: date = date(2026, 4, 1)) -> points.PointsExpiring:
    return points.PointsExpiring(member_id=M, wallet="points", amount=amount, effective=D, expires_on=expires_on)


def benefit_granted(code: str = "burst_pipe", *, quota: int | None = 2) -> benefit.BenefitGranted:
    return benefit.BenefitGranted(
        member_id=M,
        grant_id=f"G-{code}",
        benefit=code,
        effective=D,
        tier="gold",
        quota=quota,
        period_start=D,
        period_end=date(2027, 3, 1),
    )


def several_granted(*grants: benefit.BenefitGranted) -> benefit.BenefitsGranted:
    """The same grants, told together."""
    own = [{name: getattr(g, name) for name in benefit.Granted.__struct_fields__} for g in grants]
    return benefit.BenefitsGranted(member_id=M, effective=D, grants=tuple(benefit.Granted(**g) for g in own))


def used(code: str = "burst_pipe", *, remaining: int = 1) -> benefit.BenefitUsed:
    return benefit.BenefitUsed(
        member_id=M, grant_id=f"G-{code}", benefit=code, effective=D, use_id="U-1", remaining=remaining
    )


def asked(code: str = "burst_pipe") -> benefit.CoverageExtensionRequested:
    return benefit.CoverageExtensionRequested(
        member_id=M, grant_id=f"G-{code}", benefit=code, effective=D, request_id="R-1", clause="PIPE-1"
    )


def confirmed() -> policy.CoverageExtensionConfirmed:
    return policy.CoverageExtensionConfirmed(
        member_id=M, request_id="R-1", endorsement_no="EN-1", start=D, end=date(2027, 3, 1)
    )


def order(cls: type[mall.OrderEvent] = mall.OrderPlaced, order_id: str = "O-1", **more: Any) -> mall.OrderEvent:
    return cls(member_id=M, order_id=order_id, sku="coffee-voucher-30", quantity=1, points=760, effective=D, **more)


STORY: Final[Sequence[Sequence[Data]]] = (
    (
        policy.MemberEnrolled(member_id=M, effective=date(2012, 3, 1)),
        issued(1),
        issued(1, policy_no="P-2", end=date(2026, 9, 1)),
        cancelled(2, policy_no="P-2", end=date(2026, 9, 1)),
        claim("reported"),
        claim("paid", "C-0"),
        confirmed(),
    ),
    (
        grant(1_000, pending=True),
        grant(1_500, lot="L-2"),
        activated(1_000),
        held(760),
        captured(760),
        taken_back(lots=500),
        soon(5_000),
        grant(30, lot="L-3", wallet="growth"),
    ),
    (tier_changed(), progressed()),
    (benefit_granted(), asked(), used(), advised()),
    (order(), order(mall.OrderFulfilled)),
)
"""One topic's events each, in that topic's order."""
