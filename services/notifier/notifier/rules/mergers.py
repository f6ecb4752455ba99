"""Numbers that turn out to be one person's, and two persons' after all: one person has one inbox and one queue.

The invariant: of what was told of one number the highest `ties_no` counts, in whatever order it is read, and no number that was
given up is told anything. What lies with a third number by then is noted and brought over soon (`Gather`).
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Data, Event
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme

from notifier.commands import Gather
from notifier.rules.expiring import together
from notifier.rules.member import EXTENSIONS_MAX, PENDING_MAX, Book, Member, Pending, enqueue, with_book, with_pending
from notifier.rules.preferences import Forget, with_refusal
from notifier.rules.tiers import is_of_own_tier

Both = tuple[Member | None, Member | None]


class Hand(Data, frozen=True, kw_only=True):
    """What was told to `from_id` stands in the inbox of `to_id` from now on."""

    from_id: str
    to_id: str


class HandBack(Data, frozen=True, kw_only=True):
    """What came to `from_id` by way of `to_id` stands in the inbox of `to_id` again."""

    from_id: str
    to_id: str


def on_customer_merged(states: Both, event: Event, _: Programme) -> Decision[Any]:
    """The inbox and the queue are those of who remains, whose tier and preferences count; what either refused last is refused."""
    data = event.data
    kept, merged = states[0] or Member(member_id=data.member_id), states[1] or Member(member_id=data.merged_id)
    if data.member_id == data.merged_id or _is_past(data, merged):
        return Decision(states)
    if not data.ties_no and (kept.with_whom == data.merged_id or data.member_id in merged.book.took):
        kept = with_book(kept, merged=False, merged_into=None, lies_with=None)
    merged = with_book(merged, ties_no=max(data.ties_no, merged.book.ties_no))
    if merged.with_whom not in (None, data.member_id):
        elsewhere = with_book(merged, merged=True, merged_into=data.member_id, lies_with=merged.with_whom)
        return Decision((kept, elsewhere))
    return _merge(kept, merged)


def on_customer_unmerged(states: Both, event: Event, _: Programme) -> Decision[object]:
    """A person of their own again, with what they had been told or were about to be; what the other heard since stays there.

    Told to both: the survivor's copy comes after every merger that it follows, and before any that follows it; the other may not.
    """
    data, (survivor, merged) = event.data, states
    if event.key != data.survivor_id or survivor is None or merged is None or _is_past(data, merged):
        return Decision(states)
    if not merged.book.merged or (not data.ties_no and merged.book.merged_into not in (None, data.survivor_id)):
        return Decision(states)
    merged = with_book(merged, ties_no=max(data.ties_no, merged.book.ties_no))
    if survivor.with_whom is not None or merged.with_whom not in (None, data.survivor_id):
        return Decision((survivor, with_book(merged, merged=False, merged_into=None, lies_with=merged.with_whom)))
    parted = _part((survivor,), merged)
    (survivor,), merged = parted.state
    return Decision((survivor, merged), rows=parted.rows)


def on_gather(states: tuple[Member | None, ...], event: Event, _: Programme) -> Decision[object]:
    """What lies elsewhere comes back to its number, and what lies under a number that was given up goes to who remains.

    Nothing, if it is no longer as it was when this was asked: then it is asked anew.
    """
    data: Gather = event.data
    known = {key: state for key, state in zip(data.numbers, states, strict=True) if state is not None}
    own, rows = known.get(data.member_id), list[Data]()
    if own is None or own.book.merged_into != data.to_id or not _leads(own, known, data.through):
        return Decision(states)
    if data.through:
        parted = _part([known[number] for number in data.through], own)
        rest, own = parted.state
        known |= {member.member_id: member for member in (*rest, own)}
        rows += parted.rows
    if data.to_id is not None:
        merged = _merge(known.get(data.to_id) or Member(member_id=data.to_id), own)
        known |= {member.member_id: member for member in merged.state}
        rows += merged.rows
    return Decision(tuple(known.get(number) for number in data.numbers), rows=tuple(rows))


def _merge(kept: Member, merged: Member) -> Decision[tuple[Member, Member]]:
    """Who is erased keeps nothing; who was merged into another only keeps it until it is handed on.

    Which benefit was asked of the core under a request is known to both: its answer is told to whoever it is by then.
    """
    coming = [p for p in merged.book.pending if not is_of_own_tier(p)]
    moved = [replace(p, handed_by=way_of(p.handed_by, merged.member_id, kept.member_id)) for p in coming]
    kept = kept if kept.erased else with_refusal(_joined(kept, moved), merged)
    took = {*kept.book.took, merged.member_id, *merged.book.took} - {kept.member_id}
    asked = tuple(dict.fromkeys((*merged.book.extensions, *kept.book.extensions)))[-EXTENSIONS_MAX:]
    kept = with_book(kept, took=tuple(sorted(took)), left_over=kept.book.merged_into is not None, extensions=asked)
    if merged.book.merged and merged.book.lies_with is None:
        book = replace(merged.book, merged_into=kept.member_id, pending=(), left_over=False)
    else:
        past = merged.book
        book = Book(
            merged=True, merged_into=kept.member_id, ties_no=past.ties_no, took=past.took, extensions=past.extensions
        )
    row = Forget(member_id=merged.member_id) if kept.erased else Hand(from_id=merged.member_id, to_id=kept.member_id)
    return Decision((kept, replace(merged, book=book)), rows=(row,))


def _part(holders: Sequence[Member], merged: Member) -> Decision[tuple[tuple[Member, ...], Member]]:
    """What the number had brought comes back. `holders`: the survivor, whoever took over from them, and so on."""
    rest, rows = list[Member](), list[Data]()
    number, gone = merged.member_id, {merged.member_id, *merged.book.took}
    merged = with_book(merged, merged=False, merged_into=None, lies_with=None)
    for holder in holders:
        came = [p for p in holder.book.pending if number in p.handed_by]
        own = {p.dedupe for p in merged.book.pending}
        back = (replace(p, handed_by=p.handed_by[: p.handed_by.index(number)]) for p in came if p.dedupe not in own)
        merged = with_pending(merged, (*merged.book.pending, *back))
        left = with_pending(holder, (p for p in holder.book.pending if p not in came))
        rest.append(with_book(left, took=tuple(n for n in left.book.took if n not in gone)))
        rows.append(HandBack(from_id=holder.member_id, to_id=number))
    return Decision((tuple(rest), merged), rows=tuple(rows))


def _joined(kept: Member, moved: Sequence[Pending]) -> Member:
    """What both were about to be told of one day is one message, in the words of who remains, of the points of both."""
    for new in moved:
        own = next((p for p in kept.book.pending if p.dedupe == new.dedupe), None)
        if own is not None:
            kept = enqueue(kept, replace(new, params=together(own, new)))
        elif len(kept.book.pending) < PENDING_MAX:
            kept = enqueue(kept, new)
    return kept


def _is_past(told: CustomerMerged | CustomerUnmerged, merged: Member) -> bool:
    """Told before what is known of whose the number is, or the same told again; 0 is told without an order."""
    return 0 < told.ties_no <= merged.book.ties_no


def _leads(own: Member, known: dict[str, Member], through: tuple[str, ...]) -> bool:
    """Whether what the number had brought still lies where it is looked for: each of these handed it to the next."""
    if not through:
        return own.book.lies_with is None
    chain = [own.book.lies_with, *(known[number].with_whom for number in through[:-1] if number in known)]
    end = known.get(through[-1])
    return chain == list(through) and end is not None and end.with_whom in (None, own.member_id)


def way_of(before: tuple[str, ...], from_id: str, to_id: str) -> tuple[str, ...]:
    """By which numbers a message came to `to_id`; one that only returns there came by those it had come by the first time."""
    return before[: before.index(to_id)] if to_id in before else (*before, from_id)
