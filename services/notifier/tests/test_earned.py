"""Points earned and taken back: what is told of both adds up, and what came and went before the morning is not told."""

from datetime import timedelta
from re import findall

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tenure.contracts import points
from tenure.contracts.programme import Programme
from tenure.programme import load
from tenure.testing import PROGRAMME_DIR

from .cast import D, at, earned, reversed_points
from .test_rules import NEXT, Desk

OWED_200 = "200 of them had been used and are owed: what is earned from now on repays them first."


def renewal(amount: int, *, lot: str = "L-1", of: str = "P-1/2") -> points.PointsGranted:
    return replace(earned("renewal", amount, lot=lot), reference=of)


def taken_back(amount: int, *, rule: str = "renewal", of: str = "P-1/2", debt: int = 0) -> points.PointsReversed:
    told = reversed_points(amount, entry="E-1")
    return replace(told, rule=rule, reference=of, from_pending=0, from_lots=amount - debt, as_debt=debt)


@pytest.mark.parametrize(
    ("by_the_evening", "texts"),
    [
        ([], ["You earned 528 points (renewal, claim-free year)."]),
        ([taken_back(228)], ["You earned 300 points (claim-free year)."]),  # the renewal was not taken up
        ([taken_back(28)], ["You earned 500 points (renewal, claim-free year)."]),  # by the tier of the day before
        ([renewal(22, lot="L-3"), taken_back(22)], ["You earned 528 points (renewal, claim-free year)."]),
        ([taken_back(228), renewal(228)], ["You earned 528 points (renewal, claim-free year)."]),  # taken up after all
        ([taken_back(28), renewal(28), taken_back(28)], ["You earned 500 points (renewal, claim-free year)."]),
        (
            [taken_back(228), taken_back(400, rule="premium", of="P-1/2#1")],  # whose grant is not told
            [
                "400 points were taken back on 2026-03-01 because what had earned them changed (Premium paid).",
                "You earned 300 points (claim-free year).",
            ],
        ),
        (
            [taken_back(300)],  # 72 of it were earned and told long ago
            [
                "72 points were taken back on 2026-03-01 because what had earned them changed (renewal).",
                "You earned 300 points (claim-free year).",
            ],
        ),
        (
            [taken_back(228, debt=200)],  # spent at noon
            [
                "200 points were taken back on 2026-03-01 because what had earned them changed (renewal). " + OWED_200,
                "You earned 500 points (renewal, claim-free year).",
            ],
        ),
    ],
)
def test_what_is_taken_back_before_it_was_told_is_not_told(
    rules: Programme, by_the_evening: list[points.PointsEvent], texts: list[str]
) -> None:
    desk = Desk(rules).hears(renewal(228), at(10)).hears(earned("no_claim_year", 300, lot="L-2"), at(10))
    for told in by_the_evening:
        desk.hears(told, at(15))
    assert [t.text_en for t in desk.tells()] == texts


def test_a_morning_of_which_nothing_is_left_says_nothing(rules: Programme) -> None:
    desk = Desk(rules).hears(renewal(228), at(10)).hears(taken_back(228), at(15))
    assert desk.tells() == []
    assert desk.why_not() == [("points_earned", "superseded")]


def test_what_was_told_in_the_morning_is_told_when_it_is_taken_back(rules: Programme) -> None:
    """Also where the sender is late: what happened after eight o'clock leaves the message of eight o'clock as it was."""
    desk = Desk(rules).hears(renewal(228), at(10)).hears(taken_back(228), at(9, day=NEXT))
    assert sorted(t.template for t in desk.tells()) == ["points_earned", "points_reversed"]


def test_what_was_taken_back_of_two_mornings_goes_off_the_later_first(rules: Programme) -> None:
    desk = Desk(rules).hears(renewal(100), at(7)).hears(renewal(10, lot="L-3"), at(10)).hears(taken_back(30), at(7, 30))
    assert [t.text_en for t in desk.tells()] == ["You earned 80 points (renewal)."]


def test_points_of_one_day_are_one_message(rules: Programme) -> None:
    desk = Desk(rules).hears(earned("anniversary", 110, lot="L-1")).hears(earned("no_claim_year", 300, lot="L-2"))
    desk.hears(earned("steps", 10, lot="L-3"))
    desk.hears(earned("anniversary", 10, lot="L-4", wallet="growth"))
    (told,) = desk.tells()
    assert told.text_en == "You earned 410 points (anniversary, claim-free year)."
    assert told.sent_at == at(8)


