"""Why an activity came to nothing, as a row that is kept with the decision, so that somebody can be told who asks later.

The invariant: what earned, or is explained by an entry that has points, leaves no row.
"""

from typing import NamedTuple

from tenure.contracts.activity import ActivityCompleted, AgentServiceRecorded
from tenure.contracts.programme.earning import Limit, Rule

from points_ledger.rules.account import Reason, Unpaid
from points_ledger.rules.book import Book

Activity = ActivityCompleted | AgentServiceRecorded


class WhyNot(NamedTuple):
    """A reason, and what it is measured by (`Unpaid.limited_by`)."""

    reason: Reason
    limited_by: str = ""


def bar(book: Book, activity: Activity, rule: Rule | None) -> WhyNot | None:
    """What keeps it from counting, whatever else was done; None if it may count."""
    if _has_left(book, activity):
        return WhyNot("agent_left", str(book.memory.left_on))
    if rule is None:
        return WhyNot("no_rule")
    return _not_meant(activity, rule) or _not_now(book, activity, rule)


def _has_left(book: Book, activity: Activity) -> bool:
    left_on = book.memory.left_on
    return left_on is not None and isinstance(activity, AgentServiceRecorded) and activity.on >= left_on


def _not_meant(activity: Activity, rule: Rule) -> WhyNot | None:
    """Its day is outside the rule's own, or its policy of another line."""
    if rule.window is not None and not rule.window.has(activity.on):
        return WhyNot("not_then", f"{rule.window.start}/{rule.window.end}")
    line = activity.product_line if isinstance(activity, ActivityCompleted) else None
    if not rule.applies_to(line, activity.on):
        return WhyNot("not_for_line", " ".join(sorted(rule.product_lines or ())))
    return None


def _not_now(book: Book, activity: Activity, rule: Rule) -> WhyNot | None:
    if book.event.backfill:
        return WhyNot("backfill")
    if rule.late_days_max is not None and (book.day - activity.on).days > rule.late_days_max:
        return WhyNot("too_late", str(rule.late_days_max))
    return None


def limit_text(limit: Limit) -> str:
    return f"{limit.times} a {limit.per}" if limit.per != "once" else "once"


def key_of(activity: Activity, rule: Rule | None) -> str:
    """The business key: the day of a measured value (so that a correction meets it), the session attended, or the activity."""
    if rule is not None and rule.value_min is not None:
        return activity.on.isoformat()
    session = activity.session_id if isinstance(activity, ActivityCompleted) else None
    return session if rule is not None and rule.per_session and session is not None else activity.activity_id


def unpaid(book: Book, activity: Activity, rule: Rule | None, why: WhyNot) -> Unpaid:
    """The row of it."""
    return Unpaid(
        member_id=book.member_id,
        day=activity.on,
        kind=activity.kind,
        fact=key_of(activity, rule),
        activity_id=activity.activity_id,
        reason=why.reason,
        limited_by=why.limited_by,
        rules_version=book.programme.earning.at(activity.on).version,
    )
