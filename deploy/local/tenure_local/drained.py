"""When is everything done? When all that was published is read, every outbox is empty, and nothing is due or under way.

Read from the services' databases alone, so it is exact whatever the broker: producers note up to where the log acknowledged
(`published`), consumers note up to where their effects are committed (`progress`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import asyncpg
import httpx
import msgspec
from tenure import database
from tenure.contracts.topics import TOPICS
from tenure.embedded.whole import write_whole
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.log import Position

from tenure_local.services import SERVICES

LOOK_EVERY_S: Final = 0.1
CHECK_WORKER_EVERY_S: Final = 3.0
WORKER_ANSWER_TIMEOUT_S: Final = 10.0
LIVES_WITHIN_S: Final = 30.0
_TO_LIVE: Final = "SELECT count(*) + (NOT EXISTS (SELECT FROM calendar WHERE day >= $1))::int FROM {} due_on <= $1"
_OF_HISTORY: Final = {
    "policy-sync": _TO_LIVE.format("policies WHERE live_from IS NULL AND"),
    "tier-engine": _TO_LIVE.format("members WHERE"),
    "benefits": _TO_LIVE.format("members WHERE"),
}
"""How many a day has not come to yet, where some are of history alone, in the order in which they hear of it."""
Offsets = dict[tuple[str, int], int]


@dataclass(slots=True)
class Backlog:
    """What is still to do, per service: records to read, events to publish, whether any key is due (1), writes under way."""

    unread: dict[str, int] = field(default_factory=dict)
    unpublished: dict[str, int] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    under_way: dict[str, int] = field(default_factory=dict)
    writing: int = 0
    parked: dict[str, int] = field(default_factory=dict)
    mark: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        counts = (self.unread, self.unpublished, self.due, self.under_way)
        return sum(sum(of_service.values()) for of_service in counts) + self.writing


class WorkerGoneError(Exception):
    """The worker process ended, so nothing will be read any more."""


class ConsumerHaltedError(Exception):
    """A service reads no further until someone has looked at what it parked."""

    def __init__(self, service: str, why: str) -> None:
        super().__init__(f"{service} has halted: {why}, then replay or discard some: it goes on by itself")


class Watch:
    """Looks at every service's database through one connection each, and that the worker is still there."""

    def __init__(self, connections: Mapping[str, asyncpg.Connection], worker_url: str) -> None:
        self._connections, self._worker_url = connections, worker_url
        self._checked_at = 0.0

    async def worker_is_there(self) -> None:
        """Raises WorkerGoneError, ConsumerHaltedError; asks every few seconds only."""
        if asyncio.get_running_loop().time() - self._checked_at >= CHECK_WORKER_EVERY_S:
            await self._lag()

    async def _lag(self) -> int:
        """How many records the worker's consumers know of and have not read, whoever published them.

        Raises WorkerGoneError, ConsumerHaltedError. A worker that is too busy to answer is there. Of a platform elsewhere nobody
        is asked: only what its services told one another is known then.
        """
        self._checked_at = asyncio.get_running_loop().time()
        if not self._worker_url:
            return 0
        async with httpx.AsyncClient(timeout=WORKER_ANSWER_TIMEOUT_S) as http:
            try:
                answer = await http.get(f"{self._worker_url}/health/live")
            except httpx.TimeoutException:
                return 0
            except httpx.ConnectError:
                raise WorkerGoneError(
                    "the worker process ended; its log (worker.log in the data folder) says why"
                ) from None
        consumers: dict[str, dict[str, Any]] = answer.json().get("consumers", {})
        for name, found in consumers.items():
            if found["halted"]:
                raise ConsumerHaltedError(name, found["halted"])
        return sum(found["lag"] for found in consumers.values())

    def connections(self) -> list[asyncpg.Connection]:
        return list(self._connections.values())

    @property
    def by_name(self) -> Mapping[str, asyncpg.Connection]:
        """The connections by service."""
        return self._connections

    async def look(self, targets: Iterable[Position] = ()) -> Backlog:
        """The backlog now. `targets` are acknowledgements of producers outside the platform (imports, replays)."""
        backlog, high, read = Backlog(), {(p.topic, p.partition): p.next_offset for p in targets}, {}
        services = [service for service in SERVICES if service.name in self._connections]
        for service in services:
            conn = self._connections[service.name]
            for row in await conn.fetch("SELECT topic, partition, next_offset FROM published"):
                place = (row["topic"], row["partition"])
                high[place] = max(high.get(place, 0), row["next_offset"])
            rows = await conn.fetch("SELECT topic, partition, next_offset FROM progress")
            read[service.name] = {(r["topic"], r["partition"]): r["next_offset"] for r in rows}
            await self._look_at(service, conn, backlog)
        for service in services:
            backlog.unread[service.name] = _unread(service, high, read[service.name])
        return backlog

    async def _look_at(self, service: Service[Any], conn: asyncpg.Connection, backlog: Backlog) -> None:
        row = await conn.fetchrow(
            """SELECT (SELECT coalesce(sum(events), 0) FROM outbox WHERE NOT published) AS unpublished,
                      (SELECT coalesce(max(seq), 0) FROM outbox) AS mark,
                      (SELECT count(*) FROM parked) AS parked,
                      (SELECT day FROM calendar) AS day,
                      (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                        AND backend_type = 'client backend' -- autovacuum has a transaction id, too
                        AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()) AS writing"""
        )
        assert row is not None
        backlog.unpublished[service.name], backlog.parked[service.name] = row["unpublished"], row["parked"]
        backlog.writing += row["writing"]
        backlog.mark += (row["mark"],)
        if service.under_way:
            backlog.under_way[service.name] = await conn.fetchval(service.under_way)
        if service.due is not None and row["day"] is not None:
            backlog.due[service.name] = len(await service.due(conn, row["day"], 1))

    async def until_drained(
        self, targets: Iterable[Position] = (), *, seen: Callable[[Backlog], None] = lambda _: None
    ) -> Backlog:
        """Wait until nothing is left to do, as found twice in a row. `seen` is told every look."""
        targets = list(targets)
        last: tuple[int, ...] = ()
        while True:
            backlog = await self.look(targets)
            seen(backlog)
            await self.worker_is_there()
            if backlog.total == 0 and backlog.mark == last and not await self._lag():
                return backlog
            last = backlog.mark if backlog.total == 0 else ()
            await asyncio.sleep(LOOK_EVERY_S)

    async def until_facts_read(self, targets: Iterable[Position]) -> None:
        """Wait until policy-sync has read these facts and told all that follows from them: then the next day may come."""
        name, conn, wanted = "policy-sync", self._connections["policy-sync"], list(targets)
        service = next(s for s in SERVICES if s.name == name)
        while True:
            rows = await conn.fetch("SELECT topic, partition, next_offset FROM progress")
            read = {(r["topic"], r["partition"]): r["next_offset"] for r in rows}
            high = {(p.topic, p.partition): p.next_offset for p in wanted}
            waiting = await conn.fetchval("SELECT EXISTS (SELECT FROM outbox WHERE NOT published)")
            if not _unread(service, high, read) and not waiting:
                return
            await self.worker_is_there()
            await asyncio.sleep(LOOK_EVERY_S / 2)

    async def until_lived(self, day: date, targets: Iterable[Position]) -> None:
        """Wait until a day has come to all that is known from history alone: it lives from the first one it meets, and of days that
        come together that is the last. What a rule or a turn holds back stays due: once nothing moves, nobody waits.
        """
        targets = list(targets)
        for name in (name for name in _OF_HISTORY if name in self._connections):
            last, moved_at = -1, time.monotonic()
            while left := await self._left_to_live(name, day, targets):
                if left != last:
                    last, moved_at = left, time.monotonic()
                elif time.monotonic() - moved_at > LIVES_WITHIN_S:
                    return
                await self.worker_is_there()
                await asyncio.sleep(LOOK_EVERY_S / 2)

    async def _left_to_live(self, name: str, day: date, targets: list[Position]) -> int:
        backlog = await self.look(targets)
        untold = backlog.unread[name] + sum(backlog.unpublished.values())
        return untold + int(await self._connections[name].fetchval(_OF_HISTORY[name], day))


