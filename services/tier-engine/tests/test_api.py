"""What the app, the agent platform and the operators are answered."""

import pytest
from tenure.contracts.policy import PolicyIssued
from tenure.testing import under_test
from tier_engine.service import SERVICE
from tier_engine.views import renewed

from .cases import continuous, day, insured, term


def issued(t):
    return PolicyIssued(member_id=t.member_id, term=t, effective=t.start)


@pytest.fixture
async def t(settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        await t.feed(*map(issued, continuous("2016-01-01", 2)))
        await t.feed(issued(term("2018-01-01", premium=900, no=3)))
        await t.feed(issued(term("2017-06-01", premium=301, member="M-2", policy="P-2")))
        await t.day(day("2018-06-15"))
        yield t


def member(t, who="M-1"):
    return t.auth("member", subject=who)


async def test_my_tier(t):
    answer = (await t.http.get("/v1/tiers/M-1", headers=member(t))).json()
    assert (answer["as_of"], answer["tier"], answer["label_zh"], answer["label_en"]) == (
        "2018-06-15",
        "gold",
        "黄金",
        "Gold",
    )
    assert (answer["tier_since"], answer["insured_years"], answer["annual_premium_fen"]) == ("2018-01-01", 2, 900_00)
    assert [(s["effective"], s["label_zh"]) for s in answer["timeline"]] == [
        ("2016-01-01", "基础"),
        ("2018-01-01", "黄金"),
    ]
    assert [(s["effective"], s["tier"]) for s in answer["upcoming"]] == [("2019-12-31", "silver")]
    assert answer["nearest"]["tier"] == "diamond"
    assert answer["nearest_zh"] == "年度保费再增加 600.01 元即可成为钻石会员。"
    assert answer["nearest_en"] == "Diamond needs CNY 600.01 more annual premium."


async def test_as_of_any_day(t):
    asked = {
        d: (await t.http.get(f"/v1/tiers/M-1?as_of={d}", headers=member(t))).json()
        for d in ("2015-06-01", "2017-12-31")
    }
    assert (asked["2015-06-01"]["tier"], asked["2015-06-01"]["label_zh"], asked["2015-06-01"]["timeline"]) == (
        "none",
        "无等级",
        [],
    )
    assert (asked["2017-12-31"]["tier"], asked["2017-12-31"]["insured_days"]) == ("basic", 729)
    assert asked["2017-12-31"]["nearest_zh"] == "再投保 1 天即可成为白银会员，保障不间断则在2018年1月1日达到。"


async def test_a_member_at_risk_hears_when_the_tier_would_go(t):
    answer = (await t.http.get("/v1/tiers/M-2", headers=member(t, "M-2"))).json()
    assert answer["lapsed"]
    assert answer["at_risk"] == {
        "since": "2018-06-01",
        "to_tier": "basic",
        "drops_on": "2019-05-31",
        "zh": "如不再满足条件，将于2019年5月31日降为基础。",
        "en": "It becomes Basic on 2019-05-31 unless a condition holds again.",
    }


async def test_why_in_sentences_to_read_aloud(t):
    answer = (
        await t.http.get("/v1/tiers/M-1/why?as_of=2020-01-01", headers=t.auth("agent", subject="A-7", book=["M-1"]))
    ).json()
    assert [c["en"] for c in answer["changes"]] == [
        (
            "Basic since 2016-01-01: the first day with cover. No insured day lies before it. "
            "Premium a year of the policies in force on that day: P-1 CNY 100.00."
        ),
        (
            "Gold since 2018-01-01: an annual premium of CNY 900.00 (more than CNY 800.00 needed). "
            "730 insured days before it: 2016-01-01 to 2017-12-31. "
            "Premium a year of the policies in force on that day: P-1 CNY 900.00."
        ),
        (
            "Silver since 2019-12-31, one level down: the protection of Gold ended, and none of its conditions held again. "
            "1095 insured days before it: 2016-01-01 to 2018-12-31. No policy was in force on that day."
        ),
    ]
    assert [c["zh"] for c in answer["changes"]] == [
        "自2016年1月1日起为基础会员：首个保障日。此前没有保障日。当日有效保单的年度保费：P-1 100.00 元。",
        (
            "自2018年1月1日起为黄金会员：年度保费 900.00 元（要求超过 800.00 元）。"
            "此前累计投保 730 天：2016年1月1日至2017年12月31日。当日有效保单的年度保费：P-1 900.00 元。"
        ),
        (
            "自2019年12月31日起由黄金降为白银：保护期已满，其间未再满足黄金的任何条件。"
            "此前累计投保 1095 天：2016年1月1日至2018年12月31日。当日没有有效保单。"
        ),
    ]
    gold = answer["changes"][1]
    assert gold["evidence"] == {
        "insured_days": 730,
        "intervals": [{"start": "2016-01-01", "end": "2018-01-01", "days": 730}],
        "growth_points": 0,
        "growth_days": 0,
        "annual_premium_fen": 900_00,
        "policies": [
            {
                "policy_no": "P-1",
                "product_line": "home",
                "start": "2016-01-01",
                "days": 730,
                "in_force": True,
                "annual_premium_fen": 900_00,
            }
        ],
    }
    assert (gold["rules_version"], gold["rules_effective"], gold["protection_months"]) == (1, "2015-01-01", 12)
    assert (gold["nearest"]["tier"], gold["nearest"]["missing"]) == ("diamond", 600_01)
    assert answer["changes"][2]["reasons"][0]["measure"] == "insured_years"
    assert answer["en"] == (
        "Silver since 2019-12-31. There is no cover now: benefits rest, and can be used again once there is. "
        "Insured for 3 years and 0 days; annual premium CNY 0.00."
    )
    assert answer["zh"] == (
        "自2019年12月31日起为白银会员。目前没有有效保障，权益暂停使用，恢复投保后即可继续使用。累计投保 3 年 0 天，年度保费 0.00 元。"
    )
    assert [(d["to_tier"], d["cause_type"]) for d in answer["decisions"]] == [
        ("gold", "policy.issued"),
        ("basic", "policy.issued"),
    ]


async def test_a_day_to_come_if_nothing_changes_and_if_cover_goes_on(t):
    """M-1 pays CNY 900 until the end of 2018: gold kept through 2019 by itself; diamond after eight years if renewed."""
    answer = (await t.http.get("/v1/tiers/M-1?as_of=2018-12-01", headers=member(t))).json()
    assert answer["tier"] == "gold"
    assert [(s["effective"], s["tier"]) for s in answer["upcoming"]] == [("2019-12-31", "silver")]
    assert answer["next_if_cover_goes_on"]["effective"] == "2024-01-01"
    assert answer["next_en"] == "If every policy in force goes on for its premium, Diamond comes on 2024-01-01."
    assert answer["next_zh"] == "如现有保单都续保且保费不变，将于2024年1月1日成为钻石会员。"
    far = (await t.http.get("/v1/tiers/M-1?as_of=9999-12-31", headers=member(t))).json()
    assert (far["tier"], far["next_if_cover_goes_on"], far["next_en"]) == ("silver", None, "")


async def test_what_had_been_told_by_a_day_about_a_day(t):
    """A third year becomes known late: what was told before stays on record, as it was told."""
    before = (await t.http.get("/v1/tiers/M-2/told?on=2018-06-15&as_of=2018-01-01", headers=member(t, "M-2"))).json()
    assert (before["tier"], before["tier_since"], before["differs"]) == ("silver", "2017-06-01", False)
    await t.feed(issued(term("2015-01-01", years=2, premium=100, member="M-2", policy="P-old")), at=day("2018-07-01"))
    await t.feed(issued(term("2017-01-01", premium=900, member="M-2", policy="P-new")), at=day("2018-07-02"))
    url = "/v1/tiers/M-2/told?as_of=2018-01-01&on="
    told = {
        d: (await t.http.get(url + d, headers=member(t, "M-2"))).json()
        for d in ("2015-05-05", "2018-06-30", "2018-07-02")
    }
    assert {d: (a["tier"], a["tier_now"], a["differs"]) for d, a in told.items()} == {
        "2015-05-05": ("none", "gold", True),
        "2018-06-30": ("silver", "gold", True),
        "2018-07-02": ("gold", "gold", False),
    }
    assert [(s["effective"], s["tier"]) for s in told["2018-06-30"]["timeline"]] == [("2017-06-01", "silver")]
    assert told["2018-06-30"]["zh"] == "截至2018年6月30日，告知的2018年1月1日等级为白银（自2017年6月1日起）。"
    assert told["2018-06-30"]["decision"]["cause_type"] == "policy.issued"
    assert (await t.http.get("/v1/tiers/M-1/told", headers=member(t, "M-2"))).status_code == 404


async def test_on_the_walls_clock_it_counts_when_it_was_said(settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "wall"})) as t:
        await t.feed(issued(term("2018-01-01")), at=day("2018-01-01"))
        await t.pool.execute("UPDATE decisions SET decided_at = '2018-03-01T15:59:59Z'")  # the last second of that day
        url = "/v1/tiers/M-1/told?as_of=2018-02-01&on="
        told = [(await t.http.get(url + d, headers=member(t))).json()["tier"] for d in ("2018-02-28", "2018-03-01")]
        assert told == ["none", "basic"]


