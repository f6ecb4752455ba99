"""Sentences an agent reads aloud, in both languages."""

from datetime import date

import pytest
from tenure.contracts.tier import Condition
from tier_engine.words import label, met, missing

from .cases import RULES


def condition(measure, actual, threshold, operator, *, left=0, on=None):
    return Condition(
        tier="silver",
        measure=measure,
        actual=actual,
        threshold=threshold,
        operator=operator,
        missing=left,
        expected_on=on,
    )


@pytest.mark.parametrize(
    ("held", "zh", "en"),
    [
        (
            condition("insured_years", 2, 2, ">="),
            "投保年限满 2 年（要求至少 2 年）",
            "2 insured years (at least 2 needed)",
        ),
        (
            condition("insured_years", 1, 0, ">"),
            "投保年限满 1 年（要求超过 0 年）",
            "1 insured year (more than 0 needed)",
        ),
        (
            condition("annual_premium_fen", 1_234_567_05, 30_000, ">"),
            "年度保费 1,234,567.05 元（要求超过 300.00 元）",
            "an annual premium of CNY 1,234,567.05 (more than CNY 300.00 needed)",
        ),
    ],
)
def test_a_condition_that_holds(held, zh, en):
    assert (met(held).zh, met(held).en) == (zh, en)


@pytest.mark.parametrize(
    ("lacking", "en"),
    [
        (condition("insured_years", 1, 2, ">=", left=1), "Silver needs 1 more insured day."),
        (
            condition("insured_years", 1, 2, ">=", left=30, on=date(2018, 1, 1)),
            "Silver needs 30 more insured days: reached on 2018-01-01 if cover goes on.",
        ),
        (condition("annual_premium_fen", 300_00, 300_00, ">", left=1), "Silver needs CNY 0.01 more annual premium."),
        (None, "This is the highest tier."),
    ],
)
def test_what_is_still_missing(lacking, en):
    assert missing(lacking, RULES).en == en


def test_a_tier_these_rules_do_not_know_keeps_its_own_name():
    assert label(RULES, "platinum").en == "platinum"
    assert label(RULES, "none").zh == "无等级"
