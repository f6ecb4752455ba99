"""The tiers as an insurance person would check them: each case is a short story with dates and premiums in yuan."""

from datetime import date, timedelta

import pytest
from msgspec.structs import replace
from tenure.calendar import add_years
from tenure.contracts.tier import NO_TIER
from tier_engine.rules import annual_premium, insured_days, live, next_change, standing, timeline
from tier_engine.rules.why import POLICIES_MAX, policies_behind

from .cases import RULES, STANDARD, continuous, day, insured, programme, stricter, term, with_growth_days


def steps(terms, until="2040-01-01", growth=(), rules=STANDARD):
    return [(str(s.effective), s.tier, s.cause) for s in timeline(insured(*terms), growth, rules, day(until))]


def tiers(terms, **more):
    return [(on, tier) for on, tier, _ in steps(terms, **more)]


def on(terms, at, growth=(), rules=STANDARD):
    return standing(insured(*terms), growth, rules, day(at))


@pytest.mark.parametrize(
    ("premium", "tier"),
    [
        (0.01, "basic"),
        (300.00, "basic"),  # 超 excludes the threshold
        (300.01, "silver"),
        (800.00, "silver"),
        (800.01, "gold"),
        (1500.00, "gold"),
        (1500.01, "diamond"),
    ],
)
def test_annual_premium_must_be_over_the_threshold(premium, tier):
    assert tiers([term("2017-01-01", premium=premium)], until="2017-01-01") == [("2017-01-01", tier)]


@pytest.mark.parametrize(
    ("start", "silver", "gold", "diamond"),
    [
        ("2016-01-15", "2018-01-15", "2021-01-15", "2024-01-15"),
        ("2015-12-31", "2017-12-31", "2020-12-31", "2023-12-31"),
        ("2016-02-28", "2018-02-28", "2021-02-28", "2024-02-28"),
        ("2016-02-29", "2018-03-01", "2021-03-01", "2024-02-29"),  # a 29 February's anniversary is 1 March, if need be
        ("2016-03-01", "2018-03-01", "2021-03-01", "2024-02-29"),  # with 28 February 2024 all 8 x 365 days are there
    ],
)
def test_years_complete_on_the_anniversary(start, silver, gold, diamond):
    assert tiers(continuous(start, 9), until=diamond) == [
        (start, "basic"),
        (silver, "silver"),
        (gold, "gold"),
        (diamond, "diamond"),
    ]


def test_one_long_term_is_worth_as_much_as_its_years():
    assert tiers([term("2016-01-15", years=9)], until="2024-12-31") == tiers(
        continuous("2016-01-15", 9), until="2024-12-31"
    )


def test_a_gap_stops_the_count():
    first = term("2016-01-01", premium=100, no=1)
    later = term("2017-07-01", years=3, premium=100, no=2)
    assert tiers([first, later], until="2020-01-01") == [("2016-01-01", "basic"), ("2018-07-01", "silver")]
    assert on([first, later], "2017-03-01").insured_days == 365


def test_overlapping_policies_count_once_but_their_premiums_add_up():
    home = term("2016-01-01", policy="P-home", premium=200)
    motor = term("2016-07-01", policy="P-motor", premium=200, line="motor")
    assert on([home, motor], "2016-12-31").insured_days == 364
    assert on([home, motor], "2017-07-01").insured_days == 365 + 181
    assert tiers([home, motor], until="2017-01-01") == [("2016-01-01", "basic"), ("2016-07-01", "silver")]
    assert on([home, motor], "2016-12-31").annual_premium_fen == 400_00
    assert on([home, motor], "2017-01-01").annual_premium_fen == 200_00


@pytest.mark.parametrize(
    ("start", "end", "premium", "annual_fen"),
    [
        ("2017-01-01", "2018-01-01", 300.00, 30_000),
        ("2017-01-01", "2017-02-01", 25.48, 30_001),  # 31 days: 25.48 x 365 / 31 = 300.0065, so silver
        ("2017-01-01", "2017-02-01", 25.47, 29_989),
        ("2016-01-01", "2017-01-01", 300.00, 30_000),  # 366 days, but 29 February does not count
        ("2017-01-01", "2020-01-01", 900.00, 30_000),
        ("2017-01-01", "2017-07-05", 0.01, 2),  # 185 days: 1.97 fen, half up
        ("2017-01-01", "2018-12-31", 0.03, 2),  # 729 days: 1.502 fen
        ("2016-02-29", "2016-03-01", 5.00, 0),  # a term of no day that counts
    ],
)
def test_short_and_long_terms_are_annualised(start, end, premium, annual_fen):
    assert annual_premium(insured(term(start, end, premium=premium)), RULES, day(start)) == annual_fen


