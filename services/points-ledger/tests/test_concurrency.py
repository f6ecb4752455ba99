"""Sixty-four clients of two replicas on ten hot members, beside a consumer and the days that come: nothing is lost, doubled or stuck.

Five seconds by default, sixty with TENURE_LEDGER_LONG=1. What clients were told is added up and compared with the journal, and the
journal with what is stored. Whoever touches several accounts takes them in one order, so there is no deadlock to undo.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
import structlog
from msgspec.structs import replace
from points_ledger.proof import check
from points_ledger.service import SERVICE
from tenure import database
from tenure.edge.http import create_app
from tenure.settings import Settings
from tenure.spine import transact
from tenure.spine.transact import Door
from tenure.testing import Under, under_test

from .long_forms import sized
from .world import D, did, paid, term

log = structlog.get_logger(__name__)
CLIENTS, HOT = 64, 10
SECONDS = sized(5.0, 60.0)
FIRST = D("2026-03-01")
PATIENT = {"clock": "events", "answer_timeout_s": 60.0, "lock_timeout_ms": 20_000}
CLEAR = {  # what a client may be told, and nothing else
    "insufficient_points", "hold_resolved", "hold_not_captured", "refund_too_large", "hold_too_small", "debt_outstanding",
    "idempotency_key_in_flight",
}  # fmt: skip


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update=PATIENT)) as under:
        yield under


@asynccontextmanager
async def another_replica(t: Under) -> AsyncIterator[httpx.AsyncClient]:
    """A process of its own would have a pool, a door and a queue of its own; so has this."""
    name = await t.pool.fetchval("SELECT current_database()")
    async with await database.open_pool(t.settings, name) as pool:
        app = create_app([(SERVICE, Door(SERVICE, pool, t.door.programme))], t.settings)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://other") as http:
            yield http


class Client:
    """Reserves, spends, gives back and lets go, without a pause, and remembers what it was told."""

    def __init__(self, http: httpx.AsyncClient, t: Under, number: int) -> None:
        self.http, self.t, self.r, self.number = http, t, random.Random(number), number
        self.token = t.token("service", subject="mall")
        self.told: Counter[str] = Counter()
        self.open: list[str] = []
        self.keys: Iterator[int] = iter(range(10**9))

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            await self.step()

    async def step(self) -> None:
        member = f"M-{self.r.randrange(HOT)}"
        if not self.open or self.r.random() < 0.4:
            placed = await self.post("/holds", {"member_id": member, "points": self.r.randrange(1, 40)})
            if placed is not None:
                self.open.append(placed["hold_id"])
            return
        hold_id = self.r.choice(self.open)
        what = self.r.choice(["capture", "capture", "release", "refund"])
        part = {"points": self.r.randrange(1, 20)} if self.r.random() < 0.5 and what != "release" else None
        answer = await self.post(f"/holds/{hold_id}/{what}", part)
        if answer is None and len(self.open) > 20:
            self.open.remove(hold_id)

    async def post(self, path: str, body: Any) -> dict[str, Any] | None:
        key = f"{self.number}-{next(self.keys)}"
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        answer = await self.http.post(f"/v1{path}", json=body, headers=headers)
        told = answer.json()
        if answer.status_code >= 400:
            assert told["code"] in CLEAR, told
            self.told[told["code"]] += 1
            return None
        self.told["accepted"] += 1
        return told


async def feed_activities(t: Under, until: float) -> int:
    """As the consumer would: batches that touch all hot members, in no particular order."""
    r, n = random.Random(1), 0
    while time.monotonic() < until:
        members = r.sample(range(HOT), HOT)
        events = [
            replace(did("class", FIRST, session_id=f"S-{n}-{m}", activity_id=f"a-{n}-{m}"), member_id=f"M-{m}")
            for m in members
        ]
        await t.feed(*events, at=FIRST)
        n += len(events)
        await asyncio.sleep(0.02)
    return n


async def let_days_come(t: Under, until: float) -> None:
    day = FIRST
    while time.monotonic() < until:
        day += timedelta(1)
        await t.day(day)
        await asyncio.sleep(0.2)


@pytest.mark.timeout(240)
async def test_hot_members_under_many_clients_end_as_the_replay_says(t: Under) -> None:
    await t.feed(
        *(
            paid(term(member_id=f"M-{m}", policy_no=f"P-{m}", cooling_off_end=D("2026-03-05")), 200_000)
            for m in range(HOT)
        )
    )
    await t.feed(*(replace(did("check_up", "2026-03-01"), member_id=f"M-{m}") for m in range(HOT)))
    await t.day(FIRST)
    before = await t.pool.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    until = time.monotonic() + SECONDS
    async with another_replica(t) as other:
        clients = [Client(http, t, n) for n, http in enumerate([t.http, other] * (CLIENTS // 2))]
        await asyncio.gather(*(c.run(until) for c in clients), feed_activities(t, until), let_days_come(t, until))
    told = sum((client.told for client in clients), Counter[str]())
    deadlocks = (
        await t.pool.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") - before
    )
    log.info("measured", seconds=SECONDS, deadlocks_undone=deadlocks, **told)
    assert deadlocks == 0
    assert told["accepted"] > 20
    assert await t.parked() == []
    assert (await check.examine(t.pool)).wrong == []
    stored = await t.pool.fetchval("SELECT count(*) FROM idempotency WHERE ok")
    assert stored == told["accepted"], "what was accepted was told, and what was told was done"
    moved = {
        r["kind"]: r["n"]
        for r in await t.pool.fetch("SELECT kind, count(DISTINCT hold_id) AS n FROM transfers GROUP BY 1")
    }
    states = Counter(r["state"] for r in await t.pool.fetch("SELECT state FROM holds"))
    assert states["captured"] == moved["capture"]
    assert states.total() == moved["hold"]


@pytest.mark.parametrize("over_http", [True, False])
async def test_many_who_create_one_account_at_once_create_it_once(t: Under, over_http: bool) -> None:
    """The first events of a member, from two replicas and several lanes at once: each has its effect, whoever comes first."""
    await t.day(FIRST)
    async with another_replica(t) as other:
        for round_ in range(sized(4, 40)):
            member = f"N-{round_}"

            async def report(n: int, member: str = member) -> int:
                body = {
                    "member_id": member,
                    "activity_id": f"c-{n}",
                    "kind": "class",
                    "on": str(FIRST),
                    "session_id": f"S-{n}",
                }
                if over_http:
                    answer = await (t.http, other)[n % 2].post("/v1/activities", json=body, headers=t.auth("core"))
                    assert answer.status_code == 200, answer.text
                    return answer.status_code
                await t.feed(replace(did("class", FIRST, session_id=f"S-{n}"), member_id=member))
                return 200

            assert await asyncio.gather(*(report(n) for n in range(12))) == [200] * 12
            row = await t.pool.fetchrow(
                "SELECT lots_no, points_available, growth_available FROM accounts WHERE member_id = $1", member
            )
            assert tuple(row) == (24, 12 * 50, 12 * 20)
    assert (await check.examine(t.pool)).wrong == []


async def test_batches_that_touch_the_same_accounts_in_any_order_meet_without_a_deadlock(
    t: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six at once tell of classes of the same twenty members, each in an order of its own, while two let a day come."""
    chance, members = random.Random(5), [f"M-{m}" for m in range(20)]
    await t.feed(*(replace(did("quiz", FIRST), member_id=m) for m in members))
    monkeypatch.setattr(transact, "TRIES_MAX", 1)  # a deadlock would leave the door
    for round_ in range(10):
        told = [
            [
                replace(did("class", FIRST, session_id=f"S-{round_}-{n}"), member_id=m)
                for m in chance.sample(members, 20)
            ]
            for n in range(6)
        ]
        due = [t.door.fall_due(FIRST + timedelta(round_), keys_max=20) for _ in range(2)]
        await asyncio.gather(*(t.feed(*events, at=FIRST) for events in told), *due)
    assert await t.pool.fetchval("SELECT sum(points_available) FROM accounts") == 20 * (10 + 60 * 50)
    assert (await check.examine(t.pool)).wrong == []


async def test_workers_that_let_a_day_come_at_once_share_the_accounts_and_wait_for_none(t: Under) -> None:
    """Ten members' points become theirs on one day: while one worker has five of them, another does the other five."""
    terms = [term(member_id=f"M-{n}", policy_no=f"P-{n}", cooling_off_end=D("2026-03-05")) for n in range(10)]
    await t.feed(*(paid(one) for one in terms))
    day = D("2026-03-10")
    await t.door.transact([], day=day)
    async with t.pool.acquire() as other, other.transaction():
        taken = {
            row[0] for row in await other.fetch("SELECT member_id FROM accounts ORDER BY member_id LIMIT 5 FOR UPDATE")
        }
        done = await asyncio.wait_for(t.door.fall_due(day, keys_max=10), 5)
        assert tuple(done) == (5, {})
        lived = await t.pool.fetch("SELECT member_id FROM accounts WHERE points_available > 0")
        assert taken.isdisjoint(row[0] for row in lived)
    assert (await t.door.fall_due(day, keys_max=10)).done == 5
    assert await t.pool.fetchval("SELECT count(*) FROM accounts WHERE points_available > 0") == 10
