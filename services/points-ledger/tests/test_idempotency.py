"""One `Idempotency-Key`, one reservation: whatever is asked again, by whom, when, and whatever dies in between."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from points_ledger.proof import check
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.spine import faults
from tenure.testing import Under, under_test

from .test_concurrency import another_replica
from .world import D, M, did

PATIENT = {"clock": "events", "answer_timeout_s": 60.0, "lock_timeout_ms": 20_000}
BODY = {"member_id": M, "points": 100, "reference": "O-1"}


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update=PATIENT)) as under:
        await under.feed(did("check_up", "2026-01-10"))
        await under.day(D("2026-01-11"))
        yield under
        assert (await check.examine(under.pool)).wrong == []


async def place(t: Under, key: str = "k-1", subject: str = "mall", http: Any = None, **changes: Any) -> httpx.Response:
    answer: httpx.Response = await (http or t.http).post(
        "/v1/holds", json=BODY | changes, headers=t.auth("service", subject=subject, key=key)
    )
    return answer


async def held(t: Under) -> tuple[int, int]:
    """How many reservations there are, and the points in them."""
    row = await t.pool.fetchrow("SELECT count(*), coalesce(sum(points), 0)::int FROM holds WHERE state = 'held'")
    return tuple(row)


TABLE = {
    "same key, same body: the same answer": ({}, 201, None, True, (1, 100)),
    "same key, another body: refused": ({"points": 99}, 422, "idempotency_key_reused", False, (1, 100)),
    "same key, another member: refused": ({"member_id": "M-2"}, 422, "idempotency_key_reused", False, (1, 100)),
    "same key, another caller: a reservation of theirs": ({"subject": "other-mall"}, 201, None, False, (2, 200)),
    "another key, same body: another reservation": ({"key": "k-2"}, 201, None, False, (2, 200)),
}


@pytest.mark.parametrize(("again", "status", "code", "replayed", "stands"), TABLE.values(), ids=TABLE)
async def test_asked_again(
    t: Under, again: dict[str, Any], status: int, code: str | None, replayed: bool, stands: tuple[int, int]
) -> None:
    first = await place(t)
    second = await place(t, **again)
    assert (second.status_code, second.json().get("code")) == (status, code)
    assert ("Idempotency-Replayed" in second.headers) is replayed
    assert (second.content == first.content) is replayed
    assert await held(t) == stands


async def test_asked_again_while_the_first_is_served(t: Under) -> None:
    """Somebody holds the member's row: the first waits for it, the second is told to wait, and both are answered in the end."""
    async with t.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM accounts WHERE member_id = $1 FOR UPDATE", M)
        first = asyncio.create_task(place(t))
        while not await t.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        second = await place(t)
        assert (second.status_code, second.json()["code"]) == (409, "idempotency_key_in_flight")
        assert second.headers["Retry-After"] == "1"
    assert (await first).status_code == 201
    assert (await place(t)).content == (await first).content
    assert await held(t) == (1, 100)


@pytest.mark.parametrize("replicas", [1, 2])
async def test_fifty_at_once_are_one(t: Under, replicas: int) -> None:
    async with another_replica(t) as other:
        https = [t.http, other][:replicas]
        answers = await asyncio.gather(*(place(t, http=https[n % replicas]) for n in range(50)))
        codes = {(a.status_code, a.json().get("code")) for a in answers}
        assert codes <= {(201, None), (409, "idempotency_key_in_flight")}
        bodies = {a.content for a in answers if a.status_code == 201}
        assert bodies == {(await place(t)).content}
    assert await held(t) == (1, 100)


async def test_fifty_captures_at_once_are_one(t: Under) -> None:
    hold_id = (await place(t)).json()["hold_id"]
    answers = await asyncio.gather(
        *(t.http.post(f"/v1/holds/{hold_id}/capture", headers=t.auth("service", key=f"c-{n}")) for n in range(50))
    )
    assert sorted(a.status_code for a in answers) == [200] + [409] * 49
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"hold_resolved"}
    assert await t.pool.fetchval("SELECT sum(amount) FROM transfers WHERE kind = 'capture'") == 100


async def test_a_refusal_is_kept_like_any_answer(t: Under) -> None:
    first = await place(t, points=501)
    await t.feed(did("class", "2026-01-11", session_id="S-1"))
    second = await place(t, points=501)
    assert (first.status_code, first.json()["code"]) == (409, "insufficient_points")
    assert second.content == first.content
    assert (await place(t, key="k-2", points=501)).status_code == 201


DYING = """
import asyncio, sys
import httpx
from tenure import database, programme
from tenure.edge.http import create_app
from tenure.settings import Settings
from tenure.spine import faults
from tenure.spine.transact import Door
from points_ledger.service import SERVICE
async def main(raw, name, authorization, key, body, point):
    settings = Settings.model_validate_json(raw)
    pool = await database.open_pool(settings, name)
    app = create_app([(SERVICE, Door(SERVICE, pool, programme.load(settings.programme_dir)))], settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://dying") as http:
        faults.arm(point + ":1")
        headers = {"Authorization": authorization, "Idempotency-Key": key, "Content-Type": "application/json"}
        await http.post("/v1/holds", content=body, headers=headers)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("point", "replayed"), [("transact.before_commit", False), ("transact.committed", True)], ids=["before", "after"]
)
async def test_asked_again_after_the_process_died_around_the_commit(t: Under, point: str, replayed: bool) -> None:
    """Killed with -9 just before its transaction commits, or just after; the answer never left. Asked again, there is one."""
    headers = t.auth("service", subject="mall", key="k-1")
    name = await t.pool.fetchval("SELECT current_database()")
    body = '{"member_id":"M-1","points":100,"reference":"O-1"}'
    words = (t.settings.model_dump_json(), name, headers["Authorization"], "k-1", body, point)
    died = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, *words, cwd=Path(__file__).parent, env={**os.environ, faults.VARIABLE: ""}
    )
    assert await asyncio.wait_for(died.wait(), 60) == -9
    assert await held(t) == ((1, 100) if replayed else (0, 0))
    again = await t.http.post("/v1/holds", content=body, headers={**headers, "Content-Type": "application/json"})
    assert (again.status_code, "Idempotency-Replayed" in again.headers) == (201, replayed)
    assert await held(t) == (1, 100)
