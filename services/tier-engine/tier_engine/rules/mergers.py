"""Ids that turn out to be one person, and those that do not after all, in whatever order the log tells it.

The invariants: of all that is told of one id the newest (`ties_no`) says whose it is; what it brought to one member goes to another
by being given back first, in a turn in which all three are there.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from msgspec.structs import replace
from tenure.contracts import policy
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme

from tier_engine.rules.decide import keys
from tier_engine.rules.member import Member, latest
from tier_engine.rules.turn import Turn


def on_merged(state: Any, event: Event, programme: Programme) -> Decision[Any]:
    """Two ids turn out to be one person: the tier is that of the united history (DOMAIN 22)."""
    if not isinstance(state, tuple):
        return Decision(state=state)
    data: policy.CustomerMerged = event.data
    into = state[0] or Member(member_id=data.member_id)
    old = state[1] or Member(member_id=data.merged_id)
    if old.ties_no >= data.ties_no > 0:
        return Decision(state=state)
    if data.ties_no and old.merged_into != into.member_id and (old.merged_into or into.merged_into):
        return Decision(state=(state[0], _destined(old, into.member_id, event)))
    if into.merged_into == old.member_id:
        into = replace(into, merged_into=None)
    return Turn(event, programme).merge(into, _heard(old, data.ties_no))


def on_unmerged(state: Any, event: Event, programme: Programme) -> Decision[Any]:
    """Two persons after all: what the old id had brought goes back, and both are judged by what is theirs.

    It is told to both members; the survivor's copy comes after every merger that it follows, so that one is heard.
    """
    data: policy.CustomerUnmerged = event.data
    survivor, old = state
    if event.key != data.survivor_id or old is None or old.ties_no >= data.ties_no > 0:
        return Decision(state=state)
    with_survivor = survivor is not None and old.merged_into == survivor.member_id
    if data.ties_no and old.merged_into and not (with_survivor and survivor.merged_into in (None, old.member_id)):
        return Decision(state=(survivor, _destined(old, "", event)))
    old = _heard(old, data.ties_no)
    return Turn(event, programme).unmerge(survivor, old) if with_survivor else Decision(state=(survivor, old))


def _heard(old: Member, ties_no: int) -> Member:
    """The newest that was told of this id is done at once."""
    return replace(old, ties_no=max(ties_no, old.ties_no), goes_to=None)


def _destined(old: Member, to: str, event: Event) -> Member:
    """It is that one's ("": its own) by now; what it brought to another goes there in its turn."""
    day = latest(old.lived_to, event.day)
    return replace(old, ties_no=event.data.ties_no, goes_to=to, lived_to=day, due_on=day)


def on_day(state: Any, event: Event, programme: Programme) -> Decision[Any]:
    """A day came on which something falls due: the next step of the timeline, a risk, or the turn of an old id."""
    turn = Turn(event, programme)
    if not isinstance(state, tuple):
        return Decision(state=None) if state is None else turn.relive(state, state.terms, state.growth)
    ids = keys(event)
    known = {name: one or Member(member_id=name) for name, one in zip(ids, state, strict=True)}
    into, old = known[ids[0]], known[ids[1]]
    if state[1] is None:
        return Decision(state=state)
    if old.goes_to is not None:
        return _Return(turn, known, old).decide()
    return turn.merge(into, old)


class _Return:
    """What an old id brought comes back by all who handed it on, who are as they were then, and goes to whose the id is by now."""

    def __init__(self, turn: Turn, known: dict[str, Member], old: Member) -> None:
        self.turn, self.known, self.old = turn, known, old
        self.emit: list[Any] = []
        self.rows: list[Any] = []

    def decide(self) -> Decision[Any]:
        """Raises RefusedError told_of_each_other: what it goes to lies with it, by what is of the past when more is read."""
        old = self.old
        back = () if old.merged_into == old.goes_to else self._way(old.merged_into)
        on = self._way(old.goes_to)
        if not self.known.keys() >= {*back, *on}:
            self.known[old.member_id] = replace(old, by=tuple(sorted({*back, *on} - {old.member_id})))
            return self._decided()
        if old.member_id in on:
            raise RefusedError(
                "told_of_each_other", f"what {old.goes_to} brought lies with {old.member_id}, or comes by it"
            )
        self.known[old.member_id] = replace(old, goes_to=None, by=())
        self._come_back(back)
        if old.goes_to:
            self._two(self.turn.merge, old.goes_to, old.member_id)
        return self._decided()

    def _way(self, first: str | None) -> tuple[str, ...]:
        """The ids that hand on to one another what the first is given, as far as they are here; none is asked for twice."""
        way, here = list[str](), first
        while here and here not in way:
            way.append(here)
            here = self.known[here].merged_into if here in self.known and here != self.old.member_id else None
        return tuple(way)

    def _come_back(self, way: tuple[str, ...]) -> None:
        steps = list(pairwise((self.old.member_id, *way)))
        for lower, upper in reversed(steps):
            self._two(self.turn.unmerge, upper, lower)
        for lower, upper in steps[1:]:
            self._two(self.turn.merge, upper, lower)

    def _two(self, step: Callable[[Member, Member], Decision[Any]], upper: str, lower: str) -> None:
        decided = step(self.known[upper], self.known[lower])
        self.known[upper], self.known[lower] = decided.state
        self.emit += decided.emit
        self.rows += decided.rows

    def _decided(self) -> Decision[Any]:
        return Decision(state=tuple(self.known.values()), emit=tuple(self.emit), rows=tuple(self.rows))
