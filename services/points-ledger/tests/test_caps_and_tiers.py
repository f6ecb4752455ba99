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
from points_ledger.service import SERVICE
from tenure.contracts.event import Data
from tenure.contracts.points import PointsGranted
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Campaign, Cap, Window
from tenure.settings import Settings
from tenure.testing import Under, under_test

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


# --- on PostgreSQL, where what is long over is not read any more ---


async def spend(t: Under, points: int, hold_id: str) -> None:
    order = {"member_id": M, "points": points, "hold_id": hold_id}
    assert (await t.http.post("/v1/holds", json=order, headers=t.auth("service"))).status_code == 201
    assert (await t.http.post(f"/v1/holds/{hold_id}/capture", headers=t.auth("service"))).status_code == 200


@pytest.mark.parametrize("forgotten", ["the first lot", "its top-up"])
async def test_a_tier_tops_up_nothing_of_which_a_part_is_forgotten(
    settings: Settings, rules: Programme, forgotten: str
) -> None:
    """A quiz of 10 points and 20 of a campaign's budget. One of the two lots is spent, and long forgotten when a tier is heard of."""
    may = Window(start=D("2026-05-01"), end=D("2026-06-01"))
    quizzes = Campaign(code="may", window=may, percent=300, rules=frozenset({"quiz"}), budget_points_max=1_000)
    budgeted = under_rules(rules, campaigns=(quizzes,))
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"}), budgeted) as t:
        await t.feed(did("quiz", "2026-05-01"))
        await t.day(D("2026-05-02"))
        assert await t.pool.fetchval("SELECT points_available FROM accounts") == 30
        await spend(t, 10, "H-1")
        if forgotten == "its top-up":
            await spend(t, 20, "H-2")
            await t.http.post("/v1/holds/H-1/refund", headers=t.auth("service"))
        await t.feed(did("article", "2028-04-14"))
        before = await t.pool.fetchval("SELECT points_available FROM accounts")
        await t.emitted()
        await t.feed(GOLD, at=D("2028-04-15"))
        assert await t.emitted(PointsGranted) == []
        assert await t.pool.fetchval("SELECT points_available FROM accounts") == before
