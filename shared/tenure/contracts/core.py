"""What an insurer's core systems say: raw facts on `core.policy.v1`, `core.claim.v1` and `core.customer.v1`.

Their CloudEvents type is the class name. A fact names its policy and term; the whole policy after it is policy-sync's to know.
`member_id` is the customer number of the policyholder.
"""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta

from tenure.contracts.event import Data

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f]+$")]
Fen = Annotated[int, Meta(ge=0, le=10**12, description="CNY in fen, at most ten billion yuan")]
SignedFen = Annotated[int, Meta(ge=-(10**12), le=10**12, description="CNY in fen, either sign")]
TermNo = Annotated[int, Meta(ge=0, le=9_999, description="0 is cover before go-live, 1 the first term sold here")]
ProductLine = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-z][a-z0-9_]*$")]
CancellationKind = Literal["cooling_off", "flat", "not_taken_up", "mid_term"]


class PolicyFact(Data, frozen=True, kw_only=True):
    policy_no: Id


class TermFact(PolicyFact, frozen=True, kw_only=True):
    term_no: TermNo = 1


class PolicyIssued(TermFact, frozen=True, kw_only=True):
    """A new policy. `cooling_off_days` (犹豫期) is a product attribute, 0 where there is none."""

    member_id: Id
    product_line: ProductLine
    start: date
    end: date
    premium_fen: Fen
    cooling_off_days: Annotated[int, Meta(ge=0, le=60)] = 0
    holder_kind: Literal["person", "organisation"] = "person"
    channel: Literal["agent", "broker", "direct"] = "direct"
    agent_id: Id | None = None
    previous_policy_no: Id | None = None
    region: str | None = None
    # What is insured, in the core's own word (car, flat, ...): kept with the fact, read by no rule yet.
    risk: str | None = None


class PolicyRenewed(TermFact, frozen=True, kw_only=True):
    """The policy's next term. `renewed_on` is the day the customer renewed, at or before or after `start`."""

    start: date
    end: date
    premium_fen: Fen
    renewed_on: date | None = None
    cooling_off_days: Annotated[int, Meta(ge=0, le=60)] = 0
    # Needed only where the policy's earlier terms are not known here (history was never imported).
    member_id: Id | None = None
    product_line: ProductLine | None = None


class PremiumPaid(TermFact, frozen=True, kw_only=True):
    amount_fen: Fen
    paid_on: date
    instalment_no: Annotated[int, Meta(ge=1, le=400)] = 1
    payer_id: Id | None = None


class PremiumRefunded(TermFact, frozen=True, kw_only=True):
    amount_fen: Fen
    refunded_on: date


class PolicyEndorsed(TermFact, frozen=True, kw_only=True):
    """A change inside a term (批改): `premium_delta_fen` is what it adds to the term's premium; `end` moves the term's end."""

    endorsement_no: Id
    effective: date
    premium_delta_fen: SignedFen = 0
    end: date | None = None


class PolicyCancelled(TermFact, frozen=True, kw_only=True):
    """`mid_term` ends the term on `effective`; the other kinds void it: it never was."""

    effective: date
    kind: CancellationKind = "mid_term"


class CancellationReversed(TermFact, frozen=True, kw_only=True):
    effective: date


class PolicyLapsed(TermFact, frozen=True, kw_only=True):
    """Cover stops for unpaid premium from `effective`."""

    effective: date


class PolicyReinstated(TermFact, frozen=True, kw_only=True):
    """Cover resumes from `effective`; `bridged` = the arrears were paid, so there is no gap."""

    effective: date
    bridged: bool = False


class PolicyRescinded(PolicyFact, frozen=True, kw_only=True):
    """The whole policy is void from the start (fraud, non-disclosure)."""

    effective: date
    reason: str = ""


class PolicyHolderChanged(TermFact, frozen=True, kw_only=True):
    """From `effective` the cover is `member_id`'s; years follow the person (DOMAIN 10)."""

    effective: date
    member_id: Id
    holder_kind: Literal["person", "organisation"] = "person"


class ClaimFact(PolicyFact, frozen=True, kw_only=True):
    claim_no: Id


class ClaimReported(ClaimFact, frozen=True, kw_only=True):
    loss_date: date
    reported_on: date
    estimate_fen: Fen = 0
    kind: str = ""


class ClaimRegistered(ClaimFact, frozen=True, kw_only=True):
    on: date


class ClaimSurveyed(ClaimFact, frozen=True, kw_only=True):
    on: date


class ClaimAssessed(ClaimFact, frozen=True, kw_only=True):
    on: date
    amount_fen: Fen


class ClaimApproved(ClaimFact, frozen=True, kw_only=True):
    on: date
    amount_fen: Fen


class ClaimDeclined(ClaimFact, frozen=True, kw_only=True):
    on: date
    reason: str = ""


class ClaimPaid(ClaimFact, frozen=True, kw_only=True):
    on: date
    amount_fen: Fen


class ClaimClosed(ClaimFact, frozen=True, kw_only=True):
    on: date


class ClaimReopened(ClaimFact, frozen=True, kw_only=True):
    on: date


class ClaimWithdrawn(ClaimFact, frozen=True, kw_only=True):
    on: date


class CustomerFact(Data, frozen=True, kw_only=True):
    member_id: Id


class CustomerRegistered(CustomerFact, frozen=True, kw_only=True):
    """`region` is an administrative code, never an address."""

    registered_on: date
    region: str | None = None
    household_id: Id | None = None
    language: Literal["zh", "en"] = "zh"


class CustomerMerged(CustomerFact, frozen=True, kw_only=True):
    """`merged_id` was the same person as `member_id`, who remains."""

    merged_id: Id
    on: date


class CustomerUnmerged(CustomerFact, frozen=True, kw_only=True):
    """The merger was wrong: from now on `merged_id` is a customer of their own again, as if never merged into `member_id`."""

    merged_id: Id
    on: date


class HouseholdLinked(CustomerFact, frozen=True, kw_only=True):
    """The customer lives in this household from `on`; without a `household_id` in none that is known."""

    household_id: Id | None = None
    on: date


class ConsentChanged(CustomerFact, frozen=True, kw_only=True):
    on: date
    marketing: bool


class CustomerErased(CustomerFact, frozen=True, kw_only=True):
    on: date


class CoverageExtensionConfirmed(CustomerFact, frozen=True, kw_only=True):
    """The core issued the endorsement that a `coverage_extension.requested` asked for: free cover is a filed clause."""

    request_id: Id
    endorsement_no: Id
    start: date
    end: date


class CoverageExtensionRejected(CustomerFact, frozen=True, kw_only=True):
    """`reason`: a code of one word, as `building_not_insurable`; a sentence is not passed on."""

    request_id: Id
    reason: str = ""
