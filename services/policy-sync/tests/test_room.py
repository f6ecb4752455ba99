"""A fact counts only where there is room for it: a term keeps at least a day, and no two terms give cover on one day.

What has none waits as a gap, listed for operators, until something makes room.
"""

from collections.abc import AsyncIterator
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_sync import verify
from policy_sync.rules.fold import fold
from policy_sync.rules.gaps import gaps
from policy_sync.service import SERVICE
from tenure.contracts import policy
from tenure.contracts.decision import RefusedError
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import Under, under_test

from .world import (
    POLICY,
    Said,
    World,
    cancelled,
    covers_of,
    endorsed,
    issued,
    lapsed,
    names,
    paid,
    reinstated,
    renewed,
    rescinded,
    reversed_,
)

YEAR = "2024-03-01..2025-03-01"


def waiting(world: World) -> list[tuple[str, str]]:
    return [(type(gap.fact.data).__name__, gap.missing) for gap in gaps(world.states[POLICY].facts)]


@pytest.mark.parametrize("end", ["2024-03-01", "2024-02-01"])
def test_an_endorsed_end_not_after_the_start_waits_also_when_it_was_heard_before_the_issue(end: str) -> None:
    world = World()
    world.say(endorsed("2024-04-01", end=end, yuan=10), issued(), paid("2024-03-01"))
    assert (covers_of(world.policy), world.policy.term(1).premium_fen) == ([YEAR], 365_00)
    assert waiting(world) == [("PolicyEndorsed", "room")]
    world.say(endorsed("2024-05-01", end="2025-02-01", no="E-2"))
    assert (covers_of(world.policy), world.policy.term(1).premium_fen) == (["2024-03-01..2025-02-01"], 375_00)
    assert waiting(world) == []


SOLD_SINCE = [
    issued(),
    cancelled("2024-06-01"),
    Said(renewed("2024-07-01", "2025-07-01"), "2024-06-20"),
    Said(reversed_("2024-06-01"), "2024-08-01"),
]


def test_a_cancellation_is_not_taken_back_over_a_term_sold_since() -> None:
    world = World()
    world.say(*SOLD_SINCE)
    assert (covers_of(world.policy), covers_of(world.policy, 2)) == (
        ["2024-03-01..2024-06-01"],
        ["2024-07-01..2025-07-01"],
    )
    assert waiting(world) == [("CancellationReversed", "room")]


def test_it_is_as_soon_as_that_term_is_void() -> None:
    world = World()
    world.say(*SOLD_SINCE)
    told = world.say(Said(cancelled("2024-08-05", "flat", term_no=2), "2024-08-05"))
    assert names(told)[:2] == ["policy.cancelled", "policy.cancellation_reversed"]
    assert (covers_of(world.policy), covers_of(world.policy, 2), waiting(world)) == ([YEAR], [], [])


OVER_ANOTHER = [
    ("a renewal over the term before, both heard before the issue",
     [renewed("2025-03-01", "2026-03-01"), renewed("2025-06-01", "2026-06-01", term_no=3), paid("2025-06-01", term_no=3), issued()],
     [("PolicyRenewed", "room"), ("PremiumPaid", "term")]),
    ("an end moved into the next term, heard before the issue",
     [endorsed("2024-06-01", end="2025-04-01"), renewed("2025-03-01", "2026-03-01"), issued()],
     [("PolicyEndorsed", "room")]),
    ("a cancellation put off over a term sold since",
     [issued(), cancelled("2024-06-01"), Said(renewed("2024-07-01", "2025-07-01"), "2024-06-20"), Said(cancelled("2024-12-01"), "2024-07-02")],
     [("PolicyCancelled", "room")]),
    ("a void term taken back over the one that was sold instead",
     [issued(), cancelled("2024-03-05", "flat"), Said(issued("2024-03-10", "2025-03-10", term_no=2), "2024-03-08"), Said(reversed_("2024-03-05"), "2024-03-20")],
     [("CancellationReversed", "room")]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "facts", "gap"), OVER_ANOTHER, ids=[row[0] for row in OVER_ANOTHER])
