"""A small running platform in the test's own process: real services on PostgreSQL and the in-memory log, served on a port."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import httpx
from tenure.contracts.event import Data
from tenure.edge import create_app, serve
from tenure.embedded.server import free_port
from tenure.settings import Settings
from tenure.spine.clock import tick
from tenure.spine.codec import encode, event_of
from tenure.spine.log import Outgoing, open_log
from tenure.spine.memory_log import MemoryLog
from tenure.spine.runtime import Runtime
from tenure.spine.topics import ensure_topics
from tenure.spine.vitals import feel_the_loop
from tenure.testing import Under, under_test
from tenure_local.services import SERVICES

BY_NAME: Final = {service.name: service for service in SERVICES}
UNTIL_S: Final = 60.0


@dataclass
class Running:
    """What runs: each service under its name, the log they share, and where they are served."""

    services: dict[str, Under]
    runtimes: dict[str, Runtime]
    log: MemoryLog
    port: int
    settings: Settings
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, *data: Data, at: Any) -> None:
        """Events of a core or another service, each with an id of its own."""
        outs = [encode(event_of(d, id=str(uuid.uuid4()), source="/core/test", time=at)) for d in data]
        await self.send(*outs)

    async def send(self, *outs: Outgoing) -> None:
        producer = await self.log.producer()
        await producer.send(outs)
        await producer.close()

    async def day(self, day: date) -> None:
        await self.send(tick(day))

    async def ask(self, method: str, path: str, *roles: str, json: Any = None, traceparent: str = "") -> httpx.Response:
        """A request from outside, over the network, by somebody in these roles."""
        somebody = next(iter(self.services.values()))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30) as http:
            headers = {
                **(somebody.auth(*roles) if roles else {}),
                **({"traceparent": traceparent} if traceparent else {}),
            }
            return await http.request(method, path, json=json, headers=headers)


@asynccontextmanager
async def running(names: Sequence[str], settings: Settings, *, port: int | None = None) -> AsyncIterator[Running]:
    """These services at work, each on a database of its own, until the block ends."""
    log = open_log(settings.kafka)
    assert isinstance(log, MemoryLog)
    await ensure_topics(log)
    async with AsyncExitStack() as stack:
        services = {name: await stack.enter_async_context(under_test(BY_NAME[name], settings)) for name in names}
        here = Running(services, {}, log, port or free_port(), settings)
        app = create_app([(BY_NAME[name], t.door) for name, t in services.items()], settings)
        tasks = [
            asyncio.create_task(serve(app, "127.0.0.1", here.port, stopping=here.stopping, grace_s=1)),
            asyncio.create_task(feel_the_loop(here.stopping)),
        ]
        stack.push_async_callback(_end, here, tasks)
        for name, t in services.items():
            here.runtimes[name] = await stack.enter_async_context(Runtime(t.door, log, settings))
        await eventually(lambda: _is_served(here.port), "the port is served")
        yield here


async def _is_served(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _end(here: Running, tasks: "list[asyncio.Task[None]]") -> None:
    here.stopping.set()
    await asyncio.gather(*tasks)


class Gate:
    """A way to a server that can be shut: what is connected is cut off, and nobody comes in."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port, self.is_open = host, port, True
        self._through: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[int]:
        """The port to come in by."""
        server = await asyncio.start_server(self._come, "127.0.0.1", 0)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            await self.shut()

    async def shut(self) -> None:
        self.is_open = False
        for task in self._through:
            task.cancel()
        await asyncio.gather(*self._through, return_exceptions=True)

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._through.add(task)
        try:
            if self.is_open:
                there, back = await asyncio.open_connection(self.host, self.port)
                async with asyncio.TaskGroup() as both:
                    both.create_task(_pass_on(reader, back))
                    both.create_task(_pass_on(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._through.discard(task)
            writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()


async def eventually(holds: Callable[[], Awaitable[Any]], otherwise: str, *, within_s: float = UNTIL_S) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, otherwise
        await asyncio.sleep(0.05)
