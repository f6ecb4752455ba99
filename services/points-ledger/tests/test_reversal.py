"""What a cancelled, voided or refunded term costs, and in which order it is taken."""

from datetime import UTC, datetime
from itertools import permutations

import pytest
from msgspec.structs import replace
from points_ledger.commands import CaptureHold, PlaceHold, RefundHold, ReleaseHold
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.decision import RefusedError
from tenure.contracts.points import PointsExpired, PointsExpiring, PointsReversed
from tenure.contracts.policy import (
    CustomerMerged,
    PolicyAnniversaryRevoked,
    PolicyCancelled,
    PolicyRescinded,
    PremiumRefunded,
)
from tenure.contracts.programme import Programme, Versions

from .world import (
    D,
    M,
    World,
    anniversary,
    cancelled,
    did,
    endorsed,
    issued,
    no_claim_year,
    no_claim_year_revoked,
    paid,
    refunded,
    renewed,
    term,
    tiers,
    uncancelled,
    void,
)

FIRST, SECOND = term(), term(2)
COOLING = term(cooling_off_end=D("2026-01-16"))


def spend(world: World, points: int, on: str, hold_id: str = "H-1") -> None:
    place(world, points, on, hold_id)
    world.hear(CaptureHold(hold_id=hold_id), on)


def place(world: World, points: int, on: str, hold_id: str = "H-1") -> None:
    expires_at = datetime(2030, 1, 1, tzinfo=UTC)
    world.hear(
        PlaceHold(hold_id=hold_id, member_id=M, wallet="points", points=points, reference="", expires_at=expires_at), on
    )


def parts(world: World) -> tuple[int, int, int, int]:
    """(from pending, from lots, from expired, as debt), over all reversals."""
    told = world.of(PointsReversed)
    assert all(t.amount == t.from_pending + t.from_lots + t.from_expired + t.as_debt for t in told)
    return tuple(sum(getattr(t, p) for t in told) for p in ("from_pending", "from_lots", "from_expired", "as_debt"))  # type: ignore[return-value]


def test_cancelled_within_cooling_off_takes_back_what_is_pending(world: World) -> None:
    world.hear(issued(COOLING))
    world.hear(paid(COOLING))
    world.hear(cancelled(COOLING, "2026-01-10"))
    assert world.points() == (0, 0, 0)
    assert parts(world) == (500, 0, 0, 0)
    world.day("2026-02-01")
    assert world.points() == (0, 0, 0)


def test_own_lots_before_others_before_a_debt(world: World) -> None:
    world.hear(did("check_up", "2025-12-01"))
    world.hear(paid(FIRST))
    spend(world, 700, "2026-02-01")
    assert world.points() == (0, 300, 0), "the check-up expires first, so it was spent first"
    world.hear(cancelled(FIRST, "2026-03-01", "flat"))
    assert world.points() == (0, 0, 200)
    assert parts(world) == (0, 300, 0, 200)


def test_a_debt_blocks_redemption_and_is_repaid_by_what_comes(world: World) -> None:
    world.hear(paid(FIRST))
    spend(world, 500, "2026-02-01")
    world.hear(cancelled(FIRST, "2026-03-01", "flat"))
    assert world.points() == (0, 0, 500)
    world.hear(did("check_up", "2026-04-01"))
    world.hear(did("quiz", "2026-04-02"))
    assert world.points() == (0, 10, 0)
    world.hear(did("quiz", "2026-04-03"))
    place(world, 20, "2026-04-03", "H-2")


def test_while_a_debt_is_owed_nothing_can_be_redeemed(world: World) -> None:
    world.hear(paid(FIRST))
    spend(world, 500, "2026-02-01")
    world.hear(cancelled(FIRST, "2026-03-01", "flat"))
    with pytest.raises(RefusedError, match="debt_outstanding"):
        place(world, 1, "2026-03-02", "H-2")


