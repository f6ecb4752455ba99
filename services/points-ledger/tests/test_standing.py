"""How accounts stand: debts, write-offs, fraud, agents who leave, people with two memberships. Pure rules."""

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.commands import (
    ApproveAdjustment,
    CaptureHold,
    LeaveAgent,
    LinkMembership,
    PlaceHold,
    ProposeAdjustment,
    RecordActivity,
    RefundHold,
    RejectAdjustment,
    ReturnAgent,
)
from points_ledger.rules.account import AccountChange, ReferralNews
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.decision import RefusedError
from tenure.contracts.points import PointsAdjusted, PointsRefunded, PointsReversed
from tenure.contracts.policy import CustomerMerged, PolicyRescinded
from tenure.contracts.programme import Programme, Versions

from .test_against_the_model import assert_books
from .world import (
    WALL,
    D,
    M,
    World,
    cancelled,
    did,
    issued,
    no_claim_year,
    no_claim_year_revoked,
    paid,
    served,
    term,
    uncancelled,
    void,
)

AGENT = "A-7"


def hold(points: int, wallet: str = "points", member_id: str = M, hold_id: str = "H-1") -> PlaceHold:
    return PlaceHold(
        hold_id=hold_id, member_id=member_id, wallet=wallet, points=points, reference="O-1", expires_at=WALL
    )  # type: ignore[arg-type]


def spend(world: World, points: int, on: str) -> None:
    world.hear(hold(points), on)
    world.hear(CaptureHold(hold_id="H-1"), on)


def propose(world: World, purpose: str, points: int, on: str, *, by: str = "op-1", no: str = "J-1") -> Any:
    command = ProposeAdjustment(
        adjustment_id=no, member_id=M, wallet="points", points=points, reason="for a reason", ticket="T-1",
        proposed_by=by, purpose=purpose,
    )  # type: ignore[arg-type] # fmt: skip
    return world.hear(command, on)


def approve(world: World, on: str, *, by: str = "op-2", no: str = "J-1") -> Any:
    return world.hear(ApproveAdjustment(adjustment_id=no, approved_by=by), on)


def audit(world: World) -> list[tuple[str, str, str]]:
    return [(row.what, row.reason, row.actor) for row in world.rows if isinstance(row, AccountChange)]


def in_debt(world: World) -> None:
    """500 points earned by a premium, all spent, and the policy void: 500 owed since 1 March."""
    world.hear(paid(term()))
    spend(world, 500, "2026-02-01")
    world.hear(cancelled(term(), "2026-03-01", "flat"))
    assert world.points() == (0, 0, 500)


# --- debts ---


def test_a_debt_blocks_redemption_and_new_earnings_repay_it_first(world: World) -> None:
    in_debt(world)
    with pytest.raises(RefusedError, match="debt_outstanding"):
        world.hear(hold(1, hold_id="H-2"), "2026-03-02")
    world.hear(did("check_up", "2026-04-01"))
    assert world.points() == (0, 0, 0)
    world.hear(did("quiz", "2026-04-02"))
    world.hear(hold(10, hold_id="H-2"), "2026-04-02")
    assert_books(world)


def test_points_refunded_repay_the_debt_first(world: World) -> None:
    """The order is cancelled that the 500 were spent on."""
    in_debt(world)
    world.hear(RefundHold(hold_id="H-1", points=200), "2026-03-02")
    assert world.points() == (0, 0, 300)
    world.hear(RefundHold(hold_id="H-1"), "2026-03-03")
    assert world.points() == (0, 0, 0)
    assert [(told.amount, told.repaid_debt) for told in world.of(PointsRefunded)] == [(200, 200), (300, 300)]
    assert_books(world)


def test_points_added_by_hand_repay_the_debt_first(world: World) -> None:
    in_debt(world)
    propose(world, "correct", 600, "2026-03-02")
    approve(world, "2026-03-02")
    assert world.points() == (0, 100, 0)
    assert [(told.amount, told.repaid_debt) for told in world.of(PointsAdjusted)] == [(600, 500)]
    assert_books(world)


def test_points_given_back_repay_the_debt_first(world: World) -> None:
    """P-1 takes what it lacks from P-2's points, so P-2 lacks them; when P-1 stands after all, they return there and are owed."""
    other = term(policy_no="P-2")
    world.hear(paid(term()))
    world.hear(paid(other))
    spend(world, 500, "2026-02-01")
    world.hear(cancelled(term(), "2026-03-01", "flat"))
    assert world.points() == (0, 0, 0)
    world.hear(cancelled(other, "2026-03-02", "flat"))
    assert world.points() == (0, 0, 500)
    world.hear(uncancelled(term(), "2026-03-03"))
    assert world.points() == (0, 0, 0)
    assert_books(world)


