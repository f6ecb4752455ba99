"""A pool of connections that says how full it is: in use, idle, waited for, and who got none in time.

The invariants: nobody waits for a connection without a limit, also where none was named; what is measured is asked of the pool
itself when somebody looks, so that no path that forgets to count can lie.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Self
from weakref import ref

import asyncpg
from asyncpg.connection import Connection
from asyncpg.pool import Pool, PoolAcquireContext

from tenure.telemetry import metrics

ACQUIRE_S_MAX: Final = 5.0


class Lent(PoolAcquireContext):
    """A connection for the time being. One that did not answer in time is given up, for to put it back asks it again."""

    __slots__ = ()

    async def __aexit__(self, *exc: object) -> None:
        if self.connection is not None and any(isinstance(one, TimeoutError) for one in exc):
            give_up(self.connection)
        await super().__aexit__(*exc)


def give_up(connection: Any) -> None:
    """End a session without a word to the server, which undoes what was begun."""
    with suppress(asyncpg.InterfaceError):  # it was ended before
        connection.terminate()


class MeasuredPool(Pool):
    """An asyncpg pool; every way to a connection leads through `_acquire`."""

    __slots__ = ("__weakref__", "of", "waiting")
    of: str
    waiting: int

    @classmethod
    async def open(cls, url: str, *, of: str, size_max: int, **limits: Any) -> Self:
        """A pool that is connected, for the service `of`. Raises what connecting raises."""
        pool = cls(
            url,
            min_size=1,
            max_size=size_max,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            setup=None,
            loop=None,
            connection_class=Connection,  # type: ignore[arg-type]
            record_class=asyncpg.Record,
            **limits,
        )
        pool.of, pool.waiting = of, 0
        await pool
        pool._tell()
        return pool

    def acquire(self, *, timeout: float | None = None) -> Lent:
        return Lent(self, timeout)

    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's own signature
        began = time.perf_counter()
        self.waiting += 1
        try:
            connection = await super()._acquire(timeout or ACQUIRE_S_MAX)  # type: ignore[misc]
        except TimeoutError:
            metrics.pool_acquire_timeouts.labels(self.of).inc()
            raise
        finally:
            self.waiting -= 1
        metrics.pool_acquire_seconds.labels(self.of).observe(time.perf_counter() - began)
        return connection

    def _tell(self) -> None:
        """The newest pool of a service in a process is the one that is looked at."""
        here = ref(self)

        def ask(figure: Callable[[MeasuredPool], int]) -> Callable[[], float]:
            return lambda: figure(pool) if (pool := here()) is not None else 0.0

        connections = metrics.pool_connections
        connections.labels(self.of, "idle").set_function(ask(lambda p: p.get_idle_size()))
        connections.labels(self.of, "in_use").set_function(ask(lambda p: p.get_size() - p.get_idle_size()))
        metrics.pool_connections_max.labels(self.of).set_function(ask(lambda p: p.get_max_size()))
        metrics.pool_waiting_callers.labels(self.of).set_function(ask(lambda p: p.waiting))
        metrics.pool_acquire_timeouts.labels(self.of)
