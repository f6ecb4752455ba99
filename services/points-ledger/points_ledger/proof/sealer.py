"""Seals the journal after the fact: batch after batch, each with the hash of the one before, and once a day a root over all days.

The invariants: nobody who writes waits for the sealer, for it reads only what is settled (`spine.floor`) and locks nothing; a batch
is one row, so it is sealed whole or not at all; batches follow one another without a gap, and two sealers cannot both write one.
A day is published when the calendar has left it, and says what was sealed on it.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import asyncpg
import structlog
from asyncpg.connection import Connection
from tenure.calendar import DAY, start_of
from tenure.contracts.ledger import RootPublished
from tenure.spine import outbox
from tenure.spine.codec import encode, event_of
from tenure.spine.faults import reach
from tenure.spine.floor import Floor, Numbered, numbered
from tenure.spine.leading import leading, lost_sessions
from tenure.spine.log import Outgoing
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.runtime import Worker
from tenure.telemetry import metrics
from tenure.telemetry.figures import count_told

from points_ledger.proof import entries as e
from points_ledger.proof import merkle

log: Final = structlog.get_logger(__name__)
LOCK: Final = 7_200_005
ENTRIES_MAX: Final = 2_048
LOOK_EVERY_S: Final = 0.5
SEAL_AFTER_S: Final = 5.0
"""A batch that does not fill up is sealed after so long."""
ROWS_BETWEEN_BREATHS: Final = 256
JOURNAL: Final[Numbered] = numbered("transfers")

# A seal that is there already: somebody else led meanwhile.
_WAITED_FOR: Final[tuple[type[BaseException], ...]] = (*WORLD_DOWN, asyncpg.UniqueViolationError)
NEWEST: Final = "SELECT batch_no, seq_to, hash FROM seals ORDER BY batch_no DESC LIMIT 1"
SEAL: Final = """
    INSERT INTO seals (batch_no, day, seq_after, seq_to, entries, root, previous, hash, leaves)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""
SUMMARIZE: Final = "SELECT brin_summarize_new_values('transfers_by_seq')"
UNSEALED: Final = """
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END
           - coalesce((SELECT seq_to FROM seals ORDER BY batch_no DESC LIMIT 1), 0) FROM transfers_seq_seq"""
ONE_CORE: Final = "SET max_parallel_workers_per_gather = 0"
"""The sealer has time; those who write want the cores."""
DAYS_TO_PUBLISH: Final = """
    SELECT DISTINCT day FROM seals WHERE day < $1 AND day > coalesce((SELECT max(day) FROM roots), '-infinity') ORDER BY day"""
SEALS_OF_DAY: Final = """
    SELECT batch_no, day, seq_after, seq_to, entries, root, previous FROM seals WHERE day = $1 ORDER BY batch_no"""
ROOTS: Final = "SELECT day, day_no, batch_from, batch_to, entries, day_root, root FROM roots ORDER BY day_no"
PUBLISH: Final = """
    WITH told AS (INSERT INTO outbox (records, events) VALUES ($8, 1))
    INSERT INTO roots (day, day_no, batch_from, batch_to, entries, day_root, root) VALUES ($1, $2, $3, $4, $5, $6, $7)"""
"""One statement, so a root is never published without being told, nor told without being published."""
OLDEST_UNSEALED_AGE: Final = """
    SELECT coalesce(extract(epoch FROM now() - min(recorded_at)), 0)::float8 FROM transfers
    WHERE seq > coalesce((SELECT seq_to FROM seals ORDER BY batch_no DESC LIMIT 1), 0)"""
SOURCE: Final = "/tenure/points-ledger"


