"""Where what members and agents do begins and ends to count: caps side by side, streaks that are corrected, how long a day is
remembered, agents who left, corrections by hand, referrals. The pure rules.
"""

from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.rules.account import FOREVER
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.decision import RefusedError
from tenure.contracts.points import PointsExpired
from tenure.contracts.policy import CustomerMerged
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.programme.earning import Cap, Streak

from .test_caps import campaign, cap, earned
from .test_standing import AGENT, approve, leave, propose
from .world import D, M, World, did, served, under_rules

CLASSES = frozenset({"class"})


def changed(rules: Programme, **by_rule: dict[str, Any]) -> Programme:
    """The programme with some of its rules changed so."""
    return under_rules(
        rules, rules=tuple(replace(rule, **by_rule.get(rule.code, {})) for rule in rules.earning.newest.rules)
    )


def since_july(rules: Programme, without: str = "", **by_rule: dict[str, Any]) -> Programme:
    """From July 2026 on there are other rules."""
    first = rules.earning.newest
    then = tuple(replace(rule, **by_rule.get(rule.code, {})) for rule in first.rules if rule.code != without)
    july = replace(first, version=2, effective=D("2026-07-01"), rules=then, agent_leave_days=10)
    return Programme(**{**vars(rules), "earning": Versions([first, july])})


# --- caps ---


def test_growth_takes_no_place_under_a_cap_of_points(rules: Programme) -> None:
    """A class brings 50 points and 20 of growth; of 60 points a month the second brings 10."""
    world = World(under_rules(rules, caps=(cap(60, rules=CLASSES),)))
    for session in ("S-1", "S-2"):
        world.hear(did("class", "2026-05-01", session_id=session))
    assert (earned(world), world.balance("growth_available")) == (60, 40)


def test_of_two_caps_the_one_that_leaves_less_decides(rules: Programme) -> None:
    """15 points a day and 25 a month, of quizzes and steps."""
    daily = Cap(code="daily", rules=frozenset({"quiz", "steps"}), per="day", points_max=15)
    world = World(under_rules(rules, caps=(daily, cap(25))))
    done = [did(kind, f"2026-05-0{n}", 10_000) for n in (1, 2) for kind in ("quiz", "steps")]
    assert [(r.points, r.limited_by) for r in map(world.hear, done)] == [
        (10, ""),
        (5, "cap daily"),
        (10, ""),
        (0, "cap health"),
    ]
    assert {lot.remembered_until for lot in world.accounts[M].lots.values()} >= {D("2026-05-31") + timedelta(37)}


@pytest.mark.parametrize(
    ("bounds", "late", "until"),
    [
        ({"caps": (cap(10),)}, 100, D("2026-05-31") + timedelta(107)),
        ({"caps": (cap(10, "day"), replace(cap(10), code="monthly"))}, 100, D("2026-05-31") + timedelta(107)),
        ({"caps": (cap(10),)}, None, FOREVER),
        ({"campaigns": (campaign(member_points_max=45, rules=frozenset({"quiz", "steps"})),)}, 100, D("2026-06-01") + timedelta(107)),
    ],
    ids=["a month's cap", "and a day's", "a quiz may be told whenever", "what May may add for a member"],
)  # fmt: skip
def test_a_day_of_steps_is_known_as_long_as_a_quiz_beside_it_may_be_told(
    rules: Programme, bounds: dict[str, Any], late: int | None, until: date
) -> None:
    """Both count against one bound; a quiz may be told so many days late."""
    lines = tuple(replace(r, late_days_max=late) if r.code == "quiz" else r for r in rules.earning.newest.rules)
    world = World(under_rules(rules, rules=lines, **bounds))
    world.hear(did("steps", "2026-05-01", 10_000))
    assert [lot.remembered_until for lot in world.accounts[M].lots.values()] == [until]


# --- days, streaks, and how long they are known ---


@pytest.mark.parametrize(
    ("kind", "until"),
    [
        ("quiz", D("2026-05-01") + timedelta(30 + 7)),
        ("check_up", D("2026-12-31") + timedelta(30 + 7)),
        ("family_policy_data", FOREVER),
        ("class", FOREVER),
        ("steps", D("2026-05-01") + timedelta(7 + 7 + 2 * 30)),
    ],
)
def test_what_was_done_is_known_as_long_as_something_may_count_against_it(world: World, kind: str, until: date) -> None:
    world.hear(did(kind, "2026-05-01", 10_000, session_id="S-1" if kind == "class" else None))
    assert {lot.remembered_until for lot in world.accounts[M].lots.values()} == {until}


STREAKS: list[tuple[str, list[tuple[int, int]], list[int]]] = [
    ("the day after it is told late: nothing more", [(2, 1), (3, 1), (4, 1), (1, 1)], [2]),
    ("its last day was none: the three before it", [(2, 1), (3, 1), (4, 1), (1, 1), (4, 0)], [1]),
    ("its first day was none: the three after it", [(1, 1), (2, 1), (3, 1), (4, 1), (1, 0)], [2]),
    ("its middle was none: neither side is long enough", [(1, 1), (2, 1), (3, 1), (4, 1), (2, 0)], []),
    ("and it was after all: from its beginning", [(1, 1), (2, 1), (3, 1), (4, 1), (2, 0), (2, 1)], [1]),
]


