"""A cancellation recorded on one day and effective earlier, with instalments before and after both: in whatever order the facts came.

What an insurance person expects of a term of CNY 365.00 (1 point per CNY), cancelled on 1 July with effect from 11 April (day 100), so
that CNY 265.00 is given back:

| what | dated | stays |
| --- | --- | --- |
| one payment of 365.00 | before the end | 100 |
| one payment of 365.00 | after the end, before the cancellation was recorded | 100: it was paid, and is refunded like any other |
| two payments, 200.00 before and 165.00 after the end | | each loses 265/365, floored: 200 - 145 and 165 - 119 |
| no refund yet | | 365: a cancellation alone takes nothing |
| cover added from a day after the end | after | none: it never began; its price is in the refund |
| a completed year, a year without a claim | after the end | none: it was not completed |
| the cancellation is reversed | | all: its refunds are as if never made; one made before its day stays |
"""

import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tenure import programme
from tenure.contracts import policy
from tenure.contracts.programme import Programme
from tenure.testing import PROGRAMME_DIR

from .test_against_the_model import assert_books
from .world import D, M, World, anniversary, endorsed, issued, no_claim_year, renewed, term

WHOLE = term(premium_fen=36_500)
END, RECORDED = D("2026-04-11"), D("2026-07-01")
ENDED = replace(WHOLE, status="cancelled", end=END, covers=((WHOLE.start, END),), premium_fen=10_000)
RULES = cache(programme.load)
Said = tuple[str, date, int]
"""(what, when the core recorded it, fen)"""


def heard(world: World, said: Sequence[Said]) -> None:
    """Facts as policy-sync tells them: each with the term after all that came so far, in domain order, and the next version."""
    known: list[Said] = []
    for version, one in enumerate(said, 2):
        known.append(one)
        world.hear(_event(one, len(known), replace(_term(known), version=version)), one[1])


def _term(known: list[Said]) -> policy.Term:
    ordered = [what for what, _, _ in sorted(known, key=lambda one: one[1]) if what in ("cancelled", "uncancelled")]
    return ENDED if ordered[-1:] == ["cancelled"] else WHOLE


def _event(said: Said, no: int, of: policy.Term) -> policy.TermEvent:
    what, day, fen = said
    about: dict[str, Any] = {"member_id": M, "term": of}
    match what:
        case "paid":
            return policy.PremiumPaid(**about, effective=day, amount_fen=fen, instalment_no=no)
        case "refunded":
            return policy.PremiumRefunded(**about, effective=day, amount_fen=fen)
        case "cancelled":
            return policy.PolicyCancelled(**about, effective=END, kind="mid_term")
    return policy.CancellationReversed(**about, effective=END)


