"""The importer: one at a time on a platform, it reads what was started on to its end, from wherever the last one got.

The invariants: a chunk's facts pass the write door before the position is moved past them, so a kill between the two reads the
chunk again, and every fact of it is known already; a file that cannot be read ends as failed, with why.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from asyncpg.connection import Connection
from tenure.contracts.event import Data, Event, WrongEventError
from tenure.spine.codec import check_happened, latest_of, utc_now
from tenure.spine.leading import leading, lost_sessions
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door, Item
from uuid_utils import uuid7

from policy_sync import import_store
from policy_sync.commands import AdvanceImport
from policy_sync.recording import FACTS_AT_ONCE_MAX, Recording
from policy_sync.rehearsal import Rehearsal
from policy_sync.rules.imports import ImportState
from policy_sync.sources import catalogue
from policy_sync.sources.mapped import Finding, Mapped
from policy_sync.sources.mapping import SourceError
from policy_sync.sources.rows import FileError
from policy_sync.tally import Tally

if TYPE_CHECKING:
    from tenure.spine.runtime import Worker

log: Final = structlog.get_logger(__name__)
LOCK: Final = 7_200_011
LOOK_EVERY_S: Final = 0.5
ROWS_AT_ONCE: Final = 4_000
SOURCE: Final = "/tenure/policy-sync/imports"


async def read_on(worker: "Worker") -> None:
    """Read imports until stopped. One process leads; the others stand by."""
    backoff, lost = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "read_on")), lost_sessions()
    while not worker.stopping.is_set():
        try:
            async with leading(worker.door.pool, LOCK, worker.stopping, lost) as conn:
                while conn is not None and not worker.stopping.is_set():
                    await _said(worker, conn)
                    clock, told = worker.settings.clock, partial(_said, worker, conn)
                    if not await read_once(worker.door, worker.stopping, clock=clock, told=told):
                        await wait_or(worker.stopping, LOOK_EVERY_S)
        except WORLD_DOWN as error:
            log.warning("imports_wait", reason=str(error)[:200])
            await backoff.wait(error)


async def _said(worker: "Worker", conn: Connection) -> None:
    """A leader that says nothing for long would be ended; and what the chunk told is to be published."""
    worker.wake_relay.set()
    await conn.fetchval("SELECT 1")


async def _nobody() -> None:
    pass


async def read_once(
    door: Door, stopping: asyncio.Event, *, clock: str = "events", told: Callable[[], Awaitable[None]] = _nobody
) -> bool:
    """Read the oldest import that waits, to its end or until stopped. `told` after each chunk. Returns whether there was one."""
    found = await import_store.next_queued(door.pool)
    if found is None:
        return False
    with tempfile.NamedTemporaryFile(prefix="tenure-import-") as file:
        await import_store.spool(door.pool, found.id, file)
        try:
            await _Reading(door, found, Path(file.name), clock).run(stopping, told)
        except (SourceError, FileError) as wrong:
            await _advance(door, found.id, Tally(found.position), why=str(wrong))
    return True


class _Reading:
    """One import on its way."""

    def __init__(self, door: Door, found: ImportState, path: Path, clock: str) -> None:
        self.door, self.id, self.is_dry, self.clock = door, found.id, found.dry_run, clock
        self.position = 0 if found.dry_run else found.position
        self.is_anew = found.dry_run
        self.rows = catalogue.read(path, source=found.source, declaration=found.declaration, live_from=found.live_from)
        self.facts = Rehearsal(door) if found.dry_run else Recording(door)

    async def run(self, stopping: asyncio.Event, told: Callable[[], Awaitable[None]]) -> None:
        ahead = self._read_ahead()
        try:
            while not stopping.is_set() and (chunk := await ahead):
                ahead = self._read_ahead()
                await self._take(chunk)
                await told()
            if not stopping.is_set():
                await _advance(self.door, self.id, Tally(self.position), is_anew=self.is_anew, is_end=True)
        finally:
            ahead.cancel()
            self.facts.close()

    def _read_ahead(self) -> "asyncio.Task[list[Mapped]]":
        """The next rows, read while those before them are written."""
        latest = latest_of(self.clock, utc_now())
        chunk = asyncio.to_thread(_chunk, self.rows, self.position, latest)
        return asyncio.create_task(chunk, name="import-rows")

    async def _take(self, chunk: list[Mapped]) -> None:
        tally = Tally(self.position)
        tally.add_rows(chunk)
        tally.add_facts(chunk, await self.facts.take([e for row in chunk for e in row.events]))
        await _advance(self.door, self.id, tally, is_anew=self.is_anew)
        self.position, self.is_anew = tally.position, False


def _chunk(rows: Iterator[Mapped], after: int, latest: datetime | None) -> list[Mapped]:
    """The next rows after a position, not more than fit one transaction."""
    chunk, facts = list[Mapped](), 0
    for row in rows:
        if row.position <= after:
            continue
        chunk.append(_happened(row, latest))
        facts += len(row.events)
        if len(chunk) >= ROWS_AT_ONCE or facts >= FACTS_AT_ONCE_MAX // 2:
            break
    return chunk


def _happened(row: Mapped, latest: datetime | None) -> Mapped:
    """The row, or that it tells of what cannot have happened yet."""
    for event in row.events:
        try:
            check_happened(event, latest)
        except WrongEventError as wrong:
            then = f"{wrong.detail}: import it again then"
            return row._replace(events=(), wrong=(Finding(row.row, event.type, wrong.code, then),))
    return row


async def _advance(
    door: Door, import_id: str, tally: Tally, *, is_anew: bool = False, is_end: bool = False, why: str = ""
) -> None:
    command = AdvanceImport(
        import_id=import_id,
        position=tally.position,
        counts=tally.counts(),
        findings=tuple(sorted(tally.findings, key=lambda finding: finding[0])),
        is_anew=is_anew,
        is_end=is_end,
        why=why,
    )
    await door.transact([Item(_event(command))])


def _event(command: Data) -> Event:
    return Event(
        id=str(uuid7()), source=SOURCE, type=type(command).__name__, key="import", time=utc_now(), data=command
    )
