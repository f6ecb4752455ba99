"""Holds that time out: each once, whoever comes first, and none keeps the others waiting."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from points_ledger import timers
from points_ledger.service import SERVICE
from tenure.calendar import start_of
from tenure.contracts.points import PointsReleased
from tenure.settings import Settings
from tenure.spine.codec import utc_now
from tenure.testing import Under, under_test

from .world import D, M, did


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


async def hold(t: Under, points: int, **more):
    body = {"member_id": M, "points": points, **more}
    return await t.http.post("/v1/holds", json=body, headers=t.auth("service", subject="mall"))


async def points(t: Under) -> tuple[int, int, int]:
    row = await t.pool.fetchrow(
        "SELECT points_pending, points_available, points_debt FROM accounts WHERE member_id = $1", M
    )
    return tuple(row)


async def test_a_hold_ends_by_timer_once(t: Under) -> None:
    await t.feed(did("check_up", "2026-01-10"))
    await t.day(D("2026-01-11"))
    placed = (await hold(t, 500, ttl_s=60)).json()
    now, moment = utc_now(), start_of(D("2026-01-11"))
    timer = timers.Timer(t.door)
    assert await timer.release(now, moment) == 0
    late = now + timedelta(seconds=61)
    assert await timer.release(late, moment) == 1
    assert await timer.release(late, moment) == 0
    assert await points(t) == (0, 500, 0)
    answer = await t.http.post(f"/v1/holds/{placed['hold_id']}/capture", headers=t.auth("service"))
    assert (answer.status_code, answer.json()["code"]) == (409, "hold_resolved")


async def test_holds_end_once_whichever_of_four_timers_comes_first(t: Under) -> None:
    await t.feed(*(replace(did("check_up", "2026-01-10"), member_id=f"M-{n}") for n in range(40)))
    await t.day(D("2026-01-11"))
    for n in range(40):
        await hold(t, 500, member_id=f"M-{n}", ttl_s=60)
    late, moment = utc_now() + timedelta(seconds=61), start_of(D("2026-01-11"))
    await asyncio.gather(*(timers.Timer(t.door).release(late, moment) for _ in range(4)))
    released = await t.emitted(PointsReleased)
    assert sorted(p.member_id for p in released) == sorted(f"M-{n}" for n in range(40))
    assert await t.pool.fetchval("SELECT count(*) FROM holds WHERE state = 'timed_out'") == 40


async def test_a_hold_that_cannot_be_released_neither_spins_nor_keeps_the_others(t: Under) -> None:
    await t.feed(did("check_up", "2026-01-10"))
    await t.day(D("2026-01-11"))
    stuck, other = (await hold(t, 100, ttl_s=60)).json(), (await hold(t, 100, ttl_s=60)).json()
    await t.pool.execute(f"ALTER TABLE holds ADD CHECK (state = 'held' OR hold_id <> '{stuck['hold_id']}')")
    late, moment, timer = utc_now() + timedelta(seconds=61), start_of(D("2026-01-11")), timers.Timer(t.door)
    assert [await timer.release(late, moment) for _ in range(2)] == [1, 0]
    states = {r["hold_id"]: r["state"] for r in await t.pool.fetch("SELECT hold_id, state FROM holds")}
    assert states == {stuck["hold_id"]: "held", other["hold_id"]: "timed_out"}
