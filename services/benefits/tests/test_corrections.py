"""Seasons, yearly reports, and a past that turns out otherwise."""

import pytest
from benefits.state import State
from benefits_life import SEASONAL, SILVER, D, M, claim, confirmed, issued, tiers, use
from tenure.contracts import policy
from tenure.contracts.benefit import (
    BenefitRevoked,
    CoverageExtensionRequested,
    SafetyReportReady,
)


@pytest.mark.parametrize(
    ("region", "start", "end"),
    [
        ("440300", "2021-05-01", "2021-07-01"),  # Shenzhen: before the typhoons
        ("420100", "2021-03-01", "2021-05-01"),  # Wuhan: before the Yangtze rainstorms
        ("110000", "2021-05-01", "2021-07-01"),  # Beijing: before the northern floods
        (None, "2021-04-01", "2021-06-01"),
    ],
)
def test_a_diamond_members_patrol_comes_before_the_storms_of_the_region(life, region, start, end):
    life.then(issued(region=region))
    life.then(tiers(("2020-12-01", "diamond")))
    assert not life.standing() & SEASONAL
    life.day(start)
    patrol = life.grant("seasonal_patrol")
    assert (patrol.period_start, patrol.period_end, patrol.status) == (D(start), D(end), "active")
    life.day(end)
    assert life.grant("seasonal_patrol").status == "expired"


def test_a_home_policys_anniversary_makes_one_report_and_a_motor_policys_none(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(claim(100_000, loss="2020-05-01", on="2020-05-02"))
    anniversary = policy.PolicyAnniversary(
        member_id=M,
        policy_no="P-1",
        term_no=1,
        product_line="home",
        years=1,
        effective=D("2021-01-01"),
        region="440300",
    )
    decided = life.then(anniversary)
    [report] = decided.rows
    assert b'"claims":{"reported":1}' in report.body
    assert "台风" in report.body.decode()
    life.then(anniversary)
    motor = policy.PolicyAnniversary(
        member_id=M, policy_no="P-9", term_no=1, product_line="motor", years=1, effective=D("2021-01-01")
    )
    life.then(motor)
    assert [e.report_id for e in life.take(SafetyReportReady)] == ["P-1.1"]


def test_a_tier_that_never_was_takes_back_what_is_open_and_keeps_what_was_used(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(use("water_leak_inspection", "2020-01-05", period="20200101"))
    life.take()
    life.then(tiers(), at="2020-01-10")
    assert {e.benefit for e in life.take(BenefitRevoked)} == SILVER - {"water_leak_inspection"}
    assert [(g.benefit, g.status, g.is_kept) for g in life.state.grants.values()] == [
        ("water_leak_inspection", "used", True)
    ]
    life.then(tiers(("2020-02-01", "silver")))
    assert life.grant("water_leak_inspection", "20200201").status == "active"


def test_a_corrected_first_day_keeps_the_use_and_the_request(life):
    life.then(issued())
    life.then(tiers(("2020-03-01", "silver")))
    life.then(use("water_leak_inspection", "2020-04-01", period="20200301"))
    life.then(
        confirmed(life.grant("burst_pipe_liability").request_id, start="2020-03-01", end="2021-01-01"), at="2020-03-05"
    )
    life.take()
    life.then(tiers(("2020-01-01", "silver")), at="2020-05-01")
    assert [g.status for g in life.state.grants.values() if g.benefit == "water_leak_inspection"] == ["used"]
    assert [g.status for g in life.state.grants.values() if g.benefit == "burst_pipe_liability"] == ["active"]
    assert life.take(CoverageExtensionRequested) == []


def test_an_older_version_of_a_term_changes_nothing(life):
    life.then(issued(version=3, covers=((D("2020-01-01"), D("2020-02-01")),)))
    before = life.state
    life.then(issued(version=2))
    assert life.state is before


def test_what_changes_nothing_leaves_the_state_untouched(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    before = life.state
    life.then(tiers(("2020-01-01", "silver")))
    life.then(issued())
    assert life.state is before
    assert isinstance(before, State)
