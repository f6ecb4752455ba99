"""Which of a policy's facts count: those whose ground is known, and for which there is room. The others wait.

Ground: a payment stands on its term, an assessment on its report, a reversal on its cancellation, everything on the issue. Room: a
term keeps at least a day, and no two terms give cover on one day.

What waits an operator may dismiss; from then on it is as if it had never been said.

The invariants: what counts, counts for ever. Of two facts that exclude each other the one heard first counts, as a term that
overlaps another is refused; but for that, which facts count does not depend on the order they were heard in.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from tenure.contracts import core

from policy_sync.rules.facts import Fact, Opening, Order, standing
from policy_sync.rules.terms import have_room

_FOLLOWS: Final[Mapping[type, type]] = MappingProxyType(
    {core.CancellationReversed: core.PolicyCancelled, core.PolicyReinstated: core.PolicyLapsed}
)
_SHAPES: Final = (
    core.PolicyIssued,
    core.PolicyRenewed,
    core.PolicyEndorsed,
    core.PolicyCancelled,
    core.CancellationReversed,
    core.PolicyLapsed,
    core.PolicyReinstated,
    core.PolicyRescinded,
)
"""What says on which days there is cover: the only facts that may have no room, or give room to others."""
_GROUND: Final = frozenset(
    {core.PolicyIssued, core.PolicyRenewed, core.ClaimReported, core.PolicyCancelled, core.PolicyLapsed}
)
_MOVING: Final = (*_SHAPES, core.ClaimReported)
"""What may let others count; a payment does not, nor a claim that goes on."""


def applicable(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that count, in domain order. They are given in the order in which they were heard."""
    facts = list(facts)
    left = standing(facts)
    if not any(introduces(f) for f in left):
        return []
    grounds = Grounds(left)
    counting = [f for f in left if grounds.carry(f)]
    if not is_room_for(counting):
        counting = _one_after_another(facts)
    return sorted(counting, key=lambda f: f.order)


def _one_after_another(facts: Sequence[Fact]) -> list[Fact]:
    """Those that count after each was heard, and each that was dismissed had waited for as long as it did."""
    heard, dismissed = Heard(), [f for f in facts if f.dismissed_after]
    for n, fact in enumerate(facts, start=1):
        heard.hear(fact)
        for gone in dismissed:
            if gone.dismissed_after == n:
                heard.dismiss(gone)
    return heard.counting


def is_room_for(facts: Sequence[Fact]) -> bool:
    """Whether facts that have their ground can be true together. As sold and never prolonged, terms mostly can."""
    openings = sorted((f for f in facts if isinstance(f.data, Opening)), key=lambda f: (f.effective, f.order))
    is_moved = any(isinstance(f.data, core.PolicyEndorsed) and f.data.end is not None for f in facts)
    if not is_moved and all(one.data.end <= later.data.start for one, later in pairwise(openings)):
        return True
    return have_room(openings, sorted((f for f in facts if isinstance(f.data, _SHAPES)), key=lambda f: f.order))


def introduces(fact: Fact) -> bool:
    """Whether it says whose policy of which line this is."""
    data = fact.data
    if isinstance(data, core.PolicyIssued):
        return True
    return isinstance(data, core.PolicyRenewed) and data.member_id is not None and data.product_line is not None


class Grounds:
    """What other facts stand on. A reversal stands on a cancellation before it, a reinstatement on a lapse."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.is_introduced = False
        self.terms = set[int]()
        self.claims = set[str]()
        self.first: dict[tuple[type, int], Order] = {}
        for fact in facts:
            if type(fact.data) in _GROUND:
                self.add(fact)

    def add(self, fact: Fact) -> None:
        data = fact.data
        if isinstance(data, Opening):
            self.terms.add(data.term_no)
            self.is_introduced = self.is_introduced or introduces(fact)
        elif isinstance(data, core.ClaimReported):
            self.claims.add(data.claim_no)
        elif isinstance(data, (core.PolicyCancelled, core.PolicyLapsed)):
            place = (type(data), data.term_no)
            self.first[place] = min(fact.order, self.first.get(place, fact.order))

    def carry(self, fact: Fact) -> bool:
        data = fact.data
        if not (self.is_introduced or introduces(fact)):
            return False
        if isinstance(data, (Opening, core.ClaimReported)) or not isinstance(data, (core.TermFact, core.ClaimFact)):
            return True
        if isinstance(data, core.ClaimFact):
            return data.claim_no in self.claims
        follows = _FOLLOWS.get(type(data))
        if follows is not None:
            first = self.first.get((follows, data.term_no))
            return data.term_no in self.terms and first is not None and first < fact.order
        return data.term_no in self.terms


class Heard:
    """Facts as they come, and which of them count by then."""

    def __init__(self, counting: Iterable[Fact] = (), waiting: Iterable[Fact] = ()) -> None:
        self.counting, self.waiting = list(counting), sorted(waiting, key=_grounds_first)
        self._grounds = Grounds(self.counting)

    def hear(self, fact: Fact) -> list[Fact]:
        """Those that begin to count, in the order in which they are told: this one, then those that it gives ground or room."""
        joined = self._one_by_one(fact)
        return [*joined, *self._together()] if self.waiting and isinstance(fact.data, _MOVING) else joined

    def dismiss(self, fact: Fact) -> list[Fact]:
        """It waits no more. Those that begin to count: what has no room together with it may have it without."""
        self.waiting = [f for f in self.waiting if f is not fact]
        return self._together() if self.waiting else []

    def _one_by_one(self, fact: Fact) -> list[Fact]:
        if not self._joins(fact):
            self.waiting = sorted([*self.waiting, fact], key=_grounds_first)
            return []
        joined, is_moving = [fact], isinstance(fact.data, _MOVING)
        while is_moving:
            left = list[Fact]()
            for early in self.waiting:
                (joined if self._joins(early) else left).append(early)
            is_moving, self.waiting = len(left) < len(self.waiting), left
        return joined

    def _together(self) -> list[Fact]:
        """What has no room one by one may have it together: a term sold over another, and that it was never taken up."""
        grounds = Grounds([*self.counting, *self.waiting])
        able = [f for f in self.waiting if grounds.carry(f)]
        if not able or not is_room_for([*self.counting, *able]):
            return []
        self.waiting = [f for f in self.waiting if not grounds.carry(f)]
        self.counting += able
        self._grounds = Grounds(self.counting)
        return able

    def _joins(self, fact: Fact) -> bool:
        if not self._grounds.carry(fact):
            return False
        if isinstance(fact.data, _SHAPES) and not is_room_for([*self.counting, fact]):
            return False
        self.counting.append(fact)
        self._grounds.add(fact)
        return True


def _grounds_first(fact: Fact) -> tuple[int, object]:
    """Sorts facts that begin to count together: what others stand on comes before them, and whose a term is before its money."""
    if isinstance(fact.data, Opening):
        return (0 if introduces(fact) else 1), fact.order
    if isinstance(fact.data, core.PolicyHolderChanged):
        return 1, fact.order
    if isinstance(fact.data, core.ClaimFact):
        return (3 if isinstance(fact.data, core.ClaimReported) else 4), fact.order
    return 2, fact.order