def test_a_mid_term_refund_takes_its_share(world: World) -> None:
    world.hear(paid(FIRST, 50_000))
    world.hear(cancelled(FIRST, "2026-07-01", "mid_term"))
    assert world.points() == (0, 500, 0), "a cancellation without a refund takes nothing"
    world.hear(refunded(FIRST, 24_999, "2026-07-02", version=10))
    assert world.points() == (0, 500 - 249, 0), "249.99 points are taken back floored"


def test_a_refund_takes_the_terms_other_instalment_before_what_health_earned(world: World) -> None:
    """300 yuan in January, 200 in March. January's points and a check-up's are spent; half of the premium is refunded in July."""
    world.hear(paid(FIRST, 30_000, "2026-01-01"))
    world.hear(did("check_up", "2026-02-01"))
    world.hear(paid(FIRST, 20_000, "2026-03-01", n=2))
    spend(world, 400, "2026-03-02")
    world.hear(refunded(FIRST, 25_000, "2026-07-01"))
    left = {(lot.rule, lot.earned_on): lot.remaining for lot in world.accounts[M].lots.values()}
    assert left == {
        ("premium", D("2026-01-01")): 0,
        ("premium", D("2026-03-01")): 0,
        ("check_up", D("2026-02-01")): 350,
    }


@pytest.mark.parametrize(
    ("dated", "heard", "left", "owed"),
    [
        pytest.param("2028-01-31", "2028-05-02", 5, 0, id="known"),
        pytest.param("2028-01-31", "2028-05-03", 0, 20, id="forgotten"),
        pytest.param("2028-02-01", "2028-05-02", 0, 20, id="over by its day"),
    ],
)
def test_expired_points_are_forgotten_though_some_of_their_lot_are_reserved(
    world: World, dated: str, heard: str, left: int, owed: int
) -> None:
    """25 points of a premium are spent; of 30 of quizzes 5 are reserved, and 25 expire on 1 February 2028; an article's 5 are there."""
    two_years = term(end=D("2028-02-05"), written_end=D("2028-02-05"), premium_fen=2_500)
    world.hear(paid(two_years, 2_500, "2026-01-05"))
    spend(world, 25, "2026-01-06")
    for day in ("2026-01-10", "2026-01-11", "2026-01-12"):
        world.hear(did("quiz", day))
    place(world, 5, "2028-01-20", "H-2")
    world.hear(did("article", "2028-02-10"))
    world.hear(refunded(two_years, 2_500, dated), heard)
    assert world.points() == (0, left, owed)


def test_two_refunds_add_up_before_they_are_floored(world: World) -> None:
    world.hear(paid(FIRST, 50_000))
    world.hear(refunded(FIRST, 10_050, "2026-07-02", version=5))
    world.hear(refunded(FIRST, 10_050, "2026-08-02", version=6))
    assert world.points() == (0, 500 - 201, 0)


def test_a_completed_year_stays_when_a_later_premium_is_refunded_but_not_when_the_term_is_void(world: World) -> None:
    for event in (issued(FIRST), paid(FIRST), anniversary(1, "2027-01-01"), no_claim_year()):
        world.hear(event)
    world.hear(refunded(FIRST, 50_000, "2027-01-02"))
    assert world.points() == (0, 400, 0)
    world.hear(cancelled(FIRST, "2027-01-03", "flat"), "2027-01-03")
    assert (world.points(), world.balance("growth_available")) == ((0, 0, 0), 0)


def test_rescission_takes_every_term_of_the_policy_and_nothing_else(world: World) -> None:
    for event in (paid(FIRST), anniversary(1, "2027-01-01"), renewed(SECOND), paid(SECOND, on="2027-01-01", n=1)):
        world.hear(event)
    other = term(policy_no="P-2")
    world.hear(paid(other, 10_000, on="2027-01-02"))
    world.hear(PolicyRescinded(member_id=M, term=void(SECOND), effective=D("2027-02-01")))
    assert (world.points(), world.balance("growth_available")) == ((0, 100, 0), 0)


