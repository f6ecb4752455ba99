"""The rules as an insurance person reads them: which tier has what, how often, and who may use it."""

import msgspec
import pytest
from benefits.commands import ReleaseUse
from benefits.rules.plan import in_force
from benefits.rules.telling import GRANTS_MAX, together
from benefits.state import State
from benefits_life import BASIC, DIAMOND, GOLD, SEASONAL, SILVER, D, Life, M, issued, one_by_one, term, tiers, use
from msgspec.structs import replace
from tenure.calendar import add_years
from tenure.contracts.benefit import (
    BenefitExpired,
    BenefitGranted,
    BenefitReleased,
    BenefitRevoked,
    BenefitsGranted,
    BenefitUsed,
)
from tenure.contracts.decision import RefusedError
from tenure.contracts.programme import Programme, Versions


@pytest.mark.parametrize(
    ("tier_name", "benefits"),
    [("basic", BASIC), ("silver", SILVER), ("gold", GOLD), ("diamond", DIAMOND), ("none", set())],
)
def test_each_tier_has_the_benefits_of_the_programme_and_those_of_every_tier_below(life, tier_name, benefits):
    life.then(issued())
    life.then(tiers(("2020-01-01", tier_name)))
    assert life.standing() == benefits


def test_every_benefit_begins_with_a_tier_of_the_programme_and_every_override_names_one(rules):
    names = {t.name for t in rules.tiers.newest.tiers}
    for benefit in rules.benefits.newest.benefits:
        assert {benefit.from_tier, *benefit.quota_by_tier} <= names


@pytest.mark.parametrize(("tier_name", "checks"), [("basic", 1), ("silver", 2), ("gold", 2), ("diamond", 2)])
def test_home_safety_checks_a_year(life, tier_name, checks):
    life.then(tiers(("2020-01-01", tier_name)))
    assert life.grant("home_safety").quota == checks


def test_skipping_levels_grants_each_benefit_once(life):
    life.then(tiers(("2020-01-01", "basic")))
    life.then(tiers(("2020-01-01", "basic"), ("2020-03-01", "diamond")))
    granted = [e for e in life.take(BenefitGranted) if e.change == "new"]
    assert sorted(e.benefit for e in granted if e.benefit not in SEASONAL) == sorted(DIAMOND)


def test_grants_of_one_day_are_told_together_and_nothing_changes_places(life):
    day, next_day = D("2020-03-01"), D("2020-03-02")
    common = {"member_id": M, "grant_id": "g", "benefit": "b"}
    grant = {**common, "tier": "gold", "quota": None, "period_start": day, "period_end": None}
    granted = [BenefitGranted(**grant | {"benefit": f"b{n}"}, effective=day) for n in range(GRANTS_MAX + 3)]
    later = BenefitGranted(**grant, effective=next_day)
    gone = BenefitExpired(**common, effective=day)
    flat = [gone, *granted, later, gone, later, granted[0]]
    told = list(together(flat))
    assert [len(e.grants) if isinstance(e, BenefitsGranted) else e for e in told] == [
        *(gone, GRANTS_MAX, 3, later, gone, later, granted[0])
    ]
    assert list(one_by_one(told)) == flat
    silver = life.then(tiers(("2020-01-01", "silver"))).emit
    assert [len(e.grants) for e in silver if isinstance(e, BenefitsGranted)] == [len(SILVER)]