@pytest.mark.parametrize(("told", "begin"), [row[1:] for row in STREAKS], ids=[row[0] for row in STREAKS])
def test_three_days_in_a_row_that_are_told_late_and_corrected(
    rules: Programme, told: list[tuple[int, int]], begin: list[int]
) -> None:
    """`told`: which day of May, and whether the steps were enough; `begin`: the days on which paid streaks begin."""
    world = World(changed(rules, steps_streak={"streak": Streak(rule="steps", days=3)}))
    for day, enough in told:
        world.hear(did("steps", date(2026, 5, day), 10_000 if enough else 5), "2026-05-07")
    paid = [lot for lot in world.accounts[M].lots.values() if lot.rule == "steps_streak" and lot.standing]
    assert sorted((lot.wallet, lot.fact) for lot in paid) == [
        (wallet, f"2026-05-0{day}") for wallet in ("growth", "points") for day in begin
    ]
    assert all(lot.remembered_until == lot.earned_on + timedelta(6) for lot in paid)


def test_a_correction_is_answered_with_what_it_took_back(world: World) -> None:
    told = [world.hear(did("steps", "2026-05-01", value)).points for value in (10_000, 9_999, 12_000)]
    assert told == [10, -10, 10]


def test_what_is_told_in_july_earns_by_the_rules_of_june(rules: Programme) -> None:
    world = World(since_july(rules, quiz={"fixed": 30}, referral={"fixed": 900}))
    world.hear(did("quiz", "2026-06-30"), "2026-07-02")
    assert earned(world) == 10
    world.hear(did("quiz", "2026-07-01"), "2026-07-02")
    assert earned(world) == 10 + 30
    for policy_no, on in (("P-8", "2026-06-30"), ("P-9", "2026-07-01")):
        world.hear(ReferralConverted(member_id="R-1", referee_id="M-2", policy_no=policy_no, on=D(on)), "2026-07-02")
    assert world.balance("points_available", "R-1") == 500 + 900


def test_a_streak_of_june_is_paid_though_july_has_none(rules: Programme) -> None:
    world = World(since_july(rules, without="steps_streak"))
    for n in (*range(24), *range(25, 30), 24):
        world.hear(did("steps", D("2026-06-01") + timedelta(n), 10_000), "2026-07-01" if n == 24 else None)
    assert earned(world) == 300 + 500


# --- agents, corrections, referrals ---


def test_an_agent_who_left_still_earns_as_a_customer_under_the_same_number(world: World) -> None:
    world.hear(served("mentoring", "2026-05-01"))
    leave(world, "2026-06-01")
    world.hear(replace(did("quiz", "2026-06-01"), member_id=AGENT))
    assert world.balance("points_available", AGENT) == 10


def test_a_leaving_heard_of_after_the_points_would_be_over_expires_them_on_a_day_they_had(world: World) -> None:
    """Left on 1 January; 100 points of a service in December are over on 1 April, those of one told for May on the day after it."""
    world.hear(served("mentoring", "2025-12-01"))
    world.hear(served("mentoring", "2026-05-01"))
    leave(world, "2026-01-01", "2026-06-01")
    assert world.balance("agent_available", AGENT) == 0
    over = [(told.amount, told.effective) for told in world.of(PointsExpired)]
    assert over == [(100, D("2026-04-01")), (100, D("2026-05-02"))]


def test_the_days_of_who_left_are_those_of_that_days_rules_and_move_with_a_corrected_day(rules: Programme) -> None:
    """90 days until June, 10 from July on."""
    world = World(since_july(rules))
    world.hear(served("mentoring", "2026-05-01"))
    for on, ends in (("2026-06-15", "2026-09-13"), ("2026-07-10", "2026-07-20")):
        leave(world, on, "2026-07-12")
        assert world.accounts[AGENT].lots[1].ends_on == D(ends)


def test_corrections_by_hand_take_what_ends_first_and_reach_no_number_given_up(world: World) -> None:
    world.hear(did("quiz", "2026-03-20"))
    world.hear(did("check_up", "2026-02-20"), "2026-03-21")
    propose(world, "correct", -5, "2026-04-01")
    approve(world, "2026-04-01")
    assert [lot.remaining for lot in world.accounts[M].lots.values()] == [10, 495]
    world.hear(CustomerMerged(member_id="S-1", merged_id=M, effective=D("2026-05-01")))
    for refused in (lambda: propose(world, "correct", 5, "2026-05-02", no="J-2"), lambda: approve(world, "2026-05-02")):
        with pytest.raises(RefusedError, match="member_merged"):
            refused()


def test_a_referral_counts_on_its_day_though_the_cooling_off_was_over_before(world: World) -> None:
    said = {"referee_id": "M-2", "policy_no": "P-9", "cooling_off_end": D("2026-05-16")}
    world.hear(ReferralConverted(member_id=M, on=D("2026-05-20"), **said))
    assert [(lot.earned_on, lot.activates_on) for lot in world.accounts[M].lots.values()] == [(D("2026-05-20"),) * 2]
