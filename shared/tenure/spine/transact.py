"""The one write door: claim, load, decide, save, emit, in ONE PostgreSQL transaction (DESIGN section 1).

Whatever wants to change a service's state, a poll of records, a caller over HTTP, a day that came, passes here as `Item`s, many
at once. Nothing else begins or commits a transaction, and `tools/write_door.py` keeps it so.

Two failures only. The event is wrong: it alone is parked (or its caller told), in the same transaction, and later events of its
key queue behind it. The world is down: the exception leaves, nothing happened, the caller tries again.

Locks are taken in one order: claims by event, turns by parked key, states by key. Where two transactions still meet in a ring (a
service may lock more), PostgreSQL ends one, and it is done again here, whole.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, NamedTuple, TypeVar

import asyncpg
from asyncpg.connection import Connection

from tenure.contracts.event import Data
from tenure.pool import give_up
from tenure.rulebook.book import Rulebook
from tenure.service import Service
from tenure.spine import answers, parking
from tenure.spine.batch import NEWEST_DAY, Batch
from tenure.spine.effects import NewId
from tenure.spine.faults import reach
from tenure.spine.item import Idempotency, Item, OtherBodyError, Outcome
from tenure.spine.log import Position
from tenure.spine.progress import GO_BACK, Reached
from tenure.spine.retry import is_fault_of_the_data
from tenure.telemetry import metrics
from tenure.telemetry.figures import count_told

__all__ = ["NEWEST_DAY", "Door", "Due", "Idempotency", "Item", "OtherBodyError", "Outcome"]
ACQUIRE_TIMEOUT_S: Final = 5.0
TRIES_MAX: Final = 4
TRY_AGAIN_S: Final = 0.01
START_DAY: Final = """
INSERT INTO calendar (day) VALUES ($1) ON CONFLICT (one) DO UPDATE SET day = greatest(calendar.day, excluded.day)
"""
T = TypeVar("T")


class Due(NamedTuple):
    """What became of due work: how many keys lived through the day, and which could not, with why."""

    done: int
    refused: dict[str, str]


@dataclass(slots=True)
class Door:
    """The write door of one service on one database. `programme` is the newest known: the files', and what was published since."""

    service: Service[Any]
    pool: "asyncpg.Pool[asyncpg.Record]"
    programme: Any
    source: str = ""
    acquire_timeout_s: float = ACQUIRE_TIMEOUT_S
    new_id: NewId | None = None  # of every effect, as a simulation draws it; else it follows from the cause
    on_told: Callable[[], None] = lambda: None  # something waits in the outbox; whoever relays it here need not look
    rulebook: Rulebook = field(init=False)

    def __post_init__(self) -> None:
        self.source = self.source or f"/tenure/{self.service.name}"
        own, other = bool(self.service.rulebooks), bool(self.service.follows)
        self.rulebook = Rulebook(self.programme, owns=own, follows=other)

    async def follow_rules(self, reader: Any) -> Any:
        """The programme by now, for whoever judges: a transaction asks inside itself, a read before it answers."""
        self.programme = await self.rulebook.newest(reader)
        return self.programme

    async def recent_rules(self, reader: Any) -> Any:
        """The programme for whoever only reads: of rules that others own, as known a second ago at the earliest."""
        self.programme = await self.rulebook.recent(reader)
        return self.programme

    async def transact(
        self,
        items: Sequence[Item],
        *,
        positions: Sequence[Reached] = (),
        day: date | None = None,
        lock_timeout_ms: int | None = None,
    ) -> list[Outcome]:
        """Apply items in order; remember how far the log was read and which day started.

        Raises what PostgreSQL raises: for a fault of the data (`is_fault_of_the_data`) the caller halves the batch, for
        everything else it tries again; either way nothing happened. Raises RecordWentBackError where less is recorded than
        `positions` know. `lock_timeout_ms`: wait less long for locked rows than the settings say.
        """

        async def once() -> list[Outcome]:
            async with self._transaction() as conn:
                reach("transact.begun")
                if lock_timeout_ms is not None:
                    await conn.execute(f"SET LOCAL lock_timeout = {lock_timeout_ms}")
                batch = self._batch(conn, items)
                await batch.claim()
                await batch.decide()
                await batch.save(positions)
                if day is not None:
                    await conn.execute(START_DAY, day)
                reach("transact.before_commit")
            self._committed(batch)
            return batch.outcomes

        return await _whole(self.service.name, once)

    async def transact_whole(self, items: Sequence[Item], asked: Idempotency, body: bytes) -> Outcome:
        """Apply all items or none, and keep `body` as the answer with them; asked again, only the answer comes.

        Raises the first refusal, and what PostgreSQL raises.
        """
        done: list[Batch] = []

        async def apply(conn: Connection) -> bytes:
            batch = self._batch(conn, items)
            await batch.claim()
            await batch.decide()
            _none_may_be_refused(batch.outcomes)
            await batch.save()
            done[:] = [batch]
            reach("transact.before_commit")
            return body

        outcome = await self.answer_once(asked, apply)
        if not outcome.seen:
            self._committed(done[0])
        return outcome

    def _committed(self, batch: Batch) -> None:
        reach("transact.committed")
        self.programme = batch.programme
        if batch.records:
            self.on_told()
        if batch.heard:
            self.rulebook.asked_at = float("-inf")
        count_told(self.service.name, batch.told)
        batch.end_spans()

    async def fall_due(self, day: date, *, keys_max: int, aside: frozenset[str] = frozenset()) -> Due:
        """Let up to `keys_max` keys live through `day`, none of those `aside`. Any number of workers may call it at once.

        A key that cannot (a rule or the database refuses) is passed over and stays due: put it aside for a while.
        """

        async def once() -> Due:
            told: list[Data] = []
            async with self._transaction() as conn:
                assert self.service.due is not None
                await self.follow_rules(conn)
                found = await self.service.due(conn, day, keys_max + len(aside))
                keys = [key for key in found if key not in aside][:keys_max]
                refused = await self._live_through(conn, keys, day, told)
            count_told(self.service.name, told)
            return Due(len(keys) - len(refused), refused)

        return Due(0, {}) if self.service.due is None else await _whole(self.service.name, once)

    async def _live_through(self, conn: Connection, keys: list[str], day: date, told: list[Data]) -> dict[str, str]:
        """What the database refuses is halved down to the key that is at fault; the locks of `due` outlive the savepoints."""
        if not keys:
            return {}
        batch = self._batch(conn, [Item(self.service.day_reached(key, day)) for key in keys])
        try:
            async with conn.transaction():
                await batch.decide()
                await batch.save()
        except Exception as error:
            if not is_fault_of_the_data(error):
                raise
            if len(keys) == 1:
                return {keys[0]: f"data_refused: {type(error).__name__}"}
            middle = len(keys) // 2
            first = await self._live_through(conn, keys[:middle], day, told)
            return first | await self._live_through(conn, keys[middle:], day, told)
        told += batch.told
        batch.end_spans()
        return {key: str(o.wrong) for key, o in zip(keys, batch.outcomes, strict=True) if o.wrong is not None}

    async def go_back(self, positions: Sequence[Position]) -> None:
        """Write that these partitions are read again from earlier places: the log no longer reaches to where they were."""
        async with self._transaction() as conn:
            await conn.execute(GO_BACK, *map(list, zip(*positions, strict=True)))

    def _batch(self, conn: Connection, items: Sequence[Item]) -> Batch:
        return Batch(self.service, self.rulebook, self.source, conn, items, self.new_id)

    async def leave_park(self, seqs: Sequence[int], *, action: str, actor: str, reason: str) -> int:
        """Discard parked events, audited. Returns how many."""
        async with self._transaction() as conn:
            return await parking.leave(conn, seqs, action=action, actor=actor, reason=reason)

    async def discard(self, seqs: Sequence[int], *, actor: str, reason: str, asked: Idempotency) -> Outcome:
        """`leave_park` for a caller over HTTP: asked twice it is done once, and answered twice alike."""

        async def leave(conn: Connection) -> bytes:
            done = await parking.leave(conn, seqs, action="discarded", actor=actor, reason=reason)
            return b'{"discarded":%d}' % done

        return await self.answer_once(asked, leave)

    async def keep(self, do: Callable[[Connection], Awaitable[T]]) -> T:
        """One transaction for a service's own bookkeeping, such as how far a long job is: no member's state, nothing told."""

        async def once() -> T:
            async with self._transaction() as conn:
                return await do(conn)

        return await _whole(self.service.name, once)

    async def keep_answer(self, asked: Idempotency, body: bytes) -> Outcome:
        """Keep the answer to something that was done in transactions of its own, and does no harm done again."""

        async def same(_: Connection) -> bytes:
            return body

        return await self.answer_once(asked, same)

    async def claim(self, asked: Idempotency) -> Outcome | None:
        """Claim the key of what will take several transactions, each safe to do again; its answer, if it was given before."""
        async with self._transaction() as conn:
            await answers.claim(conn, asked)
            return await _answered(conn, asked)

    async def is_claimed(self, asked: Idempotency) -> bool:
        """Whether this was asked before, answered or not."""
        async with self.pool.acquire(timeout=self.acquire_timeout_s) as conn:
            return bool(await answers.given_before(conn, [(asked.caller, asked.key)]))  # type: ignore[arg-type]

    async def answered(self, asked: Idempotency) -> Outcome | None:
        """The answer this was given before, if it was."""
        async with self.pool.acquire(timeout=self.acquire_timeout_s) as conn:
            return await _answered(conn, asked)  # type: ignore[arg-type]

    async def answer_once(self, asked: Idempotency, do: Callable[[Connection], Awaitable[bytes]]) -> Outcome:
        """Do something in one transaction and keep its answer with it; asked again, only the answer comes."""

        async def once() -> Outcome:
            async with self._transaction() as conn:
                await answers.claim(conn, asked)
                if (before := await _answered(conn, asked)) is not None:
                    return before
                body = await do(conn)
                outcome = Outcome(body=body)
                await answers.end(conn, asked, body)
                return outcome

        try:
            return await _whole(self.service.name, once)
        except asyncpg.UniqueViolationError:  # another process was asked the same, and was quicker
            return await once()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        """Undone unless it ends well. A session that no longer answers is given up: a rollback would take as long again."""
        async with self.pool.acquire(timeout=self.acquire_timeout_s) as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                yield conn  # type: ignore[misc]
            except BaseException as error:
                if isinstance(error, TimeoutError):
                    give_up(conn)
                with suppress(asyncpg.InterfaceError):  # it is gone already
                    await transaction.rollback()
                raise
            await transaction.commit()


async def _whole(service: str, once: Callable[[], Awaitable[T]]) -> T:
    """Do it again, from its beginning, when it met another transaction in a ring: PostgreSQL has undone all of it."""
    for attempt in range(1, TRIES_MAX):
        try:
            return await once()
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
            reason = "deadlock" if isinstance(error, asyncpg.DeadlockDetectedError) else "serialization"
            metrics.transactions_retried.labels(service, reason).inc()
            await asyncio.sleep(TRY_AGAIN_S * 2**attempt * (0.5 + random.random()))
    return await once()


async def _answered(conn: Connection, asked: Idempotency) -> Outcome | None:
    rows = await answers.given_before(conn, [(asked.caller, asked.key)])
    return answers.again(rows[0], asked) if rows and not answers.is_claimed(rows[0], asked) else None


def _none_may_be_refused(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.wrong is not None:
            raise outcome.wrong
