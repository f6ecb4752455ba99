"""A cap over a rule with a tier multiplier, and a tier that is heard of after the fact: the tier adds what the cap has left.

| a renewal of 400, and | the cap a year | gold (120 %) heard | comes to |
| --- | --- | --- | --- |
| nothing else | 1,000 | in time, or late | 480 |
| nothing else | 450 | in time, or late | 450 |
| a check-up of 500 | 1,000 | late | 480 and 500 |
| a check-up of 500 | 900 | late | 400 and 500: the check-up took the rest |
| a check-up of 500 | 900 | in time | 480 and 420 |
"""

from itertools import permutations

import pytest
from tenure.contracts.event import Data
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Cap

from .world import D, M, World, cancelled, did, refunded, renewed, term, tiers, uncancelled, under_rules

GOLD = tiers(("2026-01-01", "basic"), ("2026-06-01", "gold"))
SILVER = tiers(("2026-01-01", "basic"), ("2026-06-01", "silver"))
RENEWAL = renewed(term(2, premium_fen=100_000), "2026-12-20")  # 200 + 20 % of 1,000
CHECK_UP = did("check_up", "2026-12-20")


def lived(rules: Programme, points_max: int, *told: Data) -> World:
    cap = Cap(code="yearly", rules=frozenset({"renewal", "check_up"}), per="year", points_max=points_max)
    world = World(under_rules(rules, caps=(cap,)))
    for data in told:
        world.hear(data, max(D("2026-12-20"), world.event(data).day))
    return world


def earned(world: World) -> tuple[int, ...]:
    """By the fact: what the renewal and the check-up come to."""
    lots = world.accounts[M].lots.values()
    return tuple(sum(lot.standing for lot in lots if lot.rule == rule) for rule in ("renewal", "check_up"))


@pytest.mark.parametrize(
    ("points_max", "told", "then"),
    [
        (1_000, (GOLD, RENEWAL), (480, 0)),
        (1_000, (RENEWAL, GOLD), (480, 0)),
        (450, (GOLD, RENEWAL), (450, 0)),
        (450, (RENEWAL, GOLD), (450, 0)),
        (400, (RENEWAL, GOLD), (400, 0)),
        (1_000, (RENEWAL, CHECK_UP, GOLD), (480, 500)),
        (900, (RENEWAL, CHECK_UP, GOLD), (400, 500)),
        (920, (RENEWAL, CHECK_UP, GOLD), (420, 500)),
        (900, (RENEWAL, GOLD, CHECK_UP), (480, 420)),
        (900, (GOLD, RENEWAL, CHECK_UP), (480, 420)),
    ],
)
def test_a_tier_heard_of_late_adds_what_the_cap_has_left(
    rules: Programme, points_max: int, told: tuple[Data, ...], then: tuple[int, int]
) -> None:
    world = lived(rules, points_max, *told)
    assert earned(world) == then
    capped = {lot.rule: lot.capped_by for lot in world.accounts[M].lots.values()}
    assert bool(capped["renewal"]) == (then[0] < 480)


def test_a_tier_that_is_corrected_gives_back_its_place(rules: Programme) -> None:
    assert earned(lived(rules, 950, RENEWAL, GOLD, SILVER, CHECK_UP)) == (440, 500)
    assert earned(lived(rules, 950, RENEWAL, GOLD, SILVER, CHECK_UP, GOLD)) == (450, 500)


def test_a_term_that_was_void_meanwhile_has_its_tier_when_it_stands_again(rules: Programme) -> None:
    second = term(2, premium_fen=100_000)
    told = [RENEWAL, cancelled(second, "2027-01-05", "flat"), GOLD, uncancelled(second, "2027-01-09")]
    assert earned(lived(rules, 1_000, *told)) == (480, 0)
    half = refunded(second, 50_000, "2027-01-05")
    assert earned(lived(rules, 1_000, RENEWAL, half, GOLD)) == earned(lived(rules, 1_000, RENEWAL, GOLD, half))


@pytest.mark.parametrize("points_max", [300, 480, 700, 900, 980, 2_000])
def test_in_whatever_order_the_cap_is_used_up_and_never_exceeded(rules: Programme, points_max: int) -> None:
    for told in permutations((RENEWAL, CHECK_UP, SILVER, GOLD)):
        if told.index(SILVER) < told.index(GOLD):
            world = lived(rules, points_max, *told)
            assert sum(earned(world)) <= min(points_max, 980)
            assert sum(earned(world)) == min(points_max, 980), told