def test_a_reversed_cancellation_returns_the_lots_with_their_own_expiry(world: World) -> None:
    world.hear(did("check_up", "2025-12-01"))
    world.hear(paid(FIRST))
    before = {no: (lot.remaining, lot.expires_on) for no, lot in world.accounts[M].lots.items()}
    world.hear(cancelled(FIRST, "2026-03-01", "flat"))
    world.hear(uncancelled(FIRST, "2026-03-05"))
    assert {no: (lot.remaining, lot.expires_on) for no, lot in world.accounts[M].lots.items()} == before
    assert world.points() == (0, 1_000, 0)


def test_a_reversed_cancellation_returns_what_other_lots_and_a_debt_paid(world: World) -> None:
    world.hear(did("check_up", "2025-12-01"))
    world.hear(paid(FIRST))
    spend(world, 800, "2026-02-01")
    world.hear(cancelled(FIRST, "2026-03-01", "flat"))
    assert world.points() == (0, 0, 300)
    world.hear(did("quiz", "2026-03-02"))
    assert world.points() == (0, 0, 290)
    world.hear(uncancelled(FIRST, "2026-03-05"))
    assert world.points() == (0, 210, 0), "200 left and 10 for the quiz, as if nothing had happened"


def test_what_expired_unused_is_taken_back_out_of_breakage_not_from_other_lots(world: World) -> None:
    world.hear(paid(FIRST))
    world.hear(did("check_up", "2026-12-01"))
    world.day("2028-02-01")
    assert world.points() == (0, 500, 0)
    world.hear(cancelled(FIRST, "2028-01-20", "flat"), "2028-01-20")
    assert world.points() == (0, 500, 0)
    assert parts(world) == (0, 0, 500, 0)


@pytest.mark.parametrize("ticks", [(), ("2026-02-15",), ("2028-01-10",), ("2028-03-01",), ("2026-02-15", "2028-03-01")])
def test_ticks_before_or_after_a_late_cancellation_give_the_same_balances(
    rules: Programme, ticks: tuple[str, ...]
) -> None:
    world = World(rules)
    world.hear(paid(term(cooling_off_end=D("2026-02-10"))))
    world.hear(did("check_up", "2026-02-11"))
    world.hear(did("quiz", "2026-03-01"))
    spend(world, 700, "2026-02-20")
    for tick in ticks:
        world.day(tick)
    world.hear(cancelled(FIRST, "2028-01-20", "flat"), "2028-01-20")
    world.day("2028-06-01")
    assert world.points() == (0, 0, 190), "310 of the premium's 500 points were left to take"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_tier_renewal_and_cancellation_in_any_order(rules: Programme, order: tuple[int, ...]) -> None:
    """Gold came before the renewal; whatever was heard first, 360 points were earned and half of them lost with the refund."""
    world = World(rules)
    world.hear(issued(SECOND, "2026-12-31"))
    world.hear(paid(SECOND, on="2026-12-31"))
    events = [
        (renewed(SECOND), "2026-12-31"),
        (tiers(("2026-01-01", "basic"), ("2026-06-01", "gold")), "2027-01-05"),
        (refunded(SECOND, 25_000, "2027-02-01"), "2027-02-01"),
    ]
    for n in order:
        world.hear(*events[n])
    world.day("2027-03-01")
    assert world.points() == (0, 250 + 180, 0)


def test_a_tier_that_was_never_held_takes_the_difference_back(world: World) -> None:
    world.hear(tiers(("2026-06-01", "diamond")))
    world.hear(renewed(SECOND))
    world.hear(tiers(("2026-06-01", "silver")), "2027-02-01")
    assert world.points() == (0, 330, 0)
    world.hear(tiers(("2026-06-01", "diamond")), "2027-02-02")
    assert world.points() == (0, 450, 0)


def test_a_back_dated_cancellation_takes_what_came_after_the_end(world: World) -> None:
    world.hear(issued(FIRST))
    world.hear(anniversary(1, "2027-01-01"))
    world.hear(cancelled(FIRST, "2026-11-01", "mid_term"), "2027-01-15")
    assert (world.points(), world.balance("growth_available")) == ((0, 0, 0), 0)