def test_premium_counts_from_the_first_day_and_no_more_on_the_end_day():
    held = insured(term("2017-01-01", premium=500))
    assert [annual_premium(held, RULES, day(d)) for d in ("2016-12-31", "2017-01-01", "2017-12-31", "2018-01-01")] == [
        0,
        500_00,
        500_00,
        0,
    ]


def test_29_february_counts_for_nobody():
    held = insured(term("2016-02-28", "2016-03-02"))
    assert [
        insured_days(held, (), RULES, day(d)) for d in ("2016-02-28", "2016-02-29", "2016-03-01", "2016-03-02")
    ] == [
        0,
        1,
        1,
        2,
    ]


def test_levels_are_skipped_upwards():
    small, big = term("2016-01-01", premium=100), term("2017-01-01", premium=2000, no=2)
    assert tiers([small, big], until="2017-06-01") == [("2016-01-01", "basic"), ("2017-01-01", "diamond")]


def test_soft_landing_one_level_every_twelve_months():
    """One year of diamond by premium, then no cover: the last confirmed day is the last day of cover."""
    assert steps([term("2016-01-01", premium=2000)]) == [
        ("2016-01-01", "diamond", "upgrade"),
        ("2017-12-31", "gold", "soft_landing"),
        ("2018-12-31", "silver", "soft_landing"),
        ("2019-12-31", "basic", "soft_landing"),
    ]


def test_protection_from_29_february_ends_on_1_march():
    assert tiers([term("2019-03-01", "2020-03-01", premium=400)]) == [("2019-03-01", "silver"), ("2021-03-01", "basic")]


def test_a_lapsed_member_keeps_the_tier_that_years_confirm():
    two_years = continuous("2016-01-01", 2)
    assert tiers(two_years) == [("2016-01-01", "basic"), ("2018-01-01", "silver")]
    assert on(two_years, "2030-01-01").lapsed
    assert not on(two_years, "2017-12-31").lapsed


def test_a_tier_met_again_within_the_protection_is_simply_kept():
    first, again = term("2016-01-01", premium=400), term("2017-11-01", premium=400, no=2)
    assert tiers([first, again], until="2018-10-31") == [("2016-01-01", "silver")]


def test_after_a_drop_the_tier_reached_is_confirmed_while_it_is_qualified_for():
    """Diamond by premium for a year, then a small policy that is worth silver: gold for a year, then silver for good."""
    rich, small = term("2016-01-01", premium=2000), term("2017-01-01", premium=400, years=1, no=2)
    more = [term(f"{y}-01-01", premium=400, no=y) for y in range(2018, 2021)]
    assert tiers([rich, small, *more], until="2020-12-31") == [
        ("2016-01-01", "diamond"),
        ("2017-12-31", "gold"),
        ("2018-12-31", "silver"),
    ]


def test_a_future_inception_counts_from_inception():
    held = [term("2018-03-01", premium=400)]
    before, first = on(held, "2018-02-28"), on(held, "2018-03-01")
    assert (before.tier, before.qualified_tier, before.tier_since, before.lapsed) == (NO_TIER, NO_TIER, None, False)
    assert (first.tier, first.tier_since, first.insured_days) == ("silver", day("2018-03-01"), 0)


def test_a_void_policy_never_was():
    assert steps([term("2016-01-01", premium=2000, void=True)]) == []
    kept, void = term("2016-01-01", premium=100), term("2016-06-01", premium=2000, policy="P-2", void=True)
    assert tiers([kept, void], until="2016-12-31") == [("2016-01-01", "basic")]


def test_a_cancelled_term_counts_to_its_end():
    cut = term("2016-01-01", "2016-07-02", premium=150)  # half the term and half the premium are left
    assert on([cut], "2017-01-01").insured_days == 182
    assert annual_premium(insured(cut), RULES, day("2016-05-01")) == 300_82


