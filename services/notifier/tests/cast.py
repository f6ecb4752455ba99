"""Events as the other services tell them, for the notifier's tests."""

from datetime import date, datetime, timedelta
from typing import Any

from msgspec.structs import replace
from tenure.calendar import SHANGHAI
from tenure.contracts import benefit, mall, points, policy, tier
from tenure.contracts.event import Data, Event
from tenure.contracts.tier import Condition, Step
from tenure.contracts.topics import TYPE_OF

M = "M-1"
D = date(2026, 3, 1)


def at(hour: int, minute: int = 0, *, day: date = D) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=SHANGHAI)


def event(data: Data, when: datetime | None = None, *, backfill: bool = False, id: str = "e-1") -> Event:
    return Event(
        id=id,
        source="/test",
        type=TYPE_OF.get(type(data), type(data).__name__),
        key=getattr(data, "member_id", M),
        time=when or at(0),
        data=data,
        backfill=backfill,
    )


def tier_changed(before: str, after: str, *, effective: date = D, nearest: Condition | None = None) -> tier.TierChanged:
    steps = (Step(effective=effective, tier=after, cause="upgrade"),) if after != "none" else ()
    return tier.TierChanged(
        member_id=M,
        from_tier=before,
        to_tier=after,
        effective=effective,
        retroactive=False,
        reasons=(),
        nearest=nearest,
        policies=("P-1",),
        insured_days=730,
        annual_premium_fen=30_001,
        rules_version=1,
        timeline=steps,
    )


def granted(code: str, *, effective: date = D, change: Any = "new", to: str = "silver") -> benefit.BenefitGranted:
    return benefit.BenefitGranted(
        member_id=M,
        grant_id=f"G-{code}",
        benefit=code,
        effective=effective,
        tier=to,
        quota=1,
        period_start=effective,
        period_end=None,
        change=change,
    )


def several_granted(*grants: benefit.BenefitGranted) -> benefit.BenefitsGranted:
    """The same grants, told together."""
    own = [{name: getattr(g, name) for name in benefit.Granted.__struct_fields__} for g in grants]
    return benefit.BenefitsGranted(member_id=M, effective=D, grants=tuple(benefit.Granted(**g) for g in own))


def revoked(code: str, *, effective: date = D, reason: Any = "tier_lost") -> benefit.BenefitRevoked:
    return benefit.BenefitRevoked(member_id=M, grant_id=f"G-{code}", benefit=code, effective=effective, reason=reason)


def term(policy_no: str = "P-1", *, end: date = D + timedelta(days=31), version: int = 1) -> policy.Term:
    start = date(end.year - 1, end.month, min(end.day, 28))
    return policy.Term(
        policy_no=policy_no,
        term_no=1,
        member_id=M,
        product_line="home",
        start=start,
        end=end,
        written_end=end,
        premium_fen=30_000,
        status="in_force",
        version=version,
        covers=((start, end),),
        inception=start,
    )


def expiring(policy_no: str = "P-1", *, effective: date = D) -> policy.PolicyExpiring:
    return policy.PolicyExpiring(member_id=M, term=term(policy_no), effective=effective)


def renewed(policy_no: str = "P-1", *, effective: date = D) -> policy.PolicyRenewed:
    return policy.PolicyRenewed(
        member_id=M, term=term(policy_no), effective=effective, renewed_on=effective, gap_days=0, days_early=31
    )


def holder_changed(*, covered_to: date | None, policy_no: str = "P-1", to: str = "M-9") -> policy.PolicyHolderChanged:
    """The member's own copy: their cover ends on that day, None = they never had any."""
    whole = term(policy_no, version=2)
    covers = ((whole.start, covered_to),) if covered_to else ()
    return policy.PolicyHolderChanged(
        member_id=M, term=replace(whole, covers=covers), effective=D, former_member_id=M, new_member_id=to
    )


def earned(
    rule: str, amount: int, *, effective: date = D, lot: str = "L-1", wallet: Any = "points"
) -> points.PointsGranted:
    return points.PointsGranted(
        member_id=M,
        wallet=wallet,
        amount=amount,
        effective=effective,
        lot_id=lot,
        entry_id=f"E-{lot}",
        rule=rule,
        rules_version=1,
        activates_on=effective,
        expires_on=None,
        source_type="policy.anniversary",
    )


def reversed_points(amount: int, *, entry: str = "E-9", expired: int = 0) -> points.PointsReversed:
    return points.PointsReversed(
        member_id=M,
        wallet="points",
        amount=amount,
        effective=D,
        entry_id=entry,
        rule="premium",
        from_pending=amount - expired,
        from_lots=0,
        as_debt=0,
        from_expired=expired,
        reference="P-1/1",
    )


def claim(
    status: Any = "reported", *, amount_fen: int = 500_000, effective: date = D, handed_over: Any = None
) -> policy.ClaimChanged:
    return policy.ClaimChanged(
        member_id=M,
        claim_no="C-1",
        policy_no="P-1",
        product_line="home",
        loss_date=effective,
        status=status,
        amount_fen=amount_fen,
        effective=effective,
        handed_over=handed_over,
    )


def advised(*, waived: bool = True, handed_over: bool = False) -> benefit.ClaimAdvised:
    return benefit.ClaimAdvised(
        member_id=M,
        claim_no="C-1",
        tier="gold",
        fast_track=True,
        on_site_survey_waived=waived,
        effective=D,
        handed_over=handed_over,
    )


def fulfilled(order: str = "O-1") -> mall.OrderFulfilled:
    return mall.OrderFulfilled(
        member_id=M, order_id=order, sku="coffee-voucher-30", quantity=1, points=2800, effective=D
    )


def failed(reason: str) -> mall.OrderFailed:
    return mall.OrderFailed(
        member_id=M, order_id="O-1", sku="coffee-voucher-30", quantity=1, points=2800, effective=D, reason=reason
    )


def consent(*, marketing: bool = True, effective: date = D) -> policy.ConsentChanged:
    return policy.ConsentChanged(member_id=M, marketing=marketing, effective=effective)