async def test_the_renewal_preview_follows_the_rules_of_the_real_upgrade(t):
    url = "/v1/tiers/M-2/renewal?policy_no=P-2&as_of=2018-06-01"
    preview = (await t.http.get(url, headers=t.auth("service"))).json()
    assert preview == {
        "member_id": "M-2",
        "policy_no": "P-2",
        "renewed_from": "2018-06-01",
        "renewed_to": "2019-06-01",
        "tier_now": "silver",
        "qualified_at_start": "silver",
        "tier_at_start": "silver",
        "tier_at_end": "silver",
        "insured_years_at_end": 2,
        "annual_premium_fen_at_start": 301_00,
    }
    unknown = await t.http.get("/v1/tiers/M-2/renewal?policy_no=P-404", headers=t.auth("service"))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_renewable")


@pytest.mark.parametrize(
    ("start", "end", "renewed_to"),
    [
        ("2018-01-01", "2019-01-01", "2020-01-01"),
        ("2016-02-29", "2017-03-01", "2018-03-01"),
        ("2018-01-01", "2018-01-31", "2018-03-02"),  # thirty days more
        ("2018-01-01", "2021-01-01", "2024-01-01"),
    ],
)
def test_a_renewal_lasts_as_long_as_the_term_before(start, end, renewed_to):
    (held,) = insured(term(start, end))
    again = renewed(held, term_no=2)
    assert (again.start, again.end) == (day(end), day(renewed_to))


