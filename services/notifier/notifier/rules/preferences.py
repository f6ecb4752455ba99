"""What a member agrees to and prefers. The newest word counts, whichever way it came; without one, no marketing."""

from msgspec.structs import replace
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme
from tenure.contracts.programme.messages import Language

from notifier.commands import SetPreferences
from notifier.rules.asking import member_of
from notifier.rules.member import Member

Decided = Decision[Member]


class Forget(Data, frozen=True, kw_only=True):
    """Everything told to this member leaves the inbox."""

    member_id: str


def on_customer_registered(state: Member | None, event: Event, _: Programme) -> Decided:
    member = member_of(state, event)
    if member.language_at and event.time < member.language_at:
        return Decision(member)
    return Decision(replace(member, language=event.data.language, language_at=event.time))


def on_consent_changed(state: Member | None, event: Event, _: Programme) -> Decided:
    member, said_at = member_of(state, event), event.data.said_at or event.time
    if member.marketing_at and said_at < member.marketing_at:
        return Decision(member)
    return Decision(replace(member, marketing=event.data.marketing, marketing_at=said_at))


def with_refusal(member: Member, other: Member) -> Member:
    """What was refused under another number of the same person, unless they said something later under this one.

    A consent counts for the number it was given under, and for others where policy-sync says so.
    """
    if other.marketing or other.marketing_at is None:
        return member
    if member.marketing_at is not None and member.marketing_at >= other.marketing_at:
        return member
    return replace(member, marketing=False, marketing_at=other.marketing_at)


def on_set_preferences(state: Member | None, event: Event, _: Programme) -> Decided:
    """Raises RefusedError not_found under a number that was given up: nobody would go by what is said there."""
    member, data = member_of(state, event), event.data
    assert isinstance(data, SetPreferences)
    if member.book.merged_into is not None:
        raise RefusedError("not_found", "this number was given up for another")
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
