"""What a claim's facts make of it, and whether it counts against a no-claim year (DOMAIN 16)."""

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Final

import msgspec
from tenure.contracts import core
from tenure.contracts.policy import ClaimStatus

from policy_sync.rules.facts import Fact

_STATUS: Final[Mapping[type, ClaimStatus]] = MappingProxyType(
    {
        core.ClaimReported: "reported",
        core.ClaimRegistered: "registered",
        core.ClaimSurveyed: "surveyed",
        core.ClaimAssessed: "assessed",
        core.ClaimApproved: "approved",
        core.ClaimDeclined: "declined",
        core.ClaimPaid: "paid",
        core.ClaimClosed: "closed",
        core.ClaimReopened: "reopened",
        core.ClaimWithdrawn: "withdrawn",
    }
)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as it stands: `amount_fen` is the newest of estimate, assessment, approval and payment; `paid_fen` all payments."""

    claim_no: str
    loss_date: date
    status: ClaimStatus
    amount_fen: int
    paid_fen: int
    kind: str
    reported_on: date
    effective: date

    @property
    def counts(self) -> bool:
        """Whether it breaks a no-claim year.

        Not when it was withdrawn (what was paid has been given back), nor when it ended, declined or closed, without a payment.
        """
        if self.status == "withdrawn":
            return False
        return self.status not in ("declined", "closed") or self.paid_fen > 0


def fold_claims(known: Sequence[Fact]) -> tuple[Claim, ...]:
    """All claims by number, from a policy's facts in domain order. Each has been reported."""
    facts: dict[str, list[Fact]] = {}
    for fact in known:
        if isinstance(fact.data, core.ClaimFact):
            facts.setdefault(fact.data.claim_no, []).append(fact)
    return tuple(_claim(no, facts[no]) for no in sorted(facts))


def _claim(claim_no: str, facts: list[Fact]) -> Claim:
    report = [f for f in facts if isinstance(f.data, core.ClaimReported)][-1]
    # A report dated after its own progress (two clocks in the core) still is the first step.
    steps = [report, *(f for f in facts if not isinstance(f.data, core.ClaimReported))]
    amounts = [a for f in steps if (a := _amount(f)) is not None]
    return Claim(
        claim_no=claim_no,
        loss_date=report.data.loss_date,
        status=_STATUS[type(steps[-1].data)],
        amount_fen=amounts[-1],
        paid_fen=sum(f.data.amount_fen for f in facts if isinstance(f.data, core.ClaimPaid)),
        kind=report.data.kind,
        reported_on=report.effective,
        effective=steps[-1].effective,
    )


def _amount(fact: Fact) -> int | None:
    if isinstance(fact.data, core.ClaimReported):
        return fact.data.estimate_fen
    return getattr(fact.data, "amount_fen", None)