def test_cover_added_and_refunded(world: World) -> None:
    world.hear(paid(FIRST, 50_000))
    world.hear(endorsed(FIRST, 10_000))
    world.hear(paid(FIRST, 10_000, "2026-03-01", n=2))
    world.hear(refunded(FIRST, 30_000, "2026-07-01"))
    assert world.points() == (0, 250 + 50 + 100, 0)


# --- holds ---


def test_points_under_a_hold_do_not_expire_but_gain_no_time_either(world: World) -> None:
    world.hear(did("check_up", "2026-01-10"))
    place(world, 500, "2028-01-31")
    world.day("2028-02-01")
    assert world.balance("points_held") == 500
    world.hear(ReleaseHold(hold_id="H-1"), "2028-02-01")
    assert world.points() == (0, 0, 0)
    assert [t.amount for t in world.of(PointsExpired)] == [500]


def test_a_refund_returns_to_the_lots_in_reverse_order_with_their_dates(world: World) -> None:
    world.hear(did("check_up", "2026-01-10"))
    world.hear(did("family_policy_data", "2026-03-10"))
    spend(world, 600, "2026-04-01")
    world.hear(RefundHold(hold_id="H-1", points=150), "2026-04-02")
    left = {lot.rule: (lot.remaining, lot.expires_on) for lot in world.accounts[M].lots.values()}
    assert left == {"check_up": (50, D("2028-02-01")), "family_policy_data": (200, D("2028-04-01"))}


def test_a_refund_into_an_expired_lot_gets_thirty_days_and_only_once(world: World) -> None:
    world.hear(did("check_up", "2026-01-10"))
    spend(world, 500, "2028-01-31")
    world.hear(RefundHold(hold_id="H-1"), "2028-02-10")
    (grace,) = [lot for lot in world.accounts[M].lots.values() if lot.remaining]
    assert grace.expires_on == D("2028-03-11")
    spend(world, 500, "2028-03-01", "H-2")
    world.hear(RefundHold(hold_id="H-2"), "2028-03-20")
    assert world.points() == (0, 0, 0), "a redeem-refund loop never extends validity"


def test_a_partial_capture_releases_the_rest(world: World) -> None:
    world.hear(did("check_up", "2026-01-10"))
    place(world, 400, "2026-02-01")
    world.hear(CaptureHold(hold_id="H-1", points=150), "2026-02-01")
    assert (world.points(), world.balance("points_held")) == ((0, 350, 0), 0)
    with pytest.raises(RefusedError, match="refund_too_large"):
        world.hear(RefundHold(hold_id="H-1", points=151), "2026-02-02")


@pytest.mark.parametrize("second", [CaptureHold(hold_id="H-1"), ReleaseHold(hold_id="H-1")])
@pytest.mark.parametrize("first", [CaptureHold(hold_id="H-1"), ReleaseHold(hold_id="H-1")])
def test_a_hold_is_resolved_once(world: World, first: CaptureHold, second: CaptureHold) -> None:
    world.hear(did("check_up", "2026-01-10"))
    place(world, 400, "2026-02-01")
    world.hear(first, "2026-02-01")
    with pytest.raises(RefusedError, match="hold_resolved"):
        world.hear(second, "2026-02-01")


def test_what_expires_is_told_once_thirty_days_before(world: World) -> None:
    world.hear(did("check_up", "2026-01-10"))
    world.hear(did("quiz", "2026-01-20"))
    world.day("2028-01-01")
    assert world.of(PointsExpiring) == []
    for day in ("2028-01-02", "2028-01-03", "2028-01-31"):
        world.day(day)
    (told,) = world.of(PointsExpiring)
    assert (told.amount, told.expires_on, told.effective) == (510, D("2028-02-01"), D("2028-01-02"))


# --- referrals and mergers ---

REFERRAL = ReferralConverted(
    member_id=M, referee_id="M-2", policy_no="P-9", on=D("2026-05-01"), cooling_off_end=D("2026-05-16")
)
THEIRS = term(policy_no="P-9", member_id="M-2")


