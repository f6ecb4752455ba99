"""The API as callers meet it: who sees what, what is refused and why, and the answer an agent reads out."""

from dataclasses import replace
from datetime import date
from functools import partial

import benefits_cast as cast
import httpx
import pytest
from benefits import api as benefits_api
from benefits import appointments, claims_api
from benefits.service import SERVICE
from tenure.testing import under_test

D = date.fromisoformat
TODAY = D("2020-06-15")
HOME_SAFETY = "M-1.home_safety.20200101"


@pytest.fixture
async def t(settings):
    """M-1 is gold with a home policy, M-2 basic without cover any more; the calendar stands at 15 June 2020."""
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await under.feed(
            cast.issued(),
            cast.tiers(("2020-01-01", "gold")),
            cast.claim(500_000),
            cast.claim(500_001, no="C-2"),
            cast.issued("M-2", no="P-2", start="2019-01-01", end="2020-01-01"),
            cast.tiers(("2019-01-01", "basic"), member="M-2"),
        )
        await under.day(TODAY)
        yield under


async def test_a_member_sees_its_benefits_in_the_language_asked_for(t):
    answer = await t.http.get("/v1/benefits/M-1?lang=en", headers=t.auth("member", subject="M-1"))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["tier"], body["in_force"], body["as_of"]) == ("gold", True, "2020-06-15")
    shown = {b["benefit"]: b for b in body["benefits"]}
    assert len(shown) == 10
    check = shown["home_safety"]
    assert (check["label"], check["remaining"], check["usable"], check["status"]) == (
        "Home-safety check (circuit or gas)",
        2,
        True,
        "active",
    )
    assert (check["period_start"], check["period_end"]) == ("2020-01-01", "2021-01-01")
    assert (shown["burst_pipe_liability"]["status"], shown["burst_pipe_liability"]["usable"]) == ("requested", False)
    chinese = await t.http.get("/v1/benefits/M-1", headers=t.auth("member", subject="M-1"))
    assert chinese.json()["benefits"][0]["label"] == "理赔绿色通道"


async def test_a_lapsed_member_sees_them_as_not_usable(t):
    answer = await t.http.get("/v1/benefits/M-2", headers=t.auth("agent", subject="A-7", book=["M-2"]))
    assert not answer.json()["in_force"]
    assert [b["usable"] for b in answer.json()["benefits"]] == [False] * 4


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/benefits/M-1", None),
        ("GET", "/v1/benefits/M-1/reports", None),
        ("GET", "/v1/claims/C-1/entitlements", None),
        ("GET", "/v1/members/M-1/renewal-preview?policy_no=P-1", None),
        ("GET", "/v1/appointments?member_id=M-1", None),
        ("POST", f"/v1/benefits/{HOME_SAFETY}/use", {}),
        ("POST", f"/v1/benefits/{HOME_SAFETY}/uses/U-1/release", None),
        ("POST", "/v1/appointments", {"grant_id": HOME_SAFETY, "slot_date": "2020-07-01"}),
    ],
)
@pytest.mark.parametrize("foreign", [{"roles": ["member"], "subject": "M-2"}, {"roles": ["agent"], "subject": "A-7"}])
async def test_a_foreign_members_things_are_not_there(t, method, path, body, foreign):
    headers = t.auth(*foreign["roles"], subject=foreign["subject"], book=["M-2"])
    answer = await t.http.request(method, path, json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    absent = path.replace("M-1", "M-9").replace("C-1", "C-9")
    unknown = await t.http.request(method, absent, json=body, headers=t.auth("operator"))
    if "/reports" not in path and "/appointments" not in path and "/members/" not in path:
        assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("role", "subject"),
    [("member", "M-1"), ("agent", "A-7"), ("operator", "O-1"), ("service", "s")],
)
async def test_a_benefit_is_used_until_its_quota_and_given_back(t, role, subject):
    headers = partial(t.auth, role, subject=subject, book=["M-1"])
    for remaining in (1, 0):
        used = await t.http.post(f"/v1/benefits/{HOME_SAFETY}/use", json={}, headers=headers())
        assert (used.status_code, used.json()["remaining"]) == (200, remaining)
    refused = await t.http.post(f"/v1/benefits/{HOME_SAFETY}/use", json={}, headers=headers())
    assert (refused.status_code, refused.json()["code"]) == (409, "quota_used_up")
    assert refused.json()["detail_zh"] == "本周期的权益次数已用完。"
    path = f"/v1/benefits/{HOME_SAFETY}/uses/{used.json()['use_id']}/release"
    assert (await t.http.post(path, headers=headers())).json()["remaining"] == 1
    assert (await t.http.post(path, headers=headers())).status_code == 404