@dataclass(slots=True)
class Sealer:
    """One leader's work. `seal` seals what is settled, `publish` the days that are over."""

    conn: Connection
    floor: Floor = field(default_factory=lambda: Floor(of=JOURNAL))
    _sealed_at: float = field(default_factory=time.monotonic)

    async def seal(self, day: date, *, at_once: bool = False) -> int:
        """Seal what is settled, whole batches first; a smaller rest when it has waited long enough, or `at_once`.

        Returns how many entries were sealed.
        """
        await self.floor.look(self.conn)
        batch_no, after, previous = await self.conn.fetchrow(NEWEST) or (0, 0, merkle.NOTHING)
        sealed = 0
        while after < self.floor.settled:
            to = min(after + ENTRIES_MAX, self.floor.settled)
            if not self._is_time(to - after, at_once=at_once):
                break
            while not (rows := await self.conn.fetch(e.SEALED, after, to)) and to < self.floor.settled:
                to = min(to + ENTRIES_MAX, self.floor.settled)  # numbers that were drawn in vain
            if not rows:
                break
            reach("sealer.read")
            previous = await self._seal(batch_no + 1, day, (after, to), rows, previous)
            batch_no, after, sealed = batch_no + 1, to, sealed + len(rows)
        return sealed

    def _is_time(self, waiting: int, *, at_once: bool) -> bool:
        return at_once or waiting >= ENTRIES_MAX or time.monotonic() >= self._sealed_at + SEAL_AFTER_S

    async def _seal(self, no: int, day: date, seqs: tuple[int, int], rows: list[Any], previous: bytes) -> bytes:
        leaves = await _leaves(rows)
        seal = e.Seal(no, day, *seqs, len(leaves), await asyncio.to_thread(merkle.root, leaves), previous)
        hashed = seal.hash
        columns = (no, day, *seqs, seal.entries, seal.root, previous, hashed)
        await self.conn.execute(SEAL, *columns, b"".join(leaves))
        reach("sealer.sealed")
        await self.conn.execute(SUMMARIZE)
        self._sealed_at = time.monotonic()
        return hashed

    async def publish(self, today: date) -> list[e.Root]:
        """Publish the days before `today` that sealed anything. Returns them."""
        found: list[e.Root] = []
        for (day,) in await self.conn.fetch(DAYS_TO_PUBLISH, today):
            before = [e.Root(*row) for row in await self.conn.fetch(ROOTS)]
            seals = [e.Seal(*row) for row in await self.conn.fetch(SEALS_OF_DAY, day)]
            root = e.publish(day, seals, before)
            reach("sealer.rooted")
            await self.conn.execute(PUBLISH, *_columns(root), outbox.pack([_told(root)]))
            reach("sealer.published")
            log.info("root_published", day=day.isoformat(), root=root.root.hex(), entries=root.entries)
            found.append(root)
        return found


def _columns(root: e.Root) -> tuple[Any, ...]:
    return (root.day, root.day_no, root.batch_from, root.batch_to, root.entries, root.day_root, root.root)


def _told(root: e.Root) -> Outgoing:
    """The root as an event, so that whoever keeps it elsewhere has it without asking. Its id is its day."""
    return encode(event_of(_data(root), id=f"root-{root.day}", source=SOURCE, time=start_of(root.day + DAY)))


def _data(root: e.Root) -> RootPublished:
    return RootPublished(day=root.day, day_no=root.day_no, entries=root.entries, root=root.root.hex())


async def _leaves(rows: list[Any]) -> list[bytes]:
    """The hashes of entries; heartbeats share this loop."""
    found: list[bytes] = []
    for n, row in enumerate(rows, 1):
        found.append(e.leaf_of(row))
        if n % ROWS_BETWEEN_BREATHS == 0:
            await asyncio.sleep(0)
    return found


async def seal_entries(worker: Worker) -> None:
    """Seal and publish, if nobody else does, until the worker stops."""
    name = worker.door.service.name
    metrics.leading.labels(name, "sealer").set(0)
    backoff, lost = Backoff(stopping=worker.stopping, of=(name, "sealer")), lost_sessions()
    while not worker.stopping.is_set():
        try:
            await _lead(worker, lost, backoff)
        except _WAITED_FOR as error:
            log.warning("sealer_waits", reason=str(error)[:200])
            await backoff.wait(error)


async def _lead(worker: Worker, lost: deque[int], backoff: Backoff) -> None:
    async with leading(worker.door.pool, LOCK, worker.stopping, lost) as conn:
        if conn is None:
            return
        with metrics.leading.labels(worker.door.service.name, "sealer").track_inprogress():
            await conn.execute(ONE_CORE)
            sealer = Sealer(conn)
            while not worker.stopping.is_set():
                today = await worker.today()
                await sealer.seal(today)
                if published := await sealer.publish(today):
                    count_told(worker.door.service.name, [_data(root) for root in published])
                    worker.wake_relay.set()
                backoff.succeeded()
                await wait_or(worker.stopping, LOOK_EVERY_S)
