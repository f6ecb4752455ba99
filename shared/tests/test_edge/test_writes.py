"""Idempotency-Key: a write asked twice is done once and answered twice alike (facts in the database, not calls)."""

import asyncio
from typing import Any

import httpx
import pytest
from tenure.edge import create_app
from tenure.edge.idempotency import InFlight
from tenure.edge.problems import Problem
from tenure.spine.transact import Door, Idempotency
from tenure.testing import Under

PATH = "/v1/counters/M1/add"


async def post(
    under: Under, *, key: str, amount: Any = 5, subject: str = "M1", path: str = PATH, **headers: str
) -> Any:
    auth = under.auth("member" if subject.startswith("M") else "operator", subject=subject, key=key)
    return await under.http.post(path, json={"amount": amount}, headers={**auth, **headers})


async def test_a_write_is_decided_saved_and_answered(under: Under, totals: Any) -> None:
    answer = await post(under, key="k1")
    assert (answer.status_code, answer.json()) == (201, {"total": 5})
    assert answer.headers["content-type"] == "application/json"
    assert "idempotency-replayed" not in answer.headers
    assert await totals() == {"M1": 5}


@pytest.mark.parametrize(
    ("second", "status", "code_or_total", "replayed", "total"),
    [
        pytest.param({"key": "k1"}, 201, 5, True, 5, id="same key, same body: the same answer"),
        pytest.param({"key": "k2"}, 201, 10, False, 10, id="other key, same body: another write"),
        pytest.param({"key": "k1", "amount": 6}, 422, "idempotency_key_reused", False, 5, id="same key, other body"),
        pytest.param({"key": "k1", "subject": "op"}, 201, 10, False, 10, id="same key, other caller: another write"),
        pytest.param(
            {"key": "k1", "subject": "op", "path": "/v1/counters/M2/add"}, 201, 5, False, 5, id="other caller and path"
        ),
    ],
)
async def test_asking_again(
    under: Under, totals: Any, second: dict[str, Any], status: int, code_or_total: Any, replayed: bool, total: int
) -> None:
    await post(under, key="k1")
    answer = await post(under, **second)
    body = answer.json()
    assert (answer.status_code, body.get("code") or body["total"]) == (status, code_or_total)
    assert (answer.headers.get("idempotency-replayed") == "true") is replayed
    assert (await totals())["M1"] == total


async def test_the_same_key_for_another_path_is_another_request(under: Under) -> None:
    await post(under, key="k1", subject="op")
    answer = await post(under, key="k1", subject="op", path="/v1/counters/M2/add")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_refusal_is_an_answer_too(under: Under, totals: Any) -> None:
    first, second = await post(under, key="k1", amount=100), await post(under, key="k1", amount=100)
    assert first.status_code == second.status_code == 409
    assert first.json() == second.json()
    assert first.json()["code"] == "too_much"
    assert second.headers["idempotency-replayed"] == "true"
    assert await totals() == {}


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_required"),
        ("", "idempotency_key_invalid"),
        ("x" * 129, "idempotency_key_invalid"),
        ("two words", "idempotency_key_invalid"),
        ("tab\there", "idempotency_key_invalid"),
        ("schlüssel".encode("latin-1"), "idempotency_key_invalid"),
    ],
)
async def test_a_write_needs_a_key_that_can_be_kept(offline: Under, key: Any, code: str) -> None:
    headers: dict[str, Any] = {"Authorization": f"Bearer {offline.token('member', subject='M1')}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    answer = await offline.http.post(PATH, json={"amount": 5}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_two_keys_at_once_are_no_key(under: Under) -> None:
    headers = [*under.auth("member", subject="M1").items(), ("Idempotency-Key", "another")]
    answer = await under.http.post(PATH, json={"amount": 5}, headers=headers)
    assert answer.json()["code"] == "idempotency_key_invalid"


async def test_of_two_at_once_one_is_done_and_the_other_told_to_wait(under: Under, totals: Any) -> None:
    answers = await asyncio.gather(*(post(under, key="k1") for _ in range(10)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 9
    waiting = next(a for a in answers if a.status_code == 409)
    assert (waiting.json()["code"], waiting.headers["retry-after"]) == ("idempotency_key_in_flight", "1")
    assert await totals() == {"M1": 5}
    assert (await post(under, key="k1")).headers["idempotency-replayed"] == "true"


async def test_a_row_locked_by_someone_else_is_told_as_in_flight(under: Under) -> None:
    await post(under, key="k0")
    async with under.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT * FROM counter FOR UPDATE")
        answer = await post(under, key="k1")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_flight")
    assert (await post(under, key="k1")).json() == {"total": 10}


async def test_two_processes_with_one_key_do_it_once(under: Under, toy: Any, totals: Any) -> None:
    """The second process has a door, a gatherer and a set of keys in flight of its own, on the same database."""
    other = create_app([(toy, Door(toy, under.pool, None))], under.settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other), base_url="http://other") as http:
        headers = under.auth("member", subject="M1", key="k1")
        send = [c.post(PATH, json={"amount": 5}, headers=headers) for c in (under.http, http)]
        answers = await asyncio.gather(*send)
    assert [a.json() for a in answers] == [{"total": 5}] * 2
    assert await totals() == {"M1": 5}


async def test_what_the_database_refuses_harms_its_own_caller_only(under: Under, totals: Any) -> None:
    amounts = [1, 2, 1313, 4, 5_000_000_000, 6]
    answers = await asyncio.gather(
        *(
            post(under, key=f"k{n}", amount=a, subject="op", path=f"/v1/counters/M{n}/add")
            for n, a in enumerate(amounts)
        )
    )
    assert [a.status_code for a in answers] == [201, 201, 422, 201, 422, 201]
    assert {a.json()["code"] for a in answers if a.status_code == 422} == {"data_refused"}
    assert await totals() == {"M0": 1, "M1": 2, "M3": 4, "M5": 6}


async def test_many_callers_of_one_member_lose_nothing(under: Under, totals: Any) -> None:
    answers = await asyncio.gather(*(post(under, key=f"k{n}", amount=1) for n in range(50)))
    assert sorted(a.json()["total"] for a in answers) == list(range(1, 51))
    assert await totals() == {"M1": 50}
    assert await under.pool.fetchval("SELECT count(*) FROM addition") == 50


async def test_the_trace_of_the_request_goes_on(under: Under) -> None:
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    answer = await post(under, key="k1", traceparent=parent)
    told = answer.headers["traceparent"]
    assert told[:36] == parent[:36]
    assert told != parent
    unknown = await post(under, key="k2", traceparent="nonsense")
    assert len(unknown.headers["traceparent"]) == 55


def test_a_key_in_flight_is_let_go_whatever_happens() -> None:
    keys, one = InFlight(), Idempotency("M1", "k", b"")
    for _ in range(2):
        with keys.hold(one), pytest.raises(Problem, match="in_flight"), keys.hold(one):
            pytest.fail("held twice")
        assert len(keys) == 0
    with pytest.raises(ZeroDivisionError), keys.hold(one):
        _ = 1 / 0
    assert len(keys) == 0
