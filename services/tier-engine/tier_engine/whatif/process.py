"""The scales in a process of their own, so that weighing a million lives does not hold up the loop that serves and decides.

The invariant: it ends when its parent does (its input ends), it never speaks to the database, and it yields to everybody (nice).
Both directions carry frames: four bytes of length, then msgpack.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import IO, Final

import msgspec

from tier_engine.rules.compare import Question, Scales, Weighed
from tier_engine.store import unpack

NICE: Final = 10
PAGE_S_MAX: Final = 60.0
END_S_MAX: Final = 5.0
_LENGTH_BYTES: Final = 4
_encode: Final = msgspec.msgpack.Encoder().encode
_question: Final = msgspec.msgpack.Decoder(Question).decode
_states: Final = msgspec.msgpack.Decoder(list[bytes]).decode
_weighed: Final = msgspec.msgpack.Decoder(Weighed).decode


class WeighingFailedError(Exception):
    """The process that weighs ended, or took too long."""


class Weighing:
    """The parent's end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def weigh(self, states: Sequence[bytes]) -> Weighed:
        """What these members come to. Raises WeighingFailedError."""
        self._send(_encode(states))
        try:
            async with asyncio.timeout(PAGE_S_MAX):
                return _weighed(await self._receive())
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError) as error:
            raise WeighingFailedError(f"the process that weighs gave no answer: {type(error).__name__}") from None

    def _send(self, frame: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(_framed(frame))

    async def _receive(self) -> bytes:
        assert self._process.stdout is not None
        length = int.from_bytes(await self._process.stdout.readexactly(_LENGTH_BYTES), "big")
        return await self._process.stdout.readexactly(length)


@asynccontextmanager
async def weighing(question: Question) -> AsyncIterator[Weighing]:
    """A process that weighs members for one question; it is gone afterwards, whatever happened."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        scales = Weighing(process)
        scales._send(_encode(question))  # noqa: SLF001 - the first frame is the question
        yield scales
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Its input ends, and so does it; one that hangs is killed."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(END_S_MAX):
            await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _framed(frame: bytes) -> bytes:
    return len(frame).to_bytes(_LENGTH_BYTES, "big") + frame


def main(incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """The child's life: a question, then pages of members until there are no more."""
    first = _read(incoming)
    if first is None:
        return
    scales = Scales(_question(first))
    while (page := _read(incoming)) is not None:
        outgoing.write(_framed(_encode(scales.weigh(map(unpack, _states(page))))))
        outgoing.flush()


def _read(incoming: IO[bytes]) -> bytes | None:
    head = incoming.read(_LENGTH_BYTES)
    return incoming.read(int.from_bytes(head, "big")) if len(head) == _LENGTH_BYTES else None


if __name__ == "__main__":
    os.nice(NICE)
    with suppress(KeyboardInterrupt, BrokenPipeError):
        main(sys.stdin.buffer, sys.stdout.buffer)