def test_a_debt_is_written_off_by_two_persons_and_no_more_than_it(world: World) -> None:
    in_debt(world)
    with pytest.raises(RefusedError, match="debt_too_small"):
        propose(world, "write_off", 501, "2027-03-01")
    propose(world, "write_off", 500, "2027-03-01")
    with pytest.raises(RefusedError, match="same_person"):
        approve(world, "2027-03-01", by="op-1")
    approve(world, "2027-03-02")
    assert world.points() == (0, 0, 0)
    (told,) = world.of(PointsAdjusted)
    assert (told.amount, told.repaid_debt) == (500, 500)
    assert audit(world) == [("written_off", "500 points: for a reason", "op-1, op-2")]
    assert_books(world)


def test_a_debt_repaid_before_the_approval_is_not_written_off_as_well(world: World) -> None:
    in_debt(world)
    propose(world, "write_off", 500, "2026-03-02")
    world.hear(did("check_up", "2026-03-03"))
    with pytest.raises(RefusedError, match="debt_too_small"):
        approve(world, "2026-03-04")
    assert world.points() == (0, 0, 0)


def test_a_write_off_gives_nothing_to_who_owes_nothing(world: World) -> None:
    world.hear(did("quiz", "2026-04-02"))
    with pytest.raises(RefusedError, match="debt_too_small"):
        propose(world, "write_off", 1, "2026-04-02")


# --- cancellation, void, claim reopened ---


def test_a_cancellation_reversed_brings_the_original_lots_with_their_own_dates(world: World) -> None:
    world.hear(paid(term()))
    before = {no: (lot.expires_on, lot.remaining) for no, lot in world.accounts[M].lots.items()}
    world.hear(cancelled(term(), "2026-06-01", "flat"))
    assert world.points() == (0, 0, 0)
    world.hear(uncancelled(term(), "2026-07-01"))
    assert {no: (lot.expires_on, lot.remaining) for no, lot in world.accounts[M].lots.items()} == before


def test_a_claim_reopened_takes_the_no_claim_reward_and_its_growth(world: World) -> None:
    world.hear(no_claim_year())
    world.hear(no_claim_year_revoked())
    assert (world.balance("points_available"), world.balance("growth_available")) == (0, 0)
    assert [(r.wallet, r.amount) for r in world.of(PointsReversed)] == [("points", 300), ("growth", 20)]


def test_fraud_takes_the_policys_points_and_freezes_the_account_with_an_audit(world: World) -> None:
    world.hear(paid(term()))
    world.hear(did("check_up", "2026-02-01"))
    gone = void(term())
    world.hear(PolicyRescinded(member_id=M, term=gone, effective=D("2026-03-01")), "2026-03-01")
    assert world.points() == (0, 500, 0), "the policy's 500 are gone, the check-up's stay"
    with pytest.raises(RefusedError, match="account_frozen"):
        world.hear(hold(1), "2026-03-02")
    assert audit(world) == [("frozen", "policy P-1 rescinded", "insurer core")]
    world.hear(did("quiz", "2026-03-02"))
    assert world.points() == (0, 510, 0), "who is frozen goes on earning"
    propose(world, "unfreeze", 0, "2026-03-03")
    with pytest.raises(RefusedError, match="account_frozen"):
        world.hear(hold(1), "2026-03-03")
    approve(world, "2026-03-03")
    world.hear(hold(1), "2026-03-04")
    assert audit(world)[-1] == ("unfrozen", "for a reason", "op-1, op-2")
    assert_books(world)


def test_two_persons_freeze_an_account(world: World) -> None:
    world.hear(did("quiz", "2026-03-02"))
    with pytest.raises(RefusedError, match="adjustment_points_unwanted"):
        propose(world, "freeze", 5, "2026-03-02")
    propose(world, "freeze", 0, "2026-03-02")
    approve(world, "2026-03-02")
    with pytest.raises(RefusedError, match="account_frozen"):
        world.hear(hold(1), "2026-03-02")


def test_a_frozen_customers_number_cannot_be_shaken_off_by_a_merger(world: World) -> None:
    world.hear(paid(term()))
    world.hear(PolicyRescinded(member_id=M, term=void(term()), effective=D("2026-03-01")), "2026-03-01")
    world.hear(CustomerMerged(member_id="S-1", merged_id=M, effective=D("2026-03-02")))
    noted = [row for row in world.rows if isinstance(row, AccountChange) and row.what == "frozen"]
    assert [(row.member_id, row.reason) for row in noted] == [
        (M, "policy P-1 rescinded"),
        ("S-1", "policy P-1 rescinded"),
    ]
    with pytest.raises(RefusedError, match="account_frozen"):
        world.hear(hold(1, member_id="S-1"), "2026-03-03", key="S-1")


