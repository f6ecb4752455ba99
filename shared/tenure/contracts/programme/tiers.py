"""`programme/tiers.yaml`: the tiers and their conditions. Operators and thresholds are data (DESIGN 5.2)."""

from datetime import date
from typing import Literal

import msgspec


class TierCondition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    measure: Literal["insured_years", "annual_premium_fen"]
    operator: Literal[">=", ">"]
    threshold: int

    def holds(self, actual: int) -> bool:
        return actual > self.threshold if self.operator == ">" else actual >= self.threshold


class TierRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier is reached when any of its conditions holds; the lowest has none and is reached with the first covered day."""

    name: str
    label_zh: str
    label_en: str
    any_of: tuple[TierCondition, ...] = ()


class GrowthCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Insured days that growth points are worth: `days_per_point` each, at most so many a calendar year."""

    days_per_point: int
    days_max_per_calendar_year: int


class TierRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tiers` from the lowest up. `eligible_product_lines` None = every line of a natural person."""

    version: int
    effective: date
    tiers: tuple[TierRule, ...]
    protection_months: int = 12
    eligible_product_lines: frozenset[str] | None = None
    growth_credit: GrowthCredit | None = None

    def rank(self, tier: str) -> int:
        """0 for the lowest tier, -1 for none."""
        return next((i for i, t in enumerate(self.tiers) if t.name == tier), -1)
