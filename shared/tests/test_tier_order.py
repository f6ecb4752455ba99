"""The order and the names of tiers on a day, where a version of the rules leaves some out."""

from datetime import date

import msgspec
import pytest
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.programme.order import ranks_on, reaches, rule_on

BEFORE, AFTER = date(2026, 12, 31), date(2027, 1, 1)


@pytest.fixture(scope="module")
def tiers(rules: Programme):
    """As the files have them; from 2027 on no gold, and silver is called otherwise."""
    first = rules.tiers.newest
    basic, silver, _, diamond = first.tiers
    other = msgspec.structs.replace(silver, label_zh="银卡", label_en="Silver Card")
    return Versions([first, msgspec.structs.replace(first, version=2, effective=AFTER, tiers=(basic, other, diamond))])


@pytest.mark.parametrize("day", [BEFORE, AFTER])
def test_a_tier_that_is_left_out_keeps_its_place(tiers, day: date) -> None:
    assert ranks_on(tiers, day) == {"basic": 0, "silver": 1, "gold": 2, "diamond": 3}
    for tier, least, holds in (
        ("diamond", "gold", True),
        ("gold", "gold", True),
        ("gold", "silver", True),
        ("silver", "gold", False),
        ("none", "basic", False),
        ("basic", "platinum", False),
        ("platinum", "basic", False),
    ):
        assert reaches(tiers, tier, least, day) is holds, (tier, least)


def test_a_tier_is_called_what_the_day_calls_it_and_one_left_out_as_last(tiers) -> None:
    said = [
        (tier, day, rule_on(tiers, tier, day)) for tier in ("silver", "gold", "platinum") for day in (BEFORE, AFTER)
    ]
    assert [(tier, day, rule and rule.label_en) for tier, day, rule in said] == [
        ("silver", BEFORE, "Silver"),
        ("silver", AFTER, "Silver Card"),
        ("gold", BEFORE, "Gold"),
        ("gold", AFTER, "Gold"),
        ("platinum", BEFORE, None),
        ("platinum", AFTER, None),
    ]