def test_lapsed_and_reinstated_with_a_gap():
    held = [term("2016-01-01", "2017-01-01", covers=[("2016-01-01", "2016-04-01"), ("2016-05-01", "2017-01-01")])]
    assert on(held, "2017-01-01").insured_days == 335
    assert [on(held, d).covered for d in ("2016-03-31", "2016-04-01", "2016-04-30", "2016-05-01")] == [
        True,
        False,
        False,
        True,
    ]


def test_only_natural_persons_and_the_lines_of_the_programme():
    home_only = programme(replace(RULES, eligible_product_lines=frozenset({"home"})))
    motor = term("2016-01-01", premium=900, line="motor")
    assert tiers([motor], rules=home_only) == []
    assert tiers([motor], until="2016-02-01") == [("2016-01-01", "gold")]
    assert tiers([term("2016-01-01", premium=900, person=False)]) == []


def test_stricter_rules_take_nobodys_tier_before_the_protection_ends():
    """Silver by 400 yuan; from 2018-07-01 silver needs over 500."""
    held = [term(f"{y}-01-01", premium=400, no=y) for y in (2018, 2019)]
    rules = programme(RULES, stricter("2018-07-01"))
    assert tiers(held, rules=rules, until="2019-12-31") == [("2018-01-01", "silver"), ("2019-06-30", "basic")]
    life = live(insured(*held), (), rules.tiers)
    risk = life.risk_at(day("2018-07-01"))
    assert risk is not None
    assert (str(risk.effective), risk.tier, risk.to_tier, str(risk.drops_on)) == (
        "2018-07-01",
        "silver",
        "basic",
        "2019-06-30",
    )


def yearly(start, *premiums):
    """One policy, renewed every year, for so many yuan in each."""
    first = day(start)
    return [term(add_years(first, n), premium=premium, no=n + 1) for n, premium in enumerate(premiums)]


DEARER = stricter("2018-07-01", silver=(3, 500), gold=(6, 1000), diamond=(9, 2000))
SHORTER = replace(DEARER, protection_months=3)
LONGER = replace(DEARER, protection_months=24)
AS_BEFORE = replace(RULES, version=3, effective=day("2019-03-01"))


@pytest.mark.parametrize(
    ("held", "versions", "history"),
    [
        pytest.param(
            yearly("2018-01-01", 350, 350),
            (RULES, DEARER),
            [("2018-01-01", "silver"), ("2019-06-30", "basic")],
            id="silver by premium, which is too little now: kept for 12 months from 30 June, the last day it sufficed",
        ),
        pytest.param(
            yearly("2018-01-01", 350, 350),
            (RULES, SHORTER),
            [("2018-01-01", "silver"), ("2019-06-30", "basic")],
            id="the new rules protect for 3 months only: the 12 that were promised are kept",
        ),
        pytest.param(
            yearly("2018-01-01", 350, 350),
            (RULES, LONGER),
            [("2018-01-01", "silver"), ("2019-06-30", "basic")],
            id="the new rules protect for 24 months: who was last confirmed before them was promised 12",
        ),
        pytest.param(
            yearly("2018-01-01", 600, 100, 100),
            (RULES, LONGER),
            [("2018-01-01", "silver"), ("2020-12-31", "basic")],
            id="confirmed under the new rules until the end of 2018: protected for their 24 months",
        ),
        pytest.param(
            yearly("2017-01-01", 900, 100),
            (RULES, DEARER),
            [("2017-01-01", "gold"), ("2018-12-31", "silver"), ("2019-12-31", "basic")],
            id="a protection that runs when the rules come in runs on to its own end, and goes down one level at a time",
        ),
        pytest.param(
            yearly("2018-06-15", 350, 350),
            (RULES, DEARER),
            [("2018-06-15", "silver"), ("2019-06-30", "basic")],
            id="insured two weeks before the new rules: silver, with the whole protection",
        ),
        pytest.param(
            yearly("2018-07-01", 350, 350, 350),
            (RULES, DEARER),
            [("2018-07-01", "basic")],
            id="insured on the day of the new rules: judged by them alone",
        ),
        pytest.param(
            yearly("2016-06-01", 100, 100, 100, 100),
            (RULES, DEARER),
            [("2016-06-01", "basic"), ("2018-06-01", "silver")],
            id="silver by 2 years, 3 are asked now: the third is full before the protection ends, so nothing is lost",
        ),
        pytest.param(
            yearly("2018-01-01", 350, 350),
            (RULES, DEARER, AS_BEFORE),
            [("2018-01-01", "silver")],
            id="the old thresholds come back in March, before the protection ends: confirmed again, nothing is lost",
        ),
    ],
)
def test_what_was_promised_under_the_old_rules_is_kept(held, versions, history):
    assert tiers(held, rules=programme(*versions), until="2020-12-31") == history


