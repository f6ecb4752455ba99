"""A use belongs to its day: the tier, the quota and the cover of that day decide, however late it is told."""

import pytest
from benefits_life import issued, tiers, use
from tenure.contracts.decision import RefusedError


@pytest.mark.parametrize(
    ("tiers_of_the_year", "used_before", "told_late", "outcome"),
    [
        ("silver, basic from June", "2020-03-01", "2020-05-31", 0),  # silver's second check, on its last day
        ("silver, basic from June", "2020-03-01", "2020-06-01", "quota_used_up"),
        ("basic, silver from June", "2020-03-01", "2020-05-31", "quota_used_up"),  # basic had one
        ("basic, silver from June", "2020-03-01", "2020-06-01", 0),
    ],
)
def test_a_visit_told_late_counts_against_the_quota_of_its_own_day(
    life, tiers_of_the_year, used_before, told_late, outcome
):
    first, then = tiers_of_the_year.replace(" from June", "").split(", ")
    life.then(issued())
    life.then(tiers(("2020-01-01", first), ("2020-06-01", then)))
    life.then(use("home_safety", used_before, period="20200101"))
    late = use("home_safety", told_late, period="20200101", today="2020-06-20")
    if isinstance(outcome, str):
        with pytest.raises(RefusedError, match=outcome):
            life.then(late)
    else:
        assert life.then(late).reply.remaining == outcome


def test_a_tier_regained_lets_nothing_be_used_on_a_day_when_it_was_lost(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver"), ("2020-03-01", "basic"), ("2020-06-01", "silver")))
    with pytest.raises(RefusedError, match="benefit_revoked"):
        life.then(use("water_leak_inspection", "2020-04-10", period="20200101", today="2020-07-01"))
    life.then(use("water_leak_inspection", "2020-02-29", period="20200101", today="2020-07-01"))
