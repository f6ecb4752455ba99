"""What the mall remembers of a member: the timeline of tiers, kept wholesale."""

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme
from tenure.contracts.tier import TierChanged

from mall.states import Member


def on_tier(state: Member | None, event: Event, programme: Programme) -> Decision[Member]:  # noqa: ARG001
    changed: TierChanged = event.data
    member = state or Member(member_id=changed.member_id)
    if member.timeline == changed.timeline:
        return Decision(member)
    return Decision(replace(member, timeline=changed.timeline))
