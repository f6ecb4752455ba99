"""One process of a service: the spine's own consumer, relay and due work, on a modelled store and a stormy log.

The invariant: it can be ended or stopped at any moment, in the middle of anything, and what the world then sees of it is what it
would see of a real one: its transactions never happened, its locks and its place in the group stay until somebody notices.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from tenure.contracts.programme import Programme
from tenure.service import Service
from tenure.settings import Settings
from tenure.simulation.connection import Pool
from tenure.simulation.log import StormyLog
from tenure.simulation.storm import Dice, Storm
from tenure.simulation.tables import Store
from tenure.spine.consumer import Consumer
from tenure.spine.jobs import DueWork
from tenure.spine.memory_log import MemoryLog
from tenure.spine.relay import Relay
from tenure.spine.runtime import Worker
from tenure.spine.transact import Door

BATCH_RECORDS_MAX: Final = 1_000
POLL_TIMEOUT_S: Final = 0.2
PARKED_RUN_MAX: Final = 1_000
STEPS_WITHIN_S: Final = 0.5
SETTINGS: Final = Settings(clock="events")


@dataclass
class Process:
    """Started by `start`; `failed` is told when a task ends on an error that the spine did not foresee."""

    service: Service[Any]
    store: Store
    log: MemoryLog
    programme: Programme
    dice: Dice
    new_id: Callable[[], str]
    failed: Callable[[BaseException], None]
    background: tuple[Callable[[Worker], Coroutine[Any, Any, None]], ...] = ()
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prepare()

    def prepare(self) -> None:
        """As it comes to the world: nothing of an earlier life is left."""
        self.storm = Storm(self.dice)
        self.view = StormyLog(self.log, self.storm)
        self.pool = Pool(self.store, self.storm)
        self.door = Door(self.service, self.pool, self.programme, new_id=self.new_id)  # type: ignore[arg-type]
        self.consumer = Consumer(
            self.door,
            self.view,
            batch_records_max=BATCH_RECORDS_MAX,
            poll_timeout_s=POLL_TIMEOUT_S,
            parked_run_max=PARKED_RUN_MAX,
        )
        self.relay = Relay(self.service.name, self.pool, self.view)  # type: ignore[arg-type]
        self.consumer.on_rejoined = self.relay.doubt.set
        self.due = DueWork(self.door, self.consumer, self.relay.wake)
        self.worker = Worker(self.door, SETTINGS, self.view, self.consumer, self.relay.wake)

    def start(self) -> None:
        loops = [self.consumer.run(), self.relay.run(), *([self.due.run()] if self.service.due is not None else [])]
        loops += [run(self.worker) for run in self.background]
        self.tasks = [asyncio.create_task(loop) for loop in loops]
        for task in self.tasks:
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.storm.silent:
            self.failed(error)

    async def kill(self) -> None:
        """End it as a power cut would: nothing it still held is given back, until the server and the group notice."""
        self.storm.silent = True
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)

    async def noticed(self) -> None:
        """The broker and the server give up on its sessions; a process that is only stopped still believes in them."""
        self.pool.drop_sessions()
        await self.view.expire_sessions()

    async def stop(self) -> None:
        """Let it finish what it has in hand."""
        for part in (self.due, self.consumer, self.relay):
            part.stop()
        self.worker.stopping.set()
        await asyncio.wait(self.tasks)

    async def pause(self, *, steps: int) -> None:
        """Stop it in the middle of whatever it does so many steps from now."""
        await self.storm.stops_after(steps, within_s=STEPS_WITHIN_S)

    def resume(self) -> None:
        self.storm.going_on.set()


def ids_of(service: str) -> Callable[[], str]:
    """Ids of effects in the order in which they are decided."""
    count = itertools.count(1)
    return lambda: f"{service}-{next(count)}"
