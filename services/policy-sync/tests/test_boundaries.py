"""The day on which a year, a term or a reminder begins or ends, beside the days next to it."""

import pytest
from tenure.contracts import core, policy

from .world import (
    MEMBER,
    YUAN,
    Said,
    World,
    cancelled,
    claim,
    covers_of,
    day,
    days_of,
    folded,
    holder_changed,
    issued,
    lapsed,
    refunded,
    reinstated,
    renewed,
    reversed_,
)

TWO_YEARS = issued("2024-03-01", "2026-03-01")
FIRST, SECOND = "1 from 2024-03-01", "2 from 2025-03-01"
NO_CLAIM_YEARS = [
    # what happened                        the fact                                            -> years without a claim
    ("a loss on the first day", [claim(core.ClaimReported, "2024-03-01")], [SECOND]),
    ("a loss on the last day", [claim(core.ClaimReported, "2025-02-28")], [SECOND]),
    ("a loss on the day it is over", [claim(core.ClaimReported, "2025-03-01")], [FIRST]),
    ("a loss on the last of all days", [claim(core.ClaimReported, "2026-02-28")], [FIRST]),
    ("a month without cover", [lapsed("2024-06-01"), reinstated("2024-07-01", bridged=False)], [SECOND]),
    ("lapsed, and back without a gap", [lapsed("2024-06-01"), reinstated("2024-07-01", bridged=True)], [FIRST, SECOND]),
]


@pytest.mark.parametrize(("what", "facts", "years"), NO_CLAIM_YEARS, ids=[row[0] for row in NO_CLAIM_YEARS])
def test_which_years_are_without_a_claim(what: str, facts: list, years: list[str]) -> None:
    world = World()
    world.say(TWO_YEARS, *facts)
    world.come("2026-03-02")
    told = [e for e in world.told if isinstance(e, policy.NoClaimYearCompleted)]
    assert [f"{e.policy_year} from {e.start}" for e in told] == years
    assert len(days_of(world.told, policy.PolicyAnniversary)) == 2  # each year's last day had cover


def test_an_anniversary_is_of_the_term_that_ended_with_it() -> None:
    world = World()
    world.say(issued(), Said(renewed("2025-03-01", "2026-03-01"), "2025-02-01"))
    world.come("2026-03-02")
    assert [(e.years, e.term_no) for e in world.told if isinstance(e, policy.PolicyAnniversary)] == [(1, 1), (2, 2)]


def test_an_anniversary_is_whose_policy_it_was_the_day_before() -> None:
    world = World()
    world.say(TWO_YEARS, holder_changed("2025-03-01", "M-2"))
    world.come("2026-03-02")
    told = [(e.member_id, e.years) for e in world.told if isinstance(e, policy.PolicyAnniversary)]
    assert told == [(MEMBER, 1), ("M-2", 2)]


@pytest.mark.parametrize(
    ("first_live_day", "told"),
    [("2024-03-01", ["2024-03-01", "2025-03-01"]), ("2024-03-02", ["2025-03-01"]), ("2025-02-28", ["2025-03-01"])],
)
def test_years_that_were_over_before_a_policy_lived_are_never_told(first_live_day: str, told: list[str]) -> None:
    world = World()
    world.say(Said(issued("2019-03-01", "2029-03-01"), backfill=True))
    world.say(Said(claim(core.ClaimReported, first_live_day, loss_date=day("2019-06-01"))))
    world.come("2025-12-31")
    assert days_of(world.told, policy.PolicyAnniversary) == told
    assert days_of(world.told, policy.NoClaimYearCompleted) == told


def test_a_year_that_is_taken_back_names_the_loss_that_lies_in_it() -> None:
    world = World()
    world.say(TWO_YEARS)
    world.come("2025-03-02")
    world.say(claim(core.ClaimReported, "2025-03-05", no="C-1"))
    late = claim(core.ClaimReported, "2025-04-01", no="C-2", loss_date=day("2024-03-01"))
    told = [e for e in world.say(late) if isinstance(e, policy.NoClaimYearRevoked)]
    assert [(e.policy_year, e.claim_no) for e in told] == [(1, "C-2")]


@pytest.mark.parametrize(
    ("what", "facts", "reminded", "expired"),
    [
        ("a month's cover", [issued("2024-03-01", "2024-04-01")], [], ["2024-04-01"]),
        ("a day more", [issued("2024-03-01", "2024-04-02")], ["2024-03-02"], ["2024-04-02"]),
        (
            "the next is sold in time, and begins with a gap",
            [issued(), Said(renewed("2025-03-20", "2025-04-20"), "2025-01-10")],
            [],
            ["2025-03-01", "2025-04-20"],
        ),
    ],
)
def test_reminders_and_expiries(what: str, facts: list, reminded: list[str], expired: list[str]) -> None:
    world = World()
    world.say(*facts)
    world.come("2025-12-31")
    assert [d for d in days_of(world.told, policy.PolicyExpiring) if d < "2025-03-01"] == reminded
    assert days_of(world.told, policy.PolicyExpired) == expired


@pytest.mark.parametrize(("first_live_day", "reminded"), [("2025-02-01", ["2025-02-01"]), ("2025-02-02", [])])
def test_a_policy_of_history_is_reminded_of_from_the_day_it_lives(first_live_day: str, reminded: list[str]) -> None:
    world = World()
    world.say(Said(issued(), backfill=True))
    world.say(claim(core.ClaimReported, first_live_day))
    world.come("2025-02-10")
    assert days_of(world.told, policy.PolicyExpiring) == reminded


@pytest.mark.parametrize(
    ("refunded_on", "yuan"),
    [("2024-08-31", 190), ("2024-09-01", 365)],  # of the day before: another's; of the day of the cancellation: its own
)
def test_a_cancellation_taken_back_takes_what_was_refunded_from_its_day_on(refunded_on: str, yuan: int) -> None:
    taken_back = Said(reversed_("2024-09-01"), "2024-09-10")
    whole = folded(issued(), cancelled("2024-09-01"), Said(refunded(refunded_on, 175), hour=12), taken_back)
    assert (whole.term(1).premium_fen, covers_of(whole)) == (yuan * YUAN, ["2024-03-01..2025-03-01"])


NEXT = Said(renewed("2025-03-01", "2026-03-01"), "2025-02-10")


@pytest.mark.parametrize(
    ("what", "said", "status"),
    [
        ("to the day on which the next begins", Said(cancelled("2025-03-01"), "2025-02-20"), "void"),
        ("to the day after", Said(cancelled("2025-03-02"), "2025-02-20"), "in_force"),
        ("flat, when the next had begun", Said(cancelled("2025-04-01", "flat"), "2025-04-01"), "void"),
    ],
)
def test_a_cancellation_takes_the_next_term_with_it(what: str, said: Said, status: str) -> None:
    assert folded(issued(), NEXT, said).term(2).status == status


@pytest.mark.parametrize(("days", "ends"), [(0, "None"), (15, "2024-03-16")])
def test_the_cooling_off_period_runs_from_the_sale(days: int, ends: str) -> None:
    assert str(folded(Said(issued(cooling_off_days=days), "2024-03-01")).term(1).cooling_off_end) == ends
