"""`benefit.v1`: benefits granted, used, revoked; extensions asked of the core; reports; what a claim is entitled to."""

from datetime import date
from typing import Literal

from tenure.contracts.event import Data

Change = Literal["new", "renewed", "quota_raised", "quota_lowered", "restored"]


class BenefitEvent(Data, frozen=True, kw_only=True):
    member_id: str
    grant_id: str
    benefit: str
    effective: date


class BenefitGranted(BenefitEvent, frozen=True, kw_only=True):
    """`quota` uses in `[period_start, period_end)`; no quota = as often as needed, no end = as long as the tier lasts.

    The grant as it now stands: told again under the same id when its quota changed with the tier (`change`), or when a lost tier
    came back within the period. `renewed` is the next period of a benefit that was granted before.
    """

    tier: str
    quota: int | None
    period_start: date
    period_end: date | None
    change: Change = "new"
    used: int = 0


class Granted(Data, frozen=True, kw_only=True):
    """One grant of `BenefitsGranted`; each field means what it means in benefit.granted."""

    grant_id: str
    benefit: str
    tier: str
    quota: int | None
    period_start: date
    period_end: date | None
    change: Change = "new"
    used: int = 0


class BenefitsGranted(Data, frozen=True, kw_only=True):
    """What one change granted on a day, where it is more than one benefit: the same as a benefit.granted for each, in order."""

    member_id: str
    effective: date
    grants: tuple[Granted, ...]


class BenefitUsed(BenefitEvent, frozen=True, kw_only=True):
    """`reference`: the code of a work order, claim or receipt; never words."""

    use_id: str
    remaining: int | None
    reference: str = ""


class BenefitReleased(BenefitEvent, frozen=True, kw_only=True):
    use_id: str
    remaining: int | None


class BenefitRecounted(BenefitEvent, frozen=True, kw_only=True):
    """Other uses count for the grant than before, though nobody used it or gave a use back: uses under another number of the same
    person, when the two become one, or are two after all; a day in another period than was thought.
    """

    remaining: int


class BenefitRevoked(BenefitEvent, frozen=True, kw_only=True):
    """What is unused is taken back: `tier_lost`, `withdrawn` (from the programme), `corrected` (the past changed), `merged`."""

    reason: str


class BenefitExpired(BenefitEvent, frozen=True, kw_only=True):
    pass


class CoverageExtensionRequested(BenefitEvent, frozen=True, kw_only=True):
    """Asks the core for an endorsement. Asked again under the same `request_id` once there is a policy it can be added to."""

    request_id: str
    clause: str
    policy_no: str | None = None


class SafetyReportReady(Data, frozen=True, kw_only=True):
    member_id: str
    report_id: str
    policy_no: str
    effective: date


class ClaimAdvised(Data, frozen=True, kw_only=True):
    """What the member's tier grants for this claim, said while the claim is young.

    `handed_over`: said because the claim came to this member from another, and not because anything happened to it.
    """

    member_id: str
    claim_no: str
    tier: str
    fast_track: bool
    on_site_survey_waived: bool
    effective: date
    handed_over: bool = False
