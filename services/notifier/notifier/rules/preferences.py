"""What a member agrees to and prefers. The newest word counts, whichever way it came; without one, no marketing."""

from collections.abc import Sequence

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme
from tenure.contracts.programme.messages import Language

from notifier.commands import SetPreferences
from notifier.rules.asking import member_of
from notifier.rules.member import PENDING_MAX, Book, Member, Pending, enqueue, with_book, with_pending
from notifier.rules.tiers import is_about_tier

Decided = Decision[Member]


class Forget(Data, frozen=True, kw_only=True):
    """Everything told to this member leaves the inbox."""

    member_id: str


class Hand(Data, frozen=True, kw_only=True):
    """What was told to `from_id` stands in the inbox of `to_id` from now on."""

    from_id: str
    to_id: str


class HandBack(Data, frozen=True, kw_only=True):
    """What `to_id` had handed to `from_id` stands in the inbox of `to_id` again."""

    from_id: str
    to_id: str


def on_customer_registered(state: Member | None, event: Event, _: Programme) -> Decided:
    member = member_of(state, event)
    if member.language_at and event.time < member.language_at:
        return Decision(member)
    return Decision(replace(member, language=event.data.language, language_at=event.time))


def on_consent_changed(state: Member | None, event: Event, _: Programme) -> Decided:
    member = member_of(state, event)
    if member.marketing_at and event.time < member.marketing_at:
        return Decision(member)
    return Decision(replace(member, marketing=event.data.marketing, marketing_at=event.time))


def on_set_preferences(state: Member | None, event: Event, _: Programme) -> Decided:
    member, data = member_of(state, event), event.data
    assert isinstance(data, SetPreferences)
    if data.marketing is not None:
        member = replace(member, marketing=data.marketing, marketing_at=event.time)
    if data.language is not None:
        member = replace(member, language=data.language, language_at=event.time)
    if data.sms is not None:
        member = replace(member, sms=data.sms)
    return Decision(member, reply=shown(member.marketing, member.language, sms=member.sms))


def shown(marketing: bool, language: Language | str, *, sms: bool) -> dict[str, object]:
    """Preferences as the API shows them."""
    return {"marketing": marketing, "language": language, "sms": sms}


def on_customer_erased(state: Member | None, event: Event, _: Programme) -> Decided:
    """Nothing is left of what was told or planned, and nothing is told any more."""
    member = member_of(state, event)
    if member.erased:
        return Decision(member)
    blank = Member(member_id=member.member_id, erased=True, backfilled=member.backfilled, sms=False)
    return Decision(blank, rows=(Forget(member_id=member.member_id),))


def on_customer_merged(states: tuple[Member | None, Member | None], event: Event, _: Programme) -> Decision[object]:
    """One person, one inbox and one queue: those of who remains, whose preferences and tier count. Who is erased keeps none."""
    data = event.data
    kept = states[0] or Member(member_id=data.member_id)
    merged = states[1] or Member(member_id=data.merged_id)
    coming = [p for p in merged.book.pending if not is_about_tier(p)]
    moved = [replace(p, handed_by=way_of(p.handed_by, data.merged_id, data.member_id)) for p in coming]
    kept = kept if kept.erased else _joined(kept, moved)
    if kept.book.merged:
        kept = with_book(kept, merged=False)
    if merged.book != Book(merged=True):
        merged = replace(merged, book=Book(merged=True))
    row = Forget(member_id=data.merged_id) if kept.erased else Hand(from_id=data.merged_id, to_id=data.member_id)
    return Decision((kept, merged), rows=(row,))


def _joined(kept: Member, moved: Sequence[Pending]) -> Member:
    """What both were about to be told of one day is one message, in the words of who remains."""
    for new in moved:
        own = next((p for p in kept.book.pending if p.dedupe == new.dedupe), None)
        if own is not None:
            kept = enqueue(kept, replace(new, params=own.params))
        elif len(kept.book.pending) < PENDING_MAX:
            kept = enqueue(kept, new)
    return kept


def on_customer_unmerged(states: tuple[Member | None, Member | None], event: Event, _: Programme) -> Decision[object]:
    """A person of their own again, with what they had been told or were about to be; what the other heard since stays there.

    Told to both: the survivor's copy comes after every merger that it follows, and before any that follows it; the other may not.
    """
    survivor, merged = states
    if event.key != event.data.survivor_id or survivor is None or merged is None or not merged.book.merged:
        return Decision(states)
    came = [p for p in survivor.book.pending if p.handed_by[-1:] == (merged.member_id,)]
    merged = with_book(merged, merged=False)
    if came:
        survivor = with_pending(survivor, (p for p in survivor.book.pending if p not in came))
        own = {p.dedupe for p in merged.book.pending}
        back = (replace(p, handed_by=p.handed_by[:-1]) for p in came if p.dedupe not in own)
        merged = with_pending(merged, (*merged.book.pending, *back))
    return Decision((survivor, merged), rows=(HandBack(from_id=event.data.survivor_id, to_id=event.data.merged_id),))


def way_of(before: tuple[str, ...], from_id: str, to_id: str) -> tuple[str, ...]:
    """By which numbers a message came to `to_id`; one that only returns there came by those it had come by the first time."""
    return before[: before.index(to_id)] if to_id in before else (*before, from_id)
