"""The database is away, or hangs with its connections open; callers and consumers leave at any moment.

What is under test is the points ledger as it is served: a real port, its own rules, real tokens.
"""

import asyncio
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from points_ledger.service import SERVICE
from tenure.calendar import local_date
from tenure.contracts.activity import ActivityCompleted
from tenure.edge.http import create_app
from tenure.edge.serving import serve
from tenure.embedded.postgres import Postgres
from tenure.embedded.server import free_port
from tenure.settings import Settings
from tenure.spine.codec import encode, event_of, utc_now
from tenure.spine.log import open_log
from tenure.spine.runtime import Runtime
from tenure.spine.topics import ensure_topics
from tenure.testing import Under, under_test

from .conftest import LONG

ANSWER_S_MAX = 1.0
"""Beyond what an answer takes on this machine anyway, which other tests may keep busy."""
RECOVERY_S_MAX = 5.0
AWAY_S = 10.0 if LONG else 2.5
CANCELLED = 10_000 if LONG else 400
DAY = local_date(utc_now()).isoformat()


@pytest.fixture
def durable(settings: Settings, server: Postgres) -> Settings:
    return settings.model_copy(update={"database_url": server.url})


@asynccontextmanager
async def served(under: Under) -> AsyncIterator[str]:
    """The ledger on a port of its own, with all that stands between the network and its routes."""
    app, port, stopping = create_app([(SERVICE, under.door)], under.settings), free_port(), asyncio.Event()
    serving = asyncio.create_task(serve(app, "127.0.0.1", port, stopping=stopping, grace_s=1))
    try:
        async with asyncio.timeout(10), httpx.AsyncClient() as http:
            while not await _is_up(http, port):
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        stopping.set()
        await serving


async def _is_up(http: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await http.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
    except httpx.TransportError:
        return False


@dataclass(frozen=True)
class Answer:
    asked_at: float
    took_s: float
    status: int
    code: str
    key: str = ""
    member: str = ""


@dataclass
class Callers:
    """Readers and writers that call without a pause, and note what they heard and how long it took."""

    under: Under
    http: httpx.AsyncClient
    answers: list[Answer] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, n: int) -> None:
        while not self.over.is_set():
            self.answers.append(await (self.write(f"M-{uuid.uuid4().hex[:12]}") if n % 2 else self.read("M-1")))
            await asyncio.sleep(0.02)

    async def read(self, member: str) -> Answer:
        return await self._timed("GET", f"/v1/wallets/{member}", self.under.auth("operator"))

    async def write(self, member: str, key: str = "") -> Answer:
        headers = self.under.auth("core", subject="core", key=key)
        body = {"member_id": member, "activity_id": f"q-{member}", "kind": "quiz", "on": DAY}
        answer = await self._timed("POST", "/v1/activities", headers, json=body)
        return replace(answer, key=headers["Idempotency-Key"], member=member)

    async def _timed(self, method: str, path: str, headers, **more) -> Answer:
        asked_at = time.monotonic()
        answer = await self.http.request(method, path, headers=headers, timeout=30, **more)
        code = answer.json()["code"] if answer.status_code >= 400 else ""
        return Answer(asked_at, time.monotonic() - asked_at, answer.status_code, code)

    def between(self, begin: float, end: float) -> list[Answer]:
        return [a for a in self.answers if begin < a.asked_at < end]


@asynccontextmanager
async def callers(under: Under, base: str, count: int = 12) -> AsyncIterator[Callers]:
    async with httpx.AsyncClient(base_url=base, limits=httpx.Limits(max_connections=count)) as http:
        here = Callers(under, http)
        calling = [asyncio.create_task(here.call(n)) for n in range(count)]
        await answered(here, 200)
        try:
            yield here
        finally:
            here.over.set()
            await asyncio.gather(*calling)


async def answered(here: Callers, status: int, *, after: float = 0.0, within_s: float = 20) -> float:
    """Wait until reads and writes begun after that moment were answered so. Returns when the last of the first was heard."""
    async with asyncio.timeout(within_s):
        while True:
            now = [a for a in here.answers if a.asked_at >= after and a.status == status]
            first = [next((a for a in now if bool(a.key) == kind), None) for kind in (True, False)]
            if all(first):
                return max(a.asked_at + a.took_s for a in first)  # type: ignore[union-attr]
            await asyncio.sleep(0.01)


def family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:  # it has ended meanwhile
        return []
    return [pid, *(grandchild for child in children for grandchild in family(int(child)))]


def signal_all(server: Postgres, what: signal.Signals) -> None:
    for pid in family(server.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, what)


