"""DESIGN 5.3, line by line: what earns how many points. Premiums are CNY 500.00 a year unless said otherwise."""

from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.decision import RefusedError
from tenure.contracts.points import PointsGranted
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.programme.earning import Campaign, Window

from .world import (
    D,
    M,
    World,
    anniversary,
    did,
    endorsed,
    issued,
    no_claim_year,
    no_claim_year_revoked,
    paid,
    renewed,
    served,
    term,
    tiers,
    under_rules,
)

COOLING = term(cooling_off_end=D("2026-01-16"))
SECOND = term(2)


@pytest.mark.parametrize(
    ("what", "events", "points", "growth"),
    [
        ("1 point per full CNY of premium paid", [paid(term(), 50_000)], 500, 0),
        ("the fen under a CNY earn nothing", [paid(term(), 50_099)], 500, 0),
        ("less than CNY 1 earns nothing", [paid(term(), 99)], 0, 0),
        ("each instalment earns by itself", [paid(term(), 25_050), paid(term(), 25_050, n=2)], 500, 0),
        ("the same instalment told twice earns once", [paid(term()), paid(term())], 500, 0),
        ("an employer who pays earns for the member", [replace(paid(term()), payer_id="ACME")], 500, 0),
        ("an organisation's policy earns nothing", [paid(term(natural_person=False))], 0, 0),
        ("renewal: 200 + 20 % of 500", [renewed(SECOND)], 300, 0),
        ("renewed 7 days early: 100 more", [renewed(SECOND, on="2026-12-25", early=7)], 400, 0),
        ("renewed 6 days early: no bonus", [renewed(SECOND, on="2026-12-26", early=6)], 300, 0),
        ("a gap of 30 days is still a renewal", [renewed(SECOND, on="2027-01-31", gap=30, early=-30)], 300, 0),
        ("a gap of 31 days is not", [renewed(SECOND, on="2027-02-01", gap=31, early=-31)], 0, 0),
        ("a renewal told twice is paid once", [renewed(SECOND), renewed(SECOND, on="2027-01-05")], 300, 0),
        ("20 % of an uneven premium floors", [renewed(term(2, premium_fen=12_399))], 200 + 24, 0),
        ("cover added: 2 per CNY of the increase", [endorsed(term(), 10_050)], 200, 0),
        ("cover reduced earns nothing, costs nothing", [endorsed(term(), -10_000)], 0, 0),
        ("the same endorsement again earns once", [endorsed(term(), 10_000), endorsed(term(), 10_000)], 200, 0),
        ("first anniversary: 100, growth 10", [anniversary(1, "2027-01-01")], 100, 10),
        ("tenth anniversary: 1,000", [anniversary(10, "2036-01-01")], 1_000, 10),
        ("eleventh anniversary: at most 1,000", [anniversary(11, "2037-01-01")], 1_000, 10),
        ("an anniversary comes once", [anniversary(1, "2027-01-01"), anniversary(1, "2027-01-01", 2)], 100, 10),
        ("a year without a claim: 300, growth 20", [no_claim_year()], 300, 20),
        ("and it goes when a claim of that year comes to light", [no_claim_year(), no_claim_year_revoked()], 0, 0),
        ("and comes again when that claim is withdrawn", [no_claim_year(), no_claim_year_revoked(), no_claim_year()], 300, 20),
        ("silver renewal: 300 x 1.1", [tiers(("2026-06-01", "silver")), renewed(SECOND)], 330, 0),
        ("gold renewal: 300 x 1.2", [tiers(("2026-06-01", "gold")), renewed(SECOND)], 360, 0),
        ("diamond renewal: 300 x 1.5", [tiers(("2026-06-01", "diamond")), renewed(SECOND)], 450, 0),
        ("diamond anniversary: 100 x 1.5, growth as ever", [tiers(("2026-06-01", "diamond")), anniversary(1, "2027-01-01")], 150, 10),
        ("a tier does not multiply premium", [tiers(("2025-06-01", "diamond")), paid(term())], 500, 0),
        ("the tier of that day counts, not today's", [tiers(("2027-01-01", "gold")), renewed(SECOND, on="2026-12-31")], 300, 0),
        ("10,000 steps", [did("steps", "2026-05-01", 10_000)], 10, 0),
        ("9,999 steps", [did("steps", "2026-05-01", 9_999)], 0, 0),
        ("steps count once a day", [did("steps", "2026-05-01", 12_000), did("steps", "2026-05-01", 14_000)], 10, 0),
        ("corrected upward", [did("steps", "2026-05-01", 9_000), did("steps", "2026-05-01", 11_000)], 10, 0),
        ("corrected downward", [did("steps", "2026-05-01", 11_000), did("steps", "2026-05-01", 9_000)], 0, 0),
        ("a third health course in a day earns nothing", [did("health_course", "2026-05-01") for _ in range(3)], 40, 0),
        ("one check-up a year", [did("check_up", "2026-05-01"), did("check_up", "2026-11-01")], 500, 0),
        ("one more in the next year", [did("check_up", "2026-12-31"), did("check_up", "2027-01-01")], 1_000, 0),
        ("one quiz a day", [did("quiz", "2026-05-01"), did("quiz", "2026-05-01"), did("quiz", "2026-05-02")], 20, 0),
        ("three articles a day", [did("article", "2026-05-01") for _ in range(4)], 15, 0),
        ("family policy data once in a life", [did("family_policy_data", "2026-05-01"), did("family_policy_data", "2028-05-01")], 200, 0),
        ("a class once a session", [did("class", "2026-05-01", session_id="S-1"), did("class", "2026-05-02", session_id="S-1")], 50, 20),
        ("another session", [did("class", "2026-05-01", session_id="S-1"), did("class", "2026-05-02", session_id="S-2")], 100, 40),
        ("a wealth lecture has no growth", [did("wealth_lecture", "2026-05-01", session_id="S-1")], 100, 0),
        ("a safe day at the wheel", [did("safe_driving", "2026-05-01", product_line="motor")], 10, 0),
        ("safe at home is another thing", [did("safe_driving", "2026-05-01", product_line="home")], 0, 0),
        ("the same activity twice earns once", [did("article", "2026-05-01", activity_id="x")] * 2, 5, 0),
    ],
)  # fmt: skip
def test_what_earns(world: World, what: str, events: list, points: int, growth: int) -> None:
    for event in events:
        world.hear(event)
    assert (world.balance("points_available"), world.balance("growth_available")) == (points, growth), what


