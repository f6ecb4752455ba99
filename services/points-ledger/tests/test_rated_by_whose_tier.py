"""What came with a merger is rated by the survivor's tiers, and what went back by its own, whichever is read first: the tiers or the merger.

A renewal of 300 of a customer without a tier, of silver (110 %), or of diamond (150 %), who turns out to be somebody of another.
"""

from itertools import permutations

import pytest
from msgspec.structs import replace
from tenure.contracts.event import Data
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Cap
from tenure.contracts.tier import TierChanged

from .test_against_the_model import assert_books
from .world import D, M, World, did, renewed, term, tiers, under_rules

OTHER = "M-2"
RENEWAL = renewed(term(2, policy_no="P-2", member_id=OTHER), "2026-12-20")
MERGED = CustomerMerged(member_id=M, merged_id=OTHER, effective=D("2026-12-21"))
PARTED = CustomerUnmerged(member_id=M, survivor_id=M, merged_id=OTHER, effective=D("2026-12-24"))
FAREWELL = tiers(member_id=OTHER)


def of(tier: str, member: str = M) -> TierChanged:
    return tiers(("2026-01-01", tier), member_id=member)


def lived(world: World, *told: Data) -> World:
    for data in told:
        world.hear(data, max(D("2026-12-21"), world.event(data, "2026-12-21").day))
        assert_books(world, told_all=False)
    return world


@pytest.mark.parametrize(
    ("survivor", "given_up", "united", "points"),
    [
        ("diamond", "basic", (), 450),
        ("diamond", "silver", (), 450),
        ("basic", "diamond", (of("diamond"),), 450),
        ("silver", "silver", (), 330),
    ],
)
def test_the_united_persons_tier_counts(
    rules: Programme, survivor: str, given_up: str, united: tuple[Data, ...], points: int
) -> None:
    """tier-engine tells the survivor's tiers if they change, and that the other number never had any."""
    for order in permutations((MERGED, FAREWELL, *united)):
        world = World(rules)
        world.hear(of(survivor), "2026-01-02")
        world.hear(of(given_up, OTHER), "2026-01-02")
        world.hear(RENEWAL)
        lived(world, *order)
        assert world.points() == (0, points, 0), order


@pytest.mark.parametrize(("tier", "points"), [("basic", 300), ("silver", 330)])
def test_parted_it_is_their_own_tier_again(rules: Programme, tier: str, points: int) -> None:
    """tier-engine tells the number its tiers anew, as they were."""
    own = of(tier, OTHER)
    for order in permutations((PARTED, own)):
        world = World(rules)
        world.hear(own, "2026-01-02")
        world.hear(RENEWAL)
        lived(world, MERGED, FAREWELL, of("diamond"))
        assert world.points() == (0, 450, 0)
        lived(world, *order)
        assert (world.points(), world.points(OTHER)) == ((0, 0, 0), (0, points, 0)), order


def test_two_who_used_up_a_cap_keep_what_each_had_when_a_tier_is_told(rules: Programme) -> None:
    cap = Cap(code="health", rules=frozenset({"quiz"}), per="month", points_max=10)
    world = World(under_rules(rules, caps=(cap,)))
    for member in (M, OTHER):
        world.hear(replace(did("quiz", "2026-12-20"), member_id=member))
    lived(world, MERGED, of("diamond"))
    assert world.points() == (0, 20, 0)
    lived(world, did("quiz", "2026-12-21"))
    assert world.points() == (0, 20, 0), "together they have more than enough"
    lived(world, PARTED)
    assert (world.points(), world.points(OTHER)) == ((0, 10, 0), (0, 10, 0))
