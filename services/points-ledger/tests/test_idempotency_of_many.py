"""One `Idempotency-Key` for many things at once: a batch of activities, a file of adjustments, the approval of a file."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from points_ledger.proof import check
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.spine import faults
from tenure.spine.transact import Door, Idempotency, Outcome
from tenure.testing import Under, under_test

from .test_concurrency import another_replica
from .test_idempotency import PATIENT
from .world import D, M, cancelled, did, paid, term

HEAD = "member_id,points,reason,ticket"


def activities(*ids: str) -> str:
    rows = [{"member_id": M, "kind": "article", "on": "2026-06-15", "activity_id": one} for one in ids]
    return msgspec.json.encode(rows).decode()


class Route(NamedTuple):
    """A route that does many things: who calls it, with which body, with which other; `effects` counts what it did."""

    path: str
    role: str
    callers: tuple[str, str]
    bodies: tuple[str, str]
    effects: str
    after_first: int
    after_both: int
    """When another caller asked the same under the same key."""


ARTICLES = "SELECT count(*) FROM transfers WHERE kind = 'grant' AND amount = 5"
PROPOSED = "SELECT count(*) FROM adjustments WHERE batch NOT IN ('', 'B-waiting')"
APPROVED = "SELECT count(*) FROM adjustments WHERE batch = 'B-waiting' AND state = 'approved'"
GOODWILL = f"{HEAD}\n{M},10,goodwill,T-1\n{M},-20,booked twice,T-2\n"
ROUTES = {
    "activities": Route(
        "/activities",
        "core",
        ("app", "other-app"),
        (activities("a-1", "a-2"), activities("a-2", "a-3")),
        ARTICLES,
        2,
        2,
    ),
    "a file of adjustments": Route(
        "/adjustment-files", "operator", ("op-1", "op-2"), (GOODWILL, GOODWILL.replace("10", "11")), PROPOSED, 2, 4
    ),
    "its approval": Route(
        "/adjustment-files/B-waiting/approve", "operator", ("op-2", "op-3"), ("", "{}"), APPROVED, 1, 2
    ),
}


@pytest.fixture(params=ROUTES.values(), ids=ROUTES)
def route(request: pytest.FixtureRequest) -> Route:
    found: Route = request.param
    return found


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    """A member with points, and a file of one row that op-1 proposed, and one that op-2 did."""
    async with under_test(SERVICE, settings.model_copy(update=PATIENT)) as under:
        await under.feed(did("check_up", "2026-06-01"))
        await under.day(D("2026-06-15"))
        for maker in ("op-1", "op-2"):
            body = {"member_id": M, "points": 30, "reason": "goodwill", "ticket": "T-0"}
            made = await under.http.post("/v1/adjustments", json=body, headers=under.auth("operator", subject=maker))
            assert made.status_code == 201
        await under.pool.execute("UPDATE adjustments SET batch = 'B-waiting'")
        yield under
        assert (await check.examine(under.pool)).wrong == []


async def ask(t: Under, route: Route, *, body: int = 0, caller: int = 0, http: Any = None) -> httpx.Response:
    kind = "text/csv" if route.path == "/adjustment-files" else "application/json"
    headers = {**t.auth(route.role, subject=route.callers[caller], key="k-1"), "Content-Type": kind}
    answer: httpx.Response = await (http or t.http).post(
        "/v1" + route.path, content=route.bodies[body], headers=headers
    )
    return answer


async def done(t: Under, route: Route) -> int:
    count: int = await t.pool.fetchval(route.effects)
    return count


async def test_the_same_body_gets_the_same_answer(t: Under, route: Route) -> None:
    first, second = await ask(t, route), await ask(t, route)
    assert (first.status_code, second.status_code, second.content) == (200, 200, first.content)
    assert "Idempotency-Replayed" in second.headers
    assert await done(t, route) == route.after_first


async def test_another_body_is_refused_whole(t: Under, route: Route) -> None:
    first, other = await ask(t, route), await ask(t, route, body=1)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await ask(t, route)).content == first.content
    assert await done(t, route) == route.after_first


async def test_another_caller_has_an_answer_of_their_own(t: Under, route: Route) -> None:
    await ask(t, route)
    other = await ask(t, route, caller=1)
    assert (other.status_code, "Idempotency-Replayed" in other.headers) == (200, False)
    assert await done(t, route) == route.after_both


async def test_asked_again_while_the_first_is_served(t: Under, route: Route) -> None:
    async with t.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM accounts WHERE member_id = $1 FOR UPDATE", M)
        first = asyncio.create_task(ask(t, route))
        while not await t.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        for body in (0, 1):
            second = await ask(t, route, body=body)
            assert (second.status_code, second.json()["code"]) == (409, "idempotency_key_in_flight")
    assert (await first).status_code == 200
    assert (await ask(t, route)).content == (await first).content
    assert await done(t, route) == route.after_first


@pytest.mark.parametrize("replicas", [1, 2])
async def test_fifty_at_once_are_one(t: Under, route: Route, replicas: int) -> None:
    async with another_replica(t) as other:
        https = [t.http, other][:replicas]
        answers = await asyncio.gather(*(ask(t, route, http=https[n % replicas]) for n in range(50)))
        codes = {(a.status_code, a.json().get("code")) for a in answers}
        assert codes <= {(200, None), (409, "idempotency_key_in_flight")}
        assert {a.content for a in answers if a.status_code == 200} == {(await ask(t, route)).content}
    assert await done(t, route) == route.after_first


async def test_a_file_that_another_process_proposes_while_it_is_judged_is_answered_as_proposed(
    t: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = ROUTES["a file of adjustments"]
    first, looks, look = await ask(t, route), [], Door.answered

    async def too_early(door: Door, asked: Idempotency) -> Outcome | None:
        looks.append(asked)
        return None if len(looks) == 1 else await look(door, asked)

    monkeypatch.setattr(Door, "answered", too_early)
    assert (await ask(t, route)).content == first.content
    assert len(looks) == 2
    assert await done(t, route) == route.after_first


async def test_fifty_at_once_with_two_bodies_are_of_one_body(t: Under, route: Route) -> None:
    async with another_replica(t) as other:
        https = [t.http, other]
        answers = await asyncio.gather(*(ask(t, route, body=n % 2, http=https[n % 2]) for n in range(50)))
    served = {n % 2 for n, a in enumerate(answers) if a.status_code == 200}
    assert len(served) == 1
    assert {a.json()["code"] for a in answers if a.status_code != 200} <= {
        "idempotency_key_in_flight",
        "idempotency_key_reused",
    }
    assert await done(t, route) == route.after_first


DYING = """
import asyncio, sys
import httpx
from tenure import database, programme
from tenure.edge.http import create_app
from tenure.settings import Settings
from tenure.spine import faults
from tenure.spine.transact import Door
from points_ledger.service import SERVICE
async def main(raw, name, authorization, kind, path, body, point):
    settings = Settings.model_validate_json(raw)
    pool = await database.open_pool(settings, name)
    app = create_app([(SERVICE, Door(SERVICE, pool, programme.load(settings.programme_dir)))], settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://dying") as http:
        faults.arm(point + ":1")
        headers = {"Authorization": authorization, "Idempotency-Key": "k-1", "Content-Type": kind}
        await http.post("/v1" + path, content=body, headers=headers)
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("point", ["transact.before_commit", "transact.committed"])
async def test_asked_again_after_the_process_died_around_the_commit(t: Under, route: Route, point: str) -> None:
    """Killed with -9 around the commit of what it did. Another body comes too late; the same one is done once, and answered."""
    kind = "text/csv" if route.path == "/adjustment-files" else "application/json"
    name = await t.pool.fetchval("SELECT current_database()")
    authorization = t.auth(route.role, subject=route.callers[0])["Authorization"]
    words = (t.settings.model_dump_json(), name, authorization, kind, route.path, route.bodies[0], point)
    died = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, *words, cwd=Path(__file__).parent, env={**os.environ, faults.VARIABLE: ""}
    )
    assert await asyncio.wait_for(died.wait(), 60) == -9
    assert await done(t, route) == (route.after_first if point == "transact.committed" else 0)
    if point == "transact.committed" or route.path != "/adjustment-files":  # the file claims its key with what it does
        assert (await ask(t, route, body=1)).json()["code"] == "idempotency_key_reused"
    first = await ask(t, route)
    assert (first.status_code, (await ask(t, route)).content) == (200, first.content)
    assert (await ask(t, route, body=1)).json()["code"] == "idempotency_key_reused"
    assert await done(t, route) == route.after_first


async def test_a_write_off_sent_again_after_it_was_approved_is_answered_as_before(t: Under) -> None:
    """By then there is no debt left that it could write off."""
    theirs = term(member_id="M-2", policy_no="P-2")
    await t.feed(paid(theirs, 30_000), at=D("2026-06-15"))
    hold = {"member_id": "M-2", "points": 300, "hold_id": "H-1"}
    assert (await t.http.post("/v1/holds", json=hold, headers=t.auth("service"))).status_code == 201
    assert (await t.http.post("/v1/holds/H-1/capture", headers=t.auth("service"))).status_code == 200
    await t.feed(cancelled(theirs, "2026-06-15", "flat"))
    file = f"{HEAD},purpose\nM-2,300,too old,T-1,write_off\n"
    route = ROUTES["a file of adjustments"]._replace(bodies=(file, ""))
    first = await ask(t, route)
    assert first.json()["taken"]
    approval = f"/v1/adjustment-files/{first.json()['batch']}/approve"
    assert (await t.http.post(approval, headers=t.auth("operator", subject="op-2"))).status_code == 200
    assert await t.pool.fetchval("SELECT points_debt FROM accounts WHERE member_id = 'M-2'") == 0
    assert (await ask(t, route)).content == first.content
