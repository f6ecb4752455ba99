"""A service at work: its consumer, relay and due work, and whatever else it runs, as supervised tasks of one event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import asyncpg
import structlog

from tenure import database
from tenure.contracts.programme import Programme
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.clock import today
from tenure.spine.consumer import Consumer
from tenure.spine.jobs import DueWork
from tenure.spine.log import Log
from tenure.spine.relay import Relay
from tenure.spine.retry import WORLD_DOWN, Backoff
from tenure.spine.transact import Door
from tenure.spine.vitals import Vitals

log: Final = structlog.get_logger(__name__)
STOP_WITHIN_S: Final = 5.0
T = TypeVar("T")


@dataclass(slots=True)
class Worker:
    """What a service's background function is given: its door, its settings, and when to stop."""

    door: Door
    settings: Settings
    log: Log
    consumer: Consumer
    wake_relay: asyncio.Event
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def today(self) -> date:
        return await today(self.door.pool, self.settings)


class Runtime:
    """All workers of one service. An async context manager: entering starts the tasks, leaving stops them within 5 s.

    A task that ends by itself is a failure: `failed` is set, health says so, and the process should end.
    """

    def __init__(self, door: Door, log: Log, settings: Settings) -> None:
        self.door = door
        self.consumer = Consumer(
            door,
            log,
            batch_records_max=settings.batch_records_max,
            poll_timeout_s=settings.poll_timeout_s,
            parked_run_max=settings.parked_run_max,
        )
        self.relay = Relay(door.service.name, door.pool, log)
        self.due = DueWork(door, self.consumer, self.relay.wake)
        self.vitals = Vitals(door, self.consumer, settings.outbox_retention_h, settings.inbox_retention_days)
        self.worker = Worker(door, settings, log, self.consumer, self.relay.wake)
        self.failed: asyncio.Event = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("relay", self.relay.run),
            ("vitals", self.vitals.run),
        ]
        if self.door.service.reads:
            loops.append(("consumer", self.consumer.run))
        if self.door.service.due is not None:
            loops.append(("due", self.due.run))
        for run in self.door.service.background:
            loops.append((run.__name__, lambda run=run: run(self.worker)))  # type: ignore[misc]
        self._tasks = [
            asyncio.create_task(self._supervised(n, f), name=f"{self.door.service.name}:{n}") for n, f in loops
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.worker.stopping.set()
        self.vitals.stop()
        self.due.stop()
        self.consumer.stop()
        self.relay.stop()
        _, late = await asyncio.wait(self._tasks, timeout=STOP_WITHIN_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _supervised(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Exception:
            log.exception("task_ended", service=self.door.service.name, task=name)
            self.failed.set()

    async def health(self) -> dict[str, Any]:
        return {
            "consumer": self.consumer.health(),
            "relay": {"failures": self.relay.backoff.failures, "reason": self.relay.backoff.reason},
            "due": {"failures": self.due.backoff.failures, "reason": self.due.backoff.reason},
            "failed": self.failed.is_set(),
        }


async def open_door(stack: AsyncExitStack, service: Service[Any], settings: Settings, programme: Programme) -> Door:
    """The service's door on its migrated database; its pool closes with the stack."""
    await until_up(lambda: database.migrate(settings, service.database, service.migrations))
    pool: asyncpg.Pool[asyncpg.Record] = await until_up(lambda: database.open_pool(settings, service.database))
    stack.push_async_callback(_close, pool)
    return Door(service, pool, programme)


async def _close(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def until_up(start: Callable[[], Awaitable[T]]) -> T:
    """Do it as soon as the world allows: a database or broker that is not there yet is waited for."""
    backoff = Backoff()
    while True:
        try:
            return await start()
        except WORLD_DOWN as error:
            log.warning("waiting_for_the_world", reason=str(error)[:200])
            await backoff.wait(error)
