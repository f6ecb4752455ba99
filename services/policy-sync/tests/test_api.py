"""The REST of policy-sync: facts each standing alone, reads within one's own, contact data sealed and forgotten."""

import json
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
from policy_sync.service import SERVICE
from pydantic import SecretStr
from tenure.contracts import core
from tenure.settings import Settings
from tenure.spine.codec import utc_now
from tenure.testing import Under, under_test

from .world import cancelled, claim, issued, paid, renewed


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    with_key = settings.model_copy(update={"contact_key": SecretStr("a key of this test")})
    async with under_test(SERVICE, with_key) as under:
        yield under


def event(id_: str, type_: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id_, "source": "/core/pas", "type": type_, "data": data} | more


def issue(policy_no: str = "P-1", **more: Any) -> dict[str, Any]:
    about = {"policy_no": policy_no, "member_id": "M-1", "product_line": "home", "premium_fen": 36_500}
    return about | {"start": "2026-03-01", "end": "2027-03-01"} | more


def payment(policy_no: str = "P-1", **more: Any) -> dict[str, Any]:
    return {"policy_no": policy_no, "amount_fen": 36_500, "paid_on": "2026-03-01"} | more


async def push(t: Under, *events: Any) -> list[tuple[str, str]]:
    answer = await t.http.post("/v1/facts", headers=t.auth("core"), json=list(events))
    assert answer.status_code == 200, answer.text
    return [(r["status"], r.get("problem", {}).get("code", "")) for r in answer.json()["results"]]


async def test_each_fact_of_a_batch_stands_or_falls_alone(t: Under) -> None:
    tomorrow = (utc_now() + timedelta(days=2)).isoformat()
    answers = await push(
        t,
        event("1", "PolicyIssued", issue()),
        event("2", "PremiumPaid", payment()),
        event("2", "PremiumPaid", payment()),
        event("3", "PremiumPaid", payment()),
        event("4", "PremiumPaid", payment(amount_fen=-1)),
        event("5", "PolicyIssued", issue("P-2", end="2026-03-01")),
        event(
            "6",
            "PolicyRenewed",
            {"policy_no": "P-1", "term_no": 2, "start": "2027-02-01", "end": "2028-02-01", "premium_fen": 1},
        ),
        event("7", "PremiumPaid", payment("P-3")),
        event("8", "PolicyTeleported", {}),
        event("9", "points.granted", {}),
        event("10", "PremiumPaid", {"policy_no": "P-1"}),
        event("11", "PolicyIssued", issue("P-4"), time=tomorrow),
        event("12", "PolicyIssued", issue("P-4"), time="2026-03-01T09:00:00"),
        "no event",
        event("13", "PremiumPaid", payment(paid_on="2026-03-02", instalment_no=2)),
    )
    assert answers == [
        ("accepted", ""),
        ("accepted", ""),
        ("duplicate", ""),
        ("duplicate", ""),
        ("refused", "malformed"),
        ("refused", "end_before_start"),
        ("refused", "term_overlaps"),
        ("waiting", ""),
        ("refused", "unknown_type"),
        ("refused", "unknown_type"),
        ("refused", "malformed"),
        ("refused", "time_in_future"),
        ("refused", "malformed"),
        ("refused", "malformed"),
        ("accepted", ""),
    ]
    assert await t.parked() == []


TWICE = [
    (b'"amount_fen": 30001', b'"amount_fen": 1, "amount_fen": 30001', "data/amount_fen"),
    (b'"id": "2"', b'"id": "1", "id": "2"', "id"),
    (b'"id": "2"', b'"id": "2", "note": [{"a": 1, "a": 2}], "id": "2"', "note/0/a, id"),
]


@pytest.mark.parametrize(("once", "twice", "places"), TWICE)
async def test_a_fact_that_gives_a_name_twice_is_refused_alone_with_the_place(
    t: Under, once: bytes, twice: bytes, places: str
) -> None:
    batch = [event("1", "PolicyIssued", issue()), event("2", "PremiumPaid", payment(amount_fen=30_001))]
    body = json.dumps(batch).encode()
    answer = await t.http.post("/v1/facts", headers=t.auth("core"), content=body.replace(once, twice))
    issued_, paid_ = answer.json()["results"]
    assert (issued_["status"], paid_["status"], paid_["problem"]["code"]) == ("accepted", "refused", "malformed")
    assert paid_["problem"]["detail"] == f"given more than once: {places}"
    assert await push(t, batch[1]) == [("accepted", "")], "nothing was kept under its id"