def test_what_would_lay_two_terms_over_one_day_waits(what: str, facts: list[Any], gap: list[tuple[str, str]]) -> None:
    world = World()
    world.say(*facts)
    assert waiting(world) == gap


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_what_all_has_room_in_the_end_counts_whichever_was_heard_first(order: tuple[int, ...]) -> None:
    """Sold, cancelled, sold anew, the cancellation taken back, the other never taken up."""
    facts = [
        Said(issued(), id_="a"),
        Said(cancelled("2024-06-01"), id_="b"),
        Said(reversed_("2024-06-01"), "2024-08-01", id_="c"),
        Said(cancelled("2024-07-01", "not_taken_up", term_no=2), "2024-08-05", id_="d"),
    ]
    world = World()
    world.say(Said(renewed("2024-07-01", "2025-07-01"), "2024-06-20"), *(facts[n] for n in order))
    assert (covers_of(world.policy), covers_of(world.policy, 2), waiting(world)) == ([YEAR], [], [])


ENDS = ["2024-02-01", "2024-03-01", "2024-09-01", "2025-02-01", "2025-06-01"]
DAYS = ["2024-03-01", "2024-06-01", "2025-02-01", "2025-06-01"]
TERMS = st.sampled_from([1, 2, 3])
KINDS = st.sampled_from(["mid_term", "flat"])
FACTS = st.one_of(
    st.sampled_from([issued(), renewed("2024-06-01", "2025-06-01"), renewed("2025-03-01", "2026-03-01", term_no=3)]),
    st.builds(lambda on, end, no, n: endorsed(on, end=end, term_no=no, no=n), st.sampled_from(DAYS), st.sampled_from(ENDS), TERMS, st.sampled_from("ABC")),
    st.builds(lambda on, kind, no: cancelled(on, kind, term_no=no), st.sampled_from(DAYS), KINDS, TERMS),
    st.builds(lambda on, no: reversed_(on, term_no=no), st.sampled_from(DAYS), TERMS),
    st.builds(lambda on, no: lapsed(on, term_no=no), st.sampled_from(DAYS), TERMS),
    st.builds(lambda on, bridged, no: reinstated(on, bridged=bridged, term_no=no), st.sampled_from(DAYS), st.booleans(), TERMS),
    st.builds(lambda no: paid("2024-06-01", term_no=no), TERMS),
    st.just(rescinded("2025-06-01")),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(FACTS, st.sampled_from(DAYS), st.integers(0, 23)), max_size=16))
def test_whatever_is_heard_in_whatever_order_terms_have_days_and_share_none(facts: list[Any]) -> None:
    """What counts counts for ever, and is what the facts come to when they are read anew."""
    world, counted = World(), 0
    for n, (data, on, hour) in enumerate(facts):
        try:
            told = world.say(Said(data, on, hour=hour, id_=f"{n}"))
        except RefusedError:
            continue
        state = world.states[POLICY]
        assert state.policy == fold(POLICY, state.facts)
        if state.policy is None:
            continue
        assert counted <= state.policy.version
        counted = state.policy.version
        assert all(t.term.version <= counted for t in told if isinstance(t, policy.TermEvent))
        covering = [t for t in state.policy.terms if t.covers]
        assert all(t.start < t.end for t in covering)
        assert all(t.end <= later.start for t, later in pairwise(covering))


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


async def test_what_has_no_room_is_listed_and_parks_nobody(t: Under) -> None:
    early = [endorsed("2024-03-02", end="2024-03-01"), issued(), paid("2024-03-01"), *SOLD_SINCE[1:]]
    for fact in early:
        said = fact if isinstance(fact, Said) else Said(fact)
        await t.deliver([t.as_record(encode(said.event()))])
    assert await t.parked() == []
    answer = await t.http.get("/v1/reconciliation/gaps", headers=t.auth("operator"))
    (found,) = answer.json()["items"]
    assert [(f["type"], f["missing"]) for f in found["facts"]] == [
        ("PolicyEndorsed", "room"),
        ("CancellationReversed", "room"),
    ]
    assert all((await verify.verify(t.pool)).values())