Outage = tuple[Callable[[Postgres], object], Callable[[Postgres], object]]
OUTAGES: dict[str, Outage] = {
    "killed": (lambda server: server.kill(), lambda server: server.start()),
    "hangs": (lambda server: signal_all(server, signal.SIGSTOP), lambda server: signal_all(server, signal.SIGCONT)),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("outage", OUTAGES)
async def test_callers_hear_503_within_a_second_and_are_served_within_five_of_its_return(
    durable: Settings, server: Postgres, outage: str
) -> None:
    down, up = OUTAGES[outage]
    async with under_test(SERVICE, durable) as under, served(under) as base, callers(under, base) as here:
        await asyncio.sleep(1)
        usual_s = max(a.took_s for a in here.answers)
        within_s = ANSWER_S_MAX + 2 * usual_s
        lost_at = time.monotonic()
        await asyncio.to_thread(down, server)
        try:
            await asyncio.sleep(max(AWAY_S, within_s))  # there must be callers who heard their answer while it was away
            assert (await here.http.get("/health/live")).status_code == 200
            asked_at = time.monotonic()
            assert (await here.http.get("/health/ready", timeout=30)).status_code == 503
            assert time.monotonic() - asked_at <= within_s
        finally:
            back_at = time.monotonic()
            await asyncio.to_thread(up, server)
        returned_at = time.monotonic()
        recovered_s = await answered(here, 200, after=back_at, within_s=RECOVERY_S_MAX + 10) - returned_at
        refused = [a for a in here.between(lost_at - 1, back_at) if a.status != 200]
        assert Counter((a.status, a.code) for a in refused).keys() == {(503, "unavailable")}
        slowest_s = max(a.took_s for a in here.between(lost_at - 1, back_at - within_s))
        print(
            f"{outage}: {len(refused)} answers 503, the slowest {slowest_s:.2f} s (usually {usual_s:.2f}); served {recovered_s:.2f} s after its return"
        )
        assert slowest_s <= within_s
        assert recovered_s <= RECOVERY_S_MAX + 2 * usual_s
        here.over.set()
        await whole(here)
        await nothing_is_left(under)


async def whole(here: Callers) -> None:
    """What was answered is done, and who was turned away does it under the same key, once."""
    under = here.under
    writes = [a for a in here.answers if a.key]
    for turned_away in [a for a in writes if a.status == 503][:50]:
        assert (await here.write(turned_away.member, turned_away.key)).status == 200
    done = {a.member for a in writes if a.status == 200}
    rows = await under.pool.fetch("SELECT member_id, count(*) AS n FROM transfers GROUP BY 1")
    found = {row["member_id"]: row["n"] for row in rows}
    assert done <= found.keys()
    assert set(found.values()) == {1}


async def nothing_is_left(under: Under) -> None:
    """Every connection is back in the pool, and PostgreSQL knows of no transaction and no session beside them."""
    async with asyncio.timeout(20):
        while under.pool.get_size() != under.pool.get_idle_size():
            await asyncio.sleep(0.02)
        name = await under.pool.fetchval("SELECT current_database()")
        while await under.pool.fetchval(
            """SELECT count(*) FROM pg_stat_activity
               WHERE datname = $1 AND pid <> pg_backend_pid() AND state <> 'idle'""",
            name,
        ):
            await asyncio.sleep(0.02)
    sessions = await under.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", name)
    assert sessions <= under.pool.get_max_size() + 1, "the pool's, and the pulse's"
    sql = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE datname = $1 AND locktype = 'advisory'"
    assert await under.pool.fetchval(sql, name) == 0


@pytest.mark.timeout(300)
async def test_callers_and_consumers_that_are_cancelled_at_any_moment_leave_nothing_behind(settings: Settings) -> None:
    chance = random.Random(3)
    async with under_test(SERVICE, settings) as under:
        here, cancelled, n = Callers(under, under.http), 0, 0
        while cancelled < CANCELLED * 9 // 10:
            calls = [asyncio.create_task(_call(here, n := n + 1)) for _ in range(20)]
            for task in calls:
                asyncio.get_running_loop().call_later(chance.random() * 0.25, task.cancel)
            await asyncio.wait(calls)
            cancelled += sum(task.cancelled() for task in calls)
        cancelled += await _cancel_consumers(under, CANCELLED - cancelled, chance)
        await nothing_is_left(under)
        assert (await here.read("M-1")).status == 200
        here.answers += [(await here.write("M-last"))]
        await whole(here)
        answered_ = sum(a.status == 200 for a in here.answers)
    print(f"{cancelled} cancelled, {answered_} answered")
    assert cancelled >= CANCELLED


async def _call(here: Callers, n: int) -> None:
    here.answers.append(await (here.write(f"M-{n}") if n % 2 else here.read(f"M-{n - 1}")))


async def _cancel_consumers(under: Under, times: int, chance: random.Random) -> int:
    """The whole runtime, consumer, relay, due work and all, is cancelled in the middle and started again."""
    log = open_log(under.settings.kafka)
    await ensure_topics(log)
    producer, n, cancelled = await log.producer(), 0, 0
    while cancelled < times:
        runtime = Runtime(under.door, log, under.settings)
        await producer.send([_activity(f"E-{(n := n + 1)}") for _ in range(5)])
        async with runtime:
            await asyncio.sleep(chance.expovariate(1 / 0.05))
            for task in runtime._tasks:
                task.cancel()
            await asyncio.wait(runtime._tasks)
            cancelled += sum(task.cancelled() for task in runtime._tasks)
    async with Runtime(under.door, log, under.settings), asyncio.timeout(30):
        while (
            await under.pool.fetchval("SELECT count(DISTINCT member_id) FROM transfers WHERE member_id LIKE 'E-%'") < n
        ):
            await asyncio.sleep(0.05)
    return cancelled


def _activity(member: str):
    data = ActivityCompleted(member_id=member, activity_id=f"q-{member}", kind="quiz", on=local_date(utc_now()))
    return encode(event_of(data, id=f"e-{member}", source="/core/test", time=utc_now()))