async def test_pushing_again_is_safe_and_a_corrected_fact_may_keep_its_id(t: Under) -> None:
    batch = [event("1", "PolicyIssued", issue()), event("2", "PremiumPaid", payment())]
    assert await push(t, *batch) == [("accepted", ""), ("accepted", "")]
    told = len(await t.emitted())
    assert await push(t, *batch) == [("duplicate", ""), ("duplicate", "")]
    assert (told, await t.emitted()) == (3, [])
    assert await push(t, event("3", "PolicyIssued", issue("P-2", end="2026-01-01"))) == [
        ("refused", "end_before_start")
    ]
    assert await push(t, event("3", "PolicyIssued", issue("P-2"))) == [("accepted", "")]


async def test_a_refusal_says_why_in_both_languages_and_keeps_the_input_to_itself(t: Under) -> None:
    answer = await t.http.post(
        "/v1/facts", headers=t.auth("core"), json=[event("5", "PolicyIssued", issue(end="2026-03-01"))]
    )
    (result,) = answer.json()["results"]
    assert (result["id"], result["source"], result["problem"]["title_zh"]) == (
        "5",
        "/core/pas",
        "结束日期必须晚于开始日期。",
    )
    assert "2026-03-01" in result["problem"]["detail"]


async def test_a_fact_behind_a_parked_one_waits_for_the_operator(t: Under) -> None:
    await t.feed(issued(), renewed("2025-02-01", "2026-02-01"))
    later = event("1", "PremiumPaid", payment(paid_on="2024-03-01"))
    assert await push(t, later) == [("refused", "behind")]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[{", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b'[{"data":' + b"[" * 100_000, 400, "malformed_json"),
        (b"{}", 422, "validation_failed"),
        (b"[]", 422, "validation_failed"),
        (json.dumps([0] * 1_001).encode(), 422, "validation_failed"),
        (b"[" + b" " * 10_000_000 + b"]", 413, "body_too_large"),
    ],
)
async def test_what_is_no_batch_is_a_problem(t: Under, body: bytes, status: int, code: str) -> None:
    headers = {**t.auth("core"), "Content-Type": "application/json"}
    answer = await t.http.post("/v1/facts", headers=headers, content=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("role", ["member", "agent", "sre", "service"])
async def test_only_the_core_and_operators_push_facts(t: Under, role: str) -> None:
    answer = await t.http.post("/v1/facts", headers=t.auth(role), json=[event("1", "PolicyIssued", issue())])
    assert answer.status_code == 403


async def get(t: Under, path: str, *roles: str, **who: Any) -> tuple[int, Any]:
    answer = await t.http.get(f"/v1{path}", headers=t.auth(*roles, **who))
    return answer.status_code, answer.json()


async def test_a_member_reads_its_own_policies_and_nobody_else_s(t: Under) -> None:
    await t.feed(issued(), paid("2024-03-01"), cancelled("2024-09-01"), issued(policy_no="P-2", member_id="M-2"))
    status, own = await get(t, "/policies/P-1", "member", subject="M-1")
    assert (status, own["version"], own["terms"][0]["status"], own["terms"][0]["covers"]) == (
        200,
        3,
        "cancelled",
        [["2024-03-01", "2024-09-01"]],
    )
    assert (await get(t, "/policies/P-2", "member", subject="M-1"))[0] == 404
    assert (await get(t, "/policies/P-9", "member", subject="M-1"))[0] == 404
    assert (await get(t, "/policies?member_id=M-2", "member", subject="M-1"))[0] == 404
    assert (await get(t, "/policies/P-2", "agent", subject="A-1", book=["M-2"]))[0] == 200
    assert (await get(t, "/policies/P-2", "agent", subject="A-1", book=["M-1"]))[0] == 404


async def test_a_policy_of_which_only_waiting_facts_are_known_is_not_there_yet(t: Under) -> None:
    await t.feed(paid("2024-03-01"))
    assert (await get(t, "/policies/P-1", "operator"))[0] == 404


async def test_policies_are_paged(t: Under) -> None:
    await t.feed(*[issued(policy_no=f"P-{n}") for n in range(5)])
    seen: list[str] = []
    cursor = ""
    while True:
        status, page = await get(t, f"/policies?member_id=M-1&limit=2{cursor}", "member", subject="M-1")
        assert status == 200
        seen += [p["policy_no"] for p in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [f"P-{n}" for n in range(5)]


async def test_claims_are_read_by_number_and_by_member(t: Under) -> None:
    await t.feed(issued(), claim(core.ClaimReported, "2024-06-01", estimate_fen=900_00))
    await t.feed(claim(core.ClaimPaid, "2024-06-07", amount_fen=450_00), claim(core.ClaimClosed, "2024-06-08"))
    status, one = await get(t, "/claims/C-1", "member", subject="M-1")
    assert (status, one["status"], one["amount_fen"], one["breaks_no_claim_year"]) == (200, "closed", 450_00, True)
    assert (await get(t, "/claims/C-1", "member", subject="M-2"))[0] == 404
    _, page = await get(t, "/members/M-1/claims", "member", subject="M-1")
    assert [c["claim_no"] for c in page["items"]] == ["C-1"]
    assert (await get(t, "/members/M-1/claims", "member", subject="M-2"))[0] == 404


async def test_reconciliation_counts_facts_and_what_is_in_force_on_a_day(t: Under) -> None:
    await t.feed(
        issued(), paid("2024-03-01"), paid("2024-03-01"), issued(policy_no="P-2", product_line="motor", yuan=500)
    )
    await t.feed(cancelled("2024-09-01"), claim(core.ClaimPaid, "2024-06-07", amount_fen=1))
    status, found = await get(t, "/reconciliation?on=2024-08-31", "sre")
    assert status == 200
    assert found["facts"] == {"ClaimPaid": 1, "PolicyCancelled": 1, "PolicyIssued": 2, "PremiumPaid": 1}
    assert (found["duplicates"], found["waiting"], found["parked"], found["policies"]) == (1, 1, 0, 2)
    assert found["in_force"] == [
        {"product_line": "home", "policies": 1, "terms": 1, "premium_fen": 365_00},
        {"product_line": "motor", "policies": 1, "terms": 1, "premium_fen": 500_00},
    ]
    _, later = await get(t, "/reconciliation?on=2024-09-01", "sre")
    assert [line["product_line"] for line in later["in_force"]] == ["motor"]


async def put_contact(t: Under, member_id: str, phone: str, *roles: str, **who: Any) -> tuple[int, Any]:
    body = {"phone": phone, "language": "zh"}
    answer = await t.http.put(f"/v1/members/{member_id}/contact", headers=t.auth(*roles, **who), json=body)
    return answer.status_code, answer.json()


async def test_contact_data_is_sealed_at_rest_and_read_by_those_who_deliver(t: Under) -> None:
    assert (await put_contact(t, "M-1", "138 0013 8000", "member", subject="M-1"))[0] == 200
    assert await get(t, "/members/M-1/contact", "service") == (200, {"phone": "+8613800138000", "language": "zh"})
    sealed = await t.pool.fetchval("SELECT sealed FROM contacts WHERE member_id = 'M-1'")
    assert b"138" not in sealed
    assert await t.emitted() == []
    assert (await get(t, "/members/M-1/contact", "member", subject="M-1"))[0] == 403


async def test_what_was_sealed_for_one_member_opens_for_no_other(t: Under) -> None:
    await put_contact(t, "M-1", "13800138000", "core")
    await t.pool.execute("INSERT INTO contacts (member_id, sealed, key_id) SELECT 'M-2', sealed, key_id FROM contacts")
    status, problem = await get(t, "/members/M-2/contact", "service")
    assert (status, problem["code"]) == (503, "contact_unavailable")


async def test_erasure_deletes_the_contact_data_for_good(t: Under) -> None:
    await put_contact(t, "M-1", "13800138000", "core")
    await t.feed(core.CustomerErased(member_id="M-1", on=date(2026, 1, 5)))
    assert (await get(t, "/members/M-1/contact", "service"))[0] == 404
    status, problem = await put_contact(t, "M-1", "13800138000", "core")
    assert (status, problem["code"]) == (409, "customer_erased")


@pytest.mark.parametrize("phone", ["12345", "+86 000 0000 0000", "call me"])
async def test_a_number_that_cannot_be_reached_is_refused(t: Under, phone: str) -> None:
    status, problem = await put_contact(t, "M-1", phone, "core")
    assert (status, problem["code"]) == (422, "phone_invalid")
    assert phone not in str(problem)


async def test_a_member_keeps_only_its_own_contact_data(t: Under) -> None:
    assert (await put_contact(t, "M-2", "13800138000", "member", subject="M-1"))[0] == 404