@asynccontextmanager
async def watch(settings: Settings, worker_url: str) -> AsyncIterator[Watch]:
    """Connections to every service's database, for looking only."""
    async with AsyncExitStack() as stack:
        connections = {}
        for service in SERVICES:
            conn = await asyncpg.connect(database.url_of(settings, service.database), timeout=10)
            stack.push_async_callback(conn.close)
            connections[service.name] = conn
        yield Watch(connections, worker_url)


def _unread(service: Service[Any], high: Mapping[tuple[str, int], int], read: Mapping[tuple[str, int], int]) -> int:
    names = {t.name for t in TOPICS if service.name in t.consumers}
    return sum(max(0, offset - read.get(place, 0)) for place, offset in high.items() if place[0] in names)


class Targets:
    """Up to where this machine's imports and replays published, kept in a file so that a later `wait` knows."""

    def __init__(self, path: Any) -> None:
        self._path = path
        self._offsets: Offsets = {}
        if path.exists():
            for topic, partition, offset in msgspec.json.decode(path.read_bytes(), type=list[tuple[str, int, int]]):
                self._offsets[topic, partition] = offset

    def add(self, acked: Iterable[Position]) -> None:
        for p in acked:
            self._offsets[p.topic, p.partition] = max(p.next_offset, self._offsets.get((p.topic, p.partition), 0))

    def positions(self) -> list[Position]:
        return [Position(topic, partition, offset) for (topic, partition), offset in sorted(self._offsets.items())]

    def save(self) -> None:
        """Raises OSError."""
        write_whole(self._path, msgspec.json.encode(self.positions()))
