"""`programme/earning.yaml`: what earns points, how many, how often, and for how long (DESIGN 5.3).

Amounts are integers and percents are integers; whatever divides, floors. A file that contradicts itself is refused when it is
loaded, with the rule and the field in the message, so that no event ever meets half a rule.
"""

from collections import Counter
from datetime import date
from functools import cached_property
from itertools import combinations
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tenure.contracts.programme.triggers import Per, Trigger, misplaced

PERCENT = 100
PERCENT_MAX = 1_000
POINTS_MAX = 1_000_000
GAP_DAYS_ANY = 110_000
"""More than lie between any two days a fact can have."""
# Bounds for the published JSON-Schema only: what is out of bounds is refused below, with the rule's name.
_Points = Annotated[int, Meta(extra_json_schema={"minimum": 0, "maximum": POINTS_MAX})]
_Days = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
_AtLeastOne = Annotated[int, Meta(extra_json_schema={"minimum": 1})]
_Percent = Annotated[int, Meta(extra_json_schema={"minimum": 0, "maximum": PERCENT_MAX})]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An unknown field in a rule file is a typing error that nobody noticed: refuse it."""


class Limit(_Strict, frozen=True, kw_only=True):
    """At most `times` per period, counted by the date of the activity, never by its arrival."""

    per: Per
    times: _AtLeastOne = 1

    def __post_init__(self) -> None:
        _must(self.times >= 1, f"limit.times must be at least 1, not {self.times}")


class Window(_Strict, frozen=True, kw_only=True):
    """Days `[start, end)`."""

    start: date
    end: date

    def __post_init__(self) -> None:
        _must(self.start < self.end, f"a window must end after {self.start}, not on {self.end}")

    def has(self, day: date) -> bool:
        return self.start <= day < self.end

    def overlaps(self, other: "Window") -> bool:
        return self.start < other.end and other.start < self.end


class EarlyBonus(_Strict, frozen=True, kw_only=True):
    """`points` more for who acts at least `days_early_min` days before the old term ends."""

    days_early_min: _Days
    points: _Points

    def __post_init__(self) -> None:
        _must(self.days_early_min >= 0, f"bonus.days_early_min must not be below 0, but is {self.days_early_min}")
        _must(0 <= self.points <= POINTS_MAX, f"bonus.points must lie in 0 to {POINTS_MAX}, not {self.points}")


class Streak(_Strict, frozen=True, kw_only=True):
    """`days` days in a row on which `rule` earned. Each pays once; the next streak begins on the day after."""

    rule: str
    days: int

    def __post_init__(self) -> None:
        _must(2 <= self.days <= 366, f"streak.days must lie in 2 to 366, not {self.days}")  # noqa: PLR2004


class Rule(_Strict, frozen=True, kw_only=True):
    """One line of the table: `fixed` + `per_cny` per full CNY + `per_year` per full year + a share of the premium rule.

    `value_min`: the measured value that earns; a later report for the same day corrects it. `late_days_max`: how long after
    its day an activity still counts. `refund`: what a refunded part of the premium does to it.
    """

    code: str
    trigger: Trigger
    label_zh: str
    label_en: str
    wallet: Literal["points", "agent"] = "points"
    fixed: _Points = 0
    per_cny: _Points = 0
    per_year: _Points = 0
    points_max: _Points | None = None
    premium_percent: _Points = 0
    growth: _Points = 0
    pending: Literal["none", "cooling_off"] = "none"
    limits: tuple[Limit, ...] = ()
    bonus: EarlyBonus | None = None
    gap_days_max: _Days | None = None
    value_min: _Days | None = None
    late_days_max: _Days | None = None
    streak: Streak | None = None
    window: Window | None = None
    product_lines: frozenset[str] | None = None
    tier_multiplier: bool = False
    refund: Literal["pro_rata", "keep"] = "pro_rata"

    def __post_init__(self) -> None:
        for name in ("fixed", "per_cny", "per_year", "premium_percent", "growth"):
            amount = getattr(self, name)
            _must(0 <= amount <= POINTS_MAX, f"{self.code}.{name} must lie in 0 to {POINTS_MAX}, not {amount}")
        for name in ("points_max", "gap_days_max", "value_min", "late_days_max"):
            amount = getattr(self, name)
            _must(amount is None or amount >= 0, f"{self.code}.{name} must not be below 0, but is {amount}")
        earns = self.fixed or self.per_cny or self.per_year or self.premium_percent or self.growth
        _must(bool(earns), f"{self.code} earns nothing")
        _must(self.pending == "none" or not self.growth, f"{self.code}: growth is never pending")
        _must((self.streak is not None) == (self.trigger == "streak"), f"{self.code}: a streak rule names its streak")
        _must(self.wallet == "points" or not self.growth, f"{self.code}: agents have no growth")
        for message in misplaced(self):
            _must(False, f"{self.code}{message}")

    @property
    def per_session(self) -> bool:
        return any(limit.per == "session" for limit in self.limits)

    def applies_to(self, product_line: str | None, day: date) -> bool:
        """Whether the rule's own window and product lines let it earn."""
        in_window = self.window is None or self.window.has(day)
        return in_window and (self.product_lines is None or product_line in self.product_lines)