def test_a_referral_is_pending_until_the_referee_can_no_longer_walk_away(world: World) -> None:
    world.hear(REFERRAL)
    assert world.points() == (500, 0, 0)
    world.hear(REFERRAL)
    world.day("2026-05-16")
    assert world.points() == (0, 500, 0)


def test_the_reward_goes_when_the_referees_policy_is_void(world: World) -> None:
    world.hear(issued(THEIRS, "2026-05-01"))
    world.hear(REFERRAL)
    world.hear(cancelled(THEIRS, "2026-05-10"))
    (news,) = [row for row in world.rows if type(row).__name__ == "ReferralNews"]
    assert (news.member_id, news.policy_no, news.void) == (M, "P-9", True)
    world.accounts[M] = replace(world.accounts[M], news=(news,))
    world.day("2026-05-11")
    assert world.points() == (0, 0, 0)


def test_a_policy_void_before_its_referral_was_heard_earns_nothing(world: World) -> None:
    world.hear(issued(THEIRS, "2026-05-01"))
    world.hear(cancelled(THEIRS, "2026-05-10"))
    world.hear(REFERRAL)
    assert world.points() == (0, 0, 0)


def test_what_is_taken_back_is_taken_by_the_rules_it_was_earned_by(rules: Programme) -> None:
    """From July on a premium earns double and a refund takes nothing back; what January earned is January's to take."""
    v1 = rules.earning.newest
    kinder = tuple(replace(r, per_cny=2, refund="keep") if r.code == "premium" else r for r in v1.rules)
    both = Versions([v1, replace(v1, version=2, effective=D("2026-07-01"), rules=kinder)])
    world = World(Programme(**{**vars(rules), "earning": both}))
    world.hear(paid(FIRST, 50_000, "2026-01-01"))
    world.hear(paid(FIRST, 10_000, "2026-07-01", n=2))
    assert world.points() == (0, 500 + 200, 0)
    world.hear(refunded(FIRST, 30_000, "2026-08-01"))
    assert world.points() == (0, 250 + 200, 0), "half of the premium is back: half of January's points, none of July's"


def test_a_merged_member_brings_lots_with_their_dates_and_policies_with_their_debts(world: World) -> None:
    theirs = term(policy_no="P-2", member_id="M-2")
    world.hear(paid(theirs, 30_000, "2026-02-01"))
    world.hear(paid(FIRST, 50_000))
    world.hear(CustomerMerged(member_id=M, merged_id="M-2", effective=D("2026-06-01")))
    world.hear(CustomerMerged(member_id=M, merged_id="M-2", effective=D("2026-06-01")))
    assert (world.points(), world.points("M-2")) == ((0, 800, 0), (0, 0, 0))
    assert {lot.expires_on for lot in world.accounts[M].lots.values()} == {D("2028-02-01"), D("2028-03-01")}
    world.hear(cancelled(replace(theirs, member_id=M), "2026-07-01", "flat"))
    assert world.points() == (0, 500, 0)


def test_a_gap_opened_by_a_late_cancellation_takes_the_renewal_back_and_its_reversal_gives_it_again(
    world: World,
) -> None:
    second = term(2)
    world.hear(issued(term()))
    world.hear(renewed(second, "2026-12-20", early=12))
    assert world.points()[1] == 400  # 200, 20 % of 500, 100 for being early
    world.hear(renewed(second, "2026-12-20", gap=31, early=-20), "2027-01-02")
    assert world.points()[1] == 0
    world.hear(renewed(second, "2026-12-20", gap=30, early=-20), "2027-01-03")
    assert world.points()[1] == 300
    world.hear(renewed(second, "2026-12-20", early=12), "2027-01-04")
    world.hear(renewed(second, "2026-12-20", early=12), "2027-01-05")
    assert world.points() == (0, 400, 0)


