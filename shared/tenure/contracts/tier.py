"""`tier.v1`: the tier of a member, every change with its reasons."""

from datetime import date
from typing import Literal

from tenure.contracts.event import Data

NO_TIER = "none"


class Step(Data, frozen=True, kw_only=True):
    """From `effective` on the member has `tier`; `cause` says by what kind of rule."""

    effective: date
    tier: str
    cause: Literal["first_cover", "upgrade", "soft_landing"]


class Condition(Data, frozen=True, kw_only=True):
    """One condition of a tier, measured: `actual` against `threshold` (insured days or years, or fen)."""

    tier: str
    measure: Literal["insured_years", "annual_premium_fen"]
    actual: int
    threshold: int
    operator: Literal[">=", ">"]
    missing: int


class TierChanged(Data, frozen=True, kw_only=True):
    """`timeline` is the member's whole history of tiers after the change: consumers replace theirs by it.

    `retroactive` = the past changed (a late or corrected fact), not only the newest step. `to_tier` "none" = as if never held.
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
    """The measured progress towards the next tier, after a fact that moved it."""

    member_id: str
    tier: str
    effective: date
    insured_days: int
    annual_premium_fen: int
    nearest: Condition | None
    covered: bool


class TierAtRisk(Data, frozen=True, kw_only=True):
    """Unless a condition is met again, the tier drops to `to_tier` on `drops_on`."""

    member_id: str
    tier: str
    to_tier: str
    effective: date
    drops_on: date
