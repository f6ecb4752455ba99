"""Points earned and points taken back: earned in a day, told together the next morning, and some may be gone again by then.

The invariant: what is told of earned and taken back adds up to what the member has of it, and what came and went before anybody
was told is not told at all. What became a debt was spent in between: there both are told.
"""

from datetime import timedelta
from typing import Final

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.points import PointsReversed
from tenure.contracts.programme import Programme
from tenure.contracts.programme.messages import Messages

from notifier.rules.asking import Draft, ask, member_of
from notifier.rules.member import OWED, Item, Member, Pending, with_pending
from notifier.rules.quiet import next_end

EARNED: Final = "points_earned"
INSTANT: Final = timedelta(microseconds=1)
DIGESTED: Final = frozenset({"anniversary", "no_claim_year", "renewal", "renewal_early"})
Decided = Decision[Member]


def on_points_granted(state: Member | None, event: Event, programme: Programme) -> Decided:
    """Anniversary, claim-free year and renewal are told, all of one day together; the small change of activities is not."""
    data, member = event.data, member_of(state, event)
    if data.wallet != "points" or data.rule not in DIGESTED:
        return Decision(member)
    item = Item(data.lot_id, data.rule, data.amount, data.reference)
    return ask(member, event, programme, Draft(EARNED, None, items=(item,)))


def on_points_reversed(state: Member | None, event: Event, programme: Programme) -> Decided:
    """What one change takes back is one message, however many lots it is; what had expired anyway is not felt.

    All that one fact causes has its instant. The day named is the one on which the points went, however far back they were due.
    """
    data, member = event.data, member_of(state, event)
    felt = data.amount - data.from_expired
    if data.wallet == "growth" or felt <= 0:
        return Decision(member)
    member, untold = _unsaid(member, event, felt - data.as_debt)
    if felt == untold:
        return Decision(member)
    draft = Draft("points_reversed", event.time.isoformat(), {"on": event.day.isoformat()}, _gone(data, felt - untold))
    return ask(member, event, programme, draft)


def _gone(data: PointsReversed, points: int) -> tuple[Item, ...]:
    entry = f"{data.entry_id}/{data.rule}"
    had, owed = Item(entry, data.rule, points - data.as_debt), Item(f"{entry}/{OWED}", OWED, data.as_debt)
    return (had, owed) if owed.amount else (had,)


def is_nothing_earned(pending: Pending) -> bool:
    return pending.template == EARNED and not left_of(pending).items


def with_the_next(pending: Pending, rules: Messages) -> Pending:
    """What came late for a morning that was told already is told with the next one: a top-up after its tier, a nightly file."""
    at = next_end(pending.send_at + INSTANT, rules)
    return replace(pending, subject=at.date().isoformat(), send_at=at)


def left_of(pending: Pending) -> Pending:
    """The message without what was taken back whole."""
    if pending.template != EARNED:
        return pending
    return replace(pending, items=tuple(item for item in pending.items if item.amount))


def _unsaid(member: Member, event: Event, gone: int) -> tuple[Member, int]:
    """The member with that much less to be told of what the fact had earned, newest first; and how much of it that was."""
    left, queue = gone, list[Pending]()
    for pending in reversed(member.book.pending):
        waits = pending.template == EARNED and event.time < pending.send_at
        less, left = _without(pending, event.data, left) if waits else (pending, left)
        queue.append(less)
    return with_pending(member, reversed(queue)), gone - left


def _without(pending: Pending, data: PointsReversed, gone: int) -> tuple[Pending, int]:
    items = list[Item]()
    for item in reversed(pending.items):
        is_of_fact = data.reference and (item.code, item.reference) == (data.rule, data.reference)
        share = min(gone, item.amount) if is_of_fact else 0
        items.append(replace(item, amount=item.amount - share))
        gone -= share
    return replace(pending, items=tuple(reversed(items))), gone
