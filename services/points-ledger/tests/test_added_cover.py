"""Cover added, taken away and added again within a term (DOMAIN 4): what stands of it is rewarded, and only once."""

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from points_ledger.rules.memory import Memory
from tenure.contracts.event import Data
from tenure.contracts.programme import Programme
from tenure.testing import PROGRAMME_DIR

from .one_life import RULES
from .test_against_the_model import assert_books
from .test_reversal import spend
from .world import D, M, World, endorsed, issued, paid, refunded, term, tiers

FIRST = term()
Change = tuple[str, int]
"""From which day, and by how many yuan the premium changed."""

TABLE: list[tuple[str, list[Change], int]] = [
    ("added", [("2026-03-01", 100)], 200),
    ("added and taken away", [("2026-03-01", 100), ("2026-05-01", -100)], 0),
    ("added, taken away, added again", [("2026-03-01", 100), ("2026-05-01", -100), ("2026-07-01", 100)], 200),
    ("half of it taken away", [("2026-03-01", 100), ("2026-05-01", -50)], 100),
    ("the newest goes first", [("2026-03-01", 100), ("2026-04-01", 40), ("2026-05-01", -60)], 160),
    ("less than was sold, and that again", [("2026-03-01", -100), ("2026-05-01", 100)], 0),
    ("less than was sold, then more", [("2026-03-01", -100), ("2026-05-01", 150)], 100),
    (
        "reversed for one of before, and applied again",
        [("2026-06-01", 100), ("2026-06-01", -100), ("2026-05-01", 30), ("2026-06-01", 100)],
        260,
    ),
    ("a reduction of what was sold stays", [("2026-03-01", 100), ("2026-05-01", -300)], 0),
]


def changes(said: Sequence[Change]) -> list[Data]:
    return [endorsed(FIRST, yuan * 100, on, f"E-{n}") for n, (on, yuan) in enumerate(said)]


@pytest.mark.parametrize(("said", "points"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_of_the_cover_added_is_there_is_rewarded_in_any_order_of_arrival(
    rules: Programme, said: list[Change], points: int
) -> None:
    for order in permutations(changes(said)):
        world = World(rules)
        world.hear(issued(FIRST))
        for event in (*order, *order):
            world.hear(event, "2026-08-01")
        assert world.points() == (0, points, 0)
        assert_books(world)


def test_what_was_added_on_the_latest_day_is_taken_away_first_whichever_was_numbered_first(world: World) -> None:
    """100 yuan as of June, then 40 as of May, less 60 as of July: of June's 40 are left, and May's are whole."""
    world.hear(issued(FIRST))
    for event in changes([("2026-06-01", 100), ("2026-05-01", 40), ("2026-07-01", -60)]):
        world.hear(event, "2026-08-01")
    assert [lot.standing for lot in world.accounts[M].lots.values()] == [80, 80]


def test_of_cover_taken_away_in_part_the_member_keeps_the_fraction(world: World) -> None:
    world.hear(issued(FIRST))
    world.hear(endorsed(FIRST, 10_050, "2026-03-01", "E-0"))
    world.hear(endorsed(FIRST, -3_333, "2026-05-01", "E-1"))
    assert world.points() == (0, 200 - 66, 0), "66.3 points are taken back floored"


def test_where_no_payment_was_seen_a_refund_goes_by_what_the_term_cost_before_it(world: World) -> None:
    world.hear(issued(FIRST))
    world.hear(endorsed(FIRST, 10_000))
    world.hear(refunded(FIRST, 25_000, "2026-07-01"))
    assert world.points() == (0, 100, 0), "half of CNY 500.00"


def test_whoever_spent_them_owes_them_until_the_cover_is_added_again(world: World) -> None:
    first, less, again = changes([("2026-03-01", 100), ("2026-05-01", -100), ("2026-07-01", 100)])
    world.hear(issued(FIRST))
    world.hear(first)
    spend(world, 200, "2026-04-01")
    world.hear(less)
    assert world.points() == (0, 0, 200)
    world.hear(again)
    assert world.points() == (0, 0, 0)


def test_the_money_that_came_back_with_the_cover_takes_nothing_of_what_was_added_again(world: World) -> None:
    """Sold for 500, +100, -100 and its money back, +100: 600 paid for what stands, and 200 for the 100 yuan that were added."""
    world.hear(issued(FIRST))
    world.hear(paid(FIRST, 50_000))
    for n, event in enumerate(changes([("2026-03-01", 100), ("2026-05-01", -100), ("2026-07-01", 100)])):
        world.hear(event)
        if n != 1:
            world.hear(paid(FIRST, 10_000, "2026-03-01" if n == 0 else "2026-07-01", n=n + 2))
        else:
            world.hear(refunded(FIRST, 10_000, "2026-05-01"))
    premium = 500 - 500 * 100 // 700 + 2 * (100 - 100 * 100 // 700)
    assert world.points() == (0, premium + 200, 0)


def test_a_tier_heard_years_later_does_not_bring_back_what_was_taken_away(world: World) -> None:
    world.hear(issued(FIRST))
    for event in changes([("2026-03-01", 100), ("2026-05-01", -100)]):
        world.hear(event)
    for no in range(2, 6):
        world.hear(issued(term(no), f"{2025 + no}-01-01"))
    world.hear(tiers(("2026-01-01", "gold")), "2030-02-01")
    assert [lot.standing for lot in world.accounts[M].lots.values()] == [0], "nor what has expired since"


def test_what_was_added_before_endorsements_were_remembered_is_known_by_its_lot(world: World) -> None:
    first, less, again = changes([("2026-03-01", 100), ("2026-05-01", -60), ("2026-07-01", 60)])
    world.hear(issued(FIRST))
    world.hear(first)
    account = world.accounts[M]
    terms = {key: replace(known, endorsed={}) for key, known in account.memory.terms.items()}
    world.accounts[M] = replace(account, memory=replace(Memory(), terms=terms))
    world.hear(less)
    assert world.points() == (0, 80, 0)
    world.hear(again)
    assert world.points() == (0, 200, 0)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.lists(st.tuples(st.integers(1, 300), st.integers(-90, 90).filter(bool)), min_size=1, max_size=7))
def test_all_increases_together_are_worth_what_the_premium_stands_above_its_sale(
    data: st.DataObject, found: list[tuple[int, int]]
) -> None:
    said = [(D("2026-01-01").replace(month=1 + day // 28, day=1 + day % 28).isoformat(), yuan) for day, yuan in found]
    world = World(RULES(PROGRAMME_DIR))
    world.hear(issued(FIRST))
    for event in data.draw(st.permutations(changes(said))):
        world.hear(event, "2026-12-20")
        assert_books(world)
    assert world.points() == (0, 2 * max(0, sum(yuan for _, yuan in said)), 0)
