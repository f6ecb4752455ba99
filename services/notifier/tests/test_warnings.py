"""A warning that a tier is about to drop, queued at midnight for the morning, and what the night brings."""

from datetime import date, timedelta

import pytest
from notifier.rules.member import Book
from tenure.contracts import tier
from tenure.contracts.event import Data
from tenure.contracts.programme import Programme

from .cast import D, M, at, tier_changed
from .test_rules import Desk


def at_risk(drops_on: date = D + timedelta(days=365)) -> tier.TierAtRisk:
    return tier.TierAtRisk(member_id=M, tier="gold", to_tier="silver", effective=D, drops_on=drops_on)


def progressed(tier_now: str, *, confirmed: bool | None) -> tier.TierProgressed:
    return tier.TierProgressed(
        member_id=M,
        tier=tier_now,
        effective=D,
        insured_days=1_900,
        annual_premium_fen=0,
        nearest=None,
        covered=True,
        confirmed=confirmed,
    )


@pytest.mark.parametrize(
    ("in_the_night", "told"),
    [
        (progressed("gold", confirmed=True), []),  # the core's nightly run brought the renewal
        (progressed("gold", confirmed=False), ["2027-03-01"]),
        (progressed("gold", confirmed=None), ["2027-03-01"]),
        (tier_changed("gold", "diamond"), [None]),
        (tier_changed("gold", "silver"), [None]),  # nothing is left to be kept
        (tier_changed("gold", "gold", effective=D - timedelta(days=90)), ["2027-03-01"]),  # only the past changed
        (at_risk(D + timedelta(days=30)), ["2026-03-31"]),
        (at_risk(), ["2027-03-01"]),
    ],
)
def test_a_warning_that_is_over_by_the_morning_is_not_told(
    rules: Programme, in_the_night: Data, told: list[str | None]
) -> None:
    desk = Desk(rules, book=Book(tier="gold")).hears(at_risk(), at(0)).hears(in_the_night, at(6))
    rows = desk.tells()
    assert [t.dedupe.partition("tier_at_risk:gold:")[2] or None for t in rows] == told


def test_a_warning_that_was_told_is_not_taken_back(rules: Programme) -> None:
    desk = Desk(rules, book=Book(tier="gold")).hears(at_risk(), at(0)).hears(progressed("gold", confirmed=True), at(9))
    assert [t.template for t in desk.tells()] == ["tier_at_risk"]
