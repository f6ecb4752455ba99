"""Many callers, one transaction: whoever arrives while a transaction is in flight is gathered into the next one.

The invariants: every caller gets exactly its own outcomes, in its order; an item the database refuses harms nobody
but itself (the batch is halved until it stands alone), and one whose row somebody else holds keeps only its own callers
waiting: once a lock was not let go in time, no transaction waits long for one for a while; a caller that goes away
neither stops the batch nor leaks a connection, because the transaction runs in a task of its own. One transaction is in
flight at a time, so items of one key keep the order they came in.
"""

import asyncio
import contextvars
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import asyncpg

from tenure.contracts.event import WrongEventError
from tenure.spine.retry import is_fault_of_the_data
from tenure.spine.transact import Item, Outcome

BACKOFF_S: Final = 0.02
RETRY_AFTER_S: Final = 1
HASTY_FOR_S: Final = 5.0
HASTY_LOCK_MS: Final = 100
"""While rows are known to be held, no transaction waits longer for one: hundreds of callers may be behind it."""


class OverloadedError(Exception):
    """More work waits than the queue may hold; come back after `retry_after_s`."""

    retry_after_s = RETRY_AFTER_S


class Transacts(Protocol):
    """The one method of a `Door` that is needed here."""

    async def transact(self, items: Sequence[Item], *, lock_timeout_ms: int | None = None) -> list[Outcome]: ...


@dataclass(slots=True, eq=False)
class _Waiting:
    items: Sequence[Item]
    answer: asyncio.Future[list[Outcome]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, results: Sequence[Outcome | Exception]) -> None:
        """Hand the results over, unless the caller went away meanwhile."""
        if self.answer.done():
            return
        failure = next((r for r in results if isinstance(r, Exception)), None)
        if failure is not None:
            self.answer.set_exception(failure)
        else:
            self.answer.set_result([r for r in results if isinstance(r, Outcome)])


class Gatherer:
    """The queue in front of one write door."""

    def __init__(
        self,
        door: Transacts,
        *,
        batch_items_max: int = 256,
        queue_items_max: int = 4_096,
        wait_s_max: float = 10.0,
        tries_max: int = 4,
        close_s_max: float = 1.0,
        gathered: Callable[[float], None] | None = None,
    ) -> None:
        assert 0 < batch_items_max <= queue_items_max
        assert tries_max > 0
        self.door = door
        self.batch_items_max, self.queue_items_max = batch_items_max, queue_items_max
        self.wait_s_max, self.tries_max, self.gathered = wait_s_max, tries_max, gathered
        self.close_s_max = close_s_max
        self._queue: deque[_Waiting] = deque()
        self._queued_items = 0
        self._runner: asyncio.Task[None] | None = None
        self._closed = False
        self._hasty_until = 0.0

    @property
    def queued_items(self) -> int:
        return self._queued_items

    async def submit(self, items: Sequence[Item]) -> list[Outcome]:
        """Do these, with whatever else waits. One outcome per item, in order; each item stands or falls alone.

        Raises OverloadedError when too much waits, TimeoutError after `wait_s_max` (whether it was done is then
        unknown: ask again under the same idempotency key), and what PostgreSQL raises when it is down.
        """
        if not items:
            return []
        if self._closed or (self._queue and self._queued_items + len(items) > self.queue_items_max):
            raise OverloadedError
        waiting = _Waiting(items)
        self._queue.append(waiting)
        self._queued_items += len(items)
        if self._runner is None:
            # A context of its own: the batch serves many callers, none of whose trace or log fields it may carry.
            self._runner = asyncio.create_task(self._run(), name="gatherer", context=contextvars.Context())
        async with asyncio.timeout(self.wait_s_max):
            return await waiting.answer

    async def close(self) -> None:
        """Take no more, and return when what waits is done, or after `close_s_max`: its callers have gone by then."""
        self._closed = True
        if (runner := self._runner) is None:
            return
        _, late = await asyncio.wait([runner], timeout=self.close_s_max)
        for task in late:
            task.cancel()

    async def _run(self) -> None:
        batch: list[_Waiting] = []
        try:
            while batch := self._next_batch():
                await self._do(batch)
        finally:
            self._runner = None
            for waiting in (*batch, *self._queue):
                waiting.answer.cancel()

    def _next_batch(self) -> list[_Waiting]:
        """The longest head of the queue that fits; who left is dropped, and one idempotency key comes only once."""
        batch: list[_Waiting] = []
        size, asked = 0, set[tuple[str, str]]()
        while self._queue:
            head = self._queue[0]
            pairs = {(w.caller, w.key) for item in head.items if (w := item.idempotency) is not None}
            full = size + len(head.items) > self.batch_items_max or not asked.isdisjoint(pairs)
            if batch and full and not head.answer.done():
                break
            self._queue.popleft()
            self._queued_items -= len(head.items)
            if not head.answer.done():
                batch.append(head)
                size += len(head.items)
                asked |= pairs
        return batch

    async def _do(self, batch: Sequence[_Waiting]) -> None:
        items = [item for waiting in batch for item in waiting.items]
        if self.gathered is not None:
            self.gathered(len(items))
        results = await self._apply(items)
        at = 0
        for waiting in batch:
            waiting.settle(results[at : at + len(waiting.items)])
            at += len(waiting.items)

    async def _apply(self, items: Sequence[Item]) -> list[Outcome | Exception]:
        """The outcome of each item, or why the world did not let it happen."""
        try:
            return list(await self._transact(items))
        except Exception as error:  # noqa: BLE001 - it is handed to every caller it concerns
            if not _is_separable(error):
                return [error] * len(items)
            if isinstance(error, asyncpg.LockNotAvailableError):
                self._hasty_until = time.monotonic() + HASTY_FOR_S
            if len(items) == 1:
                return [_alone(error)]
        half = len(items) // 2
        return await self._apply(items[:half]) + await self._apply(items[half:])

    async def _transact(self, items: Sequence[Item]) -> list[Outcome]:
        for attempt in range(1, self.tries_max):
            try:
                return await self._once(items)
            except Exception as error:
                if not _is_passing(error):
                    raise
            await asyncio.sleep(BACKOFF_S * 2**attempt * (0.5 + random.random()))
        return await self._once(items)

    async def _once(self, items: Sequence[Item]) -> list[Outcome]:
        hasty = time.monotonic() < self._hasty_until
        return await self.door.transact(items, lock_timeout_ms=HASTY_LOCK_MS if hasty else None)


def _is_passing(error: Exception) -> bool:
    """Two transactions met; the same batch succeeds when it is tried again.

    A second writer under the same idempotency key finds the first one's answer then.
    """
    if isinstance(error, asyncpg.UniqueViolationError):
        return error.table_name == "idempotency"
    return isinstance(error, (asyncpg.SerializationError, asyncpg.DeadlockDetectedError))


def _is_separable(error: Exception) -> bool:
    """One item's fault, or one item's locked row: the others can go on without it."""
    return is_fault_of_the_data(error) or isinstance(error, asyncpg.LockNotAvailableError)


def _alone(error: Exception) -> Outcome | Exception:
    if not is_fault_of_the_data(error):
        return error
    # The message of PostgreSQL may quote the row, so only the kind of the refusal is told.
    name = getattr(error, "constraint_name", None) or type(error).__name__
    return Outcome(wrong=WrongEventError("data_refused", f"the database refused the data: {name}"))