async def test_the_same_idempotency_key_uses_once(t):
    headers = t.auth("member", subject="M-1")
    first = await t.http.post(f"/v1/benefits/{HOME_SAFETY}/use", json={"reference": "WO-1"}, headers=headers)
    again = await t.http.post(f"/v1/benefits/{HOME_SAFETY}/use", json={"reference": "WO-1"}, headers=headers)
    assert first.json() == again.json()
    other_key = await t.http.post(
        f"/v1/benefits/{HOME_SAFETY}/use", json={"reference": "WO-1"}, headers=t.auth("member", subject="M-1")
    )
    assert other_key.json()["use_id"] == first.json()["use_id"]
    assert await t.pool.fetchval("SELECT used FROM members WHERE member_id = 'M-1'") == 1


@pytest.mark.parametrize(("roles", "status"), [(["member"], 409), (["agent"], 200), (["member", "agent"], 200)])
async def test_a_use_of_yesterday_is_given_back_by_whoever_serves_the_member(t, roles, status):
    used = await t.http.post(f"/v1/benefits/{HOME_SAFETY}/use", json={"on": "2020-06-14"}, headers=t.auth("operator"))
    path = f"/v1/benefits/{HOME_SAFETY}/uses/{used.json()['use_id']}/release"
    answer = await t.http.post(path, headers=t.auth(*roles, subject="M-1", book=["M-1"]))
    assert (answer.status_code, answer.json().get("code")) == (status, "use_is_over" if status == 409 else None)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/benefits/M-2.home_safety.20200101/use", {}, 409, "not_in_force"),
        ("/v1/benefits/M-1.burst_pipe_liability.20200101/use", {}, 409, "extension_not_active"),
        ("/v1/benefits/M-1.seasonal_patrol.20200501/use", {}, 404, "grant_unknown"),
        ("/v1/benefits/nonsense/use", {}, 404, "not_found"),
        (f"/v1/benefits/{HOME_SAFETY}/use", {"on": "2020-06-16"}, 422, "use_in_future"),
        (f"/v1/benefits/{HOME_SAFETY}/use", {"on": "2019-12-31"}, 409, "not_in_force"),
        (f"/v1/benefits/{HOME_SAFETY}/use", {"on": 5}, 422, "validation_failed"),
        (f"/v1/benefits/{HOME_SAFETY}/use", {"onn": "2020-06-15"}, 422, "validation_failed"),
        (f"/v1/benefits/{HOME_SAFETY}/use", {"reference": "x" * 65}, 422, "validation_failed"),
        (f"/v1/benefits/{HOME_SAFETY}/use", {"reference": "Li Si room 501"}, 422, "reference_not_a_code"),
        (f"/v1/benefits/{HOME_SAFETY}/use", {"reference": "李四"}, 422, "reference_not_a_code"),
        ("/v1/appointments", {"grant_id": HOME_SAFETY, "slot_date": "2020-06-14"}, 422, "slot_in_past"),
        ("/v1/appointments", {"grant_id": HOME_SAFETY, "slot_date": "2021-01-01"}, 409, "outside_period"),
        (
            "/v1/appointments",
            {"grant_id": "M-1.fire_safety_kit.20200101", "slot_date": "2020-07-01"},
            422,
            "not_bookable",
        ),
    ],
)
async def test_refusals_have_codes_and_change_nothing(t, path, body, status, code):
    before = await t.pool.fetch("SELECT * FROM members ORDER BY 1")
    answer = await t.http.post(path, json=body, headers=t.auth("operator"))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await t.pool.fetch("SELECT * FROM members ORDER BY 1") == before


