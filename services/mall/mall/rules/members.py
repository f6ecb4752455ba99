"""What the mall remembers of a member: the timeline of tiers, kept wholesale, and which number theirs was given up for.

The invariant: a merger moves nothing. Orders, and what was taken, stay under the number they were made under, and whose they are
follows from how the mergers stand; so it is the same in whatever order these are heard, and an undoing leaves each what is theirs.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme
from tenure.contracts.tier import TierChanged

from mall.states import Member


class Tie(NamedTuple):
    """What one number was given up for, and when."""

    into: str
    at: datetime


def on_tier(state: Member | None, event: Event, programme: Programme) -> Decision[Member]:  # noqa: ARG001
    changed: TierChanged = event.data
    member = state or Member(member_id=changed.member_id)
    if member.timeline == changed.timeline:
        return Decision(member)
    return Decision(replace(member, timeline=changed.timeline))


def on_merged(state: Member | None, event: Event, programme: Programme) -> Decision[Member]:  # noqa: ARG001
    """The number given up: it points to whoever has it now, whatever it pointed to before."""
    told: CustomerMerged = event.data
    member = state or Member(member_id=told.merged_id)
    if told.merged_id == told.member_id or _is_past(told.ties_no, member):
        return Decision(member)
    return Decision(replace(member, merged_into=told.member_id, tied_at=event.time, ties_no=told.ties_no))


def on_unmerged(state: Member | None, event: Event, programme: Programme) -> Decision[Member]:  # noqa: ARG001
    """A person of their own again. What has no number of its own undoes only the merger it names."""
    told: CustomerUnmerged = event.data
    member = state or Member(member_id=told.merged_id)
    names_another = not told.ties_no and member.merged_into != told.survivor_id
    if names_another or _is_past(told.ties_no, member):
        return Decision(member)
    return Decision(replace(member, merged_into=None, tied_at=None, ties_no=told.ties_no))


def _is_past(ties_no: int, member: Member) -> bool:
    """Whether what was told of this number since is known, or this itself: an undoing is told to both."""
    return ties_no < member.ties_no or 0 < ties_no == member.ties_no


def goes_by(number: str, ties: Mapping[str, Tie]) -> str:
    """The number its person goes by now. A ring of mergers is ended by the newest: whom it keeps remains."""
    here, path = number, list[str]()
    while (tie := ties.get(here)) is not None:
        if here in path:
            newest = max(path[path.index(here) :], key=lambda one: (ties[one].at, one))
            return ties[newest].into
        path.append(here)
        here = tie.into
    return here