def test_milder_rules_lift_on_their_first_day():
    milder = stricter("2018-07-01", silver=(1, 100), gold=(5, 800), diamond=(8, 1500))
    assert tiers([term("2018-01-01", premium=200)], rules=programme(RULES, milder), until="2018-12-01") == [
        ("2018-01-01", "basic"),
        ("2018-07-01", "silver"),
    ]


def test_a_tier_that_new_rules_do_not_know_becomes_what_the_member_qualifies_for():
    flat = replace(RULES, version=2, effective=day("2018-07-01"), tiers=RULES.tiers[:2])
    assert tiers([term("2018-01-01", premium=900)], rules=programme(RULES, flat), until="2018-12-01") == [
        ("2018-01-01", "gold"),
        ("2018-07-01", "silver"),
    ]


DAYS_OF_GROWTH = ("2016-05-01", "2016-05-02", "2016-05-03")


def test_growth_days_are_off_unless_the_rules_say_so():
    held = continuous("2016-01-01", 3)
    growth = ((day("2016-05-01"), 100), (day("2017-05-01"), 30))
    assert tiers(held, growth=growth, until="2018-01-01")[-1] == ("2018-01-01", "silver")
    # At most 90 a calendar year, counted from the day after they were earned: 90 + 30 days earlier.
    assert tiers(held, growth=growth, until="2018-01-01", rules=programme(with_growth_days()))[-1] == (
        "2017-09-03",
        "silver",
    )
    assert on(held, "2016-05-01", growth, programme(with_growth_days())).insured_days == 120
    assert on(held, "2016-05-02", growth, programme(with_growth_days())).insured_days == 121 + 90
    day_by_day = ((day("2016-05-01"), 10), (day("2016-05-02"), 5))  # each counts from the day after
    worth = [on(held, at, day_by_day, programme(with_growth_days())).insured_days for at in DAYS_OF_GROWTH]
    assert worth == [120, 121 + 10, 122 + 15]


def test_the_next_change_by_time_alone():
    held = insured(*continuous("2016-01-01", 3))
    assert next_change(held, (), STANDARD, day("2016-01-01")) == day("2018-01-01")
    assert next_change(held, (), STANDARD, day("2018-01-01")) is None
    rich = insured(term("2016-01-01", premium=400))
    assert next_change(rich, (), STANDARD, day("2016-01-01")) == day("2017-01-01")  # the risk begins
    assert next_change(rich, (), STANDARD, day("2017-01-01")) == day("2017-12-31")  # the tier drops


@pytest.mark.parametrize(
    ("premium", "at", "measure", "missing", "expected"),
    [
        (290.00, "2016-01-01", "annual_premium_fen", 10_01, None),
        (10.00, "2016-01-01", "annual_premium_fen", 290_01, None),  # 97 % of it missing, but 100 % of the years
        (10.00, "2017-01-01", "insured_years", 365, "2018-01-01"),
        (10.00, "2018-01-01", "insured_years", 3 * 365, "2021-01-01"),
    ],
)
def test_the_nearest_condition_still_missing(premium, at, measure, missing, expected):
    found = on(continuous("2016-01-01", 3, premium=premium), at).nearest
    assert (found.measure, found.missing) == (measure, missing)
    assert (str(found.expected_on) if found.expected_on else None) == expected


def test_no_day_is_promised_to_whoever_has_no_cover():
    found = on(continuous("2016-01-01", 1), "2017-01-01").nearest
    assert (found.measure, found.missing, found.expected_on) == ("insured_years", 365, None)


def test_of_very_many_policies_the_newest_are_named():
    held = [term(date(2016, 1, 1) + timedelta(n), policy=f"P-{n:03d}") for n in range(POLICIES_MAX)]
    renewed = term("2017-01-01", policy="P-000", no=2)
    named = policies_behind(insured(*held, renewed, term("2016-12-01", policy="P-new")), RULES, day("2018-01-01"))
    assert named == (*(f"P-{n:03d}" for n in range(POLICIES_MAX) if n != 1), "P-new")


def test_nothing_is_missing_at_the_top():
    assert on([term("2016-01-01", premium=2000)], "2016-01-01").nearest is None
