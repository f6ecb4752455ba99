"""A use belongs to its day: the tier, the quota and the cover of that day decide, however late it is told."""

import pytest
from benefits.commands import ReleaseUse
from benefits.rules.settle import settle
from benefits.verify import no_quota_exceeded
from benefits_life import D, M, issued, tiers, use
from msgspec.structs import replace
from tenure.contracts.benefit import BenefitReleased
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


@pytest.mark.parametrize(
    ("first_told", "uses", "corrected"),
    [
        (  # silver by a premium that was given back whole: two checks took place, basic has one
            ("2020-01-01", "silver"),
            [("2020-01-05", "20200101"), ("2020-01-06", "20200101")],
            ("2020-01-01", "basic"),
        ),
        (  # the first policy never was: what were two years of membership is one
            ("2020-01-01", "basic"),
            [("2020-12-05", "20200101"), ("2021-02-06", "20210101")],
            ("2020-03-01", "basic"),
        ),
    ],
)
def test_a_past_that_turns_out_otherwise_leaves_what_was_used_and_breaks_no_quota(life, first_told, uses, corrected):
    life.then(issued())
    life.then(tiers(first_told))
    for n, (day, period) in enumerate(uses):
        life.then(use("home_safety", day, period=period, reference=f"WO-{n}"))
    life.then(tiers(corrected), at="2021-02-10")  # every sentence of verify is asked after each step of a life
    grants = [g for g in life.state.grants.values() if g.benefit == "home_safety" and g.used]
    assert [(g.used, g.quota, g.remaining, g.status) for g in grants] == [(2, 1, 0, "used")]
    with pytest.raises(RefusedError, match="quota_used_up"):
        life.then(use("home_safety", uses[-1][0], period=grants[0].id[-8:], today="2021-02-10"))


def test_more_uses_of_a_grant_than_any_day_allowed_are_found(life, rules):
    life.then(issued())
    life.then(tiers(("2020-01-01", "basic")))
    life.then(use("home_safety", "2020-01-05", period="20200101"))
    [made] = life.state.uses
    twice = replace(life.state, uses=(made, replace(made, id="another")))
    settled, _ = settle(twice, rules, twice.lived_to)
    assert not no_quota_exceeded(settled, rules)


@pytest.mark.parametrize(
    ("by_member", "today", "outcome"),
    [
        (True, "2020-05-31", 1),  # on its way, or the very day
        (True, "2020-06-01", "use_is_over"),
        (False, "2020-06-01", 1),  # whoever serves the member knows that nobody came
    ],
)
def test_a_member_gives_a_use_back_until_its_day_is_over(life, by_member, today, outcome):
    life.then(issued())
    life.then(tiers(("2020-01-01", "basic")))
    visit = life.then(
        use("home_safety", "2020-05-31", period="20200101", today="2020-05-01", is_appointment=True)
    ).reply
    back = ReleaseUse(member_id=M, use_id=visit.use_id, today=D(today), is_by_member=by_member)
    if isinstance(outcome, str):
        with pytest.raises(RefusedError, match=outcome):
            life.then(back)
    else:
        assert life.then(back).reply.remaining == outcome


def test_a_use_of_a_period_that_is_over_is_given_back_with_an_answer(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.day("2021-02-01")
    one = life.then(use("home_safety", "2020-12-05", period="20200101", today="2021-02-01")).reply
    back = life.then(ReleaseUse(member_id=M, use_id=one.use_id, today=D("2021-02-01")))
    assert (back.reply.used, back.reply.remaining) == (0, 2)
    assert [e.remaining for e in life.take(BenefitReleased)] == [2]


def test_the_only_use_of_a_grant_that_never_should_have_been_is_given_back_with_an_answer(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    one = life.then(use("water_leak_inspection", "2020-01-05", period="20200101")).reply
    life.then(tiers(("2020-01-01", "basic")), at="2020-01-10")
    back = life.then(ReleaseUse(member_id=M, use_id=one.use_id, today=D("2020-01-11"))).reply
    assert (back.benefit, back.used, back.remaining) == ("water_leak_inspection", 0, 0)
