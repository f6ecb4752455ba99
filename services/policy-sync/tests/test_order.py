"""Whatever order facts and days come in, the same policy and the same milestones result (guide: time is an event)."""

from datetime import date, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tenure.contracts import core, policy

from .world import (
    Said,
    World,
    cancelled,
    claim,
    day,
    endorsed,
    holder_changed,
    issued,
    lapsed,
    paid,
    parts_held,
    parts_told,
    refunded,
    reinstated,
    renewed,
    rescinded,
    reversed_,
)

LIFE = [
    Said(issued(), "2024-02-20", id_="1"),
    Said(paid("2024-02-20"), id_="2"),
    Said(endorsed("2024-06-01", yuan=100), "2024-05-20", id_="3"),
    Said(lapsed("2024-08-01"), "2024-08-05", id_="4"),
    Said(reinstated("2024-08-20", bridged=True), id_="5"),
    Said(cancelled("2024-10-01"), "2024-09-28", id_="6"),
    Said(refunded("2024-10-01", 150), id_="7"),
    Said(reversed_("2024-10-01"), "2024-10-09", id_="8"),
    Said(renewed("2025-03-01", "2026-03-01", yuan=465), "2025-02-10", id_="9"),
    Said(paid("2025-02-10", term_no=2), id_="10"),
    Said(renewed("2026-03-01", "2027-03-01", term_no=3), "2026-03-01", id_="11"),
    Said(holder_changed("2025-09-01", "M-2"), "2025-09-03", id_="12"),
    Said(cancelled("2026-07-01", term_no=3), id_="13"),
    Said(claim(core.ClaimReported, "2024-04-05", estimate_fen=100_00), id_="14"),
    Said(claim(core.ClaimAssessed, "2024-04-08", amount_fen=80_00), id_="15"),
    Said(claim(core.ClaimDeclined, "2024-04-09"), id_="16"),
    Said(claim(core.ClaimReported, "2025-05-05", no="C-2", estimate_fen=100_00), id_="17"),
    Said(claim(core.ClaimPaid, "2025-05-10", no="C-2", amount_fen=90_00), id_="18"),
    Said(claim(core.ClaimClosed, "2025-05-11", no="C-2"), id_="19"),
]
RESCINDED = Said(rescinded("2024-03-01"), "2026-10-01", id_="20")
TICKS = [date(2024, 1, 1) + timedelta(days=n) for n in range(0, 1_200, 31)]
END = day("2027-06-01")


def lived(facts: list[Said], ticks: dict[int, date] | None = None) -> World:
    world = World()
    for n, fact in enumerate(facts):
        world.say(fact)
        if ticks and n in ticks:
            world.come(ticks[n])
    world.come(END)
    return world


@settings(max_examples=150, deadline=None)
@given(
    facts=st.permutations(LIFE),
    rescinded_at=st.none() | st.integers(0, len(LIFE)),
    ticks=st.dictionaries(st.integers(0, len(LIFE)), st.sampled_from(TICKS), max_size=6),
)
def test_any_order_gives_the_same_policy_and_the_same_milestones(
    facts: list[Said], rescinded_at: int | None, ticks: dict[int, date]
) -> None:
    whole = list(LIFE)
    if rescinded_at is not None:
        facts = [*facts[:rescinded_at], RESCINDED, *facts[rescinded_at:]]
        whole = [*whole, RESCINDED]
    shuffled, straight = lived(facts, ticks), lived(whole)
    assert shuffled.policy == straight.policy
    assert shuffled.standing == straight.standing


NEXT = Said(renewed("2025-03-01", "2026-03-01"), "2025-02-10")
ANNOUNCED = Said(holder_changed("2025-06-01", "M-2"), "2025-01-10")
LATER_HOLDER = [
    ("announced, then renewed", [issued(), ANNOUNCED, NEXT]),
    ("renewed, then announced", [issued(), NEXT, ANNOUNCED]),
    ("heard before the policy", [ANNOUNCED, NEXT, issued()]),
    ("sold with the change known", [issued(), ANNOUNCED, Said(issued("2025-03-01", "2026-03-01", term_no=2))]),
]


@pytest.mark.parametrize(("what", "facts"), LATER_HOLDER, ids=[row[0] for row in LATER_HOLDER])
def test_who_takes_over_in_the_middle_of_a_term_hears_of_it_whichever_is_known_first(what: str, facts: list) -> None:
    world = World()
    world.say(*facts)
    assert parts_told(world.told) == {
        ("M-1", 1): ["2024-03-01..2025-03-01"],
        ("M-1", 2): ["2025-03-01..2025-06-01"],
        ("M-2", 2): ["2025-06-01..2026-03-01"],
    }
    theirs = [e for e in world.told if isinstance(e, policy.PolicyHolderChanged) and e.member_id == "M-2"]
    assert [(e.former_member_id, e.new_member_id, str(e.effective)) for e in theirs] == [("M-1", "M-2", "2025-06-01")]


