"""The notifier over HTTP."""

from datetime import timedelta

import pytest
from notifier import sending
from notifier.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .cast import D, M, at, claim


async def _with_messages(t: Under, count: int) -> None:
    for n in range(count):
        await t.feed(claim(effective=D + timedelta(days=n)))
    await sending.tell(t.door, None)


async def test_a_member_reads_its_messages_newest_first_page_by_page(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await _with_messages(t, 5)
        own = t.auth("member", subject=M)
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await t.http.get(f"/v1/messages?limit=2{cursor}", headers=own)).json()
            seen += [m["sent_at"][:10] for m in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert seen == [(D + timedelta(days=n)).isoformat() for n in (4, 3, 2, 1, 0)]


async def test_what_a_night_brought_is_read_from_its_end(settings: Settings) -> None:
    """Told in one instant, at eight: the newest progress stands first, page by page."""
    night = ["reported", "registered", "surveyed", "assessed", "approved", "paid"]
    async with under_test(SERVICE, settings) as t:
        for hour, status in enumerate(night, start=1):
            await t.feed(claim(status), at=at(hour))
        await sending.tell(t.door, None)
        own = t.auth("member", subject=M)
        seen: list[str] = []
        cursor = ""
        while cursor is not None:
            query = f"&cursor={cursor}" if cursor else ""
            page = (await t.http.get(f"/v1/messages?lang=en&limit=4{query}", headers=own)).json()
            seen += [m["text"].removeprefix("Your claim C-1 was ").partition(";")[0] for m in page["items"]]
            cursor = page["next_cursor"]
        assert seen == night[::-1]


async def test_messages_come_in_the_language_asked_for(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await _with_messages(t, 1)
        own = t.auth("member", subject=M)
        stored, english = [
            (await t.http.get(f"/v1/messages{query}", headers=own)).json()["items"][0]["title"]
            for query in ("", "?lang=en")
        ]
        assert (stored, english) == ("理赔进度", "Claim progress")


async def test_reading_a_message_once_or_twice_is_the_same(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await _with_messages(t, 2)
        own = t.auth("member", subject=M)
        newest = (await t.http.get("/v1/messages", headers=own)).json()["items"][0]
        assert newest["unread"] is True
        path = f"/v1/messages/{newest['message_id']}/read"
        first = await t.http.post(path, headers=t.auth("member", subject=M))
        again = await t.http.post(path, headers=t.auth("member", subject=M))
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()
        unread = (await t.http.get("/v1/messages?unread=true", headers=own)).json()["items"]
        assert [m["message_id"] for m in unread] != [newest["message_id"]]
        assert len(unread) == 1


async def test_foreign_messages_do_not_exist(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await _with_messages(t, 1)
        message_id = await t.pool.fetchval("SELECT message_id FROM message")
        stranger = t.auth("member", subject="M-2")
        answers = [
            await t.http.get(f"/v1/messages?member_id={M}", headers=stranger),
            await t.http.post(f"/v1/messages/{message_id}/read", headers=stranger),
            await t.http.get(f"/v1/messages?member_id={M}", headers=t.auth("agent", subject="A-7", book=["M-2"])),
        ]
        assert [a.status_code for a in answers] == [404, 404, 404]
        agent = t.auth("agent", subject="A-7", book=[M])
        assert len((await t.http.get(f"/v1/messages?member_id={M}", headers=agent)).json()["items"]) == 1
        assert (await t.http.get("/v1/messages", headers=stranger)).json()["items"] == []


async def test_preferences_begin_without_marketing_and_change_one_by_one(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        own = t.auth("member", subject=M)
        assert (await t.http.get("/v1/preferences", headers=own)).json() == {
            "marketing": False,
            "language": "zh",
            "sms": True,
        }
        for body in ({"marketing": True}, {"language": "en"}):
            await t.http.put("/v1/preferences", json=body, headers=t.auth("member", subject=M))
        assert (await t.http.get("/v1/preferences", headers=own)).json() == {
            "marketing": True,
            "language": "en",
            "sms": True,
        }


@pytest.mark.parametrize(
    ("method", "path", "body", "role", "status"),
    [
        ("PUT", "/v1/preferences", {"marketing": "yes"}, "member", 422),
        ("PUT", "/v1/preferences", {"colour": "red"}, "member", 422),
        ("POST", "/v1/receipts/sms_file", {"message_id": "x", "status": "delivered"}, "member", 403),
        ("POST", "/v1/receipts/sms_file", {"message_id": "x", "status": "delivered"}, "core", 404),
        ("POST", "/v1/receipts/pigeon", {"message_id": "x", "status": "delivered"}, "core", 404),
        ("POST", "/v1/receipts/sms_file", {"message_id": "x", "status": "eaten"}, "core", 422),
        ("GET", "/v1/messages/totals", None, "member", 403),
        ("GET", "/v1/messages/verify", None, "agent", 403),
        ("GET", "/v1/messages?limit=100000", None, "member", 422),
        ("GET", "/v1/messages?cursor=!!", None, "member", 400),
    ],
)
async def test_what_is_not_acceptable_is_said(
    settings: Settings, method: str, path: str, body: dict[str, str] | None, role: str, status: int
) -> None:
    async with under_test(SERVICE, settings) as t:
        answer = await t.http.request(method, path, json=body, headers=t.auth(role, subject=M))
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
