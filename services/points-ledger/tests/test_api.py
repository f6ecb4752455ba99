"""What members, agents, the mall and operators are answered."""

from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import D, M, cancelled, did, paid, renewed, term, tiers

TODAY = "2026-06-15"


@pytest.fixture
async def t(settings: Settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await under.feed(paid(term(cooling_off_end=D("2026-07-01")), 30_000), at=D("2026-06-01"))
        await under.feed(did("check_up", "2026-06-01"), did("class", "2026-06-02", session_id="S-1"))
        await under.day(D(TODAY))
        yield under


async def get(t: Under, path: str, *roles: str, subject: str = M, **more: Any):
    return await t.http.get(f"/v1{path}", headers=t.auth(*(roles or ("member",)), subject=subject, **more))


async def post(t: Under, path: str, body: Any = None, *roles: str, subject: str = M, key: str | None = None):
    return await t.http.post(f"/v1{path}", json=body, headers=t.auth(*(roles or ("member",)), subject=subject, key=key))


async def test_my_wallets_and_what_expires_when(t: Under) -> None:
    wallet = (await get(t, f"/wallets/{M}")).json()
    assert wallet["as_of"] == TODAY
    assert wallet["wallets"]["points"] == {
        "available": 550,
        "pending": 300,
        "held": 0,
        "debt": 0,
        "expiring": [{"expires_on": "2028-07-01", "points": 550}],
    }
    assert wallet["wallets"]["growth"]["available"] == 20


async def test_a_wallet_reads_right_before_the_days_tick_came(t: Under) -> None:
    await t.door.transact([], day=D("2028-07-01"))
    wallet = (await get(t, f"/wallets/{M}")).json()["wallets"]["points"]
    assert (wallet["available"], wallet["pending"]) == (300, 0), "the check-up is over, the premium is active"


async def test_the_statement_newest_first_in_pages(t: Under) -> None:
    first = (await get(t, f"/wallets/{M}/statement?limit=2")).json()
    second = (await get(t, f"/wallets/{M}/statement?limit=2&cursor={first['next_cursor']}")).json()
    lines = first["items"] + second["items"]
    assert [(line["rule"], line["amount"], line["credit"]) for line in lines] == [
        ("class", 20, "available"),
        ("class", 50, "available"),
        ("check_up", 500, "available"),
        ("premium", 300, "pending"),
    ]
    assert second["next_cursor"] is None


async def test_why_an_entry_was_granted(t: Under) -> None:
    await t.feed(tiers(("2026-01-01", "gold")), renewed(term(2, premium_fen=80_000), on="2026-06-20"))
    why = (await get(t, f"/entries/{M}:5/why")).json()
    assert (why["rule"], why["base"], why["tier_or_rank"], why["status_percent"], why["granted"]) == (
        "renewal",
        360,
        "gold",
        120,
        432,
    )
    assert (why["policy_no"], why["term_no"], why["rules_version"], why["label_zh"]) == ("P-1", 2, 1, "续保")


@pytest.mark.parametrize(
    "path", ["/wallets/M-2", "/wallets/M-2/statement", "/entries/M-2:1/why", "/entries/nothing/why"]
)
async def test_foreign_wallets_do_not_exist(t: Under, path: str) -> None:
    await t.feed(replace(did("quiz", TODAY), member_id="M-2"))
    assert (await get(t, path)).status_code == 404
    assert (await t.http.get(f"/v1{path}")).status_code == 401


async def test_an_agent_sees_its_book_only(t: Under) -> None:
    assert (await get(t, f"/wallets/{M}", "agent", subject="A-7", book=[M])).status_code == 200
    assert (await get(t, f"/wallets/{M}", "agent", subject="A-7", book=["M-3"])).status_code == 404


# --- activities ---


def quiz(on: str = TODAY, **more: Any) -> dict[str, Any]:
    return {"member_id": M, "activity_id": "q-1", "kind": "quiz", "on": on, **more}


async def test_an_activity_earns_once_whatever_the_key(t: Under) -> None:
    first = await post(t, "/activities", quiz())
    assert (first.status_code, first.json()) == (
        200,
        {"activity_id": "q-1", "points": 10, "growth": 0, "agent": 0, "limited_by": ""},
    )
    assert (await post(t, "/activities", quiz())).json()["points"] == 0


async def test_the_same_key_gets_the_same_answer(t: Under) -> None:
    first = await post(t, "/activities", quiz(), key="k-1")
    again = await post(t, "/activities", quiz(), key="k-1")
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await post(t, "/activities", quiz(activity_id="q-2"), key="k-1")).json()["code"] == "idempotency_key_reused"