HANDED_OVER = [
    Said(issued("2023-03-01", "2024-03-01"), "2023-02-20", id_="1"),
    Said(renewed("2024-03-01", "2025-03-01", term_no=2), "2024-02-10", id_="2"),
    Said(renewed("2025-03-01", "2026-03-01", term_no=3, member_id="M-2", product_line="home"), "2025-02-10", id_="3"),
    Said(holder_changed("2024-06-01", "M-2"), "2024-01-10", id_="4"),
    Said(holder_changed("2025-06-01", "M-3"), "2024-12-10", id_="5"),
    Said(endorsed("2025-07-01", end="2026-09-01", term_no=3), id_="6"),
    Said(holder_changed("2026-05-01", "M-1"), "2026-04-01", id_="7"),
    Said(cancelled("2026-02-01", term_no=3), "2026-02-03", id_="8"),
    Said(paid("2025-02-10", term_no=3), id_="9"),
    Said(rescinded("2023-03-01"), "2026-10-01", id_="10"),
]


@settings(max_examples=300, deadline=None)
@given(facts=st.permutations(HANDED_OVER), heard=st.integers(1, len(HANDED_OVER)))
def test_each_holder_is_told_their_part_of_each_term_in_whatever_order_it_becomes_known(
    facts: list[Said], heard: int
) -> None:
    """A change of holder that is announced, or heard, before the term it falls into; a term that no longer reaches it."""
    world = World()
    world.say(*facts[:heard])
    if world.states["P-1"].policy is not None:
        assert parts_told(world.told) == parts_held(world.policy)


def test_a_claim_of_whoever_turns_out_to_have_held_the_policy_is_told_to_both() -> None:
    """What happens to it in the same breath is progress to whose it is now, and nothing to the other."""
    world = World()
    world.say(issued(), claim(core.ClaimReported, "2024-06-05", estimate_fen=900_00))
    handed = [e for e in world.say(Said(holder_changed("2024-06-01", "M-2"))) if isinstance(e, policy.ClaimChanged)]
    assert [(e.member_id, e.handed_over, str(e.reported_on)) for e in handed] == [
        ("M-1", "from", "2024-06-05"),
        ("M-2", "to", "2024-06-05"),
    ]
    (paid_,) = world.say(claim(core.ClaimPaid, "2024-06-09", amount_fen=900_00))
    assert isinstance(paid_, policy.ClaimChanged)
    assert (paid_.member_id, paid_.handed_over) == ("M-2", None)


def told_of_milestones(world: World) -> list[tuple[str, str]]:
    kinds = (policy.PolicyAnniversary, policy.PolicyExpiring, policy.PolicyExpired, policy.NoClaimYearCompleted)
    return sorted((type(t).__name__, t.effective.isoformat()) for t in world.told if isinstance(t, kinds))


@settings(max_examples=60, deadline=None)
@given(ticks=st.dictionaries(st.integers(0, len(LIFE)), st.sampled_from(TICKS), max_size=8))
def test_facts_in_the_core_s_order_tell_the_same_milestones_wherever_the_ticks_fall(ticks: dict[int, date]) -> None:
    """A tick says that its day began, so it may come early among the facts of its own day, and late without limit."""
    facts = sorted(LIFE, key=lambda f: f.time)
    in_time = {n: tick for n, tick in ticks.items() if n >= len(facts) - 1 or tick <= facts[n + 1].day}
    assert told_of_milestones(lived(facts, in_time)) == told_of_milestones(lived(facts))


@settings(max_examples=60, deadline=None)
@given(facts=st.permutations(LIFE), again=st.lists(st.sampled_from(LIFE), max_size=8))
def test_the_core_may_say_anything_again_under_a_new_id(facts: list[Said], again: list[Said]) -> None:
    repeated = [Said(f.data, f.day.isoformat()) for f in again]
    once, twice = lived(facts), lived([*facts, *repeated])
    assert twice.policy == once.policy
    assert twice.told == once.told


def test_the_life_is_what_an_insurance_person_expects() -> None:
    world = lived(LIFE)
    assert [(t.term_no, t.status, t.premium_fen) for t in world.policy.terms] == [
        (1, "in_force", 465_00),
        (2, "in_force", 465_00),
        (3, "cancelled", 365_00),
    ]
    assert sorted(world.standing) == [
        ("anniversary", 1, "2025-03-01"),
        ("anniversary", 2, "2026-03-01"),
        ("expiring", 1, "2025-02-01"),
        ("expiring", 2, "2026-02-01"),
        ("no_claim_year", 1, "2025-03-01"),
    ]


def test_the_same_facts_in_the_core_s_order_tell_each_milestone_once() -> None:
    told = told_of_milestones(lived(sorted(LIFE, key=lambda f: f.time), {5: day("2024-12-01"), 9: day("2025-06-01")}))
    assert len(told) == len(set(told))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_cancellation_taken_back_takes_its_refund_with_it_whichever_is_heard_first(order: tuple[int, ...]) -> None:
    """The refund of March, before it, stays. Who was told something by then is told again."""
    facts = [
        Said(refunded("2024-03-20", 20), id_="a"),
        Said(cancelled("2024-10-01"), "2024-09-28", id_="b"),
        Said(refunded("2024-10-01", 150), id_="c"),
        Said(reversed_("2024-10-01"), "2024-10-09", id_="d"),
    ]
    world = World()
    world.say(issued(), *(facts[n] for n in order))
    newest = max((e.term for e in world.told if isinstance(e, policy.TermEvent)), key=lambda term: term.version)
    assert (newest.refunded_fen, newest.status) == (20_00, "in_force")
