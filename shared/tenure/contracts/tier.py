"""`tier.v1`: the tier of a member, every change with its reasons."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

from tenure.contracts.event import Data

NO_TIER = "none"

Cause = Literal["first_cover", "upgrade", "soft_landing"]


class Step(Data, frozen=True, kw_only=True):
    """From `effective` on the member has `tier`; `cause` says by what kind of rule. One step a day at most.

    A member who qualifies for more than the lowest tier on the first covered day begins there, with cause `upgrade`.
    """

    effective: date
    tier: str
    cause: Cause


class Condition(Data, frozen=True, kw_only=True):
    """One condition of a tier, measured: `actual` against `threshold` in the measure's unit (whole years, or fen).

    `missing` is what is not there yet: insured DAYS for `insured_years`, fen for `annual_premium_fen`; 0 when it holds.
    `expected_on` is the day on which an `insured_years` condition is reached if today's cover simply goes on.
    """

    tier: str
    measure: Literal["insured_years", "annual_premium_fen"]
    actual: int
    threshold: int
    operator: Literal[">=", ">"]
    missing: int
    expected_on: date | None = None


class TierChanged(Data, frozen=True, kw_only=True):
    """`timeline` is the member's whole history of tiers after the change: consumers replace theirs by it.

    `retroactive` = the past changed (a late or corrected fact), not only the newest step; `effective` is then the first
    day that changed. `to_tier` "none" = as if never held. `reasons` are all conditions of `to_tier` that hold (a soft
    landing may have none), `nearest` is the condition of the next tier that is nearest to being met. The measures are
    those of the day the newest step counts from, or of `effective` if that is later.
    """

    member_id: str
    from_tier: str
    to_tier: str
    effective: date
    retroactive: bool
    reasons: tuple[Condition, ...]
    nearest: Condition | None
    policies: tuple[str, ...]
    insured_days: int
    annual_premium_fen: int
    rules_version: int
    timeline: tuple[Step, ...]


class TierProgressed(Data, frozen=True, kw_only=True):
    """The measured progress towards the next tier, after a fact that moved it, a month before a policy ends and when it has ended,
    or on the day of rules that ask for more or less, or count other cover, or on which a risk that was told is over and the tier
    still there.

    `confirmed`: a condition of the tier itself holds on that day, by the rules in force on it; None: not said.
    """

    member_id: str
    tier: str
    effective: date
    insured_days: int
    annual_premium_fen: int
    nearest: Condition | None
    covered: bool
    confirmed: bool | None = None


class TierAtRisk(Data, frozen=True, kw_only=True):
    """No condition of `tier` holds since `effective`: unless one does again, it drops to `to_tier` on `drops_on`.

    It stands until another risk is told, another tier, or progress by which the tier is confirmed.

    `nearest` is the condition of `tier` of which the smallest share is missing.
    """

    member_id: str
    tier: str
    to_tier: str
    effective: date
    drops_on: date
    nearest: Condition | None = None


def tier_on(timeline: Sequence[Step], day: date) -> str:
    """The tier a timeline gives on a day, NO_TIER before its first step."""
    for step in reversed(timeline):
        if step.effective <= day:
            return step.tier
    return NO_TIER
