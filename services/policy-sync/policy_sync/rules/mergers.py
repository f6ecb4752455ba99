"""Whose number a number is: customers turn out to be one person, and sometimes not to be after all (DOMAIN 22).

The invariant: the answer follows from which mergers and undoings are known, in the core's order, never from when they were heard.
A ring of mergers is ended by the newest: whom it keeps remains, and is told to be their own, so no reader ever has to end one.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace
from tenure.contracts import core, policy

from policy_sync.rules.facts import Fact

Tie = core.CustomerMerged | core.CustomerUnmerged
Told = policy.CustomerMerged | policy.CustomerUnmerged
Ties = Mapping[str, Sequence[Fact]]
"""Mergers and undoings by the number that was given up."""


def standing(ties: Iterable[Fact]) -> Fact | None:
    """The merger of one number that holds: the newest, unless it was undone since."""
    held: Fact | None = None
    for tie in sorted(ties, key=lambda f: f.order):
        if isinstance(tie.data, core.CustomerMerged):
            held = tie
        elif held is not None and held.data.member_id == tie.data.member_id:
            held = None
    return held


def held(number: str, ties: Ties) -> Fact | None:
    """The merger by which this number is another's. In a ring the newest one counts most: whom it keeps is their own."""
    ring = _ring(number, ties)
    if ring and max(ring, key=lambda f: f.order).data.member_id == number:
        return None
    return standing(ties.get(number, ()))


def _ring(number: str, ties: Ties) -> list[Fact]:
    """The mergers that lead from a number back to it; none, if they do not."""
    here, path = number, list[Fact]()
    while (tie := standing(ties.get(here, ()))) is not None and tie not in path:
        path.append(tie)
        here = tie.data.member_id
        if here == number:
            return path
    return []


def told(before: Ties, after: Ties, new: Fact) -> tuple[Told, ...]:
    """What a merger or undoing tells: how each number stands now that stands otherwise by it, as another may where a ring closes or
    opens. What the core has said otherwise since tells nothing, so the last that is told is how it stands. No ring is told.
    """
    merged = new.data.merged_id
    touched = dict.fromkeys((merged, *_reached(merged, before), *_reached(merged, after)))
    return tuple(one for number in touched for one in _told_of(number, before, after, new))


def _told_of(number: str, before: Ties, after: Ties, new: Fact) -> tuple[Told, ...]:
    was, now = held(number, before), held(number, after)
    if _kept(was) == _kept(now):
        return ()
    told_no = sum(len(after.get(one, ())) for one in (number, *_reached(number, after)))
    if now is not None:
        into, on = now.data.member_id, now.data.on
        return (policy.CustomerMerged(member_id=into, merged_id=number, effective=on, ties_no=told_no),)
    into, on = _kept(was), max((*after[number], new), key=lambda f: f.order).data.on
    parted = policy.CustomerUnmerged(member_id=into, survivor_id=into, merged_id=number, effective=on, ties_no=told_no)
    return parted, replace(parted, member_id=number)


def whose(told: Told) -> str:
    """Into whom, or from whom, this is told."""
    return told.survivor_id if isinstance(told, policy.CustomerUnmerged) else told.member_id


def _reached(number: str, ties: Ties) -> list[str]:
    """Every other number that mergers ever led to from this one: what may change whose it is, and never fewer."""
    found = [number]
    for here in found:
        found += dict.fromkeys(f.data.member_id for f in ties.get(here, ()) if f.data.member_id not in found)
    return found[1:]


def _kept(held: Fact | None) -> str:
    return "" if held is None else held.data.member_id


def survivor(member_id: str, ties: Ties) -> str:
    """Who the person of this number is now. `ties` are the mergers and undoings by the number that was given up."""
    here = member_id
    while (tie := held(here, ties)) is not None:
        here = tie.data.member_id
    return here


def numbers(member_id: str, ties: Ties) -> tuple[str, ...]:
    """All numbers of the person of this one, as far as the ties know them."""
    person = survivor(member_id, ties)
    return tuple(sorted({n for n in {member_id, person, *ties} if survivor(n, ties) == person}))
