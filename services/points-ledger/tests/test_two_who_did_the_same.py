"""Two customers walked on one day and sat in one class; then they are held to be one person, and perhaps are two after all.

| both walked on the 1st and were in the class, | and are one; then | together | and two again |
| --- | --- | --- | --- |
| | nothing else | 120 | 60 and 60 |
| | a tier is told anew | 120 | 60 and 60 |
| | the day is reported once more, enough | 120 | 60 and 60 |
| | the day is reported once more, too few | 100 | 50 and 50 |
| | too few, and enough after all | 110: a day counts once | 60 and 50 |
| | the class is reported once more | 120 | 60 and 60 |
"""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from points_ledger.service import SERVICE
from tenure.contracts.event import Data
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Campaign, Window
from tenure.settings import Settings
from tenure.testing import under_test

from .test_against_the_model import assert_books
from .world import D, M, World, did, tiers, under_rules

OTHER, THIRD = "M-2", "M-3"
GOLD = tiers(("2026-01-01", "basic"), ("2026-04-01", "gold"))
ENOUGH, TOO_FEW = did("steps", "2026-05-01", 12_000), did("steps", "2026-05-01", 9_000)
CLASS = did("class", "2026-05-01", session_id="S-1", activity_id="c-1")


@pytest.fixture
def world(rules: Programme) -> World:
    return World(rules)


def both(world: World, *what: Data) -> None:
    for data in what:
        for member in (M, OTHER):
            world.hear(replace(data, member_id=member))  # type: ignore[call-arg]


def merged(on: str, survivor: str = M, given_up: str = OTHER) -> CustomerMerged:
    return CustomerMerged(member_id=survivor, merged_id=given_up, effective=D(on))


def parted(world: World, on: str, survivor: str = M, given_up: str = OTHER) -> None:
    world.hear(CustomerUnmerged(member_id=survivor, survivor_id=survivor, merged_id=given_up, effective=D(on)))


def has(world: World, *members: str) -> tuple[int, ...]:
    assert_books(world, told_all=False)
    return tuple(world.balance("points_available", member) for member in members)


@pytest.mark.parametrize(
    ("then", "together", "apart"),
    [
        ((), 120, (60, 60)),
        ((GOLD,), 120, (60, 60)),
        ((ENOUGH,), 120, (60, 60)),
        ((TOO_FEW,), 100, (50, 50)),
        ((TOO_FEW, ENOUGH), 110, (60, 50)),
        ((replace(CLASS, activity_id="c-2"),), 120, (60, 60)),
    ],
)
def test_each_keeps_what_they_did(world: World, then: tuple[Data, ...], together: int, apart: tuple[int, int]) -> None:
    both(world, ENOUGH, CLASS)
    world.hear(merged("2026-05-02"))
    for data in then:
        world.hear(data, "2026-05-03")
    assert has(world, M, OTHER) == (together, 0)
    parted(world, "2026-05-04")
    assert has(world, M, OTHER) == apart
    world.hear(replace(GOLD, retroactive=True), "2026-05-05")
    assert has(world, M, OTHER) == apart


def test_each_keeps_their_thirty_days(world: World) -> None:
    for n in range(30):
        both(world, did("steps", D("2026-05-01") + timedelta(n), 12_000))
    world.hear(merged("2026-06-01"))
    world.hear(GOLD, "2026-06-02")
    assert has(world, M) == (1_600,)
    parted(world, "2026-06-03")
    assert has(world, M, OTHER) == (800, 800)


def test_a_third_who_did_the_same_gets_theirs_back_by_whichever_way_it_came(world: World) -> None:
    both(world, ENOUGH, CLASS)
    world.hear(replace(CLASS, member_id=THIRD))
    world.hear(merged("2026-05-02", OTHER, THIRD))
    world.hear(merged("2026-05-03"))
    world.hear(GOLD, "2026-05-03")
    assert has(world, M) == (170,)
    parted(world, "2026-05-04")
    assert has(world, M, OTHER, THIRD) == (60, 110, 0)
    parted(world, "2026-05-05", OTHER, THIRD)
    assert has(world, M, OTHER, THIRD) == (60, 60, 50)


def test_what_a_tier_adds_later_goes_with_what_it_adds_to(rules: Programme) -> None:
    """A class of 50 counts by the tier: gold (120 %), heard of when three are one, makes it 60 for each, until they have their own tiers."""
    rated = (
        replace(rule, tier_multiplier=True) if rule.code == "class" else rule for rule in rules.earning.newest.rules
    )
    world = World(under_rules(rules, rules=tuple(rated)))
    for member in (M, OTHER, THIRD):
        world.hear(replace(CLASS, member_id=member))
    world.hear(merged("2026-05-02", OTHER, THIRD))
    world.hear(merged("2026-05-03"))
    for tier in (GOLD, tiers(("2026-01-01", "silver")), GOLD):
        world.hear(tier, "2026-05-04")
    assert has(world, M) == (180,)
    parted(world, "2026-05-05")
    assert has(world, M, OTHER) == (60, 100)
    world.hear(replace(GOLD, member_id=OTHER), "2026-05-06")
    assert has(world, M, OTHER) == (60, 120)
    parted(world, "2026-05-06", OTHER, THIRD)
    assert has(world, M, OTHER, THIRD) == (60, 60, 50)


async def test_a_budget_gives_each_their_share_and_the_ledger_still_verifies(
    settings: Settings, rules: Programme
) -> None:
    may = Window(start=D("2026-05-01"), end=D("2026-06-01"))
    double = Campaign(code="may", window=may, percent=200, rules=frozenset({"class"}), budget_points_max=1_000)
    budgeted = under_rules(rules, campaigns=(double,))
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"}), budgeted) as t:
        await t.feed(CLASS, replace(CLASS, member_id=OTHER))
        await t.feed(merged("2026-05-01"))
        await t.day(D("2026-05-02"))
        assert await t.pool.fetchval("SELECT points_available FROM accounts WHERE member_id = $1", M) == 200
        verified = await t.http.get("/v1/ledger/verify", headers=t.auth("operator"))
        assert set(verified.json().values()) == {True}, verified.json()
