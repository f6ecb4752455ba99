"""Server-sent events: every open stream of this process, served by one look at the database at a time.

The invariants: the number of streams is bounded; one statement serves all of them however many there are, and none runs while
there are none; a slow reader holds back nobody, because it gets the newest row and never a queue of old ones. Looking costs
writers nothing, which a notification per commit would (PostgreSQL takes one lock for all of them).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, Final

import asyncpg
import structlog
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from tenure.edge import Problem
from tenure.spine.retry import WORLD_DOWN

log: Final = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 0.25
HEARTBEAT_S: Final = 15.0
STREAMS_MAX: Final = 1_000
STREAMS_PER_MEMBER_MAX: Final = 5
STREAM_S_MAX: Final = 900.0
RETRY_AFTER_S: Final = 5
HEARTBEAT: Final = b": still here\n\n"
_CHANGED: Final = """
SELECT m.member_id, m.version, m.rendered, m.worded_by FROM unnest($1::text[], $2::bigint[]) AS t (member_id, seen)
JOIN member_view m ON m.member_id = t.member_id AND m.version > t.seen
"""
Todays = Callable[[Sequence[Any]], Awaitable[list[bytes | None]]]
"""Rows as they look by the rules of the day they are shown on."""


@dataclass(slots=True, eq=False)
class Stream:
    """One reader: the newest row it has not got yet, and the version it has."""

    member_id: str
    version: int = -1
    newest: bytes | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: bool = False

    def put(self, version: int, rendered: bytes | None) -> None:
        if version > self.version:
            self.version, self.newest, self.gone = version, rendered, rendered is None
            self.ready.set()


class Streams:
    """The streams of one process."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        *,
        look_every_s: float = LOOK_EVERY_S,
        heartbeat_s: float = HEARTBEAT_S,
        streams_max: int = STREAMS_MAX,
        stream_s_max: float = STREAM_S_MAX,
        todays: Todays | None = None,
    ) -> None:
        self.pool, self.todays = pool, todays
        self.look_every_s, self.heartbeat_s = look_every_s, heartbeat_s
        self.streams_max, self.stream_s_max = streams_max, stream_s_max
        self.open: set[Stream] = set()
        self._looking: asyncio.Task[None] | None = None

    def subscribe(self, member_id: str) -> Stream:
        """A new stream; whoever took it must `close` it. Raises Problem overloaded when there are too many."""
        own = sum(s.member_id == member_id for s in self.open)
        if len(self.open) >= self.streams_max or own >= STREAMS_PER_MEMBER_MAX:
            raise Problem("overloaded", "too many open streams", retry_after_s=RETRY_AFTER_S)
        stream = Stream(member_id)
        self.open.add(stream)
        return stream

    async def events(self, stream: Stream, stopping: asyncio.Event | None = None) -> AsyncIterator[bytes]:
        """The row as it is, then whenever it changed; a heartbeat when nothing did. Ends with the member or the process.

        It ends after `stream_s_max`, too: readers come again by themselves, and show a token that is still good.
        """
        stopping, ends_at = stopping or asyncio.Event(), monotonic() + self.stream_s_max
        stopped = asyncio.create_task(stopping.wait())
        try:
            self._keep_looking()
            while not (stopping.is_set() or stream.gone or monotonic() >= ends_at):
                yield await self._next(stream, stopped)
        finally:
            stopped.cancel()
            self.close(stream)

    def close(self, stream: Stream) -> None:
        """Give up a stream, whether or not it ever began. Once is enough; twice does no harm."""
        self.open.discard(stream)
        if not self.open and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _next(self, stream: Stream, stopped: "asyncio.Task[bool]") -> bytes:
        ready = asyncio.create_task(stream.ready.wait())
        try:
            await asyncio.wait({ready, stopped}, timeout=self.heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not stream.ready.is_set():
            return HEARTBEAT
        stream.ready.clear()
        return message(stream)

    def _keep_looking(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_for_ever(), name="member-view:streams")

    async def _look_for_ever(self) -> None:
        while self.open:
            try:
                await self.look()
            except WORLD_DOWN as error:
                log.warning("streams_wait", reason=str(error)[:200])
            await asyncio.sleep(self.look_every_s)

    async def look(self) -> int:
        """Give every stream what changed since it last got something. Returns how many got something."""
        seen: dict[str, int] = {}
        for stream in self.open:
            seen[stream.member_id] = min(stream.version, seen.get(stream.member_id, stream.version))
        if not seen:
            return 0
        found = await self.pool.fetch(_CHANGED, list(seen), list(seen.values()))
        shown = await self.todays(found) if self.todays else [row["rendered"] for row in found]
        rows = {row["member_id"]: (row["version"], one) for row, one in zip(found, shown, strict=True)}
        told = [s for s in self.open if s.member_id in rows]
        for stream in told:
            stream.put(*rows[stream.member_id])
        return len(told)


class EventStream(StreamingResponse):
    """`text/event-stream`. Closes its stream even when the reader left before the first word was said."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, stream: Stream, stopping: asyncio.Event | None) -> None:
        super().__init__(streams.events(stream, stopping), headers={"X-Accel-Buffering": "no"})
        self.close = partial(streams.close, stream)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.close()


def message(stream: Stream) -> bytes:
    """A member's row as a server-sent event, or that there is none any more."""
    if stream.newest is None:
        return b"event: gone\ndata: {}\n\n"
    return b"id: %d\nevent: member\ndata: %b\n\n" % (stream.version, stream.newest)
