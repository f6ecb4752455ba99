"""On which day the journal counts what is heard late: nothing leaves a lot before it was there, and nothing is over twice."""

from datetime import date, timedelta
from typing import Any

import pytest
from points_ledger import audit, statement
from points_ledger.commands import CaptureHold, PlaceHold, ReleaseHold
from points_ledger.liability import report
from points_ledger.rules.account import Transfer
from points_ledger.service import SERVICE
from points_ledger.statement import Filter
from tenure.contracts.event import Data
from tenure.contracts.points import PointsExpired
from tenure.settings import Settings
from tenure.spine.transact import Item
from tenure.testing import Under, under_test

from .world import WALL, D, M, World, cancelled, did, paid, term, uncancelled

Story = list[tuple[str, Data]]
"""What is heard on which day."""
CHECKED: Data = did("check_up", "2026-04-01", activity_id="A-1")
COOLING = term(cooling_off_end=D("2026-01-16"))


def placed(points: int) -> Data:
    return PlaceHold(hold_id="H-1", member_id=M, wallet="points", points=points, reference="O-1", expires_at=WALL)


SPENT: Story = [("2026-01-01", paid(term())), ("2026-02-01", placed(500)), ("2026-02-01", CaptureHold(hold_id="H-1"))]
STORIES: dict[str, tuple[Story, list[tuple[str, int, str]]]] = {
    "points reserved beyond their last day expire on the day they are set free": (
        [("2026-04-01", CHECKED), ("2028-04-20", placed(500)), ("2028-05-10", ReleaseHold(hold_id="H-1"))],
        [("expire", 500, "2028-05-10")],
    ),
    "a cancellation of March, heard in May, takes April's points as of April": (
        [*SPENT, ("2026-04-01", CHECKED), ("2026-05-01", cancelled(term(), "2026-03-01", "flat"))],
        [("reverse", 500, "2026-04-01")],
    ),
    "and gives them back on the day it is taken back": (
        [*SPENT, ("2026-04-01", CHECKED), ("2026-05-01", cancelled(term(), "2026-03-01", "flat")),
         ("2026-06-01", uncancelled(term(), "2026-06-01"))],
        [("reverse", 500, "2026-04-01"), ("restore", 500, "2026-06-01")],
    ),
    "but on no day before they were there, as of whichever it is taken back": (
        [*SPENT, ("2026-04-01", CHECKED), ("2026-05-01", cancelled(term(), "2026-03-01", "flat")),
         ("2026-06-01", uncancelled(term(), "2026-03-05"))],
        [("reverse", 500, "2026-04-01"), ("restore", 500, "2026-04-01")],
    ),
    "its own points are pending again from the day it stands again": (
        [("2026-01-01", paid(COOLING)), ("2026-01-10", cancelled(COOLING, "2026-01-10")),
         ("2026-01-20", uncancelled(COOLING, "2026-01-12"))],
        [("reverse", 500, "2026-01-10"), ("restore", 500, "2026-01-12")],
    ),
    "what expired unused is taken out of that on no day before": (
        [("2026-01-01", paid(term())), ("2028-02-01", did("quiz", "2028-02-01")),
         ("2028-03-01", cancelled(term(), "2028-01-15", "flat"))],
        [("expire", 500, "2028-02-01"), ("reverse", 500, "2028-02-01")],
    ),
    "given back when it is over, it expires that day once more": (
        [("2026-01-01", paid(term())), ("2028-02-01", did("quiz", "2028-02-01")),
         ("2028-03-01", cancelled(term(), "2028-01-15", "flat")), ("2028-03-10", uncancelled(term(), "2028-03-10"))],
        [("expire", 500, "2028-02-01"), ("reverse", 500, "2028-02-01"), ("restore", 500, "2028-03-10"),
         ("expire", 500, "2028-03-10")],
    ),
    "and on no day before it was over, as of whichever it is given back": (
        [("2026-01-01", paid(term())), ("2028-02-01", did("quiz", "2028-02-01")),
         ("2028-03-01", cancelled(term(), "2028-01-15", "flat")), ("2028-03-10", uncancelled(term(), "2028-01-20"))],
        [("expire", 500, "2028-02-01"), ("reverse", 500, "2028-02-01"), ("restore", 500, "2028-02-01"),
         ("expire", 500, "2028-02-01")],
    ),
}  # fmt: skip
SHOWN = {"expire", "reverse", "restore"}


@pytest.mark.parametrize(("story", "dated"), STORIES.values(), ids=STORIES)
def test_the_journal_counts_it_on_a_day_on_which_it_could_be(
    world: World, story: Story, dated: list[tuple[str, int, str]]
) -> None:
    for on, data in story:
        world.hear(data, on)
    journal = [row for row in world.rows if isinstance(row, Transfer)]
    assert [(row.kind, row.amount, str(row.effective)) for row in journal if row.kind in SHOWN] == dated
    assert [str(told.effective) for told in world.of(PointsExpired)] == [
        on for kind, _, on in dated if kind == "expire"
    ]


@pytest.mark.parametrize("story", [story for story, _ in STORIES.values()], ids=STORIES)
async def test_a_report_for_any_day_adds_up_and_a_statement_of_any_days_is_never_below_nothing(
    settings: Settings, story: Story
) -> None:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        world = World(t.door.programme)
        for on, data in story:
            (outcome,) = await t.door.transact([Item(world.event(data, on))])
            assert outcome.wrong is None
        await t.day(D("2028-06-30"))
        for day in sorted({D(on) + timedelta(n) for on, _ in story for n in (-1, 0, 15)}):
            await must_be_of_its_day(t, day)
        whole = await statement.whole(t.pool, M, Filter(wallet="points"))
        assert whole is not None
        assert min(line.balance for line in whole.lines if "debt" not in (line.debit, line.credit)) >= 0
        assert {name for name, holds in (await audit.verify(t.pool)).items() if not holds} == set()


async def must_be_of_its_day(t: Under, day: date) -> Any:
    known_at = await t.pool.fetchval("SELECT clock_timestamp()")
    for v in (await report(t.pool, day, known_at, points_per_cny=100)).vintages:
        assert v.month <= day, "what was earned in a month to come is no part of it"
        parts = (v.granted, v.redeemed, v.expired, v.reversed, v.repaid, v.deducted, v.outstanding, v.pending)
        assert min(parts) >= 0, (day, v)
        assert v.granted - sum(parts[1:6]) == v.outstanding + v.pending, (day, v)
