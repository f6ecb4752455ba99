"""A service at work: its consumer, relay and due work, and whatever else it runs, as supervised tasks of one event loop."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import asyncpg
import structlog

from tenure import database
from tenure.contracts.programme import Programme
from tenure.contracts.topics import TOPICS
from tenure.rulebook.telling import tell_again
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.clock import today
from tenure.spine.consumer import Consumer
from tenure.spine.jobs import DueWork
from tenure.spine.log import Log
from tenure.spine.relay import Relay
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door
from tenure.spine.vitals import Vitals
from tenure.telemetry import metrics, start_at_zero
from tenure.telemetry.figures import start_figures_at_zero

log: Final = structlog.get_logger(__name__)
FINISH_WITHIN_S: Final = 3.0
GIVE_UP_WITHIN_S: Final = 1.0
CUT_OFF_WITHIN_S: Final = 0.5
RESTARTS_MAX: Final = 5
RESTARTS_WITHIN_S: Final = 60.0
LOOK_EVERY_S: Final = 5.0
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

    A task that ends on an error nobody foresaw is started again; when that does not help, or one hangs, `failed` is set, health
    says so, and the process should end. A consumer that halted (a run of parked events) is not a failure of the process: the
    service's other tasks, and other services in it, go on; health says so until someone looked.
    """

    def __init__(self, door: Door, log: Log, settings: Settings) -> None:
        self.door = door
        self.consumer = Consumer(
            door,
            log,
            batch_records_max=settings.batch_records_max,
            poll_timeout_s=settings.poll_timeout_s,
            parked_run_max=settings.parked_run_max,
            lanes_max=settings.consumer_lanes_max,
            clock=settings.clock,
        )
        again = partial(tell_again, source=door.source) if door.service.rulebooks else None
        self.relay = Relay(door.service.name, door.pool, log, tell_again=again)
        self.due = DueWork(door, self.consumer, self.relay.wake)
        self.vitals = Vitals(door, self.consumer, settings)
        self.worker = Worker(door, settings, log, self.consumer, self.relay.wake)
        self.consumer.on_rejoined = self.relay.doubt.set
        door.on_told = self.relay.wake.set
        self.failed: asyncio.Event = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.consumer.backoff.of = (door.service.name, "consumer")
        self.relay.backoff.of = (door.service.name, "relay")
        self.due.backoff.of = (door.service.name, "due")
        self.vitals.backoff.of = (door.service.name, "vitals")

    async def __aenter__(self) -> Self:
        loops: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("relay", self.relay.run),
            ("vitals", self.vitals.run),
        ]
        if self.door.service.reads:
            loops.append(("consumer", self.consumer.run))
            loops.append(("watch", self._watch))
        if self.door.service.due is not None:
            loops.append(("due", self.due.run))
        for run in self.door.service.background:
            loops.append((run.__name__, lambda run=run: run(self.worker)))  # type: ignore[misc]
        service = self.door.service
        _start_at_zero(service, [name for name, _ in loops])
        self._tasks = [asyncio.create_task(self._supervised(n, f), name=f"{service.name}:{n}") for n, f in loops]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Take no more, finish what is under way; what has not ended in time is cancelled, and then cut off the database."""
        self.worker.stopping.set()
        self.vitals.stop()
        self.due.stop()
        self.consumer.stop()
        self.relay.stop()
        late, self._tasks = set(self._tasks), []
        if late:
            _, late = await asyncio.wait(late, timeout=FINISH_WITHIN_S)
        for task in late:
            task.cancel()
        if late:
            _, late = await asyncio.wait(late, timeout=GIVE_UP_WITHIN_S)
        if late:  # a database that does not even answer a ROLLBACK: without its connection, it rolls back by itself
            log.warning("cut_off", service=self.door.service.name, tasks=sorted(task.get_name() for task in late))
            self.door.pool.terminate()
            await asyncio.wait(late, timeout=CUT_OFF_WITHIN_S)

    async def _supervised(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        ends: deque[float] = deque(maxlen=RESTARTS_MAX)
        backoff = Backoff(stopping=self.worker.stopping)
        while not self.worker.stopping.is_set():
            try:
                return await run()
            except asyncio.CancelledError as error:
                if _is_to_end():
                    raise
                why: BaseException = error
            except Exception as error:  # noqa: BLE001 - it is logged, counted and tried again
                why = error
            log.error("task_failed", service=self.door.service.name, task=name, exc_info=why)
            metrics.task_failures.labels(self.door.service.name, name).inc()
            ends.append(time.monotonic())
            if len(ends) == RESTARTS_MAX and ends[-1] - ends[0] < RESTARTS_WITHIN_S:
                self.failed.set()
                return None
            await backoff.wait(why)
        return None

    async def _watch(self) -> None:
        """What hangs for longer than all its limits together can only be helped by ending the process."""
        while not await wait_or(self.worker.stopping, LOOK_EVERY_S):
            if self.consumer.stalled:
                log.error("consumer_stalled", service=self.door.service.name)
                self.failed.set()

    async def health(self) -> dict[str, Any]:
        return {
            "consumer": self.consumer.health(),
            "relay": {"failures": self.relay.backoff.failures, "reason": self.relay.backoff.reason},
            "due": {"failures": self.due.backoff.failures, "reason": self.due.backoff.reason},
            "failed": self.failed.is_set() or bool(self.consumer.halted),
        }


def _is_to_end() -> bool:
    """Whether somebody cancelled this task. A library may let a cancellation of its own out: that is an error like any other."""
    me = asyncio.current_task()
    return me is not None and me.cancelling() > 0


def _start_at_zero(service: Service[Any], tasks: list[str]) -> None:
    writes = [t for t in TOPICS if service.name in t.producer]
    types = [name for topic in writes for name in topic.types]
    start_at_zero(service.name, topics={t.name for t in (*service.reads, *writes)}, types=types, tasks=tasks)
    start_figures_at_zero(types)


async def open_doors(
    stack: AsyncExitStack, services: Sequence[Service[Any]], settings: Settings, programme: Programme
) -> list[Door]:
    """The services' doors on their migrated databases; their pools close together with the stack."""
    doors: list[Door] = []

    async def close() -> None:
        await asyncio.gather(*(_close(door.pool) for door in doors))

    stack.push_async_callback(close)
    for service in services:
        doors.append(await _open_door(service, settings, programme))
    return doors


async def _open_door(service: Service[Any], settings: Settings, programme: Programme) -> Door:
    await until_up(lambda: database.migrate(settings, service.database, service.migrations))
    pool: asyncpg.Pool[asyncpg.Record] = await until_up(lambda: database.open_pool(settings, service.database))
    door = Door(service, pool, programme)
    await until_up(lambda: door.follow_rules(pool))  # files that contradict what was published end the start
    return door


async def _close(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        async with asyncio.timeout(CUT_OFF_WITHIN_S):
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
