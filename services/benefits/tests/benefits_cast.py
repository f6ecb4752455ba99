"""Facts about one home-insurance member, to deliver in any order."""

from datetime import date

from tenure.contracts import policy, tier
from tenure.contracts.tier import Step

D = date.fromisoformat


def term(member="M-1", *, no="P-1", start="2020-01-01", end="2021-01-01", version=1, line="home", region="440300"):
    return policy.Term(
        policy_no=no,
        term_no=1,
        member_id=member,
        product_line=line,
        start=D(start),
        end=D(end),
        written_end=D(end),
        premium_fen=30_001,
        status="in_force",
        version=version,
        covers=((D(start), D(end)),),
        inception=D(start),
        region=region,
    )


def issued(member="M-1", **kw):
    t = term(member, **kw)
    return policy.PolicyIssued(member_id=member, term=t, effective=t.start)


def tiers(*steps, member="M-1"):
    timeline = tuple(Step(effective=D(day), tier=name, cause="upgrade") for day, name in steps)
    return tier.TierChanged(
        member_id=member,
        from_tier=timeline[-2].tier if len(timeline) > 1 else "none",
        to_tier=timeline[-1].tier if timeline else "none",
        effective=timeline[-1].effective if timeline else D("2020-01-01"),
        retroactive=False,
        reasons=(),
        nearest=None,
        policies=(),
        insured_days=0,
        annual_premium_fen=0,
        rules_version=1,
        timeline=timeline,
    )


def claim(amount, *, member="M-1", no="C-1", status="reported", on="2020-06-01", loss="2020-05-30", policy_no="P-1"):
    return policy.ClaimChanged(
        member_id=member,
        claim_no=no,
        policy_no=policy_no,
        product_line="home",
        loss_date=D(loss),
        status=status,
        amount_fen=amount,
        effective=D(on),
    )


def anniversary(member="M-1", *, years=1, on="2021-01-01"):
    return policy.PolicyAnniversary(
        member_id=member, policy_no="P-1", term_no=1, product_line="home", years=years, effective=D(on), region="440300"
    )


def confirmed(member="M-1", *, request_id, start="2020-02-01", end="2021-01-01"):
    return policy.CoverageExtensionConfirmed(
        member_id=member, request_id=request_id, endorsement_no="E-1", start=D(start), end=D(end)
    )


def rejected(member="M-1", *, request_id):
    return policy.CoverageExtensionRejected(member_id=member, request_id=request_id, reason="no_cellar")


def registered(member="M-1", *, region="420100", on="2020-01-01"):
    return policy.CustomerRegistered(member_id=member, effective=D(on), region=region)


def parting(survivor, merged, on):
    """As it is told to both."""
    return [
        policy.CustomerUnmerged(member_id=m, survivor_id=survivor, merged_id=merged, effective=D(on))
        for m in (survivor, merged)
    ]
