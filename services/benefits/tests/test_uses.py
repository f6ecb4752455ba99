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
    ("told_late", "outcome"),
    [("2020-05-31", 0), ("2020-06-01", "benefit_revoked")],  # the last day of silver, and the first of basic
)
def test_a_benefit_lost_since_was_there_until_the_day_it_was_lost(life, told_late, outcome):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver"), ("2020-06-01", "basic")))
    late = use("water_leak_inspection", told_late, period="20200101", today="2020-06-20")
    if isinstance(outcome, str):
        with pytest.raises(RefusedError, match=outcome):
            life.then(late)
    else:
        assert life.then(late).reply.remaining == outcome


def test_what_is_left_of_a_grant_that_never_should_have_been_cannot_be_used_beside_the_new_one(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(use("home_safety", "2020-01-05", period="20200101"))  # one of silver's two
    life.then(tiers(("2020-02-01", "silver")), at="2020-02-01")
    with pytest.raises(RefusedError, match="benefit_revoked"):
        life.then(use("home_safety", "2020-03-01", period="20200101"))
    assert life.then(use("home_safety", "2020-03-01", period="20200201")).reply.remaining == 1


def test_a_visit_is_booked_by_the_cover_of_today_also_for_a_day_after_its_end(life):
    life.then(issued(end="2020-07-01"))  # its renewal is still to come
    life.then(tiers(("2020-01-01", "silver")))
    for today, outcome in (("2020-06-30", "booked"), ("2020-07-01", "not_in_force")):
        visit = use("home_safety", "2020-09-01", period="20200101", today=today, is_appointment=True)
        if outcome == "booked":
            assert life.then(visit).reply.remaining == 1
        else:
            with pytest.raises(RefusedError, match=outcome):
                life.then(visit)


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


def test_of_two_visits_the_one_that_is_named_is_given_back(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    first, second = (
        life.then(use("home_safety", day, period="20200101")).reply for day in ("2020-02-01", "2020-03-01")
    )
    assert [(one.used, one.remaining) for one in (first, second)] == [(1, 1), (2, 0)]
    for grant_id, use_id in ((f"{M}.water_leak_inspection.20200101", second.use_id), (second.grant_id, "e-0")):
        with pytest.raises(RefusedError, match="use_unknown"):
            life.then(ReleaseUse(member_id=M, grant_id=grant_id, use_id=use_id, today=D("2020-03-02")))
    back = ReleaseUse(member_id=M, grant_id=second.grant_id, use_id=second.use_id, today=D("2020-03-02"))
    assert life.then(back).reply.on == "2020-03-01"
    assert [u.id for u in life.state.uses] == [first.use_id]
    assert [e.use_id for e in life.take(BenefitReleased)] == [second.use_id]


def test_what_fell_due_by_the_day_of_a_release_is_told_with_it(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    used = life.then(use("home_safety", "2020-06-01", period="20200115")).reply
    life.take()
    life.then(ReleaseUse(member_id=M, use_id=used.use_id, today=D("2021-01-15")))
    assert sorted((type(e).__name__, e.benefit) for e in life.told) == [
        ("BenefitExpired", "home_safety"),
        ("BenefitExpired", "safety_handbook"),
        ("BenefitGranted", "home_safety"),
        ("BenefitGranted", "safety_handbook"),
        ("BenefitReleased", "home_safety"),
    ]


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
