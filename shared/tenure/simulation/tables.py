"""What a modelled database holds, and what a transaction would change of it: READ COMMITTED with row locks, in plain dicts.

The invariants: nobody sees what is not committed; a commit applies everything or, undone, nothing; whoever needs a row that another
transaction changed waits until that one is over, and a ring of waiting is ended by an error, as PostgreSQL does.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final

import asyncpg

LOCK_TIMEOUT_S: Final = 2.0
GONE: Final = object()
"""Written in the place of a row that is deleted."""

Rows = dict[Any, Any]


class Transaction:
    """What one transaction has locked, and would write."""

    def __init__(self, store: "Store") -> None:
        self.store = store
        self.writes: dict[str, Rows] = {}
        self.held: list[Hashable] = []
        self.waits_for: Transaction | None = None
        self.over = asyncio.Event()
        self.virtual: int | None = None
        self.notes: list[Any] = []
        """What whoever works in this transaction wants to be known when it commits."""

    def get(self, table: str, key: Any) -> Any:
        """The row as this transaction sees it, or None."""
        written = self.writes.get(table)
        if written is not None and key in written:
            row = written[key]
            return None if row is GONE else row
        return self.store.tables[table].get(key)

    def all(self, table: str) -> Iterator[tuple[Any, Any]]:
        """Every row as this transaction sees it. For small tables."""
        written = self.writes.get(table) or {}
        for key, row in self.store.tables[table].items():
            if key not in written:
                yield key, row
        yield from ((key, row) for key, row in written.items() if row is not GONE)

    def put(self, table: str, key: Any, row: Any) -> None:
        self.writes.setdefault(table, {})[key] = row

    def delete(self, table: str, key: Any) -> None:
        self.put(table, key, GONE)

    def saved(self) -> tuple[dict[str, Rows], int]:
        """A savepoint."""
        return {table: dict(rows) for table, rows in self.writes.items()}, len(self.notes)

    def undo_to(self, savepoint: tuple[dict[str, Rows], int]) -> None:
        """Locks taken since are kept until the end: who waits for them waits longer than PostgreSQL would let them."""
        self.writes = savepoint[0]
        del self.notes[savepoint[1] :]

    def take(self, what: Hashable) -> bool:
        """Hold a row until the end if nobody else does. Whether it is held."""
        if what not in self.store.locks and not self.over.is_set():
            self.store.locks[what] = self
            self.held.append(what)
            return True
        return False

    async def lock(self, what: Hashable) -> bool:
        """Hold a row until the end. Returns whether somebody else had to be waited for.

        Raises DeadlockDetectedError, LockNotAvailableError.
        """
        waited = False
        locks = self.store.locks
        while (owner := locks.get(what)) is not self:
            if self.over.is_set():
                raise asyncpg.ConnectionDoesNotExistError("the session was dropped while it waited")
            if owner is None:
                locks[what] = self
                self.held.append(what)
                break
            waited = True
            await self._until_over(owner)
        return waited

    async def _until_over(self, owner: "Transaction") -> None:
        step: Transaction | None = owner
        while step is not None:
            if step is self:
                raise asyncpg.DeadlockDetectedError("deadlock detected")
            step = step.waits_for
        self.waits_for = owner
        try:
            async with asyncio.timeout(LOCK_TIMEOUT_S):
                await owner.over.wait()
        except TimeoutError:
            raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout") from None
        finally:
            self.waits_for = None

    def write_outbox(self) -> None:
        """Take the lock on the outbox's table that every INSERT and UPDATE takes. It excludes nobody."""
        if self.virtual is None:
            self.virtual = self.store.next_number("virtual transaction")
            self.store.writers[self.virtual] = self

    def take_effect(self) -> None:
        self.store.apply(self)
        self._end()

    def roll_back(self) -> None:
        if not self.over.is_set():
            self._end()

    def _end(self) -> None:
        for what in self.held:
            del self.store.locks[what]
        if self.virtual is not None:
            del self.store.writers[self.virtual]
        self.over.set()


class Store:
    """One service's database: the spine's tables, and the states its rules decided."""

    TABLES: Final = ("inbox", "outbox", "published", "progress", "parked", "parked_log", "idempotency", "calendar")

    def __init__(self, service: str, on_commit: Callable[["Store", Transaction], None] | None = None) -> None:
        self.service = service
        self.tables: dict[str, Rows] = {name: {} for name in (*self.TABLES, "states", "news", "messages", "queue")}
        self.waiting: set[int] = set()  # outbox rows that are not published, as an index knows them
        self.due: dict[Any, set[str]] = {}  # keys by the day something falls due, as an index knows them
        self.locks: dict[Hashable, Transaction] = {}
        self.session_locks: dict[int, Any] = {}  # advisory locks of sessions, and who holds them
        self.writers: dict[int, Transaction] = {}  # who holds the outbox's table lock, by virtual transaction
        self.on_commit = on_commit
        self.numbers: dict[str, int] = {}
        self.statements: dict[str, Any] = {}  # of the service itself, by their SQL, beside those of the spine

    def next_number(self, table: str) -> int:
        """An identity column: numbers are drawn at once, in whatever order transactions then commit."""
        self.numbers[table] = self.numbers.get(table, 0) + 1
        return self.numbers[table]

    def apply(self, tx: Transaction) -> None:
        if self.on_commit is not None and tx.writes:
            self.on_commit(self, tx)
        for table, written in tx.writes.items():
            if table == "outbox":
                self._index_waiting(written)
            elif table == "states":
                self._index_due(written)
            rows = self.tables[table]
            for key, row in written.items():
                if row is GONE:
                    rows.pop(key, None)
                else:
                    rows[key] = row

    def _index_waiting(self, written: Mapping[int, Any]) -> None:
        for seq, row in written.items():
            if row is GONE or row["published"]:
                self.waiting.discard(seq)
            else:
                self.waiting.add(seq)

    def _index_due(self, written: Mapping[str, Any]) -> None:
        states = self.tables["states"]
        for key, state in written.items():
            before, now = getattr(states.get(key), "due_on", None), getattr(state, "due_on", None)
            if before != now:
                if before is not None:
                    self.due[before].discard(key)
                if now is not None:
                    self.due.setdefault(now, set()).add(key)
