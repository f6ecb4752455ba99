"""Facts and mergers are told under one of the ids they concern: every order that keeps what is told under each comes to the same."""

import random
from collections import Counter
from datetime import date

import pytest

from .cases import day, growth, known, merged, term, unmerged
from .test_decide import World

A, B, C = "M-A", "M-B", "M-C"
LAST = date(2027, 1, 1)
OWN = [
    known(term("2016-01-01", years=2, premium=900, member=A, policy="P-A")),
    known(term("2017-01-01", premium=100, member=B, policy="P-B")),
    known(term("2018-01-01", premium=290, member=C, policy="P-C")),
]


def parted(survivor, old, at, no):
    return [unmerged(survivor, old, at, no=no), unmerged(survivor, old, at, no=no, told_to=old)]


INTO_B, INTO_C = merged(B, A, "2018-02-01", no=1), merged(C, A, "2018-03-01", no=2)
STORIES = {
    "into the wrong one, parted, into the right one": [
        *OWN, INTO_B, *parted(B, A, "2018-02-10", 2), merged(C, A, "2018-03-01", no=3),
    ],
    "from one into the other": [*OWN, INTO_B, INTO_C],
    "from one into the other, with growth": [OWN[0], growth(9, "2016-05-05", A), INTO_B, INTO_C, growth(4, "2018-03-05", C)],
    "parted, and merged again": [*OWN, INTO_B, *parted(B, A, "2018-02-10", 2), merged(B, A, "2018-03-01", no=3)],
    "to and fro": [*OWN, INTO_B, INTO_C, merged(B, A, "2018-04-01", no=3)],
    "from one into the other, and parted": [*OWN, INTO_B, INTO_C, *parted(C, A, "2018-04-01", 3)],
    "the wrong way round, parted, the right way": [
        *OWN, INTO_B, *parted(B, A, "2018-02-10", 2), merged(A, B, "2018-03-01", no=1),
    ],
    "anew, while its survivor is another's": [*OWN, INTO_B, merged(C, B, "2018-03-01", no=1), merged("M-D", A, "2018-04-01", no=2)],
    "anew, into whom its survivor went": [*OWN, INTO_B, merged(C, B, "2018-03-01", no=1), merged(C, A, "2018-04-01", no=2)],
    "anew, before the last of those it went through comes by it": [
        *OWN, INTO_B, merged(C, B, "2018-03-01", no=1), merged("M-D", A, "2018-04-01", no=2), merged(A, C, "2018-05-01", no=1),
    ],
    "one after the other": [*OWN, merged(B, A, "2018-02-01"), merged(C, B, "2018-03-01")],
    "a ring": [OWN[0], merged(B, A, "2018-02-01"), merged(C, B, "2018-03-01"), merged(A, C, "2018-04-01")],
}  # fmt: skip


def orders(facts):
    """Every order in which what is told under each id comes in its own."""
    if not facts:
        yield []
    first = {}
    for i, fact in enumerate(facts):
        first.setdefault(fact.key, i)
    for i in first.values():
        for rest in orders([*facts[:i], *facts[i + 1 :]]):
            yield [facts[i], *rest]


def told(facts, at_once):
    world = World()
    for fact in facts:
        world.happen(fact)
        if at_once:
            world.let_days_come(fact.day)
    world.let_days_come(LAST)
    return world


def what_each_has(world):
    return {
        name: (m.merged_into, m.terms, m.growth, m.timeline, world.believed(name))
        for name, m in world.members.items()
        if m.terms or m.growth or m.merged_into
    }


@pytest.mark.parametrize("at_once", [True, False], ids=["each turn at once", "turns at the end"])
@pytest.mark.parametrize("story", [story for name, story in STORIES.items() if name != "a ring"])
def test_every_order_comes_to_the_same(story, at_once):
    ordered = what_each_has(told(story, at_once))
    for order in orders(story):
        assert what_each_has(told(order, at_once)) == ordered, [(e.type, e.key) for e in order]


def by_chance(dice, words=8):
    """Mergers and undoings of four ids, and whose each is at last: nobody is parted from one who is merged, no ring is closed."""
    into, told_no, said = {}, Counter(), []
    for n in range(words):
        old, new = dice.sample((A, B, C, "M-D"), 2)
        told_no[old] += 1
        if into.get(old) == new and new not in into:
            said += parted(new, old, f"2018-06-0{n + 1}", told_no[old])
            del into[old]
        elif into.get(old) != new and not leads(new, old, into):
            said.append(merged(new, old, f"2018-06-0{n + 1}", no=told_no[old]))
            into[old] = new
    return said, into


def leads(one, to, into):
    return one == to or (one in into and leads(into[one], to, into))


def shuffled(facts, dice):
    """What is told under each id in its order, and the dice say whose is read next."""
    queues = {key: iter([fact for fact in facts if fact.key == key]) for key in {fact.key for fact in facts}}
    return [next(queues[key]) for key in dice.sample([fact.key for fact in facts], len(facts))]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happened_and_was_read_first_policies_are_with_whose_they_are(seed):
    dice = random.Random(seed)
    said, into = by_chance(dice)
    world = World()
    for fact in shuffled([*OWN, *said], dice):
        world.happen(fact)
        if dice.random() < 0.5:
            world.let_days_come(fact.day)
    world.let_days_come(LAST)
    assert {name: m.merged_into for name, m in world.members.items() if m.merged_into} == into
    for name, m in world.members.items():
        theirs = {f"P-{one[-1]}" for one in (A, B, C) if name not in into and leads(one, name, into)}
        assert {t.policy_no for t in m.terms} == theirs, name
        assert (m.goes_to, m.timeline) == (None, world.believed(name))


@pytest.mark.parametrize("own_first", [True, False])
def test_a_ring_that_policy_sync_ends_is_with_whom_it_says(own_first):
    """The newest merger keeps the first one, who is told to be their own, before that merger or after it."""
    last = merged(A, C, "2018-04-01", no=3)
    own = parted(B, A, "2018-04-01", 3)
    ring = [*OWN, INTO_B, merged(C, B, "2018-03-01", no=1), *((*own, last) if own_first else (last, *own))]
    world = told(ring, at_once=False)
    assert {name: m.merged_into for name, m in world.members.items()} == {A: None, B: C, C: A}
    assert {name: len(m.terms) for name, m in world.members.items()} == {A: 3, B: 0, C: 0}
    assert world.members[A].goes_to is None


@pytest.mark.parametrize("at_once", [True, False], ids=["each turn at once", "turns at the end"])
def test_a_ring_of_mergers_ends_with_one_of_them(at_once):
    for order in orders(STORIES["a ring"]):
        world = told(order, at_once)
        assert [m.terms for m in world.members.values() if m.terms] == [told(OWN[:1], at_once).members[A].terms]


def test_what_went_on_with_its_survivor_waits_for_that_undoing():
    world = World()
    world.happen(*OWN, merged(B, A, "2018-02-01", no=1), merged(C, B, "2018-03-01", no=1))
    world.happen(unmerged(B, A, "2018-04-02", no=2))
    assert world.members[A].due_on == day("2018-04-02")
    world.happen(unmerged(C, B, "2018-04-01", no=2))
    world.let_days_come(LAST)
    assert [[t.policy_no for t in world.members[name].terms] for name in (A, B, C)] == [["P-A"], ["P-B"], ["P-C"]]
