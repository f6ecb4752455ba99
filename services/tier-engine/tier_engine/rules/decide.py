"""Facts in, differences out: each fact recomputes the member's whole life, and what changed of it is told (`turn`)."""

from typing import Any

from msgspec.structs import replace
from tenure.contracts import policy
from tenure.contracts.decision import Decision
from tenure.contracts.event import Data, Event
from tenure.contracts.points import PointsGranted, PointsReversed
from tenure.contracts.programme import Programme
from tenure.contracts.tier import TierProgressed

from tier_engine.rules.days import InsuredTerm
from tier_engine.rules.member import ID_SEPARATOR, Member, with_growth, with_term
from tier_engine.rules.timeline import live
from tier_engine.rules.turn import Turn


class Reviewed(Data, frozen=True, kw_only=True):
    """The rules changed since this member was last judged: judge again."""

    member_id: str


def keys(event: Event) -> tuple[str, ...]:
    """The members an event touches: two when one takes over from another or gives back, the remaining one first."""
    if isinstance(event.data, policy.CustomerUnmerged):
        return event.data.survivor_id, event.data.merged_id
    if isinstance(event.data, policy.CustomerMerged):
        both = (event.data.member_id, event.data.merged_id)
        return both if both[0] != both[1] else both[:1]
    return tuple(event.key.split(ID_SEPARATOR))


def on_term(state: Member | None, event: Event, programme: Programme) -> Decision[Any]:
    """Any fact about a policy term: the term as it stands now."""
    member = state or Member(member_id=event.key)
    terms = with_term(member.terms, InsuredTerm.of(event.data.term))
    return Turn(event, programme).relive(member, terms, member.growth)


def on_ending(state: Member | None, event: Event, programme: Programme) -> Decision[Any]:
    """A policy ends within a month, or has ended: how far its holder is by then is measured anew, for the reminder that says what
    renewing unlocks, and for whoever goes by a premium that is over.
    """
    told = on_term(state, event, programme)
    member: Member = told.state
    if member.merged_into is not None or not member.timeline or any(isinstance(e, TierProgressed) for e in told.emit):
        return told
    progress = Turn(event, programme).measured(member, live(member.terms, member.growth, programme.tiers))
    return replace(told, emit=(*told.emit, progress))


def on_granted(state: Member | None, event: Event, programme: Programme) -> Decision[Any]:
    data: PointsGranted = event.data
    return _on_growth(state, event, programme, points=data.amount if data.wallet == "growth" else 0)


def on_reversed(state: Member | None, event: Event, programme: Programme) -> Decision[Any]:
    data: PointsReversed = event.data
    return _on_growth(state, event, programme, points=-data.amount if data.wallet == "growth" else 0)


def caught_up(state: Member, eve: Event, programme: Programme) -> Decision[Member]:
    """What is known from history alone, as time alone has brought it to that day."""
    lives = replace(state, of_history=False, due_on=eve.day)
    return Turn(eve, programme).relive(lives, state.terms, state.growth)


def _on_growth(state: Member | None, event: Event, programme: Programme, *, points: int) -> Decision[Any]:
    """Growth earned or taken back counts from the day after; other wallets mean nothing here."""
    if not points:
        return Decision(state=state)
    member = state or Member(member_id=event.key)
    growth = with_growth(member.growth, event.data.effective, points)
    return Turn(event, programme).relive(member, member.terms, growth)


def on_reviewed(state: Member | None, event: Event, programme: Programme) -> Decision[Any]:
    """New rules were published: whatever they change is told as of the day they change it."""
    return Decision(state=None) if state is None else Turn(event, programme).relive(state, state.terms, state.growth)
