"""The proxy between two processes: while it is sound, either end learns how the other one ended."""

import asyncio
import socket
import struct

import pytest
from tenure.embedded.server import free_port

from .proxy import Proxy

RESET = struct.pack("ii", 1, 0)


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_server_in_the_middle_of_a_question_learns_that_its_client_is_gone(how: str) -> None:
    """A process that is killed with an answer unread ends its connections with a reset."""
    ended, asked = asyncio.Event(), asyncio.Event()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        asked.set()
        try:
            await reader.read()
        except ConnectionError:
            pass
        finally:
            ended.set()
            writer.close()

    async with (
        await asyncio.start_server(listens, "127.0.0.1", port := free_port()),
        Proxy(port, port=free_port()) as proxy,
    ):
        client = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", proxy.port))
        client.sendall(b"COPY")
        await asked.wait()
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
        await asyncio.wait_for(ended.wait(), timeout=5)
