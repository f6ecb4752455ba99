"""One at a time, whatever dies: a lock that a PostgreSQL session holds for as long as it lives.

The invariant: a leader that is gone, stopped or cut off does not lead for ever. The session of one that says nothing for
`SILENCE_MAX_S` is ended by PostgreSQL, and with it the lock; one that ends in an error is dropped here, not handed back.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from asyncpg.connection import Connection

from tenure.spine.retry import wait_or

ASK_EVERY_S: Final = 1.0
ACQUIRE_TIMEOUT_S: Final = 10.0
SILENCE_MAX_S: Final = 90
"""Longer than any step of a leader: the deadline of a send and of closing a producer, together."""

TRY_LOCK: Final = "SELECT pg_try_advisory_lock($1)"
LIMIT_SILENCE: Final = f"SET idle_session_timeout = '{SILENCE_MAX_S}s'"
UNLOCK: Final = "SELECT pg_advisory_unlock($1)"


@asynccontextmanager
async def leading(
    pool: "asyncpg.Pool[asyncpg.Record]", lock: int, stopping: asyncio.Event
) -> AsyncIterator[Connection | None]:
    """The leader's session, once nobody else leads; None if `stopping` came first. It is to be used at least every minute."""
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as pooled:
        conn: Connection = pooled  # type: ignore[assignment]
        try:
            while not await conn.fetchval(TRY_LOCK, lock):
                if await wait_or(stopping, ASK_EVERY_S):
                    yield None
                    return
            await conn.execute(LIMIT_SILENCE)
            yield conn
            await conn.execute(UNLOCK, lock)
        except BaseException:
            conn.terminate()
            raise