def test_an_anniversary_whose_cover_had_ended_is_taken_back_and_given_again(world: World) -> None:
    world.hear(issued(term()))
    world.hear(anniversary(1, "2027-01-01"))
    before = (world.points(), world.balance("growth_available"))
    revoked = PolicyAnniversaryRevoked(
        member_id=M, policy_no="P-1", product_line="home", years=1, effective=D("2027-06-01")
    )
    world.hear(revoked)
    assert (world.points(), world.balance("growth_available")) == ((0, 0, 0), 0)
    world.hear(anniversary(1, "2027-01-01"), "2027-07-01")
    assert (world.points(), world.balance("growth_available")) == before == ((0, 100, 0), 10)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_what_was_refunded_is_what_the_newest_telling_of_the_term_says(
    rules: Programme, order: tuple[int, ...]
) -> None:
    """Cancelled and refunded, then both taken back. What had to wait is told with the instant of what it waited for."""
    world = World(rules)
    world.hear(paid(FIRST))
    cut = cancelled(replace(FIRST, version=3, refunded_fen=20_000), "2026-03-01", "flat")
    told = [
        refunded(replace(FIRST, refunded_fen=20_000), 20_000, "2026-03-01", version=2),
        replace(cut, term=replace(cut.term, version=3)),
        uncancelled(replace(FIRST, version=4, refunded_fen=0), "2026-03-01"),
    ]
    for n in order:
        world.hear(told[n], ["2026-03-05", "2026-03-04", "2026-03-04"][n])
    assert world.points() == (0, 500, 0)


@pytest.mark.parametrize("years_known_before", [1, 2])
def test_years_that_count_from_a_later_term_are_rewarded_on_their_new_days(
    world: World, years_known_before: int
) -> None:
    """The first term turns out void: the anniversary of 1 January 2028 was the second, and is the first now."""
    second = term(2, inception=D("2027-01-01"))
    world.hear(issued(term()))
    world.hear(renewed(second, "2026-12-31", early=0))
    for year in range(1, years_known_before + 1):
        world.hear(no_claim_year(year, f"{2026 + year}-01-01"))
        world.hear(anniversary(year, f"{2026 + year}-01-01", year))
    world.hear(cancelled(void(term()), "2026-01-01", "flat"), "2028-02-01")
    for year in range(1, years_known_before + 1):
        world.hear(no_claim_year_revoked(year, "2028-02-01"))
        world.hear(
            PolicyAnniversaryRevoked(
                member_id=M, policy_no="P-1", product_line="home", years=year, effective=D("2028-02-01")
            )
        )
    for _ in range(2):
        world.hear(no_claim_year(1, "2028-01-01"), "2028-02-01")
        world.hear(anniversary(1, "2028-01-01", 2), "2028-02-01")
    assert (world.points()[1], world.balance("growth_available")) == (300 + 300 + 100, 30)
    revoked = PolicyAnniversaryRevoked(
        member_id=M, policy_no="P-1", product_line="home", years=1, effective=D("2028-03-01")
    )
    world.hear(revoked, "2028-03-01")
    world.hear(no_claim_year_revoked(1, "2028-03-01"), "2028-03-01")
    assert (world.points()[1], world.balance("growth_available")) == (300, 0)


def test_a_refund_heard_years_after_the_term_ended_takes_its_share_of_what_was_paid(world: World) -> None:
    first = term(covers=(), premium_fen=50_000)
    world.hear(issued(first))
    world.hear(paid(first, 50_000))
    world.hear(issued(term(5, policy_no="P-2")), "2030-01-01")
    world.hear(paid(term(5, policy_no="P-2"), 100_000, "2030-01-01"))
    assert "P-1/1" not in world.accounts[M].memory.terms  # forgotten two years after its end
    short = replace(first, status="cancelled", end=D("2026-02-01"), premium_fen=4_247, version=9)
    cut = PolicyCancelled(member_id=M, term=short, effective=D("2026-02-01"), kind="mid_term")
    world.hear(cut, "2030-01-02")
    back = PremiumRefunded(member_id=M, term=replace(short, version=10), effective=D("2026-02-01"), amount_fen=10_000)
    world.hear(back, "2030-01-03")
    lots = [lot for lot in world.accounts[M].lots.values() if lot.fact == "P-1/1#1"]
    assert [lot.standing for lot in lots] == [400]
