"""What the spine takes for asyncpg's pool and connections: the same calls, answered by a modelled store.

The invariant: whatever the spine asks is one of `statements`; what is not modelled raises at once, so that no statement passes
here unnoticed. `Weather` says what goes wrong on the way: before a statement, before a commit, and after it, when only the answer
is lost.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final

import asyncpg

from tenure.simulation.statements import STATEMENTS
from tenure.simulation.tables import Store, Transaction

in_hand: Final[ContextVar[Transaction]] = ContextVar("in_hand")
"""The transaction that the running task is in: whoever looks over a rule's shoulder finds it here."""


class Weather:
    """A calm day: nothing ever goes wrong. A simulation overrides it; whatever it raises reaches the spine.

    `silent`: this process ended without a word, so the server goes on believing in its sessions until it drops them.
    """

    silent = False

    async def statement(self) -> None: ...

    async def before_commit(self) -> None: ...

    async def after_commit(self) -> None: ...


class UndoneError(Exception):
    """Ends a transaction that somebody takes back."""


class Begun:
    """What the driver calls a transaction: a context, or step by step."""

    def __init__(self, context: Any) -> None:
        self._context = context

    async def __aenter__(self) -> None:
        await self.start()

    async def __aexit__(self, *error: object) -> None:
        await self._context.__aexit__(*error)

    async def start(self) -> None:
        await self._context.__aenter__()

    async def commit(self) -> None:
        await self._context.__aexit__(None, None, None)

    async def rollback(self) -> None:
        with suppress(UndoneError):
            await self._context.__aexit__(UndoneError, UndoneError(), None)


class Connection:
    def __init__(self, store: Store, weather: Weather) -> None:
        self.store, self.weather = store, weather
        self.tx: Transaction | None = None
        self.lost = False
        self.pid = store.next_number("session")

    def get_server_pid(self) -> int:
        return self.pid

    def transaction(self) -> "Begun":
        """The transaction, or inside one a savepoint."""
        return Begun(self._transaction())

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        if self.tx is not None:
            savepoint = self.tx.saved()
            try:
                yield
            except BaseException:
                self.tx.undo_to(savepoint)
                raise
            return
        await self.weather.statement()
        with self._begun() as tx:
            yield
            await self.weather.before_commit()
            self._check_alive()
            tx.take_effect()
            await self.weather.after_commit()

    @contextmanager
    def _begun(self) -> Iterator[Transaction]:
        tx = self.tx = Transaction(self.store)
        token = in_hand.set(tx)
        try:
            yield tx
        finally:
            in_hand.reset(token)
            if not self.weather.silent:
                tx.roll_back()
                self.tx = None

    async def fetch(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        await self.answering()
        statement = STATEMENTS.get(sql) or self.store.statements[sql]
        if self.tx is not None:
            return await statement(self, self.tx, *args)
        with self._begun() as tx:
            rows = await statement(self, tx, *args)
            tx.take_effect()
        return rows

    async def answering(self) -> None:
        """One statement's way to the server. Raises what goes wrong on it, and when the session was dropped meanwhile."""
        self._check_alive()
        await self.weather.statement()
        self._check_alive()

    async def execute(self, sql: str, *args: Any) -> None:
        await self.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> dict[str, Any] | None:
        return next(iter(await self.fetch(sql, *args)), None)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        row = await self.fetchrow(sql, *args)
        return None if row is None else next(iter(row.values()))

    def terminate(self) -> None:
        if not self.weather.silent:
            self.drop()

    def drop(self) -> None:
        """The session is gone, and with it its transaction and its locks."""
        self.lost = True
        if self.tx is not None:
            self.tx.roll_back()
        for lock in [n for n, owner in self.store.session_locks.items() if owner is self]:
            del self.store.session_locks[lock]

    def _check_alive(self) -> None:
        if self.lost:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


class Pool:
    """As many connections as are asked for."""

    def __init__(self, store: Store, weather: Weather | None = None) -> None:
        self.store, self.weather = store, weather or Weather()
        self.open: dict[Connection, None] = {}  # in order: a set of objects has another one in each run

    @asynccontextmanager
    async def acquire(self, *, timeout: float | None = None) -> AsyncIterator[Connection]:  # noqa: ARG002, ASYNC109 - asyncpg's
        conn = Connection(self.store, self.weather)
        self.open[conn] = None
        try:
            yield conn
        finally:
            conn.terminate()
            if conn.lost:
                self.open.pop(conn, None)

    def drop_sessions(self) -> None:
        """The server has not heard of them for too long."""
        for conn in self.open:
            conn.drop()
        self.open.clear()

    async def fetch(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        async with self.acquire() as conn:
            return await conn.fetch(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        async with self.acquire() as conn:
            return await conn.fetchval(sql, *args)
