"""The park as operators have it, over REST on real PostgreSQL: seen without personal data, sent through again, taken out with a reason;
and what an older version could not read passes after an upgrade, with what queued behind it, in order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import msgspec
import pytest
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure import database
from tenure.edge import App
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine import codec, park
from tenure.spine.codec import utc_now
from tenure.spine.log import Outgoing
from tenure.testing import Under, under_test
from tenure_local import park_desk
from tenure_local.home import Home
from tenure_local.services import SERVICES

from .test_bad_input import GOOD, fact, issued, listed, renewed, told
from .test_bad_records import outgoing, poll

AT = "/v1/parked/policy-sync"
UNKNOWN = fact("0", issued(), type_="PolicyInvented")


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(POLICY_SYNC, settings) as under:
        yield under


async def ask(t: Under, path: str = "", role: str = "operator", **params: Any) -> Any:
    answer = await t.http.get(AT + path, params=params, headers=t.auth(role, subject="li"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def post(t: Under, path: str, body: Any, *, key: str | None = None, role: str = "operator") -> httpx.Response:
    return await t.http.post(AT + path, json=body, headers=t.auth(role, subject="li", key=key))


def of(policy_no: str, wrong: dict[str, Any] = UNKNOWN) -> Outgoing:
    return outgoing({**wrong, "id": f"{policy_no}-{wrong['id']}"}, policy_no)


async def test_what_is_parked_is_listed_page_by_page_and_filtered(t: Under) -> None:
    await poll(t, *[of(f"P-{n}") for n in range(5)], of("P-3", fact("1", issued(policy_no="P-3"))))
    first = await ask(t, limit=4)
    rest = await ask(t, limit=4, cursor=first["next_cursor"])
    rows = first["items"] + rest["items"]
    assert [row["key"] for row in rows] == ["P-0", "P-1", "P-2", "P-3", "P-4", "P-3"]
    assert rest["next_cursor"] is None
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    assert [r["code"] for r in (await ask(t, key="P-3"))["items"]] == ["unknown_type", "behind"]
    assert [r["key"] for r in (await ask(t, code="behind"))["items"]] == ["P-3"]
    assert (await ask(t, before="2020-01-01T00:00:00+08:00"))["items"] == []
    assert len((await ask(t, before="2099-01-01T00:00:00+08:00", role="sre"))["items"]) == 6
    codes = (await ask(t, "/summary"))["codes"]
    assert [(c["code"], c["events"], c["keys"]) for c in codes] == [("unknown_type", 5, 5), ("behind", 1, 1)]


async def test_one_event_is_shown_whole_and_nothing_personal_of_it(t: Under) -> None:
    leaky = {
        **issued(member_id="13800138000", policy_no="P-1"),
        "holder": "李雷",
        "note": "call 13912345678",
        "nested": {"policy_no": "P-9", "email": "a@b.example"},
        "term": {"premium_fen": 5, "birth": "1990-01-01", "product_line": "mail a.b@c.example"},
    }
    await poll(t, of("P-1", fact("7", leaky, type_="PolicyInvented")))
    (row,) = (await ask(t))["items"]
    whole = await ask(t, f"/{row['seq']}")
    assert (whole["type"], whole["code"], whole["topic"]) == ("PolicyInvented", "unknown_type", "core.policy.v1")
    value = whole["value"]
    assert value["policy_no"] == "P-1"
    assert (value["premium_fen"], value["start"]) == (30_001, "2025-06-01")
    assert value["member_id"] == "***", "it looks like a telephone number"
    assert (value["holder"], value["note"], value["nested"]) == ("***", "***", "***")
    assert value["term"] == {"premium_fen": 5, "birth": "***", "product_line": "mail ***"}
    assert (await t.http.get(f"{AT}/{row['seq'] + 1}", headers=t.auth("sre"))).json()["code"] == "not_found"


async def test_a_replay_says_how_many_passed_and_what_is_still_wrong(t: Under) -> None:
    await poll(t, of("P-1"), of("P-1", fact("1", issued())), of("P-2"), of("P-2", fact("1", issued(policy_no="P-2"))))
    seqs = [row["seq"] for row in (await ask(t))["items"]]
    await post(t, "/discards", {"seqs": seqs[:1], "reason": "TICKET-1"})
    answer = (await post(t, "/replays", {}, key="again")).json()
    assert (answer["passed"], answer["keys"], answer["complete"], answer["stuck_keys"]) == (1, 1, True, 1)
    assert [(s["key"], s["seq"], s["code"]) for s in answer["stuck"]] == [("P-2", seqs[2], "unknown_type")]
    same = await post(t, "/replays", {}, key="again")
    assert (same.json(), same.headers["Idempotency-Replayed"]) == (answer, "true")
    other = await post(t, "/replays", {"key": "P-2"}, key="again")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await post(t, "/replays", {"code": "unknown_type"})).json()["stuck_keys"] == 1
    assert (await post(t, "/replays", {"seq": seqs[0]})).json()["passed"] == 0


async def test_what_is_taken_out_is_written_down_with_who_and_why_and_does_not_come_back(t: Under) -> None:
    await poll(t, of("P-1"), of("P-1", fact("1", issued())))
    seqs = [row["seq"] for row in (await ask(t))["items"]]
    body = {"seqs": [seqs[0], seqs[1] + 50], "reason": "TICKET-7: sent by mistake"}
    answers = [(await post(t, "/discards", body, key="d-1")).json() for _ in range(2)]
    assert answers == [{"discarded": 1}] * 2
    assert (await post(t, "/replays", {"key": "P-1"})).json()["passed"] == 1
    log = (await ask(t, "/log"))["items"]
    assert [(e["seq"], e["action"], e["actor"], e["reason"]) for e in log] == [
        (seqs[1], "replayed", "li", ""),
        (seqs[0], "discarded", "li", "TICKET-7: sent by mistake"),
    ]
    older = await ask(t, "/log", limit=1)
    assert [e["seq"] for e in (await ask(t, "/log", cursor=older["next_cursor"]))["items"]] == [seqs[0]]
    assert (await ask(t, "/log", key="P-2"))["items"] == []
    t._offset = 0  # the same places of the log again
    await poll(t, of("P-1"), of("P-1", fact("1", issued())))
    assert (await listed(t), await told(t)) == ([], [("P-1", 30_001)])


@pytest.mark.parametrize("service", SERVICES, ids=lambda s: s.name)
async def test_every_service_has_its_park_for_operators_and_for_nobody_else(
    service: Service[Any], settings: Settings
) -> None:
    async with under_test(service, settings) as t:
        at = f"/v1/parked/{service.name}"
        for role in ("operator", "sre"):
            assert (await t.http.get(at, headers=t.auth(role))).json() == {"items": [], "next_cursor": None}
        for role in ("member", "agent", "core", "service"):
            for method, path, body in (
                ("GET", "", None),
                ("GET", "/1", None),
                ("GET", "/summary", None),
                ("GET", "/log", None),
                ("POST", "/replays", {}),
                ("POST", "/discards", {"seqs": [1], "reason": "x"}),
            ):
                answer = await t.http.request(method, at + path, json=body, headers=t.auth(role))
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), f"{role} {method} {path}"
        described = (await t.http.get("/openapi.json")).json()["paths"]
        assert {p for p in described if p.startswith("/v1/parked/")} == {
            at + p for p in ("", "/{seq}", "/summary", "/log", "/replays", "/discards")
        }


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/discards", {"seqs": [1]}, 422, "validation_failed"),
        ("/discards", {"seqs": [1], "reason": ""}, 422, "validation_failed"),
        ("/discards", {"seqs": [], "reason": "x"}, 422, "validation_failed"),
        ("/discards", {"seqs": list(range(1, 1_002)), "reason": "x"}, 422, "validation_failed"),
        ("/replays", {"all": True}, 422, "validation_failed"),
        ("/replays", {"seq": 2**63}, 422, "validation_failed"),
        ("/replays", {"key": "a\u0000b"}, 422, "validation_failed"),
    ],
)
async def test_a_wrong_question_is_a_problem(t: Under, path: str, body: Any, status: int, code: str) -> None:
    answer = await post(t, path, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_write_needs_its_idempotency_key(t: Under) -> None:
    headers = {k: v for k, v in t.auth("operator").items() if k != "Idempotency-Key"}
    answer = await t.http.post(f"{AT}/replays", json={}, headers=headers)
    assert answer.json()["code"] == "idempotency_key_required"


async def test_what_lies_ahead_stays_parked_until_its_time_has_come(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy's later facts wait behind it, other policies do not, and each replay says why."""
    told_at = utc_now() + timedelta(days=30)
    ahead = outgoing(fact("1", issued(), time=told_at.isoformat()))
    behind = outgoing(fact("2", renewed(), type_="PolicyRenewed"))
    async with under_test(POLICY_SYNC, settings.model_copy(update={"clock": "wall"})) as t:
        await poll(t, ahead, behind, outgoing(GOOD, "P-GOOD"), clock="wall")
        for days in (0, 28):
            monkeypatch.setattr(App, "now", lambda _, d=days: utc_now() + timedelta(days=d))
            (stuck,) = (await post(t, "/replays", {})).json()["stuck"]
            assert (stuck["code"], told_at.isoformat()[:10] in stuck["detail"]) == ("time_in_future", True)
        assert await told(t) == [("P-GOOD", 30_001)]
        monkeypatch.setattr(App, "now", lambda _: told_at)
        assert (await post(t, "/replays", {})).json()["passed"] == 2


