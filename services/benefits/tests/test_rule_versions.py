"""A new version of benefits.yaml decides from its day on: what was granted under an older one stays what it was."""

import pytest
from benefits_life import D, Life, issued, tiers, use
from msgspec.structs import replace
from tenure.contracts.benefit import BenefitEvent, BenefitGranted, BenefitRevoked
from tenure.contracts.decision import RefusedError
from tenure.contracts.programme import Programme, Versions

SINCE = "2021-07-01"


def changed(rules, code, **change):
    """The programme with a second version from SINCE on, in which this benefit is another, or is no more."""
    first = rules.benefits.newest
    others = (replace(b, **change) if b.code == code else b for b in first.benefits if change or b.code != code)
    second = replace(first, version=2, effective=D(SINCE), benefits=tuple(others))
    return Programme(**{**vars(rules), "benefits": Versions([first, second])})


def lived(programme, tier):
    """A member since 2020 with one home-safety check that year, who lives to see the second version."""
    life = Life(programme)
    life.then(issued())
    life.then(tiers(("2020-01-01", tier)))
    life.then(use("home_safety", "2020-02-05", period="20200101"))
    life.day("2021-06-30")
    life.take()
    return life.day("2021-07-02")


@pytest.mark.parametrize(("tier", "quota", "change"), [("basic", 3, "quota_raised"), ("silver", 1, "quota_lowered")])
def test_a_quota_changes_from_the_versions_day_on_and_in_no_year_that_is_over(rules, tier, quota, change):
    life = lived(changed(rules, "home_safety", quota=quota, quota_by_tier={}), tier)
    before = life.grant("home_safety", "20200101")
    assert (before.quota, before.used) == ({"basic": 1, "silver": 2}[tier], 1)
    told = [(e.grant_id[-8:], e.change, e.quota, e.effective) for e in life.take(BenefitGranted)]
    assert told == [("20210101", change, quota, D(SINCE))]


def test_all_that_a_raised_quota_allows_can_be_used_and_verified(rules):
    life = lived(changed(rules, "home_safety", quota=3, quota_by_tier={}), "basic")
    for day in ("2021-07-02", "2021-07-03", "2021-07-04"):
        life.then(use("home_safety", day, period="20210101"))
    unnoted = tuple(replace(one, quota=None) for one in life.state.uses)  # as kept before a use bore its quota
    life.state = replace(life.state, uses=unnoted)
    life.then(issued(version=2))


@pytest.mark.parametrize("change", [{}, {"from_tier": "silver"}])
def test_what_the_programme_takes_back_is_not_put_on_the_members_tier(rules, change):
    life = lived(changed(rules, "home_safety", **change), "basic")
    assert [(e.reason, e.effective) for e in life.take(BenefitRevoked)] == [("withdrawn", D(SINCE))]
    assert life.take(BenefitEvent) == []


@pytest.mark.parametrize(("booked", "refused"), [(False, "benefit_revoked"), (True, "not_bookable")])
def test_what_the_programme_took_back_is_neither_used_nor_booked(rules, booked, refused):
    life = lived(changed(rules, "home_safety"), "basic")
    with pytest.raises(RefusedError, match=refused):
        life.then(use("home_safety", "2021-07-02", period="20210101", is_appointment=booked))
