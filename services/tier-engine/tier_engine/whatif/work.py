"""Works on simulations, one at a time and beside everything else: a page of members is read, weighed in another process, kept.

The invariant: members are only read, all as they were at one instant. A worker that dies leaves a lease that ends; the next one
goes on after the last page kept.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from asyncpg.connection import Connection
from tenure.spine.retry import WORLD_DOWN, Backoff, wait_or
from tenure.spine.transact import Door

from tier_engine.whatif import store
from tier_engine.whatif.process import Weighing, WeighingFailedError, weighing
from tier_engine.whatif.report import result
from tier_engine.whatif.store import Job

if TYPE_CHECKING:
    from tenure.spine.runtime import Worker

log: Final = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 1.0
MEMBERS_MAX: Final = 2_000
"""Of one page: a third of a second of weighing, a megabyte on its way."""

Rows = Sequence[tuple[str, bytes]]


async def simulate(worker: "Worker") -> None:
    """Work on whatever simulation waits; runs until the worker stops."""
    backoff = Backoff(stopping=worker.stopping, of=(worker.door.service.name, "simulate"))
    while not worker.stopping.is_set():
        try:
            worked = await simulate_one(worker.door, worker.stopping)
            backoff.succeeded()
        except WORLD_DOWN as error:
            await backoff.wait(error)
            continue
        if not worked:
            await wait_or(worker.stopping, LOOK_EVERY_S)


async def simulate_one(door: Door, stopping: asyncio.Event) -> bool:
    """Take a simulation and work on it to its end, or until told to stop. False: there was none."""
    job = await door.keep(store.take)
    if job is None:
        return False
    run = _Run(door, job)
    try:
        await run.copy()
        async with weighing(job.question) as scales:
            if await run.all_pages(scales, stopping):
                await run.finish()
    except WeighingFailedError as failure:
        log.exception("simulation_failed", simulation_id=job.simulation_id)
        await run.fail(str(failure))
    return True


class _Run:
    """One worker's work on one simulation."""

    def __init__(self, door: Door, job: Job) -> None:
        self.door, self.job = door, job

    async def copy(self) -> None:
        """The instant whose members are weighed."""
        if not self.job.counted:
            await self.door.keep(lambda conn: store.copy_members(conn, self.job.simulation_id))

    async def all_pages(self, scales: Weighing, stopping: asyncio.Event) -> bool:
        """Page after page to the last one. False: told to stop, or somebody else went on from here."""
        rows: Rows = await self._page_after(self.job.after)
        while rows:
            if stopping.is_set():
                await self.door.keep(lambda conn: conn.execute(store.LET_GO, self.job.simulation_id, self.job.after))
                return False
            following = await self._weigh(rows, scales)
            if following is None:
                return False
            rows = following
        return True

    async def _weigh(self, rows: Rows, scales: Weighing) -> Rows | None:
        """One page; the next one is read meanwhile. None: somebody else went on."""
        states, sums = [state for _, state in rows], self.job.sums
        weighed, following = await asyncio.gather(scales.weigh(states), self._page_after(rows[-1][0]))
        sums.add(weighed)

        async def kept(conn: Connection) -> bool:
            return await store.go_on(conn, self.job, after=rows[-1][0], sums=sums, changed=weighed.changed)

        if not await self.door.keep(kept):
            return None
        listed = min(store.LISTED_MAX, self.job.listed + len(weighed.changed))
        self.job = msgspec.structs.replace(self.job, after=rows[-1][0], listed=listed)
        return following

    async def _page_after(self, member_id: str) -> Rows:
        return await store.page(self.door.pool, self.job.simulation_id, member_id, MEMBERS_MAX)

    async def finish(self) -> None:
        job, programme = self.job, await self.door.follow_rules(self.door.pool)
        found = result(job.question, job.sums, programme.benefits.at(job.question.as_of), listed=job.listed)
        text = msgspec.json.encode(found)
        await self.door.keep(lambda conn: store.finish(conn, job, result=text))
        log.info("simulation_done", simulation_id=job.simulation_id, members=job.sums.members)

    async def fail(self, why: str) -> None:
        await self.door.keep(lambda conn: store.finish(conn, self.job, error=why))
