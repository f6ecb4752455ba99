"""`programme/tiers.yaml`: the tiers and their conditions. Operators and thresholds are data (DESIGN 5.2).

A version that could not be decided by is refused when it is read: two tiers of one name, a lowest tier with
conditions, a higher one without, a protection of no time.
"""

from collections.abc import Collection
from datetime import date
from functools import cached_property
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tenure.contracts.tier import NO_TIER

Measure = Literal["insured_years", "annual_premium_fen"]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]*$", max_length=32)]
Label = Annotated[str, Meta(min_length=1, max_length=40)]


def is_eligible(product_line: str, *, natural_person: bool, lines: Collection[str] | None) -> bool:
    """Whether a policy's cover counts, by the lines of the programme (None: every one): a natural person's alone does."""
    return natural_person and (lines is None or product_line in lines)


class TierCondition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    measure: Measure
    operator: Literal[">=", ">"]
    threshold: Annotated[int, Meta(ge=0, le=10**12)]

    def holds(self, actual: int) -> bool:
        return actual > self.threshold if self.operator == ">" else actual >= self.threshold

    @property
    def least(self) -> int:
        """The smallest whole value for which it holds."""
        return self.threshold + 1 if self.operator == ">" else self.threshold


class TierRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier is reached when any of its conditions holds; the lowest has none: the first covered day reaches it."""

    name: Name
    label_zh: Label
    label_en: Label
    any_of: tuple[TierCondition, ...] = ()


class GrowthCredit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Insured days that growth points are worth: `days_per_point` each, at most so many a calendar year."""

    days_per_point: Annotated[int, Meta(ge=1, le=365)]
    days_max_per_calendar_year: Annotated[int, Meta(ge=1, le=366)]


class TierRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """`tiers` from the lowest up. `eligible_product_lines` None = every line of a natural person."""

    version: Annotated[int, Meta(ge=1)]
    effective: date
    tiers: Annotated[tuple[TierRule, ...], Meta(min_length=1, max_length=10)]
    protection_months: Annotated[int, Meta(ge=1, le=120)] = 12
    eligible_product_lines: frozenset[str] | None = None
    growth_credit: GrowthCredit | None = None

    def __post_init__(self) -> None:
        names = [t.name for t in self.tiers]
        if len(set(names)) != len(names) or NO_TIER in names:
            raise ValueError(f"tiers need different names, none of them {NO_TIER!r}: {names}")
        if self.tiers[0].any_of:
            raise ValueError(
                f"{names[0]} is the lowest tier: it is reached with the first covered day and has no conditions"
            )
        if bare := [t.name for t in self.tiers[1:] if not t.any_of]:
            raise ValueError(f"{', '.join(bare)} can never be reached: no condition stands under any_of")

    def rank(self, tier: str) -> int:
        """0 for the lowest tier, -1 for none."""
        return self._ranks.get(tier, -1)

    @cached_property
    def _ranks(self) -> dict[str, int]:
        return {t.name: i for i, t in enumerate(self.tiers)}

    def rule(self, tier: str) -> TierRule | None:
        """The rule of a tier, if this version has it."""
        return next((t for t in self.tiers if t.name == tier), None)
