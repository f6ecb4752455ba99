"""A streak over the day on which its rule changes: by the rules of its last day, whichever day was told last; no day counts twice."""

from datetime import date, timedelta

import pytest
from msgspec.structs import replace
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.programme.earning import Rule

from .world import D, M, World, did

JULY = D("2026-07-01")
Streaks = list[tuple[str, str, int, int]]


def changed(rules: Programme, days: int, points: int) -> Programme:
    """Thirty days for 500 points until the end of June; then so many for so many."""
    old = rules.earning.newest

    def anew(rule: Rule) -> Rule:
        return rule if rule.streak is None else replace(rule, fixed=points, streak=replace(rule.streak, days=days))

    new = replace(old, version=2, effective=JULY, rules=tuple(anew(rule) for rule in old.rules))
    return Programme(
        tiers=rules.tiers, earning=Versions([old, new]), benefits=rules.benefits, catalogue=rules.catalogue, messages=rules.messages
    )  # fmt: skip


def streaks(world: World) -> Streaks:
    lots = world.accounts[M].lots.values()
    paid = (t for t in lots if t.rule == "steps_streak" and t.wallet == "points" and t.standing)
    return [(t.fact[5:], str(t.earned_on)[5:], t.granted, t.rules_version) for t in paid]


CASES: dict[str, tuple[str, int, int, int, Streaks]] = {
    "shorter: whole on the day of the change": ("2026-06-10", 42, 20, 300, [("06-10", "07-01", 300, 2), ("07-02", "07-21", 300, 2)]),
    "shorter, after one was paid": ("2026-06-01", 49, 20, 300, [("06-01", "06-30", 500, 1)]),
    "shorter, a full one after it": ("2026-06-01", 50, 20, 300, [("06-01", "06-30", 500, 1), ("07-01", "07-20", 300, 2)]),
    "longer: thirty days are not enough any more": ("2026-06-10", 39, 40, 900, []),
    "longer": ("2026-06-10", 40, 40, 900, [("06-10", "07-19", 900, 2)]),
    "longer, after one was paid": ("2026-06-01", 70, 40, 900, [("06-01", "06-30", 500, 1), ("07-01", "08-09", 900, 2)]),
}  # fmt: skip


@pytest.mark.parametrize("disorder", [1, 2, 5], ids=["in order", "by two", "by five"])
@pytest.mark.parametrize(("first", "walked", "days", "points", "paid"), CASES.values(), ids=CASES)
def test_a_streak_is_paid_by_the_rules_of_its_last_day(
    rules: Programme, first: str, walked: int, days: int, points: int, paid: Streaks, disorder: int
) -> None:
    world, today = World(changed(rules, days, points)), date.min
    told = [D(first) + timedelta(n) for n in range(walked)]
    for n in range(0, walked, disorder):
        told[n : n + disorder] = reversed(told[n : n + disorder])
    for day in told:
        today = max(today, day)
        world.hear(did("steps", day, 12_000), today)
    assert streaks(world) == paid


def test_a_corrected_day_breaks_the_streak_it_was_in_under_either_version(rules: Programme) -> None:
    world = World(changed(rules, 20, 300))
    for n in range(42):
        world.hear(did("steps", D("2026-06-10") + timedelta(n), 12_000))
    world.hear(did("steps", "2026-07-15", 9_000), "2026-07-21")
    assert streaks(world) == [("06-10", "07-01", 300, 2)]
