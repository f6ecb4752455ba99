"""Whose number a number is: customers turn out to be one person, and sometimes not to be after all (DOMAIN 22).

The invariant: the answer follows from which mergers and undoings are known, in the core's order, never from when they were heard.
A ring of mergers is ended by the newest: whom it keeps remains.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace
from tenure.contracts import core, policy

from policy_sync.rules.facts import Fact

Tie = core.CustomerMerged | core.CustomerUnmerged
Told = policy.CustomerMerged | policy.CustomerUnmerged


def standing(ties: Iterable[Fact]) -> Fact | None:
    """The merger of one number that holds: the newest, unless it was undone since."""
    held: Fact | None = None
    for tie in sorted(ties, key=lambda f: f.order):
        if isinstance(tie.data, core.CustomerMerged):
            held = tie
        elif held is not None and held.data.member_id == tie.data.member_id:
            held = None
    return held


def told(known: Sequence[Fact], new: Fact) -> tuple[Told, ...]:
    """What a merger or undoing tells that is heard after those `known` of the same number: how it stands now, if that is other
    than it stood. What the core has said otherwise since tells nothing, so the last that is told is how it stands.
    """
    ties = (*known, new)
    before, after = standing(known), standing(ties)
    if _kept(before) == _kept(after):
        return ()
    merged = new.data.merged_id
    if after is not None:
        into, on = after.data.member_id, after.data.on
        return (policy.CustomerMerged(member_id=into, merged_id=merged, effective=on, ties_no=len(ties)),)
    into, on = _kept(before), max(ties, key=lambda f: f.order).data.on
    parted = policy.CustomerUnmerged(
        member_id=into, survivor_id=into, merged_id=merged, effective=on, ties_no=len(ties)
    )
    return parted, replace(parted, member_id=merged)


def _kept(held: Fact | None) -> str:
    return "" if held is None else held.data.member_id


def survivor(member_id: str, ties: Mapping[str, Sequence[Fact]]) -> str:
    """Who the person of this number is now. `ties` are the mergers and undoings by the number that was given up."""
    here, path = member_id, dict[str, Fact]()
    while (tie := standing(ties.get(here, ()))) is not None:
        if here in path:
            ring = list(path.values())[list(path).index(here) :]
            newest: str = max(ring, key=lambda f: f.order).data.member_id
            return newest
        path[here] = tie
        here = tie.data.member_id
    return here


def numbers(member_id: str, ties: Mapping[str, Sequence[Fact]]) -> tuple[str, ...]:
    """All numbers of the person of this one, as far as the ties know them."""
    person = survivor(member_id, ties)
    return tuple(sorted({n for n in {member_id, person, *ties} if survivor(n, ties) == person}))