def test_points_earned_after_the_morning_come_with_the_next(rules: Programme) -> None:
    desk = Desk(rules).hears(earned("anniversary", 110)).hears(earned("renewal", 260, lot="L-2"), at(14))
    assert [t.sent_at for t in desk.tells()] == [at(8), at(8, day=NEXT)]


def test_what_is_taken_back_is_one_sum_without_what_had_expired(rules: Programme) -> None:
    desk = Desk(rules).hears(reversed_points(200)).hears(reversed_points(100, entry="E-10", expired=40))
    desk.hears(reversed_points(70, entry="E-11", expired=70))
    (told,) = desk.tells()
    assert "260 points were taken back" in told.text_en


def test_what_one_change_takes_back_is_one_message_however_far_back_it_was_earned(rules: Programme) -> None:
    desk = Desk(rules).hears(reversed_points(200), at(12, day=NEXT))
    desk.hears(
        replace(reversed_points(100, entry="E-10"), reference="P-1@1", effective=D - timedelta(days=60)),
        at(12, day=NEXT),
    )
    desk.hears(reversed_points(30, entry="E-11"), at(15, day=NEXT))
    assert [t.text_en.partition(" because")[0] for t in desk.tells()] == [
        "300 points were taken back on 2026-03-02",
        "30 points were taken back on 2026-03-02",
    ]


def test_what_is_owed_is_said_with_how_it_is_repaid_once_for_all_of_one_change(rules: Programme) -> None:
    """A policy that never was: its premium had been spent, and most of its renewal."""
    desk = Desk(rules).hears(taken_back(1_500, rule="premium", of="P-1/2#1", debt=1_000), at(12, day=NEXT))
    desk.hears(replace(taken_back(300, debt=200), entry_id="E-2"), at(12, day=NEXT))
    (told,) = desk.tells()
    assert told.text_zh == (
        "因积分获得依据（保费积分、续保）发生变更，1,800 积分已于 2026-03-02 扣回。"
        "其中 1,200 积分此前已使用，记为欠额，由今后获得的积分先行抵扣。"
    )


def test_what_comes_late_for_a_morning_that_was_told_is_told_with_the_next(rules: Programme) -> None:
    """A renewal is told at once, for its file came at noon; its tier's tenth a second later; that of the day after joins in."""
    desk, noon = Desk(rules).hears(renewal(340), at(9)), at(12, day=NEXT)
    assert [t.text_en for t in desk.tells(noon)] == ["You earned 340 points (renewal)."]
    desk.hears(renewal(34, lot="L-2"), at(9)).hears(earned("no_claim_year", 300, lot="L-3"), at(10, day=NEXT))
    assert (desk.tells(noon), desk.why_not()) == ([], [])
    (told,) = desk.tells(at(8, day=NEXT + timedelta(days=1)))
    assert told.text_en == "You earned 334 points (claim-free year, renewal)."


RULES = load(PROGRAMME_DIR)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 3 * 24 * 60 - 1), st.integers(1, 3), st.sampled_from(["granted", "back"]), st.integers(1, 500)
    ),
    max_size=20,
)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_what_is_told_adds_up_to_what_is_left(steps: list[tuple[int, int, str, int]]) -> None:
    """Three days of renewals that are paid and taken back at any minute, in one queue: nothing told is more or less than there was."""
    desk, standing = Desk(RULES), dict.fromkeys((1, 2, 3), 0)
    for minute, term, what, points_no in sorted(steps):
        when, of = at(0) + timedelta(minutes=minute), f"P-1/{term}"
        amount = min(points_no, standing[term]) if what == "back" else points_no
        if amount:
            told = renewal(amount, lot=f"L-{term}", of=of) if what == "granted" else taken_back(amount, of=of)
            desk.hears(told, when)
            standing[term] += amount if what == "granted" else -amount
    said = [(t.template, int(findall(r"[0-9,]+", t.text_en)[0].replace(",", ""))) for t in desk.tells()]
    assert sum(n if template == "points_earned" else -n for template, n in said) == sum(standing.values())
    assert all(n > 0 for _, n in said)