# --- adjustments ---


@pytest.mark.parametrize(
    ("points", "code"),
    [(0, "adjustment_too_large"), (10_001, "adjustment_too_large"), (-10_001, "adjustment_too_large")],
)
def test_an_adjustment_has_a_size(world: World, points: int, code: str) -> None:
    world.hear(did("quiz", "2026-03-02"))
    with pytest.raises(RefusedError, match=code):
        propose(world, "correct", points, "2026-03-02")


def test_nobody_unknown_is_adjusted(world: World) -> None:
    with pytest.raises(RefusedError, match="unknown_member"):
        propose(world, "correct", 5, "2026-03-02")
    assert world.accounts.get(M) is None or world.accounts[M].proposals == {}


def test_what_is_rejected_stays_so(world: World) -> None:
    world.hear(did("quiz", "2026-03-02"))
    propose(world, "correct", 5, "2026-03-02")
    world.hear(RejectAdjustment(adjustment_id="J-1", rejected_by="op-2", reason="no such ticket"), "2026-03-02")
    with pytest.raises(RefusedError, match="adjustment_resolved"):
        approve(world, "2026-03-02")
    assert world.points() == (0, 10, 0)


# --- agents ---


def leave(world: World, on: str, at: str | None = None) -> Any:
    return world.hear(LeaveAgent(agent_id=AGENT, on=D(on), actor="hr"), at or on, key=AGENT)


def test_a_leaving_agent_is_frozen_and_the_points_expire_by_rule(world: World) -> None:
    world.hear(served("mentoring", "2026-05-01"))
    assert leave(world, "2026-06-01").frozen == "agent left"
    with pytest.raises(RefusedError, match="account_frozen"):
        world.hear(hold(10, "agent", AGENT), "2026-06-01", key=AGENT)
    world.hear(served("revisit", "2026-05-31"), "2026-06-02")
    assert world.balance("agent_available", AGENT) == 120, "a service before the last day still counts"
    world.hear(served("revisit", "2026-06-01"), "2026-06-02")
    assert world.balance("agent_available", AGENT) == 120, "one after it does not"
    world.day("2026-08-29", AGENT)
    assert world.balance("agent_available", AGENT) == 120
    world.day("2026-08-30", AGENT)
    assert world.balance("agent_available", AGENT) == 0, "90 days after the last"
    assert_books(world)


def test_a_service_after_leaving_is_refused_to_its_caller(world: World) -> None:
    world.hear(served("mentoring", "2026-05-01"))
    leave(world, "2026-06-01")
    command = RecordActivity(activity=served("revisit", "2026-06-01"))
    with pytest.raises(RefusedError, match="agent_left"):
        world.hear(command, "2026-06-02", key=AGENT)


def test_an_agent_who_returns_in_time_has_the_points_as_they_were(world: World) -> None:
    world.hear(served("mentoring", "2026-05-01"))
    before = world.accounts[AGENT].lots[1].ends_on
    leave(world, "2026-06-01")
    assert world.accounts[AGENT].lots[1].ends_on == date(2026, 8, 30)
    world.hear(ReturnAgent(agent_id=AGENT, on=D("2026-07-01"), actor="hr"), "2026-07-01", key=AGENT)
    assert world.accounts[AGENT].lots[1].ends_on == before
    world.hear(hold(10, "agent", AGENT), "2026-07-01", key=AGENT)
    assert [row[0] for row in audit(world)] == ["left", "frozen", "returned", "unfrozen"]


def test_points_that_expired_with_a_first_leaving_get_no_new_day_by_a_second(world: World) -> None:
    """100 points of May; 40 are spent; the agent leaves, the rest expires on 30 August; back in September, and gone again in October.

    What is refunded then gets the thirty days of whatever expired, and not the ninety of who leaves.
    """
    world.hear(served("mentoring", "2026-05-01"))
    world.hear(hold(40, "agent", AGENT), "2026-05-02", key=AGENT)
    world.hear(CaptureHold(hold_id="H-1"), "2026-05-02", key=AGENT)
    leave(world, "2026-06-01")
    world.day("2026-08-30", AGENT)
    world.hear(ReturnAgent(agent_id=AGENT, on=D("2026-09-01"), actor="hr"), "2026-09-01", key=AGENT)
    leave(world, "2026-10-01")
    assert world.accounts[AGENT].lots[1].ends_on == D("2026-08-30")
    world.hear(RefundHold(hold_id="H-1"), "2026-10-02", key=AGENT)
    assert world.balance("agent_available", AGENT) == 40
    world.day("2026-11-01", AGENT)
    assert world.balance("agent_available", AGENT) == 0
    assert_books(world)


