"""Which fact is told of: one that waited, or is told anew, may be another than the one that was heard.

The invariant: what history says is told as history though a live fact gives it ground, and what is live is told as live though
history does. Milestones are of the days a policy lives through, so they are never history, but for an end before those days.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from tenure.contracts import policy
from tenure.contracts.decision import Origin
from tenure.contracts.event import Data, Event

from policy_sync.rules.facts import Fact, Opening


class Told(NamedTuple):
    """An effect, and the fact that it is of."""

    data: Data
    fact: Fact


def told_of(emit: Iterable[Data], fact: Fact, counting: Iterable[Fact]) -> list[Told]:
    """What a fact tells. A renewal that it has told anew stays that renewal's."""
    return [Told(data, _renewing(data, counting, fact)) for data in emit]


def _renewing(data: Data, counting: Iterable[Fact], fact: Fact) -> Fact:
    if not isinstance(data, policy.PolicyRenewed):
        return fact
    return next((f for f in counting if isinstance(f.data, Opening) and f.data.term_no == data.term.term_no), fact)


def in_turn(
    event: Event, caused: Sequence[Data], told: Sequence[Told], come: Sequence[Data], *, live_from: date | None
) -> tuple[tuple[Data, ...], tuple[Origin | None, ...]]:
    """All that is told, and what each is of: `caused` of the event, `come` of the days of a policy that lives from one of them."""
    emit = (*caused, *(one.data for one in told), *come)
    own = Origin(event.time, event.backfill)
    origins = (
        *(Origin(event.time, backfill=event.backfill or _was_before(data, live_from)) for data in caused),
        *(Origin(one.fact.time, one.fact.backfill) for one in told),
        *(Origin(event.time, backfill=_was_before(data, live_from)) for data in come),
    )
    return emit, () if all(origin == own for origin in origins) else origins


def _was_before(data: Data, live_from: date | None) -> bool:
    return isinstance(data, policy.PolicyExpired) and live_from is not None and data.effective < live_from