async def test_a_renewal_never_taken_up_does_not_hide_the_next_one(t):
    await t.feed(issued(term("2018-06-01", premium=301, member="M-2", policy="P-2", no=2, void=True, version=7)))
    preview = await t.http.get("/v1/tiers/M-2/renewal?policy_no=P-2", headers=t.auth("service"))
    assert (preview.json()["renewed_from"], preview.json()["annual_premium_fen_at_start"]) == ("2018-06-01", 301_00)


async def test_who_gives_a_policy_away_is_promised_nothing_by_it(t):
    """It is silver by its premium; from September on it is another's, who alone can renew it."""
    share = [("2018-06-01", "2018-09-01")]
    await t.feed(issued(term("2018-06-01", premium=301, member="M-9", policy="P-9", covers=share)))
    answer = await t.http.get("/v1/tiers/M-9/renewal?policy_no=P-9", headers=t.auth("service"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_renewable")
    mine = (await t.http.get("/v1/tiers/M-9", headers=member(t, "M-9"))).json()
    assert (mine["tier"], mine["next_if_cover_goes_on"], mine["next_zh"]) == ("silver", None, "")


async def test_cover_for_life_has_no_renewal(t):
    await t.feed(issued(term("2018-01-01", "9999-12-31", policy="P-life")))
    answer = await t.http.get("/v1/tiers/M-1/renewal?policy_no=P-life", headers=member(t))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_renewable")


async def test_all_members_page_by_page(t):
    rows, after = [], ""
    while after is not None:
        page = (
            await t.http.get(f"/v1/tiers?as_of=2018-01-01&limit=1&after={after}", headers=t.auth("operator"))
        ).json()
        rows, after = rows + page["items"], page["next_after"]
    assert rows == [
        {
            "member_id": "M-1",
            "insured_days": 730,
            "annual_premium_fen": 900_00,
            "qualified_tier": "gold",
            "tier": "gold",
            "tier_since": "2018-01-01",
            "told": "gold",
        },
        {
            "member_id": "M-2",
            "insured_days": 214,
            "annual_premium_fen": 301_00,
            "qualified_tier": "silver",
            "tier": "silver",
            "tier_since": "2017-06-01",
            "told": "silver",
        },
    ]


async def test_before_days_come_the_listing_tells_apart_what_was_told_and_what_dates_imply(t):
    page = (await t.http.get("/v1/tiers?as_of=2019-12-31", headers=t.auth("operator"))).json()
    assert [(r["member_id"], r["tier"], r["told"]) for r in page["items"]] == [
        ("M-1", "silver", "gold"),
        ("M-2", "basic", "silver"),
    ]


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/v1/tiers", "member", 403),
        ("/v1/tiers", "agent", 403),
        ("/v1/tiers?limit=5001", "operator", 422),
        ("/v1/tiers?as_of=yesterday", "operator", 422),
        ("/v1/tiers/M-2", "member", 404),  # a foreign member does not exist
        ("/v1/tiers/M-2/why", "member", 404),
        ("/v1/tiers/M-2/renewal?policy_no=P-2", "member", 404),
        ("/v1/tiers/M-2", "agent", 404),  # nor does one outside the agent's book
        ("/v1/tiers/M-404", "operator", 404),
        ("/v1/tiers/M-1/renewal", "operator", 422),
    ],
)
async def test_who_may_ask_what(t, path, role, status):
    answer = await t.http.get(path, headers=t.auth(role, subject="M-1" if role == "member" else "A-7"))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_nobody_without_a_token(t):
    assert (await t.http.get("/v1/tiers/M-1")).status_code == 401
