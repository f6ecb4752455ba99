"""Anniversaries, reminders, expiry and no-claim years: which days bring what, and what takes it back."""

import random

import pytest
from policy_sync.rules import policies
from tenure.contracts import core, policy
from tenure.contracts.decision import RefusedError
from tenure.contracts.event import Data

from .world import (
    Said,
    World,
    cancelled,
    claim,
    days_of,
    endorsed,
    holder_changed,
    issued,
    lapsed,
    names,
    paid,
    reinstated,
    renewed,
    rescinded,
)

THREE_YEARS = "2027-03-01"
NEXT = renewed("2025-03-01", "2026-03-01")

ANNIVERSARIES = [
    ("renewed each year", [issued(), Said(NEXT, "2025-02-01")], ["2025-03-01", "2026-03-01"]),
    ("three years at once", [issued("2024-03-01", THREE_YEARS)], ["2025-03-01", "2026-03-01", "2027-03-01"]),
    ("from a 29 February to 1 March", [issued("2024-02-29", THREE_YEARS)], ["2025-03-01", "2026-03-01", "2027-03-01"]),
    ("cancelled the day before", [issued(), cancelled("2025-02-28")], []),
    ("void", [issued(), cancelled("2024-03-10", "cooling_off")], []),
    ("rescinded", [issued(), rescinded("2024-08-01")], []),
    ("lapsed over the day", [issued("2024-03-01", "2026-03-01"), lapsed("2025-02-01"), reinstated("2025-04-01", bridged=False)], ["2026-03-01"]),
    ("lapsed and bridged", [issued("2024-03-01", "2026-03-01"), lapsed("2025-02-01"), reinstated("2025-04-01", bridged=True)], ["2025-03-01", "2026-03-01"]),
    ("history counts as years, and is not told late", [Said(issued("2019-03-01", "2024-03-01", term_no=0), backfill=True), renewed("2024-03-01", "2025-03-01", term_no=1)], ["2024-03-01", "2025-03-01"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "facts", "days"), ANNIVERSARIES, ids=[row[0] for row in ANNIVERSARIES])
def test_anniversaries(what: str, facts: list, days: list[str]) -> None:
    world = World()
    world.say(*facts)
    world.come("2030-01-01")
    assert days_of(world.told, policy.PolicyAnniversary) == days


def test_the_years_of_an_anniversary_include_history() -> None:
    world = World()
    history = Said(issued("2019-03-01", "2024-03-01", term_no=0), backfill=True)
    world.say(history, renewed("2024-03-01", "2025-03-01", term_no=1))
    world.come("2025-03-01")
    assert [a.years for a in world.told if isinstance(a, policy.PolicyAnniversary)] == [5, 6]


REMINDERS = [
    ("a month before", [issued()], "2025-02-01"),
    ("the last day of a shorter month", [issued("2024-03-31", "2025-03-31")], "2025-02-28"),
    ("the end was moved", [issued(), endorsed("2024-06-01", end="2025-06-01")], "2025-05-01"),
    ("renewed after the reminder", [issued(), Said(NEXT, "2025-02-02")], "2025-02-01"),
    ("renewed on the day of the reminder", [issued(), Said(NEXT, "2025-02-01")], None),
    ("renewed before", [issued(), Said(NEXT, "2025-01-15")], None),
    ("cancelled", [issued(), cancelled("2025-01-15")], None),
    ("a week's cover", [issued("2024-03-01", "2024-03-08")], None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "facts", "on"), REMINDERS, ids=[row[0] for row in REMINDERS])
def test_the_reminder(what: str, facts: list, on: str | None) -> None:
    world = World()
    world.say(*facts)
    world.come("2025-12-31")
    reminders = [e for e in world.told if isinstance(e, policy.PolicyExpiring) and e.term.term_no == 1]
    assert days_of(reminders, policy.PolicyExpiring) == ([on] if on else [])


EXPIRIES = [
    ("not renewed", [issued()], ["2025-03-01"]),
    ("renewed on the last day", [issued(), NEXT], []),
    ("renewed with a gap", [issued(), renewed("2025-03-20", "2026-03-20")], ["2025-03-01"]),
    ("renewed back to the end, but later", [issued(), Said(NEXT, "2025-03-15")], ["2025-03-01"]),
    ("the renewal was not taken up", [issued(), NEXT, cancelled("2025-03-01", "not_taken_up", term_no=2)], ["2025-03-01"]),
    ("cancelled", [issued(), cancelled("2025-01-15")], []),
    ("lapsed", [issued(), lapsed("2025-01-15")], []),
]  # fmt: skip


@pytest.mark.parametrize(("what", "facts", "days"), EXPIRIES, ids=[row[0] for row in EXPIRIES])
@pytest.mark.parametrize("ticks", ["before", "after"])
def test_expiry(what: str, facts: list, days: list[str], ticks: str) -> None:
    """The tick of the last day may come before the facts of that day: nothing is told that they contradict."""
    world = World()
    world.say(facts[0])
    if ticks == "before":
        world.come("2025-03-01")
    world.say(*facts[1:])
    world.come("2025-12-31")
    assert days_of(world.told, policy.PolicyExpired) == days


REPORTED = claim(core.ClaimReported, "2024-06-01")


def test_a_year_without_claims_is_completed_on_its_end() -> None:
    world = World()
    world.say(issued())
    assert names(world.come("2025-02-28")) == ["policy.expiring"]
    assert names(world.come("2025-03-01")) == ["no_claim_year.completed", "policy.anniversary"]


@pytest.mark.parametrize(
    ("step", "counts"),
    [
        (core.ClaimWithdrawn, False),
        (core.ClaimDeclined, False),
        (core.ClaimClosed, False),
        (core.ClaimRegistered, True),
    ],
)
def test_only_a_claim_that_counts_breaks_the_year(step: type, counts: bool) -> None:
    world = World()
    world.say(issued(), REPORTED, claim(step, "2024-07-01"))
    world.come("2025-03-01")
    assert ("no_claim_year.completed" in names(world.told)) is not counts


def test_a_loss_of_an_old_year_reported_late_takes_it_back_and_its_withdrawal_gives_it_again() -> None:
    world = World()
    world.say(issued())
    world.come("2025-03-01")
    late = Said(claim(core.ClaimReported, "2025-04-10", loss_date=REPORTED.loss_date))  # type: ignore[attr-defined]
    told = world.say(late)
    assert names(told) == ["claim.changed", "no_claim_year.revoked"]
    assert (told[1].policy_year, told[1].claim_no, str(told[1].effective)) == (1, "C-1", "2025-04-10")
    assert names(world.say(claim(core.ClaimWithdrawn, "2025-05-01"))) == ["claim.changed", "no_claim_year.completed"]
    assert names(world.say(claim(core.ClaimReopened, "2025-06-01"))) == ["claim.changed", "no_claim_year.revoked"]


def test_a_year_whose_cover_fell_away_later_is_taken_back_without_a_claim() -> None:
    world = World()
    world.say(issued())
    world.come("2025-03-02")
    told = world.say(Said(rescinded("2025-03-01"), "2025-06-01"))
    assert names(told) == ["policy.rescinded", "no_claim_year.revoked", "policy.anniversary_revoked"]
    assert told[1].claim_no == ""
    assert world.standing == set()


def test_an_expiry_is_told_once_and_a_year_again_however_often_its_ground_comes_and_goes() -> None:
    world = World()
    world.say(issued())
    world.come("2025-03-02")
    world.say(Said(cancelled("2025-01-01"), "2025-03-10"))
    back = core.CancellationReversed(policy_no="P-1", term_no=1, effective=REPORTED.reported_on)  # type: ignore[attr-defined]
    world.say(Said(back, "2025-03-11"))
    world.come("2025-12-31")
    assert names(world.told).count("policy.expired") == 1
    years = [name for name in names(world.told) if name.startswith("policy.anniversary")]
    assert years == ["policy.anniversary", "policy.anniversary_revoked", "policy.anniversary"]
    assert ("anniversary", 1, "2025-03-01") in world.standing


YEAR_TOLD = ["no_claim_year.completed", "policy.anniversary"]
YEAR_TAKEN = ["no_claim_year.revoked", "policy.anniversary_revoked"]
HANDED_OVER = [
    ("sold during the year, heard after it", "2024-09-01", "2025-04-10", {"M-1": [*YEAR_TOLD, *YEAR_TAKEN], "M-2": YEAR_TOLD}),
    ("sold on the year's last day", "2025-02-28", "2025-04-10", {"M-1": [*YEAR_TOLD, *YEAR_TAKEN], "M-2": YEAR_TOLD}),
    ("sold when the year was over", "2025-03-01", "2025-04-10", {"M-1": YEAR_TOLD}),
    ("heard in time", "2024-09-01", "2024-09-02", {"M-2": YEAR_TOLD}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "effective", "heard", "years"), HANDED_OVER, ids=[row[0] for row in HANDED_OVER])
def test_a_year_is_who_held_the_policy_on_its_last_day_however_late_the_change_is_heard(
    what: str, effective: str, heard: str, years: dict[str, list[str]]
) -> None:
    """DOMAIN 10: years follow the person."""
    world = World()
    world.say(issued("2024-03-01", "2026-03-01"))
    world.come(heard)
    world.say(Said(holder_changed(effective, "M-2"), heard))
    world.come("2025-06-01")
    completed = [e for e in world.told if names([e])[0] in YEAR_TOLD + YEAR_TAKEN]
    assert {m: [names([e])[0] for e in completed if e.member_id == m] for m in years} == years, what
    assert len(completed) == sum(map(len, years.values()))


def test_history_alone_begins_to_live_on_the_first_day_that_comes() -> None:
    world = World()
    world.say(Said(issued(), backfill=True))
    assert names(world.told) == ["member.enrolled", "policy.issued"]
    assert world.come("2024-09-01") == []
    assert names(world.come("2025-02-01", "2025-03-01", "2025-03-02")) == [
        "policy.expiring",
        "no_claim_year.completed",
        "policy.anniversary",
        "policy.expired",
    ]


@pytest.mark.parametrize(
    ("heard", "ended"),
    [
        ([issued()], ["2025-03-01"]),
        ([issued(), renewed("2025-03-01", "2026-03-01")], ["2026-03-01"]),
        ([issued(), renewed("2025-06-01", "2026-06-01")], ["2026-06-01"]),
        ([issued(), renewed("2025-03-01", "2026-03-01"), cancelled("2025-03-01", "not_taken_up", term_no=2)], ["2025-03-01"]),
        ([issued(), cancelled("2024-06-01")], []),
    ],
    ids=["ran out", "renewed and ran out", "ran out after a gap", "its renewal was not taken up", "cancelled"],
)  # fmt: skip
def test_of_a_policy_that_ended_before_any_day_came_its_end_is_told_once_as_history(
    heard: list[Data], ended: list[str]
) -> None:
    world = World()
    world.say(*(Said(fact, backfill=True) for fact in heard))
    before = len(world.told)
    told = world.come("2027-01-01", "2027-01-02")
    assert [(names([e]), str(e.effective)) for e in told] == [(["policy.expired"], day) for day in ended]
    assert world.history[before:] == [True] * len(ended)
    assert world.states["P-1"].due_on is None


def test_a_policy_that_ended_in_history_and_goes_on_is_renewed_with_its_gap() -> None:
    world = World()
    world.say(Said(issued(), backfill=True))
    world.come("2026-01-01")
    told = world.say(Said(renewed("2026-02-01", "2027-02-01"), "2026-01-20"))
    assert names(told) == ["policy.renewed"]
    assert names(world.come("2027-01-01", "2027-02-02")) == ["policy.anniversary", "policy.expiring", "policy.expired"]
    assert world.history == [True, True, True, *[False] * 4]


def test_a_policy_that_was_cancelled_in_history_is_never_due() -> None:
    world = World()
    world.say(Said(issued(), backfill=True), Said(cancelled("2024-06-01"), backfill=True))
    assert world.states["P-1"].due_on is None


def test_what_fell_due_before_a_fact_is_told_before_it() -> None:
    world = World()
    world.say(issued())
    assert names(world.say(NEXT)) == [
        "policy.expiring",
        "policy.renewed",
        "no_claim_year.completed",
        "policy.anniversary",
    ]


def test_a_void_first_term_never_was_so_years_count_from_the_term_sold_after_it() -> None:
    world = World()
    world.say(issued(), cancelled("2024-03-01"), Said(renewed("2024-09-01", "2025-09-01"), "2024-08-20"))
    world.come("2025-10-01")
    assert days_of(world.told, policy.PolicyAnniversary) == ["2025-09-01"]


@pytest.mark.parametrize("late", [False, True])
def test_a_lapse_heard_after_the_anniversary_takes_it_back(*, late: bool) -> None:
    world = World()
    world.say(issued("2024-03-01", THREE_YEARS))
    lapse = Said(lapsed("2024-08-01"), "2025-06-01" if late else "2024-08-01")
    if not late:
        world.say(lapse)
    world.come("2025-03-01")
    if late:
        world.say(lapse)
    years = [name for name in names(world.told) if name.startswith("policy.anniversary")]
    assert years == (["policy.anniversary", "policy.anniversary_revoked"] if late else [])
    assert not any(kind == "anniversary" for kind, _, _ in world.standing)


def test_a_cancellation_heard_late_opens_the_gap_before_a_renewal_which_is_told_again() -> None:
    world = World()
    world.say(issued(), Said(renewed("2025-03-01", "2026-03-01", yuan=465), "2025-02-10"))
    told = world.say(Said(cancelled("2024-09-01"), "2024-09-01"))
    again = [t for t in told if isinstance(t, policy.PolicyRenewed)]
    assert [(t.gap_days, t.written_premium_fen) for t in again] == [(181, 465_00)]


PAYMENTS = [
    paid(day, instalment_no=n) for n, day in enumerate(("2024-03-05", "2025-01-31", "2025-02-01", "2025-03-01"), 1)
]
LIFE = [issued(), claim(core.ClaimReported, "2024-07-01"), endorsed("2024-08-01", end="2025-06-01"), *PAYMENTS]


@pytest.mark.parametrize("seed", range(12))
def test_a_payment_that_moves_nothing_says_what_looking_at_every_milestone_would(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    life = [Said(data, id_=str(n)) for n, data in enumerate([*LIFE, NEXT, cancelled("2025-09-01")])]
    chance.shuffle(life)
    brief, whole = World(), World()
    for one in life:
        with monkeypatch.context() as patched:
            told = _said(brief, one)
            patched.setattr(policies, "_stands_as_it_stood", lambda *_: False)
            assert told == _said(whole, one)
        assert brief.states == whole.states
    assert len(whole.told) > len(PAYMENTS)


def _said(world: World, one: Said) -> list[Data] | None:
    """What it tells; None where it is refused, as what comes too late may be."""
    try:
        return world.say(one)
    except RefusedError:
        return None
