"""The world is down: wait and try again, for ever, with jitter, visible in health. Which errors say that, and which the data."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from tenure.spine.log import RecordTooLarge, WorldDown
from tenure.telemetry import metrics

WAIT_FIRST_S: Final = 0.1
WAIT_MAX_S: Final = 5.0

DATABASE_DOWN: Final[tuple[type[BaseException], ...]] = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server's last word came between two questions; or a type was changed meanwhile
    asyncpg.PostgresConnectionError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # somebody works on it, and nobody is let in
    asyncpg.InvalidCatalogNameError,  # it is being put back, and is not there yet
    asyncpg.OperatorInterventionError,  # shutdown, not up yet, cancelled by a time limit
    asyncpg.InsufficientResourcesError,  # connections, memory, disk
    asyncpg.TransactionRollbackError,  # serialization failure, deadlock: the whole batch again
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresSystemError,  # the disk, the system under it
    asyncpg.ReadOnlySQLTransactionError,  # a failover: this server is not the primary any more
    asyncpg.InvalidCachedStatementError,  # a migration under way
)
"""What PostgreSQL and its driver raise when they are away or busy, whatever was asked."""
WORLD_DOWN: Final[tuple[type[BaseException], ...]] = (WorldDown, OSError, TimeoutError, *DATABASE_DOWN)


def is_fault_of_the_data(error: BaseException) -> bool:
    """Whether PostgreSQL refused the data itself (halve the batch), rather than being down or busy (try again)."""
    return (
        isinstance(error, (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError))
        or (isinstance(error, (ValueError, TypeError, OverflowError)) and not isinstance(error, asyncpg.InterfaceError))
        or (isinstance(error, asyncpg.InterfaceError) and "invalid input for query argument" in str(error))
    )


@dataclass(slots=True)
class Backoff:
    """Waits that grow from a tenth of a second to five, with full jitter; `failures` in a row, and the newest reason.

    `of` is the service and the task that waits, for the metrics.
    """

    failures: int = 0
    reason: str = ""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    of: tuple[str, str] | None = None

    def succeeded(self) -> None:
        self.failures, self.reason = 0, ""

    async def wait(self, error: BaseException) -> None:
        """Wait before the next try; returns at once when stopping."""
        self.failures += 1
        if self.of is not None:
            world = "broker" if isinstance(error, (WorldDown, RecordTooLarge)) else "database"
            metrics.waits.labels(*self.of, world).inc()
        self.reason = f"{type(error).__name__}: {error}"[:300]
        longest = min(WAIT_MAX_S, WAIT_FIRST_S * 2 ** min(self.failures - 1, 10))
        await wait_or(self.stopping, random.uniform(longest / 2, longest))


async def wait_or(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event at most so long. Returns whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