async def test_an_appointment_is_listed_for_its_day_and_cancelled(t):
    booked = await t.http.post(
        "/v1/appointments",
        json={"grant_id": HOME_SAFETY, "slot_date": "2020-07-01", "region": "440300"},
        headers=t.auth("member", subject="M-1"),
    )
    assert (booked.status_code, booked.json()["remaining"]) == (201, 1)
    day = await t.http.get("/v1/appointments?day=2020-07-01&region=440300", headers=t.auth("operator"))
    assert [(a["member_id"], a["status"]) for a in day.json()["items"]] == [("M-1", "booked")]
    assert (await t.http.get("/v1/appointments", headers=t.auth("member", subject="M-1"))).status_code == 403
    path = f"/v1/appointments/{booked.json()['use_id']}/cancel"
    assert (await t.http.post(path, headers=t.auth("member", subject="M-2"))).status_code == 404
    assert (await t.http.post(path, headers=t.auth("member", subject="M-1"))).json()["remaining"] == 2
    mine = await t.http.get("/v1/appointments?member_id=M-1", headers=t.auth("member", subject="M-1"))
    assert [a["status"] for a in mine.json()["items"]] == ["cancelled"]


@pytest.mark.parametrize(("claim_no", "waived", "reason"), [("C-1", True, "5,000.00"), ("C-2", False, "5,000.01")])
async def test_the_agent_is_told_whether_a_surveyor_comes(t, claim_no, waived, reason):
    answer = await t.http.get(
        f"/v1/claims/{claim_no}/entitlements", headers=t.auth("agent", subject="A-7", book=["M-1"])
    )
    body = answer.json()
    assert (body["tier"], body["tier_as_of"], body["fast_track"]) == ("gold", "2020-06-01", True)
    assert (body["on_site_survey_waived"], body["photo_assessment"], body["claims_adviser"]) == (waived, waived, False)
    assert any(reason in r["en"] and reason in r["zh"] for r in body["reasons"])


# --- the renewal preview: tier-engine's tiers, our benefits ------------------------------------------------------------

RENEWAL = {
    "member_id": "M-1",
    "policy_no": "P-1",
    "renewed_from": "2021-01-01",
    "renewed_to": "2022-01-01",
    "tier_now": "basic",
    "qualified_at_start": "basic",
    "tier_at_start": "basic",
    "tier_at_end": "silver",
    "insured_years_at_end": 2,
    "annual_premium_fen_at_start": 30_000,
}


def with_tier_engine(handler):
    routers = tuple(
        partial(r, transport=httpx.MockTransport(handler)) if r is claims_api.router else r for r in SERVICE.routers()
    )
    assert set(SERVICE.routers()) == {benefits_api.router, appointments.router, claims_api.router}
    return replace(SERVICE, routers=lambda: routers)


@pytest.mark.parametrize("with_token_file", [True, False])
async def test_the_renewal_preview_adds_what_the_future_tier_unlocks(settings, tmp_path, with_token_file):
    asked = []

    def tier_engine(request):
        asked.append((request.url.path, request.url.query.decode(), request.headers["authorization"]))
        return httpx.Response(200, json=RENEWAL)

    if with_token_file:
        (tmp_path / "service.token").write_text("the-service\n")
        settings = settings.model_copy(update={"service_token_file": tmp_path / "service.token"})
    async with under_test(with_tier_engine(tier_engine), settings) as t:
        headers = t.auth("member", subject="M-1")
        answer = await t.http.get("/v1/members/M-1/renewal-preview?policy_no=P-1", headers=headers)
    body = answer.json()
    assert answer.status_code == 200
    assert body["renewal"]["tier_at_end"] == "silver"
    assert body["adds_at_start"] == []
    added = {u["benefit"]: (u["is_new"], u["quota_now"], u["quota_then"]) for u in body["adds_at_end"]}
    assert added == {
        "home_safety": (False, 1, 2),
        "water_leak_inspection": (True, None, 1),
        "appliance_repair_discount": (True, None, None),
        "burst_pipe_liability": (True, None, None),
        "appliance_cleaning_coupon": (True, None, 2),
    }
    token = "Bearer the-service" if with_token_file else headers["Authorization"]
    assert asked == [("/v1/tiers/M-1/renewal", "policy_no=P-1", token)]


