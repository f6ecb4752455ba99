"""Takes a service's topics from the log to the write door, one way: poll, apply (`intake`), commit.

The database commit is what counts; the offset is a hint, committed after it, and a failed commit only means redelivery, which
the inbox drops.

A database that is down is waited for with the batch in hand; only when that takes long is the group left, for others to try. After
a run of parked events the consumer halts and says so: it goes on once someone has replayed or discarded some of them.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from tenure.spine import parking
from tenure.spine.faults import reach
from tenure.spine.in_hand import InHand
from tenure.spine.intake import Intake
from tenure.spine.log import Consumer as LogConsumer
from tenure.spine.log import Log, Record, TopicPartition, WorldDown
from tenure.spine.progress import Places, Progress, RecordWentBackError
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.topics import ensure_topics
from tenure.spine.transact import Door
from tenure.telemetry import metrics

log: Final = structlog.get_logger(__name__)
PATIENCE_S: Final = 30.0
STALLED_AFTER_S: Final = 300.0
ADVANCES_WITHIN_S: Final = 60.0
LOOK_EVERY_S: Final = 1.0


class ParkedRunError(Exception):
    """Too many events in a row were wrong: more likely the consumer is, so it halts until someone looks."""


@dataclass(slots=True)
class Consumer:
    """One service's consumer. `run` returns when `stop` is called."""

    door: Door
    log: Log
    batch_records_max: int
    poll_timeout_s: float
    parked_run_max: int
    lanes_max: int = 1
    clock: str = "events"
    backoff: Backoff = field(default_factory=Backoff)
    committed: asyncio.Event = field(default_factory=asyncio.Event)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    on_rejoined: Callable[[], None] = lambda: None
    halted: str = ""
    joined: bool = False
    idle: bool = False  # in the group, and given no partitions: there are more members than those
    last_poll_at: float = 0.0
    alive_at: float = field(default_factory=time.monotonic)
    advanced_at: float = field(default_factory=time.monotonic)
    high_water: Places = field(default_factory=dict)
    positions: Places = field(default_factory=dict)
    progress: Progress = field(init=False)
    intake: Intake = field(init=False)
    hand: InHand = field(default_factory=InHand)

    def __post_init__(self) -> None:
        self.progress = Progress(self.door)
        self.intake = Intake(self.door, self.progress, self.lanes_max, self.clock)

    async def run(self) -> None:
        """Consume until stopped; whatever happens to the world, a new client takes over where the last one was."""
        while not self.backoff.stopping.is_set():
            try:
                await self._consume()
            except ParkedRunError as run:
                await self._halt(str(run))
            except WORLD_DOWN as error:
                await self._wait(error)

    def stop(self) -> None:
        self.backoff.stopping.set()

    async def _wait(self, error: BaseException) -> None:
        log.warning("consumer_waits", service=self.door.service.name, reason=str(error)[:200])
        self.caught_up.clear()
        await self.backoff.wait(error)
        self.alive_at = time.monotonic()

    async def _consume(self) -> None:
        service = self.door.service
        topics = [t.name for t in service.reads]
        await ensure_topics(self.log)
        client = await self.log.consumer(
            f"tenure.{service.name}", topics, on_assigned=self.progress.on_assigned, on_revoked=self._let_go
        )
        self.joined, self.advanced_at = True, time.monotonic()
        self.on_rejoined()
        metrics.consumer_joins.labels(service.name).inc()
        try:
            while not self.backoff.stopping.is_set():
                await self._turn(client)
                self.backoff.succeeded()
        finally:
            self.joined = False
            self.caught_up.clear()
            await client.close()

    async def _turn(self, client: LogConsumer) -> None:
        self.alive_at = time.monotonic()
        polled = await client.poll(records_max=self.batch_records_max, timeout_s=self.poll_timeout_s)
        self.last_poll_at = time.monotonic()
        metrics.consumer_last_poll_timestamp_seconds.labels(self.door.service.name).set_to_current_time()
        reach("consumer.polled")
        if not await self.hand.do(self._deal_with(client, polled)):
            return
        self._see_whether_it_advances(client.positions())
        self._see_whether_caught_up(client)

    async def _deal_with(self, client: LogConsumer, polled: list[Record]) -> None:
        records = await self._settled(client, polled)
        self.high_water = client.high_water()
        while records:
            try:
                await self._take(client, records)
            except RecordWentBackError:
                self.progress.went_back()
                records = await self._settled(client, records)
            else:
                return

    async def _settled(self, client: LogConsumer, records: list[Record]) -> list[Record]:
        settled: list[Record] = await self._patiently(lambda: self.progress.settle(client, records))
        return settled

    async def _let_go(self, places: list[TopicPartition]) -> None:
        """Partitions are being taken away: nobody is given them before this returns, which takes five seconds at most."""
        finished = await self.hand.let_go()
        metrics.consumer_revocations.labels(self.door.service.name, "finished" if finished else "abandoned").inc()
        if not finished:
            log.warning("batch_abandoned_will_be_redelivered", service=self.door.service.name, partitions=len(places))

    async def _take(self, client: LogConsumer, records: list[Record]) -> None:
        self.caught_up.clear()
        positions = await self._patiently(lambda: self.intake.apply(records))
        self.committed.set()
        reach("consumer.before_offsets")
        try:
            await client.commit(positions)
        except WorldDown as error:
            log.info("commit_failed_will_be_redelivered", service=self.door.service.name, reason=str(error)[:200])
        reach("consumer.after_offsets")
        if self.intake.longest_run >= self.parked_run_max:
            raise ParkedRunError(f"{self.intake.longest_run} events in a row were parked; see `tenure parked list`")

    async def _patiently(self, do: Callable[[], Any]) -> Any:
        """While the database is down the group is kept: leaving it would only make the others stop, too."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await do()
            except WORLD_DOWN as error:
                if isinstance(error, WorldDown) or time.monotonic() > until or self.backoff.stopping.is_set():
                    raise
                await self._wait(error)

    def _see_whether_it_advances(self, positions: Places) -> None:
        """Polls that succeed prove nothing while records wait and none comes. Raises WorldDown then, for a new client."""
        now = time.monotonic()
        if positions != self.positions or not self.lag:
            self.advanced_at = now
        self.positions = positions
        if now - self.advanced_at > ADVANCES_WITHIN_S:
            self.advanced_at = now
            raise WorldDown(f"{self.lag} records wait, and for {ADVANCES_WITHIN_S:.0f} s polls have brought none")

    def _see_whether_caught_up(self, client: LogConsumer) -> None:
        """Everything that stood in the log at the last fetch is read. Not known while a rebalance is going on."""
        assigned = client.assignment()
        self.idle = not assigned
        known = assigned and assigned <= self.positions.keys() & self.high_water.keys()
        if known and all(self.positions[place] >= self.high_water[place] for place in assigned):
            self.caught_up.set()
        else:
            self.caught_up.clear()

    async def until_read(self, stopping: asyncio.Event, *, wait_max_s: float) -> bool:
        """Wait until what stands in the log now is read, however much is being added to it. False if it took longer, or if none
        of it is this member's to read.
        """
        asked, marks = time.monotonic(), None
        while not (stopping.is_set() or self.idle) and time.monotonic() < asked + wait_max_s:
            if await wait_or(self.caught_up, LOOK_EVERY_S):
                return not stopping.is_set()
            if marks is None and self.last_poll_at > asked + LOOK_EVERY_S:
                marks = dict(self.high_water)
            elif marks and self.positions and all(self.positions.get(p, mark) >= mark for p, mark in marks.items()):
                return True
        return False

    async def _halt(self, why: str) -> None:
        """Wait, out of the group, until there are fewer parked events than now, or none."""
        log.error("consumer_halted", service=self.door.service.name, reason=why)
        self.halted = why
        metrics.consumer_halted.labels(self.door.service.name).set(1)
        parked: int | None = None
        while not self.backoff.stopping.is_set():
            self.alive_at = time.monotonic()
            try:
                now = int(await self.door.pool.fetchval(parking.COUNT))
            except WORLD_DOWN as error:
                await self._wait(error)
                continue
            if not now or (parked is not None and now < parked):
                break
            parked = now
            await wait_or(self.backoff.stopping, LOOK_EVERY_S)
        self.halted, self.intake.parked_run = "", 0
        metrics.consumer_halted.labels(self.door.service.name).set(0)

    @property
    def stalled(self) -> bool:
        """Nothing it waits for takes so long: its limits are all shorter. Only a mistake does."""
        return time.monotonic() - max(self.alive_at, self.intake.alive_at) > STALLED_AFTER_S

    @property
    def lag(self) -> int:
        """How many records stand in the log beyond the position, as of the last fetch."""
        return sum(max(0, high - self.positions.get(place, high)) for place, high in self.high_water.items())

    def health(self) -> dict[str, Any]:
        """What `/health/live`, `/health/ready` and `doctor` show."""
        return {
            "seconds_since_poll": round(time.monotonic() - self.last_poll_at, 1) if self.last_poll_at else None,
            "seconds_since_advance": round(time.monotonic() - self.advanced_at, 1) if self.lag else 0.0,
            "lag": self.lag,
            "halted": self.halted,
            "stalled": self.stalled,
            "failures": self.backoff.failures,
            "reason": self.backoff.reason,
        }