def kept(said: Sequence[Said]) -> int:
    """The plain model: each payment's points, less its share of what was given back and stands."""
    paid = [fen for what, _, fen in said if what == "paid"]
    taken_on = next((day for what, day, _ in said if what == "cancelled"), date.max)
    again_on = next((day for what, day, _ in said if what == "uncancelled"), None)
    back = sum(
        fen
        for what, day, fen in said
        if what == "refunded" and not (again_on is not None and taken_on <= day <= again_on)
    )
    return sum(fen // 100 - fen // 100 * min(back, sum(paid)) // sum(paid) for fen in paid)


CANCELLED: Said = ("cancelled", RECORDED, 0)
BACK: Said = ("refunded", D("2026-07-05"), 26_500)
AGAIN: Said = ("uncancelled", D("2026-08-01"), 0)
TABLE: list[tuple[str, list[Said], int]] = [
    ("paid before the end", [("paid", D("2026-01-01"), 36_500), CANCELLED, BACK], 100),
    ("paid after the end", [("paid", D("2026-05-01"), 36_500), CANCELLED, BACK], 100),
    ("paid after it was recorded", [CANCELLED, ("paid", D("2026-07-02"), 36_500), BACK], 100),
    ("in halves", [("paid", D("2026-01-01"), 20_000), ("paid", D("2026-05-01"), 16_500), CANCELLED, BACK], 55 + 46),
    ("no refund yet", [("paid", D("2026-05-01"), 36_500), CANCELLED], 365),
    ("all given back", [("paid", D("2026-05-01"), 36_500), CANCELLED, ("refunded", D("2026-07-05"), 36_500)], 0),
    ("reversed", [("paid", D("2026-05-01"), 36_500), CANCELLED, BACK, AGAIN], 365),
    (
        "reversed, but a rebate of before stays",
        [("paid", D("2026-01-01"), 36_500), ("refunded", D("2026-03-01"), 3_650), CANCELLED, BACK, AGAIN],
        365 - 36,
    ),
    (
        "reversed, and refunded after it",
        [("paid", D("2026-01-01"), 36_500), CANCELLED, BACK, AGAIN, ("refunded", D("2026-09-01"), 7_300)],
        365 - 73,
    ),
]


def arrivals(said: Sequence[Said]) -> Iterator[list[Said]]:
    """Every order but one in which a cancellation is reversed before it is known: policy-sync waits for it."""

    def placed(left: list[Said], so_far: list[Said]) -> Iterator[list[Said]]:
        if not left:
            yield so_far
        for one in left:
            if one != AGAIN or CANCELLED in so_far:
                yield from placed([other for other in left if other is not one], [*so_far, one])

    return placed(list(said), [])


@pytest.mark.parametrize(("said", "points"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_stays_of_a_term_cut_short_in_any_order_of_arrival(
    rules: Programme, said: list[Said], points: int
) -> None:
    assert kept(said) == points, "the table and the plain model agree"
    for order in arrivals(said):
        world = World(rules)
        world.hear(issued(WHOLE))
        heard(world, order)
        world.day("2026-12-01")
        assert world.points() == (0, points, 0), [what for what, _, _ in order]


def test_what_never_came_and_what_was_bought(rules: Programme) -> None:
    """After the end nothing is completed and no cover begins; a renewal that was signed late was bought for all its days."""
    cut = replace(ENDED, version=9)
    for event, left in (
        (endorsed(WHOLE, 10_000, "2026-05-01"), 0),
        (endorsed(WHOLE, 10_000, "2026-04-01"), 200 - 200 * 26_500 // 36_500),
        (anniversary(1, "2026-05-01"), 0),
        (no_claim_year(1, "2026-05-01"), 0),
        (renewed(WHOLE, "2026-05-01"), 273 - 273 * 26_500 // 36_500),
    ):
        world = World(rules)
        heard(world, [("paid", D("2026-01-01"), 36_500)])
        world.hear(event, "2026-05-01")
        world.hear(policy.PolicyCancelled(member_id=M, term=cut, effective=END, kind="mid_term"), RECORDED)
        world.hear(policy.PremiumRefunded(member_id=M, term=cut, effective=RECORDED, amount_fen=26_500), RECORDED)
        assert world.points() == (0, 100 + left, 0), event


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Said], list[Said]]:
    """A term's money in order of time, and some order in which it arrives."""
    said: list[Said] = [
        ("paid", WHOLE.start + timedelta(draw(st.integers(0, 300))), draw(st.integers(100, 60_000)))
        for _ in range(draw(st.integers(1, 5)))
    ]
    said += [
        ("refunded", WHOLE.start + timedelta(draw(st.integers(0, 300))), draw(st.integers(1, 40_000)))
        for _ in range(draw(st.integers(0, 3)))
    ]
    if draw(st.booleans()):
        said.append(CANCELLED)
        said += [AGAIN] if draw(st.booleans()) else []
    order = draw(st.permutations(said))
    if AGAIN in order and order.index(AGAIN) < order.index(CANCELLED):
        i, j = order.index(AGAIN), order.index(CANCELLED)
        order[i], order[j] = order[j], order[i]
    return said, list(order)


@settings(
    deadline=None,
    max_examples=int(os.environ.get("TENURE_LEDGER_EXAMPLES", "60")),
    suppress_health_check=[HealthCheck.too_slow],
)
@given(histories(), st.sets(st.integers(0, 6), max_size=3))
def test_any_history_arriving_in_any_order_is_worth_what_the_plain_model_says(
    found: tuple[list[Said], list[Said]], ticks: set[int]
) -> None:
    said, order = found
    world = World(RULES(PROGRAMME_DIR))
    world.hear(issued(WHOLE))
    for n in range(len(order)):
        if n in ticks:
            world.day(WHOLE.start + timedelta(100 * n))
    heard(world, order)
    world.day("2026-12-31")
    assert_books(world)
    assert world.points() == (0, kept(said), 0)