def _refuse(request):
    raise httpx.ConnectError("nobody there", request=request)


@pytest.mark.parametrize(
    ("tier_engine", "status", "code"),
    [
        (_refuse, 503, "tier_engine_unreachable"),
        (lambda _: httpx.Response(500), 503, "tier_engine_unreachable"),
        (lambda _: httpx.Response(200, content=b"<html>"), 503, "tier_engine_unreachable"),
        (lambda _: httpx.Response(404), 404, "not_found"),
    ],
)
async def test_without_an_answer_of_tier_engine_there_is_no_preview(settings, tier_engine, status, code):
    async with under_test(with_tier_engine(tier_engine), settings) as t:
        answer = await t.http.get("/v1/members/M-1/renewal-preview?policy_no=P-1", headers=t.auth("operator"))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_reports_are_read_newest_first(t):
    await t.feed(cast.anniversary(), cast.anniversary(years=2, on="2022-01-01"))
    answer = await t.http.get("/v1/benefits/M-1/reports", headers=t.auth("member", subject="M-1"))
    assert [r["years"] for r in answer.json()["items"]] == [2, 1]
    assert answer.json()["items"][1]["claims"] == {"reported": 2}


async def test_each_quarter_has_a_class(t):
    now = await t.http.get("/v1/classes", headers=t.auth("member", subject="M-1"))
    assert [c["session"] for c in now.json()["items"]] == ["before_the_storms-2020Q2"]
    later = await t.http.get("/v1/classes?quarter=2020Q4", headers=t.auth("member", subject="M-1"))
    assert later.json()["items"][0]["label_zh"] == "家庭消防与急救"
    wrong = await t.http.get("/v1/classes?quarter=2020Q5", headers=t.auth("member", subject="M-1"))
    assert wrong.status_code == 422


async def test_operators_list_all_members_in_pages_and_verify_them(t):
    first = await t.http.get("/v1/benefits?limit=1", headers=t.auth("operator"))
    assert first.json()["items"] == [{"member_id": "M-1", "tier": "gold", "active_grants": 10, "used": 0}]
    second = await t.http.get(f"/v1/benefits?limit=5000&after={first.json()['next_after']}", headers=t.auth("operator"))
    assert [m["member_id"] for m in second.json()["items"]] == ["M-2"]
    assert second.json()["next_after"] is None
    totals = await t.http.get("/v1/benefits/totals", headers=t.auth("operator"))
    assert {r["tier"]: r["members"] for r in totals.json()["by_tier"]} == {"gold": 1, "basic": 1}
    verified = await t.http.get("/v1/benefits/verify", headers=t.auth("operator"))
    assert set(verified.json().values()) == {True}
    assert (await t.http.get("/v1/benefits", headers=t.auth("member", subject="M-1"))).status_code == 403


@pytest.mark.parametrize(
    ("damage", "broken"),
    [
        (('"benefit":"home_safety"', '"benefit":"safety_handbook"'), "grants_equal_tiers"),
        (('"on":"2020-06-15"', '"on":"2031-06-15"'), "grants_recompute_alike"),
        (('"used":1', '"used":9'), "no_quota_exceeded"),
        (('"status":"requested"', '"status":"active"'), "extensions_endorsed"),
    ],
)
async def test_verify_finds_what_does_not_hold(t, damage, broken):
    await t.http.post(f"/v1/benefits/{HOME_SAFETY}/use", json={}, headers=t.auth("operator"))
    raw = (await t.pool.fetchval("SELECT state FROM members WHERE member_id = 'M-1'")).decode()
    old, new = damage
    assert old in raw
    await t.pool.execute("UPDATE members SET state = $1 WHERE member_id = 'M-1'", raw.replace(old, new).encode())
    verified = await t.http.get("/v1/benefits/verify", headers=t.auth("operator"))
    assert verified.json()[broken] is False