def test_a_year_runs_from_the_first_grant_to_its_anniversary_and_opens_the_quota_anew(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.then(use("home_safety", "2020-06-01", period="20200115"))
    with pytest.raises(RefusedError, match="quota_used_up"):
        life.then(use("home_safety", "2021-01-14", period="20200115"))
    life.take()
    life.day("2021-01-15")
    assert [(e.benefit, e.change, e.effective) for e in life.take(BenefitGranted)] == [
        ("home_safety", "renewed", D("2021-01-15")),
        ("safety_handbook", "renewed", D("2021-01-15")),
    ]
    life.then(use("home_safety", "2021-01-15", period="20210115"))


def test_a_day_decides_even_if_nobody_told_that_it_came(life):
    """The new period is there at the first use of it, before any tick."""
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.take()
    life.then(use("home_safety", "2021-01-15", period="20210115"))
    assert [(type(e), e.benefit) for e in life.told] == [
        (BenefitExpired, "home_safety"),
        (BenefitExpired, "safety_handbook"),
        (BenefitGranted, "home_safety"),
        (BenefitGranted, "safety_handbook"),
        (BenefitUsed, "home_safety"),
    ]
    with pytest.raises(RefusedError, match="outside_period"):
        life.then(use("home_safety", "2021-01-16", period="20200115"))


def test_a_visit_of_the_last_day_may_be_told_the_day_after(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.day("2021-01-15")
    with pytest.raises(RefusedError, match="outside_period"):
        life.then(use("home_safety", "2021-01-15", period="20200115", today="2021-01-16"))
    with pytest.raises(RefusedError, match="outside_period"):
        life.then(use("home_safety", "2021-01-14", period="20210115", today="2021-01-16"))
    told = life.then(use("home_safety", "2021-01-14", period="20200115", today="2021-01-16"))
    assert told.reply.remaining == 0
    assert life.grant("home_safety", "20200115").status == "used"
    assert life.grant("home_safety", "20210115").used == 0


def test_what_is_unused_at_the_end_of_its_period_expires_and_what_was_used_up_does_not(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.then(use("home_safety", "2020-06-01", period="20200115"))
    life.take()
    life.day("2023-01-20")
    assert [(e.benefit, e.effective) for e in life.take(BenefitExpired)] == [
        ("safety_handbook", D("2021-01-15")),
        ("home_safety", D("2022-01-15")),
        ("safety_handbook", D("2022-01-15")),
        ("home_safety", D("2023-01-15")),
        ("safety_handbook", D("2023-01-15")),
    ]


@pytest.mark.parametrize("since", ["1900-01-01", "1919-06-30", "1904-02-29", "2019-12-31"])
def test_a_benefit_of_every_year_goes_on_however_long_ago_it_began(life, since):
    """1900-01-01 is what many cores write where they do not know when a policy began."""
    life.then(issued(start=since, end="2031-01-01"))
    life.then(tiers((since, "basic")))
    life.day("2026-03-01")
    assert "home_safety" in life.standing()
    begins = [e.period_start for e in life.take(BenefitGranted) if e.benefit == "home_safety"]
    assert begins == [add_years(D(since), n) for n in range(len(begins))]
    assert begins[-1] <= D("2026-03-01") < add_years(D(since), len(begins))


def test_an_upgrade_within_the_year_lifts_what_is_left(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    life.then(use("home_safety", "2020-02-01", period="20200115"))
    life.take()
    life.then(tiers(("2020-01-15", "basic"), ("2020-05-01", "silver")))
    [lifted] = [e for e in life.take(BenefitGranted) if e.benefit == "home_safety"]
    assert (lifted.change, lifted.quota, lifted.used, lifted.effective) == ("quota_raised", 2, 1, D("2020-05-01"))
    life.then(use("home_safety", "2020-06-01", period="20200115"))
    with pytest.raises(RefusedError, match="quota_used_up"):
        life.then(use("home_safety", "2020-06-02", period="20200115"))


def test_losing_a_tier_revokes_what_is_unused_and_only_that(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold")))
    life.then(use("fire_safety_kit", "2020-02-01", period="20200101"))
    life.then(use("appliance_cleaning_coupon", "2020-02-01", period="20200101"))
    life.take()
    life.then(tiers(("2020-01-01", "gold"), ("2020-09-01", "basic")))
    revoked = life.take(BenefitRevoked)
    assert {e.reason for e in revoked} == {"tier_lost"}
    assert {e.benefit for e in revoked} == GOLD - BASIC - {"fire_safety_kit"}
    assert life.grant("fire_safety_kit").status == "used"
    assert life.grant("appliance_cleaning_coupon").used == 1
    assert life.grant("home_safety").quota == 1
    with pytest.raises(RefusedError, match="benefit_revoked"):
        life.then(use("water_leak_inspection", "2020-10-01", period="20200101"))


def test_a_tier_regained_within_the_year_brings_back_what_was_left_and_no_more(life):
    steps = [("2020-01-01", "silver"), ("2020-05-01", "basic")]
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    life.then(use("appliance_cleaning_coupon", "2020-02-01", period="20200101"))
    life.then(tiers(*steps))
    life.take()
    life.then(tiers(*steps, ("2020-08-01", "silver")))
    restored = {e.benefit: e for e in life.take(BenefitGranted)}
    assert restored["appliance_cleaning_coupon"].change == "restored"
    assert restored["appliance_cleaning_coupon"].effective == D("2020-08-01")
    life.then(use("appliance_cleaning_coupon", "2020-08-02", period="20200101"))
    with pytest.raises(RefusedError, match="quota_used_up"):
        life.then(use("appliance_cleaning_coupon", "2020-08-03", period="20200101"))


@pytest.mark.parametrize(("used_before", "status"), [(True, "used"), (False, "active")])
def test_a_kit_comes_once_in_a_membership_even_after_losing_and_regaining_gold(life, used_before, status):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold")))
    if used_before:
        life.then(use("fire_safety_kit", "2020-02-01", period="20200101"))
    life.then(tiers(("2020-01-01", "gold"), ("2022-01-01", "silver"), ("2024-01-01", "gold")), at="2024-01-01")
    kits = [g for g in life.state.grants.values() if g.benefit == "fire_safety_kit"]
    assert [(k.status, k.quota) for k in kits] == [(status, 1)]


def test_a_lapsed_member_keeps_everything_and_can_use_nothing_until_cover_resumes(life):
    life.then(issued(start="2020-01-01", end="2021-01-01"))
    life.then(tiers(("2020-01-01", "silver")))
    before = life.standing()
    with pytest.raises(RefusedError, match="not_in_force"):
        life.then(use("home_safety", "2021-01-01", period="20210101"))
    assert life.standing() == before
    life.then(issued(start="2021-03-01", end="2022-03-01", no="P-2"))
    life.then(use("home_safety", "2021-03-01", period="20210101"))


@pytest.mark.parametrize(
    ("other", "day", "usable"),
    [
        ({}, "2021-03-01", True),
        ({"person": False}, "2021-03-01", False),  # the policy of a firm is no cover of the person's
        ({"line": "motor"}, "2021-03-01", True),  # every line counts
        ({"line": "motor"}, "2021-07-01", False),  # from July 2021 on home policies alone do
        ({"line": "home"}, "2021-07-01", True),
    ],
)
def test_only_cover_that_counts_for_the_tier_lets_a_member_use_benefits(rules, other, day, usable):
    life = Life(home_only_from(rules, "2021-07-01"))
    life.then(issued(start="2020-01-01", end="2021-01-01"))
    life.then(issued(start="2020-01-01", end="2022-01-01", no="P-2", **other))
    life.then(tiers(("2020-01-01", "silver")))
    asked = use("home_safety", day, period="20210101")
    if usable:
        life.then(asked)
        return
    with pytest.raises(RefusedError, match="not_in_force"):
        life.then(asked)


def test_a_term_of_before_it_was_kept_for_whom_counts_as_a_persons(life):
    life.then(issued(person=False))
    kept = msgspec.json.decode(msgspec.json.encode(life.state))
    del kept["terms"]["P-1/1"]["natural_person"]
    state = msgspec.convert(kept, State)
    assert in_force(state, life.programme, D("2020-06-01"))
    heard = replace(issued(person=False), term=term(person=False, version=2))
    assert not in_force(life.then(heard).state, life.programme, D("2020-06-01"))


def home_only_from(rules, day):
    first = rules.tiers.newest
    second = replace(first, version=first.version + 1, effective=D(day), eligible_product_lines=frozenset({"home"}))
    return Programme(**{**vars(rules), "tiers": Versions([first, second])})


def test_the_same_reference_twice_is_one_use(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver")))
    one = life.then(use("home_safety", "2020-02-01", period="20200101", reference="WO-1")).reply
    two = life.then(use("home_safety", "2020-02-02", period="20200101", reference="WO-1")).reply
    assert one.use_id == two.use_id
    assert len(life.take(BenefitUsed)) == 1


def test_a_use_given_back_can_be_used_again(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "basic")))
    used = life.then(use("home_safety", "2020-02-01", period="20200101")).reply
    assert used.remaining == 0
    back = life.then(ReleaseUse(member_id=M, use_id=used.use_id, today=D("2020-02-02"))).reply
    assert back.remaining == 1
    assert [e.remaining for e in life.take(BenefitReleased)] == [1]
    with pytest.raises(RefusedError, match="use_unknown"):
        life.then(ReleaseUse(member_id=M, use_id=used.use_id, today=D("2020-02-02")))


def test_an_appointment_is_a_use_of_its_day_and_of_a_service(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "silver")))
    booked = life.then(
        use("home_safety", "2020-12-01", period="20200115", today="2020-02-01", is_appointment=True)
    ).reply
    assert booked.remaining == 1
    with pytest.raises(RefusedError, match="outside_period"):
        life.then(use("home_safety", "2021-01-15", period="20200115", today="2020-02-01", is_appointment=True))
    with pytest.raises(RefusedError, match="not_bookable"):
        life.then(
            use("appliance_repair_discount", "2020-03-01", period="20200115", today="2020-02-01", is_appointment=True)
        )
