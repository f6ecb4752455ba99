"""A network between two processes that can be broken on purpose: a TCP proxy on loopback.

The invariant: it changes nothing while it is sound, and every kind of break ends with `heal`, after which new connections pass.

- cut: connections are reset, new ones as well;
- swallow: connections stay open and nothing passes, for good: what was sent is lost, no end is told (a firewall that lost its table);
- partition: nothing passes, and what was sent arrives when it is healed (a cable pulled out and put back in);
- half_open: what is asked arrives, what is answered does not, for good;
- slow: everything passes, late and in small pieces.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, Self

from tenure.embedded.server import free_port

Mode = Literal["sound", "cut", "swallow", "partition", "half_open", "slow"]
PIECE_BYTES_MAX = 65_536
SLOW_PIECE_BYTES, SLOW_S = 4_096, 0.15
RESET = struct.pack("ii", 1, 0)


@contextmanager
def kept_port() -> Iterator[int]:
    """A free port that stays a proxy's, from now on, whether one listens or not: who looks for a free one passes it over."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", port := free_port()))
        yield port


class Proxy:
    """An async context manager: listens on `port`, connects to `target`."""

    def __init__(self, target_port: int, *, port: int) -> None:
        self.target_port, self.port = target_port, port
        self.mode: Mode = "sound"
        self.connections = 0
        self._healed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._healed.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._reset_all()

    def breaks(self, mode: Mode) -> None:
        self.mode = mode
        self._healed.clear()
        if mode == "cut":
            self._reset_all()

    def heal(self) -> None:
        """New connections pass. Those that lost something are dead, and their two ends are not told."""
        self.mode = "sound"
        self._healed.set()

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "cut":
            reset(writer)
            return
        self.connections += 1
        self._writers.add(writer)
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._writers.add(back)
            ways = [pass_on(self, reader, back, asked=True), pass_on(self, there, writer, asked=False)]
            tasks = [asyncio.create_task(way) for way in ways]
            self._tasks.update(tasks)
            await asyncio.wait(tasks)
            self._tasks.difference_update(tasks)
            self._writers.discard(back)
            reset(back)
        self._writers.discard(writer)
        reset(writer)

    async def healed(self) -> None:
        await self._healed.wait()


async def pass_on(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asked: bool) -> None:
    """One way of a connection; once something of it was lost, nothing passes this way any more."""
    is_dead = False
    try:
        while piece := await reader.read(SLOW_PIECE_BYTES if proxy.mode == "slow" else PIECE_BYTES_MAX):
            is_dead |= proxy.mode == "swallow" or (proxy.mode == "half_open" and not asked)
            if is_dead:
                continue
            if proxy.mode == "partition":
                await proxy.healed()
            if proxy.mode == "slow":
                await asyncio.sleep(SLOW_S)
            writer.write(piece)
            await writer.drain()
        if not is_dead:
            writer.write_eof()
    except OSError:  # one end was reset, as by a process that died with answers unread
        if not is_dead:
            reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a broken one ends: with a reset."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
