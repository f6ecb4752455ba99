"""What sets an earning rule off, and which of a rule's fields mean something then.

The invariant: a field that would be ignored is a mistake nobody noticed, so it is refused.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tenure.contracts.programme.earning import Rule

Trigger = Literal[
    "premium.paid",
    "policy.renewed",
    "policy.endorsed",
    "policy.anniversary",
    "no_claim_year.completed",
    "activity.completed",
    "agent_service.recorded",
    "referral.converted",
    "streak",
]
Per = Literal["term", "policy_year", "day", "year", "session", "streak", "once"]
_TERMS = frozenset({"premium.paid", "policy.renewed", "policy.endorsed"})
_REPORTS = frozenset({"activity.completed", "agent_service.recorded"})
_MEANT_FOR: dict[str, frozenset[str]] = {
    "per_cny": frozenset({"premium.paid", "policy.endorsed"}),
    "per_year": frozenset({"policy.anniversary"}),
    "points_max": frozenset({"policy.anniversary"}),
    "premium_percent": frozenset({"policy.renewed"}),
    "bonus": frozenset({"policy.renewed"}),
    "gap_days_max": frozenset({"policy.renewed"}),
    "value_min": frozenset({"activity.completed"}),
    "late_days_max": _REPORTS,
    "pending": _TERMS | {"referral.converted"},
    "product_lines": _TERMS | {"policy.anniversary", "no_claim_year.completed", "activity.completed"},
}
"""Fields that mean something for some triggers only."""
_PERIODS_OF: dict[str, frozenset[str]] = {
    "policy.renewed": frozenset({"term"}),
    "policy.anniversary": frozenset({"policy_year"}),
    "no_claim_year.completed": frozenset({"policy_year"}),
    "streak": frozenset({"streak"}),
    "activity.completed": frozenset({"day", "year", "session", "once"}),
    "agent_service.recorded": frozenset({"day", "year", "once"}),
}
"""By which periods a trigger can be limited; the first four are limited by what they are, once each."""


def misplaced(rule: "Rule") -> Iterator[str]:
    """What of a rule means nothing for its trigger, to be read behind the rule's code."""
    for name, triggers in _MEANT_FOR.items():
        if getattr(rule, name) not in (0, None, "none") and rule.trigger not in triggers:
            yield f".{name} means nothing for {rule.trigger}, only for {', '.join(sorted(triggers))}"
    periods = _PERIODS_OF.get(rule.trigger, frozenset())
    for limit in rule.limits:
        if limit.per not in periods:
            yield f": {rule.trigger} is limited by {', '.join(sorted(periods)) or 'nothing'}, not by {limit.per}"
        if limit.times != 1 and limit.per not in ("day", "year", "once"):
            yield f": once a {limit.per}, not {limit.times} times"