async def test_a_batch_stands_or_falls_one_by_one(t: Under) -> None:
    batch = [
        quiz(),
        quiz("2026-06-16", activity_id="q-2"),
        quiz("2026-05-01", activity_id="q-3"),
        quiz("2026-06-14", activity_id="q-4"),
    ]
    answer = (await post(t, "/activities", batch)).json()["items"]
    assert [a.get("code") or a["points"] for a in answer] == [10, "activity_in_future", "activity_too_late", 10]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (quiz("2026-06-16"), "activity_in_future"),
        (quiz("2026-05-15"), "activity_too_late"),
        (quiz(value=200_001), "validation_failed"),
        (quiz(value=-1), "validation_failed"),
        (quiz(kind="sleep"), "validation_failed"),
        (quiz(points=1_000_000), "validation_failed"),
        ([quiz()] * 501, "validation_failed"),
        ([], "validation_failed"),
        (quiz(kind="class"), "no_session"),
    ],
)
async def test_bad_activities_are_refused(t: Under, body: Any, code: str) -> None:
    answer = await post(t, "/activities", body, "core", subject="app-backend")
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["detail_zh"]


async def test_who_may_report_what(t: Under) -> None:
    assert (await post(t, "/activities", quiz(), subject="M-2")).status_code == 404
    service = {"agent_id": "A-7", "activity_id": "s-1", "kind": "revisit", "on": TODAY}
    assert (await post(t, "/activities", service, "agent", subject="A-7")).json()["agent"] == 20
    for rank in ("senior", "manager"):
        assert (await post(t, "/activities", service | {"rank": rank}, "agent", subject="A-7")).status_code == 403
    as_member = {"member_id": "A-7", "activity_id": "q-7", "kind": "quiz", "on": TODAY}
    assert (await post(t, "/activities", as_member, "agent", subject="A-7")).status_code == 404, (
        "it is a member who reports it"
    )
    assert (await post(t, "/activities", service, "agent", subject="A-8")).status_code == 404
    referral = {"member_id": M, "referee_id": "M-9", "policy_no": "P-9", "on": TODAY}
    assert (await post(t, "/activities", referral)).status_code == 403
    assert (await post(t, "/activities", referral, "core", subject="core")).status_code == 200
    mine = await post(t, "/activities", referral | {"referee_id": M}, "core", subject="core")
    assert mine.json()["code"] == "self_referral"


@pytest.mark.parametrize(
    ("role", "body"),
    [("member", {"member_id": M, "kind": k}) for k in ("check_up", "class", "wealth_lecture", "safe_driving")]
    + [("agent", {"agent_id": "A-7", "kind": k}) for k in ("good_review", "referral_success", "teamwork", "mentoring")],
)
async def test_points_cannot_be_made_up(t: Under, role: str, body: dict[str, str]) -> None:
    """A class earns once a session: who could report it for oneself would name a new session each time."""
    subject = body.get("member_id") or body["agent_id"]
    activity = {**body, "activity_id": "x-1", "on": TODAY, **({"session_id": "made-up"} if role == "member" else {})}
    alone, batch = [await post(t, "/activities", sent, role, subject=subject) for sent in (activity, [activity])]
    assert {(a.status_code, a.json()["code"]) for a in (alone, batch)} == {(403, "not_by_oneself")}
    assert (await post(t, "/activities", activity, "service", subject="classroom")).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (quiz(on="yesterday"), "#/on"),
        ([quiz(), quiz(value="5")], "#/1/value"),
        ([quiz(), 5], "#/1"),
        ([[]], "#/0"),
        (5, "#"),
        ({"agent_id": "A-7"}, "#/activity_id"),
    ],
)
async def test_a_refusal_points_at_what_was_sent(t: Under, body: Any, pointer: str) -> None:
    answer = (await post(t, "/activities", body, "core", subject="core")).json()
    assert pointer in [error["pointer"] for error in answer["errors"]]
    assert "_kind" not in str(answer)


# --- holds ---


async def hold(t: Under, points: int, **more: Any):
    return await post(t, "/holds", {"member_id": M, "points": points, "reference": "O-1", **more}, "service")


async def test_hold_capture_refund(t: Under) -> None:
    placed = await hold(t, 500, hold_id="H-1")
    assert (placed.status_code, placed.json()["state"]) == (201, "held")
    assert (await get(t, f"/wallets/{M}")).json()["wallets"]["points"]["held"] == 500
    captured = await post(t, "/holds/H-1/capture", {"points": 400}, "service")
    assert (captured.json()["state"], captured.json()["captured"]) == ("captured", 400)
    refund = await post(t, "/holds/H-1/refund", {"points": 100}, "service")
    assert refund.json()["refunded"] == 100
    assert (await get(t, "/holds/H-1", "service")).json() == refund.json()
    assert (await get(t, f"/wallets/{M}")).json()["wallets"]["points"]["available"] == 250


async def test_a_hold_is_released_without_a_body_and_resolved_once(t: Under) -> None:
    hold_id = (await hold(t, 500)).json()["hold_id"]
    assert (await post(t, f"/holds/{hold_id}/release", None, "service")).json()["state"] == "released"
    for step in ("capture", "release"):
        again = await post(t, f"/holds/{hold_id}/{step}", None, "service")
        assert (again.status_code, again.json()["code"]) == (409, "hold_resolved")


