"""`programme/benefits.yaml`: what each tier brings (权益), how often, and the calendar of patrols and classes (DESIGN 5.4).

The invariant: a benefit that is loaded can be granted. Whatever its kind needs (a clause, a ceiling, a season) is there, and a
quota stands exactly where something can be used up.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tenure.calendar import Period, add_months

Category = Literal["coverage", "service", "life"]
"""保障强化 / 服务便利 / 生活实用"""
Kind = Literal["service", "discount", "coverage_extension", "claim_entitlement", "kit", "adviser", "push"]
PeriodKind = Literal["year", "once", "season", "unlimited"]
EVERYWHERE = "*"
QUOTA_MAX = 1_000


class Benefit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One benefit, from the tier `from_tier` up.

    `quota` uses a `period` (None = as often as needed); `quota_by_tier` overrides it from the named tier on. A `year` is the
    member's own: from the day of the first grant to its anniversaries. A `season` is one of the patrol seasons of the file.
    `reference_fen` is what one use costs the programme (where nothing counts uses: one year), for comparing rules (what-if).
    """

    code: str
    label_zh: str
    label_en: str
    detail_zh: str
    detail_en: str
    category: Category
    kind: Kind
    from_tier: str
    period: PeriodKind
    quota: int | None = None
    quota_by_tier: Mapping[str, int] = {}
    clause: str | None = None
    product_line: str | None = None
    entitlement: Literal["fast_track", "no_survey"] | None = None
    amount_max_fen: int | None = None
    discount_percent: int | None = None
    reference_fen: Annotated[int, Meta(ge=0, le=10**9)] | None = None

    def __post_init__(self) -> None:
        quotas = [q for q in (self.quota, *self.quota_by_tier.values()) if q is not None]
        checks = {
            "a code of a-z, 0-9 and _": self.code.replace("_", "").isalnum() and self.code.islower(),
            "labels in both languages": all((self.label_zh, self.label_en, self.detail_zh, self.detail_en)),
            f"quotas between 1 and {QUOTA_MAX}": all(0 < q <= QUOTA_MAX for q in quotas),
            "no quota when unlimited": self.period != "unlimited" or not quotas,
            "a quota when granted once or a season": self.period not in ("once", "season") or self.quota is not None,
            "a clause and a product line, exactly for a coverage extension": (self.kind == "coverage_extension")
            == (self.clause is not None)
            == (self.product_line is not None),
            "an entitlement, exactly for a claim entitlement": (self.kind == "claim_entitlement")
            == (self.entitlement is not None),
            "amount_max_fen, exactly for no_survey": (self.entitlement == "no_survey")
            == (self.amount_max_fen is not None),
        }
        if broken := [what for what, holds in checks.items() if not holds]:
            raise ValueError(f"benefit {self.code!r} needs {'; '.join(broken)}")

    @property
    def is_extension(self) -> bool:
        return self.kind == "coverage_extension"


class Season(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The months of the patrol before a region's typhoons or rainstorms, both inclusive, within one calendar year.

    `regions` are leading digits of administrative codes ("44" = Guangdong); "*" is every region not named, and an unknown one.
    """

    code: str
    label_zh: str
    label_en: str
    hint_zh: str
    hint_en: str
    regions: tuple[str, ...]
    from_month: int
    to_month: int

    def __post_init__(self) -> None:
        if not 1 <= self.from_month <= self.to_month <= 12:  # noqa: PLR2004 - months
            raise ValueError(f"season {self.code!r} must lie within one calendar year")

    def window(self, year: int) -> Period:
        """The patrol's days in a year, half-open."""
        return date(year, self.from_month, 1), add_months(date(year, self.to_month, 1), 1)


class KnowledgeClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A class (知识课堂) held in a quarter (1 to 4) of every year."""

    code: str
    quarter: int
    label_zh: str
    label_en: str
    about_zh: str
    about_en: str


class BenefitRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    effective: date
    benefits: tuple[Benefit, ...] = ()
    seasons: tuple[Season, ...] = ()
    classes: tuple[KnowledgeClass, ...] = ()

    def __post_init__(self) -> None:
        codes = [b.code for b in self.benefits]
        if len(set(codes)) < len(codes):
            raise ValueError("a benefit's code stands twice")
        quarters = {c.quarter for c in self.classes}
        if self.classes and quarters != {1, 2, 3, 4}:
            raise ValueError("there is a class each quarter, 1 to 4")
        if any(b.period == "season" for b in self.benefits) and not self.season_of(None):
            raise ValueError(f"a benefit of the season needs a season for every region: one with {EVERYWHERE!r}")

    def benefit(self, code: str) -> Benefit | None:
        return next((b for b in self.benefits if b.code == code), None)

    def season_of(self, region: str | None) -> Season | None:
        """The season of a region: the longest prefix that fits, else the one for everywhere."""
        fits = [
            (len(prefix), season)
            for season in self.seasons
            for prefix in season.regions
            if prefix != EVERYWHERE and region and region.startswith(prefix)
        ]
        if fits:
            return max(fits, key=lambda fit: fit[0])[1]
        return next((s for s in self.seasons if EVERYWHERE in s.regions), None)
