"""A real process of a service is told to end (SIGTERM) in every phase of its work: it does within five seconds, with status 0."""

import asyncio
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import httpx
import pytest
from points_ledger.service import SERVICE
from tenure import database
from tenure.calendar import local_date
from tenure.contracts.activity import ActivityCompleted
from tenure.edge.access import mint
from tenure.embedded.kafka import Kafka
from tenure.embedded.postgres import Postgres
from tenure.embedded.server import free_port
from tenure.settings import Settings
from tenure.spine.codec import encode, event_of, utc_now
from tenure.spine.log import open_log
from tenure.spine.topics import ensure_topics

from .conftest import LONG

pytestmark = pytest.mark.timeout(240)
ENDS_WITHIN_S = 5.0
SLACK_S = 2.5  # for a machine that does other things, too
UP_WITHIN_S = 60
MEMBER = "M-1"
PHASES = ("idle", "in a transaction", "on a frozen database") if LONG else ("on a frozen database",)


class Node:
    """`python -m points_ledger all` on a database and broker that may or may not be there."""

    def __init__(self, settings: Settings, *, database_url: str, kafka: str) -> None:
        self.settings = settings.model_copy(update={"database_url": database_url, "kafka": kafka})
        self.port = free_port()
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "points_ledger", "all", env=self.environment()
        )

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "TENURE_DATABASE_URL": self.settings.database_url,
            "TENURE_KAFKA": self.settings.kafka,
            "TENURE_PORT": str(self.port),
            "TENURE_PROGRAMME_DIR": str(self.settings.programme_dir),
            "TENURE_DATA_DIR": str(self.settings.data_dir),
            "TENURE_JWT_PUBLIC_KEY_FILE": str(self.settings.jwt_public_key_file),
            "TENURE_LOCK_TIMEOUT_MS": "9000",
        }

    async def ends(self) -> float:
        """Seconds from SIGTERM to the end, with status 0."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.process.wait(), 60) == 0
        return time.monotonic() - began

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        assert self.process is not None
        async with asyncio.timeout(UP_WITHIN_S):
            while not await true():
                assert self.process.returncode is None, "it ended by itself"
                await asyncio.sleep(0.05)

    async def health(self) -> "dict[str, object]":
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as http:
            with suppress(httpx.HTTPError):
                return dict((await http.get("/health/ready")).json()["checks"])
        return {}

    async def has_polled(self) -> bool:
        found = (await self.health()).get("points-ledger", {})
        return isinstance(found, dict) and found.get("consumer", {}).get("seconds_since_poll") is not None

    async def answers(self) -> bool:
        return bool(await self.health())


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[Node]:
    await node.start()
    try:
        yield node
    finally:
        assert node.process is not None
        if node.process.returncode is None:
            node.process.kill()
            await node.process.wait()


@pytest.fixture
async def mine(server: Postgres, settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A session on the service's database, made anew."""
    here = settings.model_copy(update={"database_url": server.url})
    await database.migrate(here, SERVICE.database, SERVICE.migrations)
    conn = await asyncpg.connect(database.url_of(here, SERVICE.database))
    yield conn
    await conn.close()
    admin = await asyncpg.connect(database.url_of(here, "postgres"))
    await admin.execute(f'DROP DATABASE "{SERVICE.database}" WITH (FORCE)')
    await admin.close()


async def activity(kafka: str) -> None:
    log = open_log(kafka)
    await ensure_topics(log)
    quiz = ActivityCompleted(member_id=MEMBER, activity_id=uuid.uuid4().hex, kind="quiz", on=local_date(utc_now()))
    producer = await log.producer()
    await producer.send([encode(event_of(quiz, id=uuid.uuid4().hex, source="/test", time=utc_now()))])
    await producer.close()
    await log.close()


