"""The one place where the client library's errors become ours.

The invariants: inside `within`, a late or refused answer of the broker leaves as WorldDown and as nothing else; and whatever a
client does while it is closed (`ended`) stays there, a cancellation of its own among it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError

from tenure.spine.log import WorldDown

log: Final = structlog.get_logger(__name__)
_LET_GO_S: Final = 0.1


@asynccontextmanager
async def within(deadline_s: float, doing: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except TimeoutError as error:
        raise WorldDown(f"{doing}: no answer in {deadline_s:g} s") from error
    except (KafkaError, OSError) as error:
        raise WorldDown(f"{doing}: {error!r}") from error


async def ended(ending: Callable[[], Coroutine[Any, Any, None]], deadline_s: float) -> bool:
    """Let a client end something. Whether it did, well and in time.

    The library cancels tasks of its own when it closes, and waits for them: one that was just pausing lets that cancellation out,
    and whoever awaits the closing would take it for his own end. So it has a task to itself.
    """
    task = asyncio.create_task(ending())
    try:
        await asyncio.wait([task], timeout=deadline_s)
    finally:
        give_up([task])
    if not task.done():
        await asyncio.wait([task], timeout=_LET_GO_S)
        return False
    if (reason := _look_at(task)) is not None:
        log.info("client_did_not_end_well", reason=reason)
    return reason is None


def give_up(tasks: "Iterable[asyncio.Task[Any] | None]") -> None:
    """End what nobody waits for any more."""
    for task in tasks:
        if task is not None and not task.done():
            task.cancel()
            task.add_done_callback(_look_at)


def _look_at(task: "asyncio.Task[Any]") -> str | None:
    """What became of it, so that it is not reported as forgotten."""
    if task.cancelled():
        return "cancelled by itself"
    return None if (error := task.exception()) is None else repr(error)[:200]
