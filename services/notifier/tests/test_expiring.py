"""Points about to expire, decided at midnight for the morning, and what the night spends of them."""

from datetime import date

import pytest
from tenure.contracts import points
from tenure.contracts.programme import Programme

from .cast import D, M, at
from .test_rules import Desk

APRIL, MAY = date(2026, 4, 1), date(2026, 5, 1)


def expiring(amount: int, on: date = APRIL) -> points.PointsExpiring:
    return points.PointsExpiring(member_id=M, wallet="points", amount=amount, effective=D, expires_on=on)


def held(amount: int, wallet: points.Wallet = "points") -> points.PointsHeld:
    return points.PointsHeld(member_id=M, wallet=wallet, amount=amount, effective=D, hold_id="h")


def released(amount: int) -> points.PointsReleased:
    return points.PointsReleased(
        member_id=M, wallet="points", amount=amount, effective=D, hold_id="h", reason="requested"
    )


def refunded(amount: int) -> points.PointsRefunded:
    return points.PointsRefunded(member_id=M, wallet="points", amount=amount, effective=D, hold_id="h")


@pytest.mark.parametrize(
    ("in_the_night", "left"),
    [
        ([], 500),
        ([held(200)], 300),
        ([held(500)], None),
        ([held(900)], None),  # the rest came from lots that live longer
        ([held(500), released(500)], 500),
        ([held(500), released(120)], 120),  # captured for less than was held
        ([held(200), refunded(900)], 500),  # an order of long ago was given back, too: not more than expires
        ([held(500, "growth")], 500),
    ],
)
def test_by_the_morning_it_says_how_many_are_left(
    rules: Programme, in_the_night: list[points.PointsEvent], left: int | None
) -> None:
    desk = Desk(rules).hears(expiring(500), at(0))
    for moved in in_the_night:
        desk.hears(moved, at(6))
    texts = [t.text_en for t in desk.tells()]
    assert texts == ([f"{left} points expire at the start of 2026-04-01; use them in time."] if left else [])
    assert desk.why_not() == ([] if left else [("points_expiring", "superseded")])


def test_what_expires_first_is_spent_first_and_comes_back_last(rules: Programme) -> None:
    desk = Desk(rules).hears(expiring(500), at(0)).hears(expiring(300, MAY), at(0))
    desk.hears(held(700), at(5)).hears(released(250), at(6))
    assert [t.text_en.partition(";")[0] for t in desk.tells()] == [
        "50 points expire at the start of 2026-04-01",
        "300 points expire at the start of 2026-05-01",
    ]


def test_what_is_spent_later_takes_nothing_back(rules: Programme) -> None:
    desk = Desk(rules).hears(expiring(500), at(0)).hears(held(500), at(9))
    assert [t.text_en.partition(" ")[0] for t in desk.tells()] == ["500"]
