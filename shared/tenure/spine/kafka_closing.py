"""Closing Kafka clients, on a broker that may be dead.

The invariant: whatever a client does while it is closed stays there, a cancellation of its own among it, and takes a bounded time;
and nothing of it goes on afterwards.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer

log: Final = structlog.get_logger(__name__)
_LET_GO_S: Final = 0.1


async def ended(ending: Callable[[], Coroutine[Any, Any, None]], deadline_s: float) -> bool:
    """Let a client end something. Whether it did, well and in time.

    The library cancels tasks of its own when it closes, and waits for them: one that was just pausing lets that cancellation out,
    and whoever awaits the closing would take it for his own end. So it has a task to itself.
    """
    task = asyncio.create_task(ending())
    try:
        await asyncio.wait([task], timeout=deadline_s)
    finally:
        _give_up([task])
    if not task.done():
        await asyncio.wait([task], timeout=_LET_GO_S)
        return False
    if (reason := _look_at(task)) is not None:
        log.info("client_did_not_end_well", reason=reason)
    return reason is None


async def put_away(client: AIOKafkaConsumer, deadline_s: float) -> None:
    """Stop a consumer, so that it leaves its group; one that cannot be stopped in time is given up, and nothing of it goes on."""
    if await ended(client.stop, deadline_s):
        return
    _give_up(_left_going(client))
    await ended(client._client.close, deadline_s)  # noqa: SLF001 - there is no public way to give up


def _left_going(client: AIOKafkaConsumer) -> "list[asyncio.Task[Any] | None]":
    """Heartbeats that would keep its place in the group, fetches for nobody."""
    coordinator, fetcher = getattr(client, "_coordinator", None), getattr(client, "_fetcher", None)
    of_the_group = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task", "_reset_committed_task")
    named = [*((coordinator, name) for name in of_the_group), (fetcher, "_fetch_task")]
    return [*(getattr(owner, name, None) for owner, name in named), *getattr(fetcher, "_pending_tasks", ())]


def _give_up(tasks: "Iterable[asyncio.Task[Any] | None]") -> None:
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