def test_who_never_left_does_not_return(world: World) -> None:
    world.hear(served("mentoring", "2026-05-01"))
    with pytest.raises(RefusedError, match="agent_not_left"):
        world.hear(ReturnAgent(agent_id=AGENT, on=D("2026-07-01"), actor="hr"), "2026-07-01", key=AGENT)


def link(world: World, member: str) -> None:
    world.hear(LinkMembership(agent_id=AGENT, member_id=member, actor="hr"), "2026-01-01")


def test_an_agent_who_is_a_customer_has_two_memberships_that_do_not_mix(world: World) -> None:
    link(world, M)
    world.hear(served("mentoring", "2026-05-01"))
    world.hear(did("quiz", "2026-05-01"))
    assert (world.balance("agent_available", AGENT), world.balance("points_available", AGENT)) == (100, 0)
    assert (world.balance("agent_available"), world.balance("points_available")) == (0, 10)


def test_of_two_who_brought_one_policy_the_first_is_rewarded_and_loses_it_when_it_is_void(world: World) -> None:
    theirs = term(policy_no="P-9", member_id="M-9")
    world.hear(issued(theirs))
    for n, referrer in enumerate(("R-1", "R-2", "R-1")):
        on = D(f"2026-01-0{n + 2}")
        world.hear(ReferralConverted(member_id=referrer, referee_id="M-9", policy_no="P-9", on=on))
    assert (world.balance("points_available", "R-1"), world.balance("points_available", "R-2")) == (500, 0)
    world.hear(cancelled(theirs, "2026-01-10"))
    read_the_news(world, "R-1")
    assert world.balance("points_available", "R-1") == 0


def test_a_referral_is_taken_back_by_the_rules_it_was_earned_by(rules: Programme) -> None:
    """The newest version knows no referrals any more."""
    first = rules.earning.newest
    later = replace(
        first, version=2, effective=D("2027-01-01"), rules=tuple(r for r in first.rules if r.code != "referral")
    )
    world = World(Programme(**{**vars(rules), "earning": Versions([first, later])}))
    theirs = term(policy_no="P-9", member_id="M-9")
    world.hear(issued(theirs))
    world.hear(ReferralConverted(member_id=M, referee_id="M-9", policy_no="P-9", on=D("2026-01-02")))
    world.hear(cancelled(theirs, "2026-01-10"))
    read_the_news(world, M)
    assert world.balance("points_available") == 0


def read_the_news(world: World, member: str) -> None:
    """As the store gives it to the account at its next day."""
    news = tuple(row for row in world.rows if isinstance(row, ReferralNews) and row.member_id == member)
    world.accounts[member] = replace(world.accounts[member], news=news)
    world.day("2026-01-11", member)


def test_self_referral_is_blocked_under_every_number(world: World) -> None:
    link(world, M)
    link(world, "M-2")
    world.hear(issued(term(member_id="M-2", policy_no="P-2")))
    for referrer, referee in ((M, AGENT), (AGENT, M), (M, "M-2")):
        with pytest.raises(RefusedError, match="self_referral"):
            world.hear(ReferralConverted(member_id=referrer, referee_id=referee, policy_no="P-2", on=date(2026, 5, 1)))
    for member in (M, "M-2", AGENT):
        with pytest.raises(RefusedError, match="self_referral"):
            world.hear(served("referral_success", "2026-05-01", member_id=member))
    world.hear(served("referral_success", "2026-05-01", member_id="M-3"))
    assert world.balance("agent_available", AGENT) == 500


def test_nobody_adjusts_their_other_membership(world: World) -> None:
    link(world, M)
    world.hear(did("quiz", "2026-05-01"))
    with pytest.raises(RefusedError, match="own_account"):
        propose(world, "correct", 100, "2026-05-01", by=AGENT)
    propose(world, "correct", 100, "2026-05-01")
    with pytest.raises(RefusedError, match="own_account"):
        approve(world, "2026-05-01", by=AGENT)
    with pytest.raises(RefusedError, match="own_account"):
        world.hear(RejectAdjustment(adjustment_id="J-1", rejected_by=AGENT, reason="no such ticket"), "2026-05-01")
