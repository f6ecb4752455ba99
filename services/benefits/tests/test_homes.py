"""Members move house: the patrols of the years in which they lived elsewhere stay what they were."""

from itertools import permutations

import pytest
from benefits_life import D, Life, M, issued, tiers, use
from tenure.contracts.benefit import BenefitEvent
from tenure.contracts.policy import CustomerRegistered

SHENZHEN, WUHAN = "440300", "420100"  # patrols of May and June, and of March and April
BEFORE = ["20170501", "20180501", "20190501"]


def moves_to(region, day):
    return CustomerRegistered(member_id=M, effective=D(day), region=region)


def patrols(life):
    """When each began that there ever was, and what became of it."""
    return {g: life.grant("seasonal_patrol", g).status for g in sorted(_began(life))}


def _began(life):
    ever = [*life.state.grants, *(f"{M}.{name}" for name in life.state.over)]
    return {name[-8:] for name in ever if ".seasonal_patrol." in name}


@pytest.fixture
def diamond(life):
    """Since the end of 2016, in Shenzhen, with the patrol of 2018 done."""
    life.then(issued(start="2016-01-01", region=SHENZHEN))
    life.then(tiers(("2016-12-01", "diamond")))
    life.day("2018-06-01")
    life.then(use("seasonal_patrol", "2018-06-01", period="20180501"))
    return life


@pytest.mark.parametrize(
    ("moved_on", "this_year"),
    [
        ("2020-03-15", ["20200301"]),  # Wuhan's patrol is still to be had
        ("2020-05-03", ["20200501"]),  # Wuhan's is over: Shenzhen's stands
        ("2020-10-02", ["20200501"]),
    ],
)
def test_a_move_changes_the_patrol_of_its_year_at_most(diamond, moved_on, this_year):
    diamond.day(moved_on)
    diamond.take()
    diamond.then(moves_to(WUHAN, moved_on))
    assert all(told.effective.year == 2020 for told in diamond.take(BenefitEvent))
    assert list(patrols(diamond)) == [*BEFORE, *this_year]
    assert patrols(diamond)["20180501"] == "used"
    diamond.day("2021-12-31")
    assert list(patrols(diamond)) == [*BEFORE, *this_year, "20210301"]


def test_moving_on_to_where_the_patrol_is_still_to_come_moves_it(diamond):
    diamond.then(moves_to(WUHAN, "2019-08-01"))
    diamond.day("2020-03-02")
    assert patrols(diamond)["20200301"] == "active"
    diamond.then(moves_to(SHENZHEN, "2020-04-10"))
    assert "20200301" not in patrols(diamond)
    diamond.day("2020-05-01")
    assert list(patrols(diamond)) == [*BEFORE, "20200501"]


def test_moves_that_are_heard_of_late_and_in_any_order_come_to_the_same_patrols(rules):
    moves = [moves_to(WUHAN, "2018-09-01"), moves_to(SHENZHEN, "2019-09-01"), moves_to(WUHAN, "2020-09-01")]
    found = set()
    for order in permutations(moves):
        life = Life(rules)
        life.then(issued(start="2016-01-01", region=SHENZHEN))
        life.then(tiers(("2016-12-01", "diamond")))
        for move in order:
            life.then(move, at="2020-10-01")
        life.day("2021-12-31")
        found.add(tuple(patrols(life)))
    assert found == {("20170501", "20180501", "20190301", "20200501", "20210301")}
