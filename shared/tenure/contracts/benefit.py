"""`benefit.v1`: benefits granted, used, revoked; extensions asked of the core; reports; what a claim is entitled to."""

from datetime import date

from tenure.contracts.event import Data


class BenefitEvent(Data, frozen=True, kw_only=True):
    member_id: str
    grant_id: str
    benefit: str
    effective: date


class BenefitGranted(BenefitEvent, frozen=True, kw_only=True):
    """`quota` uses in `[period_start, period_end)`; no quota = as often as needed, no end = as long as the tier lasts."""

    tier: str
    quota: int | None
    period_start: date
    period_end: date | None


class BenefitUsed(BenefitEvent, frozen=True, kw_only=True):
    use_id: str
    remaining: int | None
    reference: str = ""


class BenefitReleased(BenefitEvent, frozen=True, kw_only=True):
    use_id: str
    remaining: int | None


class BenefitRevoked(BenefitEvent, frozen=True, kw_only=True):
    reason: str


class BenefitExpired(BenefitEvent, frozen=True, kw_only=True):
    pass


class CoverageExtensionRequested(BenefitEvent, frozen=True, kw_only=True):
    request_id: str
    clause: str
    policy_no: str | None = None


class SafetyReportReady(Data, frozen=True, kw_only=True):
    member_id: str
    report_id: str
    policy_no: str
    effective: date


class ClaimAdvised(Data, frozen=True, kw_only=True):
    """What the member's tier grants for this claim, said while the claim is young."""

    member_id: str
    claim_no: str
    tier: str
    fast_track: bool
    on_site_survey_waived: bool
    effective: date
