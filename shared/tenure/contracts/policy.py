"""`policy.v1`: the core's facts made canonical per member, each with the whole term after the change, and the milestones."""

from datetime import date, datetime
from typing import Literal

from tenure.calendar import Period
from tenure.contracts.core import CancellationKind
from tenure.contracts.event import Data, Dated

TermStatus = Literal["in_force", "cancelled", "void", "lapsed"]


class Term(Data, frozen=True, kw_only=True):
    """One policy term as it stands after every fact known so far.

    `covers` are the disjoint half-open periods in which cover existed (usually one: `[start, end)`; none when void);
    `end` is the end after endorsement or cancellation, `written_end` the end as sold. `premium_fen` is after endorsements and
    refunds; `refunded_fen` is what was refunded and stands (a cancellation taken back takes its refunds with it), where it is
    told. `version` never falls as a policy's facts come in: a consumer keeps the highest. After a change of holder each
    member receives the part of `covers` that is theirs.
    """

    policy_no: str
    term_no: int
    member_id: str
    product_line: str
    start: date
    end: date
    written_end: date
    premium_fen: int
    status: TermStatus
    version: int
    covers: tuple[Period, ...]
    cooling_off_end: date | None = None
    natural_person: bool = True
    inception: date
    previous_policy_no: str | None = None
    agent_id: str | None = None
    region: str | None = None
    refunded_fen: int | None = None

    @property
    def id(self) -> str:
        return f"{self.policy_no}/{self.term_no}"


class TermEvent(Data, frozen=True, kw_only=True):
    """A change of a term; `effective` is the day from which it counts."""

    member_id: str
    term: Term
    effective: date


class PolicyIssued(TermEvent, frozen=True, kw_only=True):
    pass


class PolicyRenewed(TermEvent, frozen=True, kw_only=True):
    """`gap_days` from the previous term's end to this start; `days_early` before that end it was renewed (negative: after).

    Told again when a late fact moves that end. `written_premium_fen` is the premium as sold, whatever the term has come to since.
    """

    renewed_on: date
    gap_days: int
    days_early: int
    written_premium_fen: int | None = None


class PremiumPaid(TermEvent, frozen=True, kw_only=True):
    amount_fen: int
    instalment_no: int
    payer_id: str | None = None


class PremiumRefunded(TermEvent, frozen=True, kw_only=True):
    amount_fen: int


class PolicyEndorsed(TermEvent, frozen=True, kw_only=True):
    endorsement_no: str
    premium_delta_fen: int


class PolicyCancelled(TermEvent, frozen=True, kw_only=True):
    kind: CancellationKind


class CancellationReversed(TermEvent, frozen=True, kw_only=True):
    pass


class PolicyLapsed(TermEvent, frozen=True, kw_only=True):
    pass


class PolicyReinstated(TermEvent, frozen=True, kw_only=True):
    pass


class PolicyRescinded(TermEvent, frozen=True, kw_only=True):
    pass


class PolicyHolderChanged(TermEvent, frozen=True, kw_only=True):
    """Sent to both: the former holder's copy of the term ends its covers there, the new holder's begins there.

    So does a term that becomes known after the change it falls into: its later holders hear of it by this event.
    """

    former_member_id: str
    new_member_id: str


class PolicyExpiring(Dated, TermEvent, frozen=True, kw_only=True):
    """One month before the end of a term that is not renewed yet; `effective` is the day of the reminder."""


class PolicyExpired(Dated, TermEvent, frozen=True, kw_only=True):
    """The term reached its end without a renewal; `effective` is that end."""


class PolicyAnniversary(Dated, Data, frozen=True, kw_only=True):
    """`years` whole years since the policy's inception, on `effective`, with cover continuing or just completed."""

    member_id: str
    policy_no: str
    term_no: int
    product_line: str
    years: int
    effective: date
    region: str | None = None


class PolicyAnniversaryRevoked(Data, frozen=True, kw_only=True):
    """An anniversary that was told lost its ground: cover turns out to have ended before it, or the policy to be older."""

    member_id: str
    policy_no: str
    product_line: str
    years: int
    effective: date


class NoClaimYearCompleted(Dated, Data, frozen=True, kw_only=True):
    """Policy year `policy_year` (1 = the first) passed without a claim that counts; `effective` is its end."""

    member_id: str
    policy_no: str
    product_line: str
    policy_year: int
    start: date
    effective: date


class NoClaimYearRevoked(Data, frozen=True, kw_only=True):
    """A claim of that policy year came to light, or came back, after it had been completed.

    `claim_no` is empty when it is the cover that fell away: the policy turned out cancelled or void within the year.
    """

    member_id: str
    policy_no: str
    product_line: str
    policy_year: int
    effective: date
    claim_no: str


class MemberEnrolled(Data, frozen=True, kw_only=True):
    """The member's first policy was issued: `effective` is its inception."""

    member_id: str
    effective: date


ClaimStatus = Literal[
    "reported", "registered", "surveyed", "assessed", "approved", "declined", "paid", "closed", "reopened", "withdrawn"
]


class ClaimChanged(Data, frozen=True, kw_only=True):
    """A claim's progress; `amount_fen` is the newest of estimate, assessment, approval and payment.

    `handed_over`: nothing happened to it but that it turned out to be another's. `to` this member, as it stands; `from` this
    member, as it was last told them: it is no longer theirs.
    """

    member_id: str
    claim_no: str
    policy_no: str
    product_line: str
    loss_date: date
    status: ClaimStatus
    amount_fen: int
    effective: date
    reported_on: date | None = None
    handed_over: Literal["to", "from"] | None = None


class CustomerRegistered(Data, frozen=True, kw_only=True):
    member_id: str
    effective: date
    region: str | None = None
    language: Literal["zh", "en"] = "zh"


class CustomerMerged(Data, frozen=True, kw_only=True):
    """`merged_id` is one person with `member_id`, whomever it was merged into before.

    `ties_no` orders what is told of one `merged_id`, mergers and undoings alike: the highest says how it stands, those below it
    are of the past, whenever they are read. 0: told without an order.
    """

    member_id: str
    merged_id: str
    effective: date
    ties_no: int = 0


class CustomerUnmerged(Data, frozen=True, kw_only=True):
    """`merged_id` is a member of their own again, no longer one with `survivor_id`. Told to both: `member_id` is either of them.

    Each policy that goes back follows as policy.holder_changed, to both. `ties_no`: as in customer.merged, the same to both.
    """

    member_id: str
    survivor_id: str
    merged_id: str
    effective: date
    ties_no: int = 0


class HouseholdLinked(Data, frozen=True, kw_only=True):
    """The member's household from `effective`; None: none that is known."""

    member_id: str
    household_id: str | None = None
    effective: date


class ConsentChanged(Data, frozen=True, kw_only=True):
    """`said_at`: when the customer said so, where that is not the time of the event: under another number, before the merger."""

    member_id: str
    marketing: bool
    effective: date
    said_at: datetime | None = None


class CustomerErased(Data, frozen=True, kw_only=True):
    member_id: str
    effective: date


class CoverageExtensionConfirmed(Data, frozen=True, kw_only=True):
    member_id: str
    request_id: str
    endorsement_no: str
    start: date
    end: date


class CoverageExtensionRejected(Data, frozen=True, kw_only=True):
    """`reason`: a code, or empty. What the core said in words is told to nobody."""

    member_id: str
    request_id: str
    reason: str
