"""An application on a port, until it is told to stop: requests under way are given a while to end, and no signal is taken."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI


class _Server(uvicorn.Server):
    """Leaves the signals to the process, which has more to stop than this."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: FastAPI, host: str, port: int, *, stopping: asyncio.Event | None = None, grace_s: int = 5) -> None:
    """Serve until `stopping` is set (without one: until SIGTERM or SIGINT); requests under way get `grace_s` to end."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        backlog=2048,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=grace_s,
        h11_max_incomplete_event_size=65_536,
    )
    if stopping is None:
        await uvicorn.Server(config).serve()
        return
    app.state.stopping = stopping  # answers without an end, as server-sent events are, end with it
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stop.cancel()
