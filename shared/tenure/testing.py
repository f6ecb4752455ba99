"""The test harness: real PostgreSQL for everyone, a service under test in one line, and facts to assert on.

A pytest plugin (see `addopts`). Servers are started once per session on free ports and end with it. `TENURE_DATABASE_URL` and
`TENURE_KAFKA` point at servers that are there already.
"""

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import structlog

from tenure import database, programme
from tenure.calendar import start_of
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme
from tenure.edge.access import generate_keypair, mint
from tenure.edge.http import create_app
from tenure.embedded.choose import NoDurableKafkaError, start_durable_kafka, start_postgres
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine import outbox
from tenure.spine.codec import decode, encode, event_of
from tenure.spine.log import Log, Outgoing, Record, open_log
from tenure.spine.topics import ensure_topics
from tenure.spine.transact import Door, Item, Outcome
from tenure.testing_databases import database_for, drop, forget

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMME_DIR: Final = ROOT / "programme"
CORE: Final = "/core/test"


os.environ.setdefault("TENURE_EMBEDDED_FSYNC", "off")  # for whoever starts a whole platform
structlog.configure(
    processors=[  # the default's stacks, with every local variable, take half a minute to draw
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.set_exc_info,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server, without a database name."""
    if url := os.environ.get("TENURE_DATABASE_URL"):
        yield url
        asyncio.run(_drop_all(url))
        return
    with tempfile.TemporaryDirectory(prefix="tenure-test-") as folder:
        server = start_postgres(Path(folder) / "pg", durable=False)
        yield server.url
        forget(server.url)
        server.stop()


async def _drop_all(url: str) -> None:
    """What was kept on a server that goes on."""
    for name in forget(url):
        await drop(Settings(database_url=url), name)


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a durable Apache Kafka. Skips without one; in CI that is a failure."""
    try:
        chosen = start_durable_kafka()
    except NoDurableKafkaError as missing:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs a real Kafka: {missing}")
        pytest.skip(str(missing))
    yield chosen.address
    chosen.stop()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files with a private and a public key that sign and check this session's tokens."""
    private, public = generate_keypair()
    folder = tmp_path_factory.mktemp("keys")
    (folder / "private.pem").write_bytes(private)
    (folder / "public.pem").write_bytes(public)
    return folder / "private.pem", folder / "public.pem"


@pytest.fixture
def settings(postgres: str, keys: tuple[Path, Path], tmp_path: Path) -> Settings:
    """Settings for one test: the session's servers, its own in-memory log, the programme of the repository."""
    return Settings(
        database_url=postgres,
        kafka=f"memory://{uuid.uuid4().hex}",
        programme_dir=PROGRAMME_DIR,
        jwt_private_key_file=keys[0],
        jwt_public_key_file=keys[1],
        data_dir=tmp_path,
        pool_size_max=8,
        rate_per_s=100_000,
        rate_burst=100_000,
    )


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[Log]:
    """An in-memory log of one test, with every topic."""
    log = open_log(settings.kafka)
    await ensure_topics(log)
    yield log
    await log.close()


@pytest.fixture(scope="session")
def rules() -> Programme:
    return _loaded(PROGRAMME_DIR)


@cache
def _loaded(folder: Path) -> Programme:
    """Reading the files takes longer than most tests."""
    return programme.load(folder)


def _programme(folder: Path) -> Programme:
    return _loaded(folder) if folder == PROGRAMME_DIR else programme.load(folder)


class Under:
    """A service under test on its own database: feed it events, let days come, call its API, read what it told the world."""

    def __init__(self, door: Door, settings: Settings) -> None:
        self.door, self.pool, self.settings = door, door.pool, settings
        self._offset = 0
        self._read_up_to = 0

    @cached_property
    def http(self) -> httpx.AsyncClient:
        """Its API, built when a test first asks it: most never do."""
        app = create_app([(self.door.service, self.door)], self.settings)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://tenure")

    async def close(self) -> None:
        if "http" in self.__dict__:
            await self.http.aclose()

    async def feed(self, *data: Data, at: date | datetime | None = None, backfill: bool = False) -> list[Outcome]:
        """Deliver events once, each with a new id, in one batch. `at` is their time (default: their `effective`/`on` date)."""
        return await self.deliver(self.records(*data, at=at, backfill=backfill))

    def records(self, *data: Data, at: date | datetime | None = None, backfill: bool = False) -> list[Record]:
        """The same as records of the log, to deliver twice, in halves or in another order."""
        events = [
            event_of(d, id=str(uuid.uuid4()), source=CORE, time=_instant(at or _when(d)), backfill=backfill)
            for d in data
        ]
        return [self.as_record(encode(event)) for event in events]

    def as_record(self, out: Outgoing) -> Record:
        self._offset += 1
        return Record(
            topic=out.topic,
            partition=0,
            offset=self._offset,
            key=out.key,
            value=out.value,
            headers=out.headers,
            timestamp_ms=0,
        )

    async def deliver(self, records: Iterable[Record]) -> list[Outcome]:
        """One poll's worth of records through the door, as the consumer does it."""
        items = [Item(decode(r.headers, r.value), r) for r in records]
        return await self.door.transact([i for i in items if i.event and i.event.type not in self.door.service.ignores])

    async def day(self, day: date) -> int:
        """The calendar reaches `day` and all due work is done. Returns how many keys were due."""
        await self.door.transact([], day=day)
        total = 0
        while (due := await self.door.fall_due(day, keys_max=1_000)).done:
            total += due.done
        assert not due.refused, f"due work was refused: {due.refused}"
        return total

    async def emitted(self, *types: type[Data]) -> list[Any]:
        """The data of events told since the last call, in order; of some types only, if named."""
        return [e.data for e in await self.emitted_events() if not types or isinstance(e.data, types)]

    async def emitted_events(self) -> list[Event]:
        rows = await self.pool.fetch("SELECT seq, records FROM outbox WHERE seq > $1 ORDER BY seq", self._read_up_to)
        self._read_up_to = max([self._read_up_to, *(row["seq"] for row in rows)])
        return [decode(r.headers, r.value) for row in rows for r in outbox.unpack(row["records"])]

    async def parked(self) -> list[tuple[str, str]]:
        """What is parked, as (key, code)."""
        rows = await self.pool.fetch("SELECT key, code FROM parked ORDER BY seq")
        return [(row["key"], row["code"]) for row in rows]

    def token(self, *roles: str, subject: str = "test", book: Iterable[str] | None = None, ttl_s: int = 600) -> str:
        assert self.settings.jwt_private_key_file is not None
        pem = self.settings.jwt_private_key_file.read_bytes()
        return mint(pem, subject, roles, ttl_s, book=book, issuer=self.settings.jwt_issuer)

    def auth(self, *roles: str, subject: str = "test", key: str | None = None, **more: Any) -> Mapping[str, str]:
        """Headers for a call: a token, and a new Idempotency-Key unless one is given."""
        return {
            "Authorization": f"Bearer {self.token(*roles, subject=subject, **more)}",
            "Idempotency-Key": key or uuid.uuid4().hex,
        }


@asynccontextmanager
async def under_test(service: Service[Any], settings: Settings, rules: Programme | None = None) -> AsyncIterator[Under]:
    """The service on an empty database of its own."""
    async with AsyncExitStack() as stack:
        name = await stack.enter_async_context(database_for(service, settings))
        pool = await database.open_pool(settings, name)
        stack.push_async_callback(pool.close)
        under = Under(Door(service, pool, rules or _programme(settings.programme_dir)), settings)
        stack.push_async_callback(under.close)
        yield under


def _when(data: Data) -> date:
    for name in (
        "effective",
        "on",
        "paid_on",
        "reported_on",
        "refunded_on",
        "renewed_on",
        "start",
        "registered_on",
        "date",
    ):
        day = getattr(data, name, None)
        if isinstance(day, date):
            return day
    raise AssertionError(f"{type(data).__name__} has no date of its own: say `at=`")


def _instant(when: date | datetime) -> datetime:
    return when if isinstance(when, datetime) else start_of(when)
