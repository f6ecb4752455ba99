"""The world: the real services in several processes each, fed from a seed, while everything that may go wrong goes wrong.

The invariant: after the last fact the world calms down, and then nothing is missing: every fact and every effect was decided once
by every service that reads it, the park and the outboxes are empty, and all services agree with one another.
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg
from benefits.service import SERVICE as BENEFITS
from mall.service import SERVICE as MALL
from member_view.service import SERVICE as MEMBER_VIEW
from notifier.sending import send_due
from notifier.service import SERVICE as NOTIFIER
from points_ledger.service import SERVICE as POINTS_LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme
from tenure.service import Saved, Service
from tenure.simulation.log import StormyLog
from tenure.simulation.process import Process, ids_of
from tenure.simulation.states import Shape, modelled
from tenure.simulation.storm import Dice, Storm
from tenure.simulation.tables import Store, Transaction
from tenure.spine.clock import tick
from tenure.spine.log import Outgoing, WorldDown
from tenure.spine.memory_log import MemoryLog
from tenure.spine.topics import ensure_topics
from tier_engine.service import SERVICE as TIER_ENGINE

from tenure_local.simulation import messages
from tenure_local.simulation.agreement import disagreements, missing, wrong_states
from tenure_local.simulation.facts import BROKEN, UNSTORABLE, Facts, Said, Sizes
from tenure_local.simulation.retention import trim
from tenure_local.simulation.shapes import SHAPES
from tenure_local.simulation.trouble import operate, trouble
from tenure_local.simulation.witness import Seen, ViolationError, Witness

SERVICES: Final[tuple[Service[Any], ...]] = (
    *(POLICY_SYNC, TIER_ENGINE, POINTS_LEDGER, BENEFITS, MALL, NOTIFIER, MEMBER_VIEW),
)
DAY_S: Final = 0.5
QUIET_S_MAX: Final = 60.0
LOOK_EVERY_S: Final = 0.5
DAYS_BETWEEN_TRIMS: Final = 5
DAYS_BETWEEN_LOOKS: Final = 100
CHUNK_RECORDS: Final = 500
_names: Final = itertools.count()


@dataclass
class World:
    """One run. `change`: a test may put a mistake into each process before it starts."""

    seed: int
    sizes: Sizes
    programme: Programme
    calm: bool = False
    harder: int = 1
    processes_each: int = 2
    change: Callable[[Process], None] = lambda _: None
    progress: Callable[["World"], None] = lambda _: None
    failures: list[BaseException] = field(default_factory=list)
    doomed: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    away: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.dice = Dice(self.seed, calm=self.calm, harder=self.harder)
        self.log = MemoryLog(f"simulation-{self.seed}-{next(_names)}")
        self.facts = Facts(self.seed, self.sizes)
        self.witness = Witness(self.programme, {s.name: Seen(s, SHAPES[s.name]) for s in SERVICES})
        self.stores = {s.name: Store(s.name, self.witness.on_commit) for s in SERVICES}
        self.processes = [process for service in SERVICES for process in self._processes(service)]

    def _processes(self, service: Service[Any]) -> list[Process]:
        shape = replace(SHAPES[service.name], also_saved=self._storing(SHAPES[service.name]))
        real, ids = modelled(service, shape, before_rule=self._refuse), ids_of(service.name)
        store = self.stores[service.name]
        messages.answers(store)
        background = (send_due,) if service is NOTIFIER else ()
        return [
            Process(real, store, self.log, self.programme, self.dice, ids, self.failures.append, background)
            for _ in range(self.processes_each)
        ]

    async def run(self) -> None:
        """Raises ViolationError as soon as something does not hold."""
        await ensure_topics(self.log)
        for process in self.processes:
            self.start(process)
        others = [asyncio.create_task(do(self)) for do in (trouble, operate)]
        try:
            await self._feed()
            self.dice.calm = True
            await self._until_drained()
        finally:
            for task in others:
                task.cancel()
        for process in self.processes:
            await process.stop()
        self._look()
        self._raise_for(disagreements(self.stores, self.programme))

    def start(self, process: Process) -> None:
        self.change(process)
        process.start()

    async def _feed(self) -> None:
        """A day's facts, then the tick that ends it. The core and the app meet the same storms as everyone."""
        producer = await StormyLog(self.log, Storm(self.dice)).producer()
        for n, (day, said) in enumerate(self.facts.days()):
            for at in range(0, len(said), CHUNK_RECORDS):
                await self._say(producer, [one.record for one in said[at : at + CHUNK_RECORDS]])
            self._note(said)
            await self._say(producer, [tick(day)])
            await asyncio.sleep(DAY_S)
            self._check(n)

    async def _say(self, producer: Any, records: list[Outgoing]) -> None:
        while True:
            try:
                await producer.send(records)
            except WorldDown:
                continue
            return

    def _note(self, said: list[Said]) -> None:
        for one in said:
            if one.poison in (BROKEN, UNSTORABLE):
                self.broken[one.id] = one.poison
            if one.poison in ("", BROKEN, UNSTORABLE):
                self.witness.told[one.type] += 1
            else:
                self.doomed += 1

    def _check(self, n: int) -> None:
        if n % DAYS_BETWEEN_TRIMS == 0:
            trim(self.log, list(self.stores.values()))
            self.progress(self)
        if n % DAYS_BETWEEN_LOOKS == 0:
            self._look()
        self._raise_for([])

    def _look(self) -> None:
        """At every state of every service, whatever is under way."""
        self._raise_for(wrong_states(self.stores, self.programme))

    def _raise_for(self, more: list[str]) -> None:
        found = self.witness.violations + more
        if self.failures:
            raise ViolationError(f"a task ended: {self.failures[0]!r}") from self.failures[0]
        if found:
            raise ViolationError("; ".join(found))

    async def _until_drained(self) -> None:
        """As long as something still moves."""
        events, quiet_since = -1, time.monotonic()
        while self.away or missing(self.witness, self.stores, self.doomed):
            await asyncio.sleep(LOOK_EVERY_S)
            self._raise_for([])
            if self.away or self.witness.commits != events:
                events, quiet_since = self.witness.commits, time.monotonic()
            if time.monotonic() > quiet_since + QUIET_S_MAX:
                self._raise_for(missing(self.witness, self.stores, self.doomed))

    def _refuse(self, event: Event) -> None:
        """Until the next version, a rule has a mistake."""
        if self.broken and self.broken.get(event.id) == BROKEN:
            raise KeyError("a mistake in a rule")

    def _storing(self, shape: Shape) -> Callable[[Transaction, Saved[Any]], None]:
        """Until the next version, there is a value that the database does not take."""

        def storing(tx: Transaction, saved: Saved[Any]) -> None:
            broken = self.broken
            if broken and UNSTORABLE in [broken[event.id] for event, _ in tx.notes if event.id in broken]:
                raise asyncpg.NumericValueOutOfRangeError("value out of range")
            shape.also_saved(tx, saved)

        return storing
