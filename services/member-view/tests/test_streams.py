"""Server-sent events, driven by signals: the row now, then every change, heartbeats, an end, and bounds."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from member_view.service import SERVICE
from member_view.streams import HEARTBEAT, STREAMS_PER_MEMBER_MAX, Streams
from tenure.contracts.policy import CustomerErased
from tenure.edge import Problem
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .cast import D, M, grant

SOON_S = 10


def _available(event: bytes) -> int:
    fields = dict(line.split(": ", 1) for line in event.decode().strip().splitlines())
    assert fields["event"] == "member"
    found: int = json.loads(fields["data"])["points"]["points"]["available"]
    return found


async def test_a_stream_tells_the_row_now_and_then_every_change(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(grant(100))
        streams = Streams(t.pool, look_every_s=0.01)
        events = streams.events(streams.subscribe(M))
        assert _available(await anext(events)) == 100
        await t.feed(grant(20))
        assert _available(await anext(events)) == 120
        await t.feed(CustomerErased(member_id=M, effective=D))
        assert await anext(events) == b"event: gone\ndata: {}\n\n"
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        assert streams.open == set()


async def test_one_look_serves_every_stream_and_a_slow_reader_gets_the_newest_row(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(grant(1))
        streams = Streams(t.pool)
        fast, slow = streams.subscribe(M), streams.subscribe(M)
        assert await streams.look() == 2
        assert await streams.look() == 0
        for _ in range(3):
            await t.feed(grant(1))
            await streams.look()
        assert fast.newest == slow.newest
        assert json.loads(slow.newest or b"")["points"]["points"]["available"] == 4


async def test_where_nothing_changes_a_heartbeat_keeps_the_line_open(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        streams = Streams(t.pool, heartbeat_s=0.01)
        events = streams.events(streams.subscribe("M-unknown"))
        assert await anext(events) == HEARTBEAT
        await events.aclose()  # type: ignore[attr-defined]
        assert streams.open == set()


async def test_streams_end_when_the_process_stops(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        stopping = asyncio.Event()
        streams = Streams(t.pool)
        reading = asyncio.create_task(_all(streams.events(streams.subscribe("M-unknown"), stopping)))
        stopping.set()
        async with asyncio.timeout(SOON_S):
            assert await reading in ([], [HEARTBEAT])
        assert streams._looking is None


async def _all(events: AsyncIterator[bytes]) -> list[bytes]:
    return [event async for event in events]


async def test_the_number_of_streams_is_bounded(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        streams = Streams(t.pool, streams_max=STREAMS_PER_MEMBER_MAX + 1)
        for _ in range(STREAMS_PER_MEMBER_MAX):
            streams.subscribe(M)
        for member, code in ((M, "overloaded"), ("M-2", None), ("M-3", "overloaded")):
            if code is None:
                streams.subscribe(member)
                continue
            with pytest.raises(Problem) as refused:
                streams.subscribe(member)
            assert refused.value.code == code


@asynccontextmanager
async def _get(
    t: Under, path: str, headers: Any, *, left: bool = False
) -> AsyncIterator["asyncio.Queue[dict[str, Any]]"]:
    """The messages of an ASGI answer as they are sent: the test client would wait for the answer's end."""
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    gone = asyncio.Event()
    asked = left  # who has left already is not heard any more
    if left:
        gone.set()

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("tenure", 80),
    }
    app: Any = t.http._transport.app  # type: ignore[attr-defined]

    async def send(message: dict[str, Any]) -> None:
        await asyncio.sleep(0)  # as a socket does whose buffer is full
        await sent.put(message)

    serving = asyncio.create_task(app(scope, receive, send))
    try:
        yield sent
    finally:
        gone.set()
        async with asyncio.timeout(SOON_S):
            await serving


async def test_the_stream_over_http_ends_with_its_reader(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(grant(100))
        async with asyncio.timeout(SOON_S), _get(t, "/v1/me/stream", t.auth("member", subject=M)) as sent:
            start = await sent.get()
            headers = dict(start["headers"])
            assert (start["status"], headers[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
            assert _available((await sent.get())["body"]) == 100
            await t.feed(grant(5))
            assert _available((await sent.get())["body"]) == 105


async def test_a_stream_ends_in_time_so_that_its_token_is_checked_again(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(grant(100))
        streams = Streams(t.pool, look_every_s=0.01, heartbeat_s=0.01, stream_s_max=0.05)
        async with asyncio.timeout(SOON_S):
            told = [event async for event in streams.events(streams.subscribe(M))]
        assert _available(next(event for event in told if event != HEARTBEAT)) == 100
        assert streams.open == set()


async def test_a_reader_who_left_before_the_first_word_takes_no_place(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(grant(100))
        headers = t.auth("member", subject=M)
        for _ in range(STREAMS_PER_MEMBER_MAX + 1):
            async with _get(t, "/v1/me/stream", headers, left=True):
                pass
        async with asyncio.timeout(SOON_S), _get(t, "/v1/me/stream", headers) as sent:
            assert (await sent.get())["status"] == 200


async def test_the_stream_over_http_ends_when_the_process_stops(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(grant(100))
        stopping = t.http._transport.app.state.stopping = asyncio.Event()  # type: ignore[attr-defined]
        async with asyncio.timeout(SOON_S), _get(t, "/v1/me/stream", t.auth("member", subject=M)) as sent:
            await sent.get()
            assert _available((await sent.get())["body"]) == 100
            stopping.set()
            last = await sent.get()
            while last["more_body"]:
                last = await sent.get()
            assert last["body"] == b""