async def test_what_lay_ahead_and_was_discarded_does_not_come_back_once_its_time_has_come(t: Under) -> None:
    ahead = outgoing(fact("1", issued(), time=(utc_now() + timedelta(days=30)).isoformat()))
    await poll(t, ahead, clock="wall")
    (row,) = (await ask(t))["items"]
    await post(t, "/discards", {"seqs": [row["seq"]], "reason": "TICKET-1"})
    await poll(t, ahead)
    assert (await told(t), await listed(t)) == ([], [])


class Stricter(msgspec.Struct):
    """What an older version asked of a renewal: a field that newer ones do without."""

    policy_no: str
    approved_by: str


def without_the_type(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.delitem(codec._decoders, "PolicyRenewed")
    return renewed()


def with_another_schema(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setitem(codec._decoders, "PolicyRenewed", msgspec.json.Decoder(Stricter))
    return renewed()


@pytest.mark.parametrize(
    ("older", "code"), [(without_the_type, "unknown_type"), (with_another_schema, "malformed")], ids=["type", "schema"]
)
async def test_what_an_older_version_could_not_read_passes_after_the_upgrade_with_those_behind_in_order(
    t: Under, older: Callable[[pytest.MonkeyPatch], dict[str, Any]], code: str
) -> None:
    refund = {"policy_no": "P-1", "term_no": 2, "amount_fen": 10, "refunded_on": "2026-07-01"}
    with pytest.MonkeyPatch.context() as old:
        data = older(old)
        await poll(
            t,
            outgoing(fact("1", issued())),
            outgoing(fact("2", data, type_="PolicyRenewed")),
            outgoing(fact("3", renewed(term_no=3, start="2027-06-01", end="2028-06-01"), type_="PolicyRenewed")),
            outgoing(fact("4", refund, type_="PremiumRefunded")),
            outgoing(GOOD, "P-GOOD"),
        )
        assert next(c for _, c in await listed(t)) == code
        assert {k for k, _ in await listed(t)} == {"P-1"}
        assert (await park.drain(t.door)).passed == {}
        waiting = await listed(t)
    drained = await park.drain(t.door, park.Which(code=code))
    assert (drained.passed["P-1"], await listed(t)) == (len(waiting), []), drained.stuck
    terms = await t.pool.fetch("SELECT term_no FROM terms WHERE policy_no = 'P-1' ORDER BY term_no")
    assert [r["term_no"] for r in terms] == [1, 2, 3]
    await poll(t, outgoing(fact("2", data, type_="PolicyRenewed")))
    assert await listed(t) == [], "its redelivery, read by the newer version, has no effect"


async def test_a_newer_schema_version_waits_for_the_version_that_knows_it(
    t: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = fact("2", renewed(), type_="PolicyRenewed", dataschema="/schemas/PolicyRenewed/2.json")
    await poll(t, outgoing(fact("1", issued())), outgoing(two))
    assert await listed(t) == [("P-1", "unknown_version")]
    assert (await park.drain(t.door)).stuck["P-1"].code == "unknown_version"
    typed = codec._typed
    monkeypatch.setattr(codec, "_typed", lambda kind, schema, value: typed(kind, schema.replace("/2.", "/1."), value))
    assert (await park.drain(t.door)).passed == {"P-1": 1}
    assert await listed(t) == []


async def test_of_two_who_discard_one_event_only_one_is_told_that_they_did(
    t: Under, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looked at it while it was parked; the other event of theirs is discarded, and they are told where to look."""
    await poll(t, of("P-0"), of("P-1"))
    home, shown = cast("Home", SimpleNamespace(settings=lambda: settings)), park_desk.shown
    name, opened = await t.pool.fetchval("SELECT current_database()"), database.open_pool
    monkeypatch.setattr(database, "open_pool", lambda settings, _, **more: opened(settings, name, **more))
    taken, left = (row["seq"] for row in (await ask(t))["items"])

    def look(*event: Any) -> Any:
        found = shown(*event)
        if event[2] == left:
            monkeypatch.setattr(park_desk, "shown", shown)
            assert park_desk.discarded(home, POLICY_SYNC.name, [taken], reason="first") == ["P-0"]
        return found

    monkeypatch.setattr(park_desk, "shown", look)
    with pytest.raises(park_desk.NoSuchParkedError, match="1 of 2 were discarded"):
        await asyncio.to_thread(park_desk.discarded, home, POLICY_SYNC.name, [taken, left], reason="second")
    rows = await t.pool.fetch("SELECT seq, reason FROM parked_log ORDER BY seq")
    assert [tuple(row) for row in rows] == [(taken, "first"), (left, "second")]
