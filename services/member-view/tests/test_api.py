"""member-view over HTTP."""

from datetime import date

import pytest
from member_view.service import SERVICE
from msgspec.structs import replace
from tenure.contracts.policy import MemberEnrolled
from tenure.settings import Settings
from tenure.testing import under_test

from .cast import STORY, M, claim, grant, tier_changed

ALL = [one for topic in STORY for one in topic]


@pytest.mark.parametrize(
    ("role", "subject", "book", "status"),
    [
        ("member", M, None, 200),
        ("member", "M-2", None, 404),
        ("agent", "A-7", [M], 200),
        ("agent", "A-7", ["M-2"], 404),
        ("agent", "A-7", None, 404),
        ("operator", "o", None, 200),
        ("service", "s", None, 200),
        ("core", "c", None, 403),
    ],
)
async def test_who_sees_a_members_status(
    settings: Settings, role: str, subject: str, book: list[str] | None, status: int
) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(*ALL)
        answer = await t.http.get(f"/v1/members/{M}/status", headers=t.auth(role, subject=subject, book=book))
        assert answer.status_code == status
        if status == 200:
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["summary_en"].startswith("Gold since 2018-03-01; 1,240 points; open claim C-1")


async def test_a_member_finds_itself_and_a_stranger_nobody(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(*ALL)
        own = await t.http.get("/v1/me", headers=t.auth("member", subject=M))
        stranger = await t.http.get("/v1/me", headers=t.auth("member", subject="M-2"))
        nobody = await t.http.get("/v1/me")
        assert (own.json()["member_id"], stranger.status_code, nobody.status_code) == (M, 404, 401)


async def test_the_listing_pages_through_all_members_once(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(*(replace(grant(n), member_id=f"M-{n:03}") for n in range(1, 24)))
        seen: list[str] = []
        after: str | None = ""
        while after is not None:
            page = (await t.http.get(f"/v1/members?limit=10&after={after}", headers=t.auth("operator"))).json()
            seen += [m["member_id"] for m in page["items"]]
            after = page["next_after"]
        assert seen == [f"M-{n:03}" for n in range(1, 24)]


async def test_insights_add_up_the_rows(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        day = date(2026, 3, 2)
        for n, tier in enumerate(["basic", "gold", "gold"], 1):
            who = f"M-{n}"
            await t.feed(
                MemberEnrolled(member_id=who, effective=day if n == 1 else date(2018, 3, 1)),
                replace(tier_changed(tier), member_id=who),
                replace(grant(100 * n), member_id=who),
                replace(claim("reported"), member_id=who),
            )
        await t.feed(replace(grant(50, wallet="agent"), member_id="A-7"), replace(claim("paid"), member_id="M-1"))
        await t.day(day)
        found = (await t.http.get("/v1/insights", headers=t.auth("operator"))).json()
        assert found["members"] == 3
        assert found["members_per_tier"] == {"basic": 1, "gold": 2}
        assert found["points"] == {"available": 600, "pending": 0, "held": 0, "debt": 0}
        assert found["claims"] == {"open": 2, "open_fen": 1_000_000}


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/v1/members", "member", 403),
        ("/v1/insights", "agent", 403),
        ("/v1/members?limit=5001", "operator", 422),
        ("/v1/me/stream", "operator", 403),
        ("/v1/me/stream", "member", 404),
    ],
)
async def test_what_is_not_acceptable_is_said(settings: Settings, path: str, role: str, status: int) -> None:
    async with under_test(SERVICE, settings) as t:
        answer = await t.http.get(path, headers=t.auth(role, subject="M-404"))
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_description_names_the_stream(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        api = (await t.http.get("/openapi.json")).json()
        assert list(api["paths"]["/v1/me/stream"]["get"]["responses"]["200"]["content"]) == ["text/event-stream"]