@asynccontextmanager
async def locked(conn: asyncpg.Connection) -> AsyncIterator[None]:
    """Somebody else holds the member's account, so the batch cannot go on."""
    await conn.execute("INSERT INTO accounts (member_id) VALUES ($1) ON CONFLICT DO NOTHING", MEMBER)
    async with conn.transaction():
        await conn.execute("SELECT FROM accounts WHERE member_id = $1 FOR UPDATE", MEMBER)
        yield


def waiting_for_it(conn: asyncpg.Connection) -> Callable[[], Awaitable[bool]]:
    async def waits() -> bool:
        found = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
        return bool(await conn.fetchval(found, SERVICE.database))

    return waits


@asynccontextmanager
async def frozen(conn: asyncpg.Connection) -> AsyncIterator[None]:
    """The database holds the process's connections, and answers nothing on them."""
    found = "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    pids = [row["pid"] for row in await conn.fetch(found, SERVICE.database)]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def test_it_ends_while_it_waits_for_a_database_that_is_not_there(settings: Settings) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    async with running(Node(settings, database_url=f"postgresql://postgres@{nowhere}", kafka=nowhere)) as node:
        # A signal before Python has its handler would end any process: wait until it has begun to work.
        await asyncio.sleep(0)
        await until_listening_for_signals(node)
        assert await node.ends() < ENDS_WITHIN_S + SLACK_S


async def until_listening_for_signals(node: Node) -> None:
    assert node.process is not None
    listed = Path(f"/proc/{node.process.pid}/status")

    async def catches() -> bool:
        status = await asyncio.to_thread(listed.read_text)
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(caught, 16) & (1 << (signal.SIGTERM - 1)))

    await node.until(catches)


@pytest.mark.skipif(not LONG, reason="make test-faults does; a frozen database stands for it")
async def test_it_ends_while_its_broker_is_away(settings: Settings, server: Postgres, mine: asyncpg.Connection) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # it takes connections and says nothing
        broker = f"127.0.0.1:{silent.getsockname()[1]}"
        async with running(Node(settings, database_url=server.url, kafka=broker)) as node:
            await node.until(node.answers)
            assert await node.ends() < ENDS_WITHIN_S + SLACK_S


async def test_it_ends_when_idle_in_the_middle_of_a_transaction_and_on_a_database_that_froze(
    settings: Settings, server: Postgres, broker: Kafka, mine: asyncpg.Connection
) -> None:
    for phase in PHASES:
        async with running(Node(settings, database_url=server.url, kafka=broker.address)) as node:
            await node.until(node.has_polled)
            took = await ended(node, phase, mine, broker)
            print(f"\n{phase}: ended {took:.1f} s after SIGTERM")
            assert took < ENDS_WITHIN_S + SLACK_S, phase
    if not LONG:
        return
    async with running(Node(settings, database_url=server.url, kafka=broker.address)) as node:
        await node.until(node.has_polled)
        await node.until(lambda: granted(mine))
        await node.ends()


async def ended(node: Node, phase: str, mine: asyncpg.Connection, broker: Kafka) -> float:
    if phase == "idle":
        return await node.ends()
    async with locked(mine):
        await activity(broker.address)
        await node.until(waiting_for_it(mine))
        if phase == "in a transaction":
            return await node.ends()
        async with frozen(mine), httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.port}") as http:
            asking = asyncio.create_task(http.get(f"/v1/wallets/{MEMBER}", headers=operator(node.settings), timeout=30))
            await asyncio.sleep(0.1)
            took = await node.ends()
            with suppress(httpx.HTTPError):
                await asking
            return took


def operator(settings: Settings) -> dict[str, str]:
    assert settings.jwt_private_key_file is not None
    token = mint(settings.jwt_private_key_file.read_bytes(), "op", ["operator"], 600)
    return {"Authorization": f"Bearer {token}"}


async def granted(conn: asyncpg.Connection) -> bool:
    """What was in hand when they ended had its effect once, by those that came after."""
    return [tuple(row) for row in await conn.fetch("SELECT member_id, points_available FROM accounts")] == [
        (MEMBER, 10)
    ]