@pytest.mark.parametrize(
    ("kind", "rank", "points"),
    [
        ("revisit", "agent", 20),
        ("policy_report", "agent", 30),
        ("claim_assist", "agent", 50),
        ("good_review", "agent", 30),
        ("service_report", "agent", 30),
        ("referral_success", "agent", 500),
        ("teamwork", "agent", 50),
        ("sharing", "agent", 50),
        ("mentoring", "agent", 100),
        ("mentoring", "senior", 110),
        ("mentoring", "manager", 120),
    ],
)
def test_what_agents_earn(world: World, kind: str, rank: str, points: int) -> None:
    world.hear(served(kind, "2026-05-01", rank))
    assert world.balance("agent_available", "A-7") == points
    assert world.balance("points_available", "A-7") == 0, "wallets never mix"


def test_five_revisits_a_day(world: World) -> None:
    for _ in range(6):
        world.hear(served("revisit", "2026-05-01"))
    world.hear(served("revisit", "2026-05-02"))
    assert world.balance("agent_available", "A-7") == 120


def test_history_earns_nothing(world: World) -> None:
    for event in (issued(term()), paid(term()), renewed(SECOND), anniversary(1, "2027-01-01"), no_claim_year()):
        world.hear(event, backfill=True)
    assert world.points() == (0, 0, 0)
    assert world.told == []


def test_what_an_older_fact_brought_to_light_counts_on_its_own_day(world: World) -> None:
    """A renewal and an anniversary that waited for the policy carry the time of the fact that let them count."""
    world.hear(tiers(("2026-06-01", "gold")), "2026-01-01")
    world.hear(renewed(SECOND), "2026-01-01")
    world.hear(anniversary(1, "2027-01-01"), "2026-01-01")
    assert world.points() == (360 + 120, 0, 0), "nothing is spendable before its day"
    world.day("2027-01-01")
    assert world.points() == (0, 360 + 120, 0)
    assert [(lot.earned_on.isoformat(), lot.status) for lot in world.accounts[M].lots.values() if lot.wallet == "points"] == [
        ("2026-12-31", "gold"),
        ("2027-01-01", "gold"),
    ]  # fmt: skip


def test_premium_is_pending_until_cooling_off_ends(world: World) -> None:
    world.hear(paid(COOLING))
    assert world.points() == (500, 0, 0)
    world.day("2026-01-15")
    assert world.points() == (500, 0, 0)
    world.day("2026-01-16")
    assert world.points() == (0, 500, 0)


def test_a_campaign_multiplies_what_falls_into_its_days(rules: Programme) -> None:
    v1 = rules.earning.newest
    spring = Campaign(code="spring", window=Window(start=D("2026-03-01"), end=D("2026-04-01")), percent=150)
    programme = Programme(
        tiers=rules.tiers,
        earning=Versions([replace(v1, campaigns=(spring,), product_line_percent={"home": 120})]),
        benefits=rules.benefits,
        catalogue=rules.catalogue,
        messages=rules.messages,
    )
    world = World(programme)
    world.hear(paid(term(), 10_099, "2026-02-28"))
    assert world.balance("points_available") == 120
    world.hear(paid(term(), 10_099, "2026-03-01", n=2))
    assert world.balance("points_available") == 120 + 180


