"""What will expire is told once, whenever the programme changes how long before: 510 points that end on 1 February 2028.

| notice | changed | to | the account | told on |
| --- | --- | --- | --- | --- |
| 30 days | | | | 2 January |
| 30 days | 10 December | 60 | lives on that day | 10 December: 53 days are left |
| 30 days | 10 December | 60 | lives on the 20th | 20 December |
| 30 days | 10 December | 60 | lives when it would have been told before | 2 January |
| 30 days | 1 November | 60 | | 3 December |
| 60 days | 10 December | 30 | | 3 December, and not again |
| 60 days | 1 November | 30 | | 2 January |
| 30 days | 10 December, and 20 December | 60, 10 | | 10 December |
"""

from datetime import date, timedelta

import pytest
from msgspec.structs import replace
from points_ledger.rules.notices import notices_of, told_on
from tenure.contracts.points import PointsExpiring
from tenure.contracts.programme import EarningRules, Programme, Versions

from .world import D, M, World, did

ENDS = D("2028-02-01")
Change = tuple[str, int]


def under(rules: Programme, days: int, *changes: Change) -> Programme:
    """The programme with so many days' notice at first, and others since."""
    first = replace(rules.earning.newest, expiring_notice_days=days)
    versions = [first]
    for on, more in changes:
        number = versions[-1].version + 1
        versions.append(replace(first, expiring_notice_days=more, effective=D(on), version=number))
    return Programme(**{**vars(rules), "earning": Versions(versions)})


def told(world: World) -> list[tuple[str, int, date]]:
    return [(str(one.effective), one.amount, one.expires_on) for one in world.of(PointsExpiring)]


CASES = [
    pytest.param(30, [], [], "2028-01-02", id="unchanged"),
    pytest.param(30, [("2027-12-10", 60)], ["2027-12-10"], "2027-12-10", id="longer: at once"),
    pytest.param(30, [("2027-12-10", 60)], ["2027-12-20"], "2027-12-20", id="longer: when something happens"),
    pytest.param(30, [("2027-12-10", 60)], ["2027-12-20", "2027-12-21"], "2027-12-20", id="longer: once"),
    pytest.param(30, [("2027-12-10", 60)], ["2028-01-02"], "2028-01-02", id="longer: as before at the latest"),
    pytest.param(30, [("2027-11-01", 60)], ["2027-11-02"], "2027-12-03", id="longer, in time"),
    pytest.param(60, [("2027-12-10", 30)], ["2027-12-03", "2027-12-10"], "2027-12-03", id="shorter: not again"),
    pytest.param(60, [("2027-11-01", 30)], ["2027-12-03"], "2028-01-02", id="shorter, in time"),
    pytest.param(30, [("2027-12-10", 60), ("2027-12-20", 10)], ["2027-12-10"], "2027-12-10", id="longer and shorter"),
]


def lived(world: World, *days: str) -> None:
    """Each day the calendar brings by itself, and the days on which something happens besides."""
    for n in range(400):
        day = D("2027-01-10") + timedelta(n)
        due = world.accounts[M].due_on
        if str(day) in days or (due is not None and due <= day):
            world.day(day)


@pytest.mark.parametrize("known", [True, False], ids=["published long before", "published when it comes"])
@pytest.mark.parametrize(("days", "changes", "lives", "on"), CASES)
def test_each_is_told_once(
    rules: Programme, days: int, changes: list[Change], lives: list[str], on: str, known: bool
) -> None:
    world = World(under(rules, days, *(changes if known else ())))
    world.hear(did("check_up", "2026-01-10"))
    world.hear(did("quiz", "2026-01-20"))
    world.programme = under(rules, days, *changes)
    lived(world, *lives)
    if known:  # the account knew beforehand when it is due
        on = str(told_on(notices_of(world.programme.earning), ENDS))
    assert told(world) == [(on, 510, ENDS)]


def test_a_longer_notice_finds_several_dates_inside_at_once(rules: Programme) -> None:
    world = World(under(rules, 30))
    for month in ("2026-01-10", "2026-02-10"):
        world.hear(did("quiz", month))
    world.programme = under(rules, 30, ("2027-12-20", 90))
    world.day("2027-12-20")
    assert told(world) == [("2027-12-20", 10, ENDS), ("2027-12-20", 10, D("2028-03-01"))]


@pytest.mark.parametrize("ends", [ENDS + timedelta(n) for n in range(-90, 91, 7)])
@pytest.mark.parametrize(
    "changes", [[], [("2027-12-10", 60)], [("2027-12-10", 5)], [("2027-12-10", 90), ("2028-01-05", 7)]]
)
def test_the_first_day_within_the_notice_of_that_day(rules: Programme, changes: list[Change], ends: date) -> None:
    """By counting days, one by one."""
    earning: Versions[EarningRules] = under(rules, 30, *changes).earning
    day = ends - timedelta(400)
    while (ends - day).days > earning.at(day).expiring_notice_days:
        day += timedelta(1)
    assert told_on(notices_of(earning), ends) == day