class Campaign(_Strict, frozen=True, kw_only=True):
    """For `window`, `rules` (null: all of the points wallet) earn `percent` of their amount.

    What the campaign adds to a member's points is at most `member_points_max`, and to all members' together at most
    `budget_points_max`; the fact that meets the end of either gets what is left of it, to the point. A budget has a campaign's
    code: of two versions' campaigns with one code both spend from one budget.
    """

    code: str
    window: Window
    percent: Annotated[int, Meta(extra_json_schema={"minimum": PERCENT, "maximum": PERCENT_MAX})]
    rules: frozenset[str] | None = None
    member_points_max: _Days | None = None
    budget_points_max: _Days | None = None

    def __post_init__(self) -> None:
        _must(PERCENT <= self.percent <= PERCENT_MAX, f"campaign {self.code}: percent must lie in 100 to 1000")
        for name in ("member_points_max", "budget_points_max"):
            cap = getattr(self, name)
            _must(cap is None or cap >= 0, f"campaign {self.code}: {name} must not be below 0, but is {cap}")

    def covers(self, rule: str, day: date) -> bool:
        return self.window.has(day) and (self.rules is None or rule in self.rules)

    def collides(self, other: "Campaign") -> bool:
        shared = self.rules is None or other.rules is None or bool(self.rules & other.rules)
        return shared and self.window.overlaps(other.window)


class Cap(_Strict, frozen=True, kw_only=True):
    """A member earns at most `points_max` points by `rules` together in a period, multipliers included, by the dates of the facts.

    The fact that meets the cap gets what is left of it, to the point. What was corrected away makes room for later facts.
    """

    code: str
    rules: frozenset[str]
    per: Literal["day", "month", "year", "once"]
    points_max: _Days

    def __post_init__(self) -> None:
        _must(self.points_max >= 0, f"cap {self.code}: points_max must not be below 0, but is {self.points_max}")
        _must(bool(self.rules), f"cap {self.code} names no rules")