def test_a_campaign_has_a_cap_for_each_member(rules: Programme) -> None:
    v1 = rules.earning.newest
    may = Campaign(
        code="may", window=Window(start=D("2026-05-01"), end=D("2026-06-01")), percent=200, member_points_max=30
    )
    programme = Programme(
        tiers=rules.tiers,
        earning=Versions([replace(v1, campaigns=(may,))]),
        benefits=rules.benefits,
        catalogue=rules.catalogue,
        messages=rules.messages,
    )
    world = World(programme)
    for day in range(1, 5):
        world.hear(did("quiz", date(2026, 5, day)))
    assert world.balance("points_available") == 20 + 20 + 20 + 10, (
        "three quizzes bring the 30 more, then they count single"
    )


# --- streaks ---


def walk(world: World, first: str, days: int, *, without: tuple[int, ...] = ()) -> None:
    for n in range(days):
        if n not in without:
            world.hear(did("steps", D(first) + timedelta(n), 10_000))


def streaks(world: World) -> int:
    lots = world.accounts[M].lots.values()
    return sum(lot.standing for lot in lots if lot.rule == "steps_streak" and lot.wallet == "points")


@pytest.mark.parametrize(("days", "paid_streaks"), [(29, 0), (30, 1), (59, 1), (60, 2)])
def test_thirty_days_in_a_row_pay_once(world: World, days: int, paid_streaks: int) -> None:
    walk(world, "2026-03-01", days)
    assert streaks(world) == 500 * paid_streaks
    assert world.balance("growth_available") == 10 * paid_streaks


def test_a_missed_day_breaks_the_streak_and_late_data_mends_it(world: World) -> None:
    walk(world, "2026-03-01", 30, without=(25,))
    assert streaks(world) == 0
    world.hear(did("steps", "2026-03-26", 10_000), at="2026-04-02")
    assert streaks(world) == 500, "seven days late is in time"


def test_data_eight_days_late_does_not_count(world: World) -> None:
    walk(world, "2026-03-01", 30, without=(25,))
    world.hear(did("steps", "2026-03-26", 10_000), at="2026-04-03")
    assert streaks(world) == 0


def test_a_corrected_day_undoes_the_streak_and_correcting_it_again_restores_it(world: World) -> None:
    walk(world, "2026-03-01", 30)
    world.hear(did("steps", "2026-03-28", 50), at="2026-03-30")
    assert (streaks(world), world.balance("points_available"), world.balance("growth_available")) == (0, 290, 0)
    world.hear(did("steps", "2026-03-28", 15_000), at="2026-03-31")
    assert (streaks(world), world.balance("points_available"), world.balance("growth_available")) == (500, 800, 10)


# --- refusals ---


def test_an_activity_of_tomorrow_is_refused(world: World) -> None:
    with pytest.raises(RefusedError, match="activity_in_future"):
        world.hear(did("quiz", "2026-05-02"), at="2026-05-01")


def test_a_class_names_its_session(world: World) -> None:
    with pytest.raises(RefusedError, match="no_session"):
        world.hear(did("class", "2026-05-02"))


def test_nobody_refers_themselves(world: World) -> None:
    with pytest.raises(RefusedError, match="self_referral"):
        world.hear(ReferralConverted(member_id=M, referee_id=M, policy_no="P-9", on=date(2026, 5, 1)))


# --- dates ---


@pytest.mark.parametrize(
    ("earned", "expires"),
    [
        ("2026-01-01", "2028-02-01"),
        ("2026-01-31", "2028-02-01"),
        ("2024-02-29", "2026-03-01"),
        ("2026-12-15", "2029-01-01"),
    ],
)
def test_a_lot_expires_24_months_on_at_the_end_of_that_month(world: World, earned: str, expires: str) -> None:
    world.hear(did("quiz", earned))
    (granted,) = world.of(PointsGranted)
    assert granted.expires_on == D(expires)
    world.day(D(expires) - timedelta(1))
    assert world.points() == (0, 10, 0)
    world.day(expires)
    assert world.points() == (0, 0, 0)


MOTOR_YEAR = {"product_lines": frozenset({"motor"}), "window": Window(start=D("2027-01-01"), end=D("2028-01-01"))}


@pytest.mark.parametrize(
    ("what", "event", "points"),
    [
        ("a motor policy within the window", paid(term(product_line="motor"), on="2027-05-01"), 500),
        ("a home policy", paid(term(), on="2027-05-01"), 0),
        ("the day before the window", paid(term(product_line="motor"), on="2026-12-31"), 0),
        ("the day of its end", paid(term(product_line="motor"), on="2028-01-01"), 0),
        ("a motor renewal has its share of the premium's rule", renewed(term(2, product_line="motor"), "2027-05-01"), 300),
        ("a home renewal has no share of a rule for motor", renewed(SECOND, "2027-05-01"), 200),
    ],
)  # fmt: skip
def test_window_and_product_lines_hold_for_what_policies_earn(
    rules: Programme, what: str, event: Any, points: int
) -> None:
    lines = tuple(replace(r, **MOTOR_YEAR) if r.code == "premium" else r for r in rules.earning.newest.rules)
    world = World(under_rules(rules, rules=lines))
    world.hear(event)
    assert world.balance("points_available") + world.balance("points_pending") == points, what
