"""Which periods a benefit has, where each begins and ends, and what counts in it, as an insurance person reads it."""

import pytest
from benefits.rules.plan import Life as Plan
from benefits.rules.plan import quota_at
from benefits.rules.settle import standing
from benefits_life import D, Life, M, issued, tiers, use
from msgspec.structs import replace
from tenure.contracts.benefit import BenefitGranted, CoverageExtensionRequested
from tenure.contracts.programme import Programme, Versions

YEARS = [
    # silver is lost   and regained   -> the years of the inspection: from its first day, granted, revoked, restored
    (
        *("2021-06-01", "2023-03-01"),
        ["20200101 2020-01-01", "20210101 2021-01-01 revoked 2021-06-01", "20230101 2023-03-01", "20240101 2024-01-01"],
    ),
    (  # within one year
        *("2021-06-01", "2021-09-01"),
        [
            *("20200101 2020-01-01", "20210101 2021-01-01 restored 2021-09-01", "20220101 2022-01-01"),
            *("20230101 2023-01-01", "20240101 2024-01-01"),
        ],
    ),
    (  # from one anniversary to the next: there was no such year, and nothing of the one before is revoked
        *("2022-01-01", "2023-01-01"),
        ["20200101 2020-01-01", "20210101 2021-01-01", "20230101 2023-01-01", "20240101 2024-01-01"],
    ),
]


YEARS += [
    (  # on the anniversary, and back within the year
        *("2022-01-01", "2022-03-01"),
        [
            "20200101 2020-01-01",
            "20210101 2021-01-01",
            "20220101 2022-03-01",
            "20230101 2023-01-01",
            "20240101 2024-01-01",
        ],
    ),
    (  # back on the anniversary
        *("2021-06-01", "2022-01-01"),
        [
            *("20200101 2020-01-01", "20210101 2021-01-01 revoked 2021-06-01", "20220101 2022-01-01"),
            *("20230101 2023-01-01", "20240101 2024-01-01"),
        ],
    ),
    ("2021-06-01", "", ["20200101 2020-01-01", "20210101 2021-01-01 revoked 2021-06-01"]),  # never again
]


@pytest.mark.parametrize(("lost", "regained", "years"), YEARS)
def test_a_year_has_what_the_tier_brought_in_it(life, lost, regained, years):
    again = [(regained, "silver")] if regained else []
    life.then(issued())
    life.then(tiers(("2020-01-01", "silver"), (lost, "basic"), *again), at="2024-02-01")
    ever = standing(Plan(life.state, life.programme, life.state.lived_to)).values()
    assert [in_words(g) for g in ever if g.benefit == "water_leak_inspection"] == years


def in_words(grant):
    words = [grant.id[-8:], str(grant.granted_on)]
    words += ["revoked", str(grant.revoked_on)] if grant.revoked_on else []
    words += ["restored", str(grant.restored_on)] if grant.restored_on else []
    return " ".join(words)


@pytest.mark.parametrize(("diamond_since", "patrols"), [("2021-06-30", 1), ("2021-07-01", 0)])
def test_who_is_diamond_when_the_season_is_over_has_no_patrol_of_it(life, diamond_since, patrols):
    life.then(issued(region="440300"))  # Shenzhen: [1 May, 1 July)
    life.then(tiers(("2020-01-01", "gold"), (diamond_since, "diamond")))
    assert [e.benefit for e in life.take(BenefitGranted)].count("seasonal_patrol") == patrols


def test_a_use_of_the_first_day_counts_for_its_own_year_alone(life):
    life.then(issued())
    life.then(tiers(("2020-01-15", "basic")))
    told = life.then(use("home_safety", "2021-01-15", period="20210115"))
    assert (told.reply.used, told.reply.remaining) == (1, 0)
    assert [life.grant("home_safety", period).used for period in ("20200115", "20210115")] == [0, 1]


def test_a_kit_that_was_used_stays_used_if_gold_turns_out_to_have_begun_later(life):
    life.then(issued())
    life.then(tiers(("2020-01-01", "gold")))
    life.then(use("fire_safety_kit", "2020-02-01", period="20200101"))
    life.then(tiers(("2020-01-01", "silver"), ("2020-03-01", "gold")), at="2020-03-05")
    [kit] = [g for g in life.state.grants.values() if g.benefit == "fire_safety_kit"]
    assert (kit.id, kit.status, kit.remaining, kit.period_end) == (f"{M}.fire_safety_kit.20200301", "used", 0, None)


POLICIES = [
    # home policies, as sold, when silver comes on 1 March     -> the one that the clause is to be added to
    ([("P-9", "2019-06-01", "2020-06-01"), ("P-2", "2020-02-01", "2021-02-01")], "P-2"),  # both in force: by number
    ([("P-1", "2019-03-01", "2020-03-01"), ("P-2", "2020-02-01", "2021-02-01")], "P-2"),  # one ended on that day
    ([("P-1", "2020-03-05", "2021-03-05"), ("P-2", "2019-04-01", "2020-04-01")], "P-2"),  # one begins later
    ([("P-1", "2020-03-05", "2021-03-05")], None),  # sold, and not begun
]


@pytest.mark.parametrize(("policies", "asked"), POLICIES)
def test_an_extension_is_asked_for_the_first_policy_with_cover_from_the_day_of_the_grant(life, policies, asked):
    for no, start, end in policies:
        life.then(issued(no=no, start=start, end=end), at="2020-02-20")
    life.then(tiers(("2020-01-01", "basic"), ("2020-03-01", "silver")), at="2020-03-01")
    assert [e.policy_no for e in life.take(CoverageExtensionRequested)] == [asked]


@pytest.mark.parametrize(
    ("overrides", "quotas"),
    [
        ({}, [1, 1, 1, 1]),
        ({"silver": 2, "diamond": 4}, [1, 2, 2, 4]),
        ({"diamond": 1, "basic": 3}, [3, 3, 3, 1]),  # the highest tier reached decides, be it less
    ],
)
def test_the_quota_is_that_of_the_highest_tier_named(rules, overrides, quotas):
    checks = replace(rules.benefits.newest.benefit("home_safety"), quota=1, quota_by_tier=overrides)
    names = ("basic", "silver", "gold", "diamond")
    assert [quota_at(checks, name, rules, D("2021-01-01")) for name in names] == quotas


@pytest.mark.parametrize("change", [{"quota": 5, "quota_by_tier": {}}, {"label_en": "Home check"}])
@pytest.mark.parametrize("version_from", ["2020-07-01", "2020-12-01"])
def test_an_upgrade_raises_the_quota_from_its_day_on_whatever_version_comes_later(rules, change, version_from):
    """Of the version that says another quota itself, a member hears when it is in force; other changes are none of the quota."""
    first = rules.benefits.newest
    benefits = tuple(replace(b, **change) if b.code == "home_safety" else b for b in first.benefits)
    second = replace(first, version=2, effective=D(version_from), benefits=benefits)
    life = Life(Programme(**{**vars(rules), "benefits": Versions([first, second])}))
    life.then(issued())
    life.then(tiers(("2020-01-01", "basic")))
    told_on = "2020-08-01" if "label_en" in change else "2020-05-01"
    life.then(tiers(("2020-01-01", "basic"), ("2020-05-01", "silver")), at=told_on)
    [raised] = [e for e in life.take(BenefitGranted) if e.change == "quota_raised"]
    assert (raised.quota, raised.effective) == (2, D("2020-05-01"))
