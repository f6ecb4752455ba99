"""One at a time, whatever dies: a lock that a PostgreSQL session holds for as long as it lives.

The invariant: a leader that is gone, stopped or cut off does not lead for ever. The session of one that says nothing for
`SILENCE_MAX_S` is ended by PostgreSQL, and with it the lock; one that ends in an error is dropped here, not handed back.

A network that swallows leaves a session behind that nobody speaks to and that holds the lock: whoever led in this process before
and lost the session ends it first, or it would stand in its own way for as long.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg
from asyncpg.connection import Connection

from tenure.spine.retry import wait_or

ASK_EVERY_S: Final = 1.0
ACQUIRE_TIMEOUT_S: Final = 10.0
LOST_SESSIONS_MAX: Final = 16
SILENCE_MAX_S: Final = 90
"""Longer than any step of a leader: the deadline of a send and of closing a producer, together."""

TRY_LOCK: Final = "SELECT pg_try_advisory_lock($1)"
LIMIT_SILENCE: Final = f"SET idle_session_timeout = '{SILENCE_MAX_S}s'"
FORGET_SILENCE: Final = "RESET idle_session_timeout"
END_LOST: Final = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = $1 AND pid = ANY ($2::int[])
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
UNLOCK: Final = "SELECT pg_advisory_unlock($1)"


def lost_sessions() -> deque[int]:
    """Of one who leads: the newest sessions that may have led and were lost."""
    return deque(maxlen=LOST_SESSIONS_MAX)


@asynccontextmanager
async def leading(
    pool: "asyncpg.Pool[asyncpg.Record]", lock: int, stopping: asyncio.Event, lost: deque[int]
) -> AsyncIterator[Connection | None]:
    """The leader's session, once nobody else leads; None if `stopping` came first. It is to be used at least every minute.

    `lost` is kept by whoever leads, from one time to the next.
    """
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as pooled:
        conn: Connection = pooled  # type: ignore[assignment]
        session = conn.get_server_pid()
        try:
            if lost:
                await conn.execute(END_LOST, lock, list(lost))
                lost.clear()
            while not await conn.fetchval(TRY_LOCK, lock):
                if await wait_or(stopping, ASK_EVERY_S):
                    yield None
                    return
            await conn.execute(LIMIT_SILENCE)
            yield conn
            await conn.execute(FORGET_SILENCE)
            await conn.execute(UNLOCK, lock)
        except BaseException:
            lost.append(session)
            with suppress(asyncpg.InterfaceError):  # a session that was closed under us is the pool's again already
                conn.terminate()
            raise
