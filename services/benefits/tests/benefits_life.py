"""One member to live through events with the pure rules, and the events in a few words."""

from datetime import date
from itertools import count

import msgspec
from benefits.commands import UseBenefit
from benefits.rules.plan import Life as Plan
from benefits.rules.settle import standing
from benefits.service import SERVICE
from benefits.verify import CHECKS
from tenure.calendar import start_of
from tenure.contracts import benefit, policy, tier
from tenure.contracts.decision import DayReached
from tenure.contracts.event import Event
from tenure.contracts.tier import Step

M = "M-1"
D = date.fromisoformat
BASIC = {"claims_fast_track", "safety_handbook", "claim_progress_push", "home_safety"}
SILVER = BASIC | {
    "water_leak_inspection",
    "appliance_repair_discount",
    "burst_pipe_liability",
    "appliance_cleaning_coupon",
}
GOLD = SILVER | {"no_on_site_survey", "fire_safety_kit"}
DIAMOND = GOLD | {"claims_adviser", "pet_liability", "family_accident_discount"}
SEASONAL = {"seasonal_patrol"}
_ids = count()


def term(
    start="2020-01-01", end="2030-01-01", *, no="P-1", line="home", version=1, covers=None, region="440300", person=True
):
    given = ((D(start), D(end)),) if covers is None else covers
    return policy.Term(
        policy_no=no,
        term_no=1,
        member_id=M,
        product_line=line,
        start=D(start),
        end=D(end),
        written_end=D(end),
        premium_fen=20_000,
        status="in_force",
        version=version,
        covers=given,
        natural_person=person,
        inception=D(start),
        region=region,
    )


def issued(**kw):
    t = term(**kw)
    return policy.PolicyIssued(member_id=M, term=t, effective=t.start)


def tiers(*steps, member=M):
    """A tier.changed with the whole timeline: `tiers(("2020-01-01", "basic"), ...)`."""
    timeline = tuple(Step(effective=D(day), tier=name, cause="upgrade") for day, name in steps)
    last = timeline[-1] if timeline else Step(effective=D("2020-01-01"), tier="none", cause="upgrade")
    return tier.TierChanged(
        member_id=member,
        from_tier="none",
        to_tier=last.tier,
        effective=last.effective,
        retroactive=False,
        reasons=(),
        nearest=None,
        policies=("P-1",),
        insured_days=0,
        annual_premium_fen=0,
        rules_version=1,
        timeline=timeline,
    )


def claim(amount, *, no="C-1", status="reported", on="2021-06-01", loss="2021-05-30", policy_no="P-1", **more):
    return policy.ClaimChanged(
        member_id=M,
        claim_no=no,
        policy_no=policy_no,
        product_line="home",
        loss_date=D(loss),
        status=status,
        amount_fen=amount,
        effective=D(on),
        **more,
    )


def use(code, on, *, period, reference="", today=None, **kw):
    return UseBenefit(
        member_id=M,
        grant_id=f"{M}.{code}.{period}",
        reference=reference,
        on=D(on),
        today=D(today or on),
        **kw,
    )


def one_by_one(told):
    """What was told, with each grant that was told among several as a benefit.granted of its own."""
    for data in told:
        if isinstance(data, benefit.BenefitsGranted):
            assert len(data.grants) > 1
            common = {"member_id": data.member_id, "effective": data.effective}
            yield from (benefit.BenefitGranted(**common, **msgspec.structs.asdict(grant)) for grant in data.grants)
        else:
            yield data


class Life:
    """One member lived through events with the pure rules: the state, and everything told."""

    def __init__(self, programme):
        self.programme, self.state, self.told = programme, None, []

    def then(self, data, at=None, *, backfill=False):
        day = D(at) if at else getattr(data, "effective", None) or data.today
        event = Event(
            id=f"e{next(_ids)}", source="/t", type="t", key=M, time=start_of(day), data=data, backfill=backfill
        )
        decided = SERVICE.decide(self.state, event, self.programme)
        self.state = decided.state
        self.told += one_by_one(decided.emit)
        assert all(check(self.state, self.programme) for check in CHECKS.values())
        return decided

    def day(self, day):
        while self.state.due_on is not None and self.state.due_on <= D(day):
            before = self.state.due_on
            decided = SERVICE.decide(self.state, self.event(DayReached(key=M, day=D(day))), self.programme)
            self.state, told = decided.state, decided.emit
            self.told += one_by_one(told)
            assert self.state.due_on is None or self.state.due_on > before
        return self

    def event(self, data):
        return Event(id="d", source="/t", type="t", key=M, time=start_of(data.day), data=data)

    def take(self, *types):
        told, self.told = self.told, []
        return [e for e in told if isinstance(e, types)]

    def standing(self):
        return {g.benefit for g in self.state.grants.values() if g.status in ("active", "requested", "used")}

    def grant(self, code, period=None):
        ever = standing(Plan(self.state, self.programme, self.state.lived_to))
        found = [g for g in ever.values() if g.benefit == code and (period is None or g.id.endswith(period))]
        return found[-1]


def confirmed(request_id, start="2020-02-01", end="2021-01-01"):
    return policy.CoverageExtensionConfirmed(
        member_id=M, request_id=request_id, endorsement_no="E-1", start=D(start), end=D(end)
    )