async def test_what_a_hold_may_not_do(t: Under) -> None:
    assert (await hold(t, 551)).json()["code"] == "insufficient_points"
    assert (await hold(t, 0)).json()["code"] == "validation_failed"
    assert (await hold(t, 10, ttl_s=86_401)).json()["code"] == "validation_failed"
    assert (await post(t, "/holds/H-404/capture", None, "service")).status_code == 404
    assert (await post(t, "/holds/H%00/capture", None, "service")).json()["code"] == "validation_failed"
    assert (await hold(t, 10, reference="O\0")).json()["code"] == "validation_failed"
    growth = await hold(t, 10, wallet="growth")
    assert [e["pointer"] for e in growth.json()["errors"]] == ["#/wallet"], "growth is never spent"
    assert (await post(t, "/holds", {"member_id": M, "points": 1})).status_code == 403, (
        "a member does not hold by itself"
    )
    await hold(t, 550, hold_id="H-1")
    await post(t, "/holds/H-1/capture", None, "service")
    await t.feed(cancelled(term(cooling_off_end=D("2026-07-01")), TODAY))
    assert (await hold(t, 1, hold_id="H-2")).json()["code"] == "insufficient_points"
    assert (await hold(t, 1, hold_id="H-1")).json()["code"] == "hold_exists"


# --- operators ---


async def propose(t: Under, points: int, subject: str = "op-1"):
    body = {"member_id": M, "points": points, "reason": "goodwill after a complaint", "ticket": "T-1"}
    return await post(t, "/adjustments", body, "operator", subject=subject)


async def test_an_adjustment_takes_two_persons(t: Under) -> None:
    proposal = (await propose(t, 100)).json()
    assert (proposal["state"], proposal["proposed_by"]) == ("proposed", "op-1")
    path = f"/adjustments/{proposal['adjustment_id']}/approve"
    assert (await post(t, path, None, "operator", subject="op-1")).json()["code"] == "same_person"
    assert (await post(t, path, None, "operator", subject="op-2")).json()["state"] == "approved"
    assert (await post(t, path, None, "operator", subject="op-3")).json()["code"] == "adjustment_resolved"
    assert (await get(t, f"/wallets/{M}")).json()["wallets"]["points"]["available"] == 650


async def test_adjustments_have_limits(t: Under) -> None:
    assert (await propose(t, 10, subject=M)).json()["code"] == "own_account"
    assert (await propose(t, 10_001)).json()["code"] == "adjustment_too_large"
    proposal = (await propose(t, -551)).json()
    path = f"/adjustments/{proposal['adjustment_id']}/approve"
    assert (await post(t, path, None, "operator", subject="op-2")).json()["code"] == "insufficient_points"
    deduction = (await propose(t, -50)).json()
    await post(t, f"/adjustments/{deduction['adjustment_id']}/approve", None, "operator", subject="op-2")
    assert (await get(t, f"/wallets/{M}")).json()["wallets"]["points"]["available"] == 500


async def test_the_books(t: Under) -> None:
    await hold(t, 200, hold_id="H-1")
    await post(t, "/holds/H-1/capture", None, "service")
    await t.feed(cancelled(term(cooling_off_end=D("2026-07-01")), TODAY))
    totals = (await get(t, "/ledger/totals", "operator")).json()["points"]
    assert totals == {
        "granted": 850,
        "pending": 0,
        "active": 350,
        "held": 0,
        "debt": 0,
        "spent": 200,
        "reversed": 300,
        "expired": 0,
        "adjusted": 0,
    }
    assert set((await get(t, "/ledger/verify", "operator")).json().values()) == {True}
    liability = (await get(t, "/liability", "operator")).json()
    assert (liability["outstanding"], liability["vintages"][-1]["month"]) == (350, "2026-06-01")
    before = (await get(t, "/liability?as_of=2026-06-14", "operator")).json()
    assert (before["outstanding"], before["pending"]) == (550, 300), "the liability of a past day, by the journal"


async def test_all_wallets_page_by_member(t: Under) -> None:
    await t.feed(paid(term(member_id="M-2", policy_no="P-2"), 10_000))
    first = (await get(t, "/wallets?limit=1", "operator")).json()
    assert [(row["member_id"], row["wallet"], row["granted"]) for row in first["items"]] == [
        (M, "growth", 20),
        (M, "points", 850),
    ]
    second = (await get(t, f"/wallets?limit=1&after={first['next_after']}", "operator")).json()
    assert [(row["member_id"], row["available"]) for row in second["items"]] == [("M-2", 100)]
    last = (await get(t, f"/wallets?limit=1&after={second['next_after']}", "operator")).json()
    assert last == {"items": [], "next_after": None}
    for path in ("/wallets", "/liability", "/ledger/totals", "/ledger/verify"):
        assert (await get(t, path)).status_code == 403
