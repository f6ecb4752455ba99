"""Reservations as an insurance person would ask about them: each line is a story, what was asked for, and what is there afterwards.

A member has 500 points of a check-up (over at the end of January 2028) and 100 of two classes (at the end of March 2028).
`there` is (available, held, spent, expired). The pure rules; PostgreSQL and REST have tests of their own.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.commands import CaptureHold, PlaceHold, RefundHold, ReleaseHold
from tenure.contracts import points as told
from tenure.contracts.decision import RefusedError
from tenure.contracts.policy import CustomerMerged
from tenure.contracts.programme import Programme

from .test_against_the_model import assert_books
from .world import D, M, World, anniversary, cancelled, did, no_claim_year, paid, served, term, uncancelled, under_rules

WALL = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def member(world: World) -> World:
    world.hear(did("check_up", "2026-01-10"))
    world.hear(did("class", "2026-03-01", session_id="S-1"))
    world.hear(did("class", "2026-03-02", session_id="S-2"))
    return world


def place(points: int, hold_id: str = "H-1", **more: Any) -> PlaceHold:
    whole = {"wallet": "points", "reference": "O-1", "expires_at": WALL, **more}
    return PlaceHold(hold_id=hold_id, member_id=M, points=points, **whole)


def capture(points: int | None = None, hold_id: str = "H-1") -> CaptureHold:
    return CaptureHold(hold_id=hold_id, points=points)


def release(hold_id: str = "H-1", **more: Any) -> ReleaseHold:
    return ReleaseHold(hold_id=hold_id, **more)


def refund(points: int | None = None, hold_id: str = "H-1") -> RefundHold:
    return RefundHold(hold_id=hold_id, points=points)


def there(world: World) -> tuple[int, int, int, int]:
    lots = [lot for lot in world.accounts[M].lots.values() if lot.wallet == "points"]
    return (
        world.balance("points_available"),
        world.balance("points_held"),
        sum(lot.spent for lot in lots) - sum(lot.granted for lot in lots if lot.rule == "refund_grace"),
        sum(lot.expired for lot in lots),
    )


TIMED_OUT = release(reason="timed_out")
STORIES: dict[str, tuple[list[tuple[str, Any]], tuple[int, int, int, int]]] = {
    "reserved": ([("2026-04-01", place(200))], (400, 200, 0, 0)),
    "reserved and spent": ([("2026-04-01", place(200)), ("2026-04-02", capture())], (400, 0, 200, 0)),
    "half of it spent, the rest set free": ([("2026-04-01", place(200)), ("2026-04-02", capture(80))], (520, 0, 80, 0)),
    "set free": ([("2026-04-01", place(200)), ("2026-04-02", release())], (600, 0, 0, 0)),
    "timed out": ([("2026-04-01", place(200)), ("2026-04-02", TIMED_OUT)], (600, 0, 0, 0)),
    "the timer comes after the capture: nothing happens": (
        [("2026-04-01", place(200)), ("2026-04-02", capture()), ("2026-04-02", TIMED_OUT)],
        (400, 0, 200, 0),
    ),
    "spent and given back": (
        [("2026-04-01", place(200)), ("2026-04-02", capture()), ("2026-04-03", refund())],
        (600, 0, 0, 0),
    ),
    "spent, and given back in two parts": (
        [("2026-04-01", place(200)), ("2026-04-02", capture()), ("2026-04-03", refund(50)), ("2026-04-04", refund(30))],
        (480, 0, 120, 0),
    ),
    "two reservations side by side": (
        [("2026-04-01", place(300)), ("2026-04-01", place(300, "H-2"))],
        (0, 600, 0, 0),
    ),
    "the last point of all": ([("2026-04-01", place(600)), ("2026-04-02", capture())], (0, 0, 600, 0)),
    "what is held does not expire under the reservation": (
        [("2028-01-20", place(500)), ("2028-02-10", did("quiz", "2028-02-10"))],
        (110, 500, 0, 0),
    ),
    "it can still be spent after its day": (
        [("2028-01-20", place(500)), ("2028-02-10", capture())],
        (100, 0, 500, 0),
    ),
    "set free after its day, it is over at once": (
        [("2028-01-20", place(500)), ("2028-02-10", release())],
        (100, 0, 0, 500),
    ),
    "half spent after its day, the rest is over": (
        [("2028-01-20", place(500)), ("2028-02-10", capture(200))],
        (100, 0, 200, 300),
    ),
    "given back after its day: thirty days of grace": (
        [("2028-01-20", place(500)), ("2028-01-21", capture()), ("2028-02-10", refund())],
        (600, 0, 0, 0),
    ),
    "given back on the very day it is over: thirty days of grace": (
        [("2028-01-20", place(500)), ("2028-01-21", capture()), ("2028-02-01", refund())],
        (600, 0, 0, 0),
    ),
    "and the grace ends": (
        [
            ("2028-01-20", place(500)),
            ("2028-01-21", capture()),
            ("2028-02-10", refund()),
            ("2028-03-12", did("quiz", "2028-03-12")),
        ],
        (110, 0, 0, 500),
    ),
}


@pytest.mark.parametrize(("steps", "expected"), STORIES.values(), ids=STORIES)
def test_what_is_there_after(member: World, steps: list[tuple[str, Any]], expected: tuple[int, int, int, int]) -> None:
    for day, step in steps:
        member.hear(step, day)
    assert there(member) == expected
    assert_books(member)


REFUSALS: dict[str, tuple[list[Any], Any, str]] = {
    "more than there is": ([], place(601), "insufficient_points"),
    "more than other reservations leave": ([place(400)], place(201, "H-2"), "insufficient_points"),
    "the same number again": ([place(100)], place(100), "hold_exists"),
    "more than one reservation may have": ([], place(1_000_001), "hold_too_large"),
    "captured twice": ([place(100), capture()], capture(), "hold_resolved"),
    "captured after it was set free": ([place(100), release()], capture(), "hold_resolved"),
    "captured after it timed out": ([place(100), TIMED_OUT], capture(), "hold_resolved"),
    "set free after it was captured": ([place(100), capture()], release(), "hold_resolved"),
    "set free twice": ([place(100), release()], release(), "hold_resolved"),
    "captured for more than it has": ([place(100)], capture(101), "hold_too_small"),
    "given back before it was captured": ([place(100)], refund(), "hold_not_captured"),
    "given back after it was set free": ([place(100), release()], refund(), "hold_not_captured"),
    "given back twice": ([place(100), capture(), refund()], refund(), "refund_too_large"),
    "given back for more than was captured": ([place(100), capture(60)], refund(61), "refund_too_large"),
    "given back for more than is left": ([place(100), capture(), refund(70)], refund(31), "refund_too_large"),
    "one that never was": ([], capture(hold_id="H-9"), "hold_resolved"),
}


@pytest.mark.parametrize(("before", "asked", "code"), REFUSALS.values(), ids=REFUSALS)
def test_what_is_refused_changes_nothing(member: World, before: list[Any], asked: Any, code: str) -> None:
    for step in before:
        member.hear(step, "2026-04-01")
    account, rows, said = member.accounts[M], len(member.rows), len(member.told)
    with pytest.raises(RefusedError) as refused:
        member.hear(asked, "2026-04-01")
    assert refused.value.code == code
    assert (member.accounts[M], len(member.rows), len(member.told)) == (account, rows, said)


def test_the_largest_reservation_and_the_last_day_of_a_refund(rules: Programme) -> None:
    """500 points at once and no more; given back until 10 days after they were reserved, and not on the eleventh."""
    world = World(under_rules(rules, hold_points_max=500, refundable_days_max=10))
    world.hear(did("check_up", "2026-01-10"))
    world.hear(did("class", "2026-03-01", session_id="S-1"))
    with pytest.raises(RefusedError, match="hold_too_large"):
        world.hear(place(501), "2026-04-01")
    world.hear(place(500), "2026-04-01")
    world.hear(capture(), "2026-04-05")
    world.hear(refund(100), "2026-04-11")
    with pytest.raises(RefusedError, match="hold_not_captured"):
        world.hear(refund(1), "2026-04-12")
    assert there(world) == (150, 0, 400, 0)


def test_it_is_told_why_points_were_set_free(member: World) -> None:
    for n, end in enumerate((release("H-0"), release("H-1", reason="timed_out"), capture(60, "H-2"))):
        member.hear(place(100, f"H-{n}"), "2026-04-01")
        member.hear(end, "2026-04-02")
    said = [(e.hold_id, e.amount, e.reason) for e in member.of(told.PointsReleased)]
    assert said == [("H-0", 100, "requested"), ("H-1", 100, "timed_out"), ("H-2", 40, "captured_less")]
    assert [member.accounts[M].holds[f"H-{n}"].state for n in range(3)] == ["released", "timed_out", "captured"]


def test_what_is_given_back_after_its_day_keeps_the_day_it_was_earned_on(member: World) -> None:
    for day, step in (("2028-01-20", place(500)), ("2028-01-21", capture()), ("2028-02-10", refund())):
        member.hear(step, day)
    (grace,) = [lot for lot in member.accounts[M].lots.values() if lot.rule == "refund_grace"]
    assert (grace.earned_on, grace.activates_on, grace.expires_on) == (
        D("2026-01-10"),
        D("2028-02-10"),
        D("2028-03-11"),
    )


def test_what_is_owed_in_one_wallet_blocks_no_other(member: World) -> None:
    """Who spent what a cancelled policy gave, and is an agent under the same number, too."""
    member.hear(paid(term(), 30_000), "2026-04-01")
    member.hear(place(900), "2026-04-02")
    member.hear(cancelled(replace(term(), version=2), "2026-04-03"), "2026-04-03")
    assert member.balance("points_debt") == 300
    member.hear(replace(served("mentoring", "2026-04-03"), agent_id=M))
    member.hear(place(100, "H-2", wallet="agent"), "2026-04-04")
    assert member.balance("agent_held") == 100


def test_a_debt_blocks_new_reservations_and_leaves_open_ones_alone(member: World) -> None:
    first = term(cooling_off_end=None)
    member.hear(paid(first, 30_000), "2026-04-01")
    member.hear(place(700), "2026-04-02")
    member.hear(place(200, "H-2"), "2026-04-02")
    member.hear(cancelled(replace(first, version=2), "2026-04-03"), "2026-04-03")
    assert member.balance("points_debt") == 300
    with pytest.raises(RefusedError, match="owed"):
        member.hear(place(1, "H-3"), "2026-04-04")
    member.hear(capture(), "2026-04-04")
    member.hear(release("H-2"), "2026-04-04")
    assert (there(member)[:3], member.balance("points_debt")) == ((0, 0, 700), 100), "what is set free repays first"
    assert [(e.amount, e.repaid_debt) for e in member.of(told.PointsReleased)] == [(200, 200)]
    assert_books(member)


def test_points_come_out_of_the_lot_that_ends_first_and_go_back_where_they_came_from(member: World) -> None:
    member.hear(place(550), "2026-04-01")
    assert [(no, points) for no, points in member.accounts[M].holds["H-1"].parts] == [(1, 500), (2, 50)]
    member.hear(capture(520), "2026-04-02")
    member.hear(refund(40), "2026-04-03")
    lots = member.accounts[M].lots
    assert (lots[1].spent, lots[2].spent) == (480, 0), "the last taken goes back first"
    kinds = [type(data) for data in member.told if isinstance(data, told.PointsEvent)][-4:]
    assert kinds == [told.PointsHeld, told.PointsCaptured, told.PointsReleased, told.PointsRefunded]


def test_of_one_expiry_what_was_earned_first_goes_first_whenever_it_was_heard_of(world: World) -> None:
    """A quiz of 20 January is told on its day, a check-up of the 10th two weeks late; both end with January 2028."""
    world.hear(did("quiz", "2026-01-20"))
    world.hear(did("check_up", "2026-01-10"), "2026-01-24")
    world.hear(place(505), "2026-02-01")
    taken = [(world.accounts[M].lots[no].rule, points) for no, points in world.accounts[M].holds["H-1"].parts]
    assert taken == [("check_up", 500), ("quiz", 5)]


@pytest.mark.parametrize("merged", [False, True], ids=["of one number", "one of a number given up"])
def test_of_one_expiry_and_one_day_what_came_first_goes_first(world: World, merged: bool) -> None:
    """A year without a claim and the anniversary of the same day; or that year, and a class of that day which comes with a merger."""
    if merged:
        world.hear(replace(did("class", "2027-01-01", session_id="S-1"), member_id="M-2"))
    world.hear(no_claim_year())
    world.hear(
        CustomerMerged(member_id=M, merged_id="M-2", effective=D("2027-01-02"))
        if merged
        else anniversary(1, "2027-01-01")
    )
    world.hear(place(310), "2027-01-03")
    taken = [(world.accounts[M].lots[no].rule, points) for no, points in world.accounts[M].holds["H-1"].parts]
    assert taken == [("no_claim_year", 300), ("class" if merged else "anniversary", 10)]


def test_what_returns_to_anothers_lot_is_told_as_what_its_own_fact_earned(member: World) -> None:
    """Else statistics by rule would drift with every cancellation that is taken back after its points were spent."""
    first = term(cooling_off_end=None)
    member.hear(paid(first, 30_000), "2026-04-01")
    member.hear(place(850), "2026-04-02")
    member.hear(capture(), "2026-04-02")
    member.hear(cancelled(replace(first, version=2), "2026-04-03"), "2026-04-03")
    assert member.balance("points_debt") == 250, "fifty were another rule's"
    member.hear(uncancelled(replace(first, version=3), "2026-04-04"), "2026-04-04")
    back = [(e.rule, e.entry_id, e.amount) for e in member.of(told.PointsGranted)[-2:]]
    assert back == [("premium", "M-1:6", 250), ("premium", "M-1:6", 50)]
    assert (there(member)[:3], member.balance("points_debt")) == ((50, 0, 850), 0)
    assert_books(member)