class EarningRules(_Strict, frozen=True, kw_only=True, dict=True):
    """One version of the rules, in force from `effective`. Percents missing from a table are 100."""

    version: int
    effective: date
    rules: tuple[Rule, ...]
    tier_percent: dict[str, _Percent] = {}
    rank_percent: dict[str, _Percent] = {}
    product_line_percent: dict[str, _Percent] = {}
    campaigns: tuple[Campaign, ...] = ()
    caps: tuple[Cap, ...] = ()
    natural_persons_only: bool = True
    expiry_months: _AtLeastOne = 24
    expiring_notice_days: _Days = 30
    refund_grace_days: _AtLeastOne = 30
    hold_points_max: _AtLeastOne = POINTS_MAX
    refundable_days_max: _AtLeastOne = 366
    adjustment_points_max: _AtLeastOne = 10_000
    adjustment_maker_day_points_max: _AtLeastOne = 100_000
    adjustment_member_day_points_max: _AtLeastOne = 20_000
    debt_age_days_max: _AtLeastOne = 365
    agent_leave_days: _Days = 90
    points_per_cny: _AtLeastOne = 100

    def __post_init__(self) -> None:
        self._check_numbers()
        codes = Counter(rule.code for rule in self.rules)
        twice = [code for code, times in codes.items() if times > 1]
        _must(not twice, f"rules declared twice: {twice}")
        for rule in self.rules:
            if rule.streak is not None:
                _must(
                    rule.streak.rule in codes, f"{rule.code}: there is no rule {rule.streak.rule} to make a streak of"
                )
        self._check_campaigns(frozenset(codes))

    def _check_campaigns(self, codes: frozenset[str]) -> None:
        for one, other in combinations(self.campaigns, 2):
            _must(not one.collides(other), f"campaigns {one.code} and {other.code} overlap")
        bounds: tuple[tuple[str, tuple[Campaign | Cap, ...]], ...] = (("campaign", self.campaigns), ("cap", self.caps))
        for what, named in bounds:
            twice = [code for code, times in Counter(one.code for one in named).items() if times > 1]
            _must(not twice, f"{what}s declared twice: {twice}")
            for bound in named:
                unknown = (bound.rules or frozenset()) - codes
                _must(not unknown, f"{what} {bound.code} names unknown rules {sorted(unknown)}")

    def _check_numbers(self) -> None:
        limits = (
            "expiry_months",
            "hold_points_max",
            "adjustment_points_max",
            "adjustment_maker_day_points_max",
            "adjustment_member_day_points_max",
            "refundable_days_max",
            "refund_grace_days",
            "debt_age_days_max",
            "points_per_cny",
        )
        for name in limits:
            _must(getattr(self, name) >= 1, f"{name} must be at least 1")
        for name in ("expiring_notice_days", "agent_leave_days"):
            _must(getattr(self, name) >= 0, f"{name} must not be below 0")
        for table in (self.tier_percent, self.rank_percent, self.product_line_percent):
            for key, percent in table.items():
                _must(0 <= percent <= PERCENT_MAX, f"percent of {key} must lie in 0 to {PERCENT_MAX}, not {percent}")

    def find(self, code: str) -> Rule | None:
        return self._by_code.get(code)

    def on(self, trigger: Trigger) -> tuple[Rule, ...]:
        """The rules an event of this kind may earn by."""
        return self._by_trigger.get(trigger, ())

    @cached_property
    def renewal_gap_days_max(self) -> int:
        """After how many days without cover what follows still continues what was: by the renewal rule that waits longest."""
        gaps = [rule.gap_days_max for rule in self.on("policy.renewed")]
        return max((GAP_DAYS_ANY if gap is None else gap for gap in gaps), default=0)

    @cached_property
    def _by_code(self) -> dict[str, Rule]:
        return {rule.code: rule for rule in self.rules}

    @cached_property
    def _by_trigger(self) -> dict[Trigger, tuple[Rule, ...]]:
        triggers = {rule.trigger for rule in self.rules}
        return {trigger: tuple(rule for rule in self.rules if rule.trigger == trigger) for trigger in triggers}

    def caps_for(self, code: str) -> tuple[Cap, ...]:
        """The caps that bound what a rule earns."""
        return self._caps_by_rule.get(code, ())

    @cached_property
    def _caps_by_rule(self) -> dict[str, tuple[Cap, ...]]:
        capped = {code for cap in self.caps for code in cap.rules}
        return {code: tuple(cap for cap in self.caps if code in cap.rules) for code in capped}

    def campaign_for(self, rule: Rule, day: date) -> Campaign | None:
        """The campaign that multiplies the rule on that day; at most one does."""
        if not self.campaigns or rule.wallet != "points":
            return None
        return next((campaign for campaign in self.campaigns if campaign.covers(rule.code, day)), None)


def _must(holds: bool, message: str) -> None:
    """Raises ValueError, which the loader turns into a refusal that names the file and the place."""
    if not holds:
        raise ValueError(message)
