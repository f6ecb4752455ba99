"""How far a member is from the next tier, and the reminder that says so.

The invariant: a reminder that waits says what was measured last before it goes out, whichever of the two was read first.
"""

from datetime import date, datetime

from msgspec.structs import replace
from tenure.calendar import local_date
from tenure.contracts.tier import Condition

from notifier.rules.member import EXPIRING, Member, Pending, with_book


def preview(nearest: Condition | None) -> dict[str, str | int]:
    """What renewing unlocks, as a message's params; nothing is said where nothing is missing, or there is nothing above."""
    if nearest is None or nearest.missing <= 0:
        return {}
    return {"next_tier": nearest.tier, "missing": nearest.missing, "measure": nearest.measure}


def known(member: Member, day: date) -> Condition | None:
    """What is missing to the next tier, if it was measured by that day: a replay may have read of later ones."""
    on = member.book.nearest_on
    return member.book.nearest if on is None or on <= day else None


def measured(member: Member, nearest: Condition | None, at: datetime) -> Member:
    """The member as far as they were measured at that instant, and the reminders that had not gone out by then."""
    told = dict.fromkeys(("next_tier", "missing", "measure"), "") | preview(nearest)

    def anew(waiting: Pending) -> Pending:
        is_told = waiting.template == EXPIRING and at < waiting.send_at
        return replace(waiting, params={**waiting.params, **told}) if is_told else waiting

    pending = tuple(map(anew, member.book.pending))
    if member.book.nearest == nearest and pending == member.book.pending:
        return member
    return with_book(member, nearest=nearest, nearest_on=local_date(at), pending=pending)
