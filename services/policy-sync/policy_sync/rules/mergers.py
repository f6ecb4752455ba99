"""Whose number a number is: customers turn out to be one person, and sometimes not to be after all (DOMAIN 22).

The invariant: the answer follows from which mergers and undoings are known, in the core's order, never from when they were heard.
A ring of mergers is ended by the newest: whom it keeps remains.
"""

from collections.abc import Iterable, Mapping, Sequence

from tenure.contracts import core

from policy_sync.rules.facts import Fact

Tie = core.CustomerMerged | core.CustomerUnmerged


def standing(ties: Iterable[Fact]) -> Fact | None:
    """The merger of one number that holds: the newest, unless it was undone since."""
    held: Fact | None = None
    for tie in sorted(ties, key=lambda f: f.order):
        if isinstance(tie.data, core.CustomerMerged):
            held = tie
        elif held is not None and held.data.member_id == tie.data.member_id:
            held = None
    return held


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
