"""`programme/catalogue.yaml`: what the points mall offers, at which price, to whom.

There is no kind and no category for premium: points never pay premium, and no item is an insurance benefit outside the contract
(Insurance Law 116 and 131). Money is integer fen; a cash part is due to the supplier on delivery, the mall collects none.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property
from typing import Literal

import msgspec

ItemKind = Literal["code", "goods", "service"]
Category = Literal["voucher", "home", "health", "motor", "family", "charity"]
LimitPeriod = Literal["ever", "year", "month"]
INITIAL_UNITS_MAX = 1_000_000


class Campaign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another price on the days of `[start, end)`."""

    start: date
    end: date
    points: int

    def __post_init__(self) -> None:
        _require(self.start < self.end, "a campaign starts before it ends")
        _require(self.points > 0, "a campaign's price is positive")


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing on offer; `points` and `cash_fen` are the price of one unit.

    `initial_stock` (goods, services) and `initial_codes` (codes made up by the mall, for demonstrations) stock the SKU when it
    is first seen; real codes and later stock are loaded by an operator.
    """

    sku: str
    title_zh: str
    title_en: str
    kind: ItemKind
    category: Category
    points: int
    cash_fen: int = 0
    tier_min: str = "basic"
    limit_per_member: int | None = None
    limit_period: LimitPeriod = "ever"
    campaigns: tuple[Campaign, ...] = ()
    initial_stock: int = 0
    initial_codes: int = 0
    code_prefix: str = ""

    def __post_init__(self) -> None:
        _require(self.points > 0, "a price in points is positive")
        _require(self.cash_fen >= 0, "a cash part is not negative")
        _require(self.limit_per_member is None or self.limit_per_member > 0, "a limit is positive")
        _require(min(self.initial_stock, self.initial_codes) >= 0, "stock is not negative")
        _require(max(self.initial_stock, self.initial_codes) <= INITIAL_UNITS_MAX, f"stock at most {INITIAL_UNITS_MAX}")
        _require(self.kind == "code" or not self.initial_codes, "only an item of kind code has codes")
        _require(self.kind != "code" or not self.initial_stock, "the stock of an item of kind code is its codes")

    def points_on(self, day: date) -> int:
        """The price of one unit on a day: the first campaign in force, else the ordinary price."""
        return next((c.points for c in self.campaigns if c.start <= day < c.end), self.points)

    def limit_months(self, day: date) -> str:
        """How the months of the limit's period that a day is in begin: "" (ever), "2026" or "2026-11"."""
        return {"ever": "", "year": f"{day:%Y}", "month": f"{day:%Y-%m}"}[self.limit_period]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    version: int
    effective: date
    items: tuple[Item, ...] = ()

    def __post_init__(self) -> None:
        _require(len({item.sku for item in self.items}) == len(self.items), "one sku stands for one item")

    @cached_property
    def by_sku(self) -> Mapping[str, Item]:
        return {item.sku: item for item in self.items}


def must_keep_kinds(catalogues: Iterable[Catalogue]) -> None:
    """What stands on a shelf is codes or a count for ever. Raises ValueError for a sku that is one, then the other."""
    kinds: dict[str, bool] = {}
    for catalogue in catalogues:
        for item in catalogue.items:
            is_code = item.kind == "code"
            _require(
                kinds.setdefault(item.sku, is_code) == is_code,
                f"{item.sku!r} has codes in one version and none in another",
            )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
