"""A leg runs in a process of its own, forked from one that has loaded everything and done nothing.

The invariant: no leg inherits another's heap, connections or warm caches, and one that hangs or dies is a void leg, not the end of
the run.
"""

import asyncio
import multiprocessing
import traceback
from collections.abc import Awaitable
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

import msgspec
import uvloop
from tenure.process import settle_the_heap

from tenure_bench.measure import Cost, Measured
from tenure_bench.world import Place

LEG_S_MAX: Final = 120.0
READY: Final = b"ready"
STOP: Final = b"stop"
_context = multiprocessing.get_context("forkserver")


class Driver(Protocol):
    """What a leg says to, and hears from, whoever started it."""

    def ready(self) -> None: ...

    def asked_to_stop(self) -> bool: ...

    async def until_told(self) -> None: ...


class _Pipe:
    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._stop = pipe, False

    def ready(self) -> None:
        self._pipe.send_bytes(READY)

    def asked_to_stop(self) -> bool:
        self._stop = self._stop or self._pipe.poll()
        return self._stop

    async def until_told(self) -> None:
        """Returns when the driver has said something more. The loop is told of it: looking now and then would be measured, too."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pipe.fileno(), told.set)
        try:
            await told.wait()
        finally:
            loop.remove_reader(self._pipe.fileno())
        self._pipe.recv_bytes()


class Child:
    """A leg under way: `tenure_bench.legs.<leg>.run(place, driver, **arguments)`."""

    def __init__(self, leg: str, place: Place, **arguments: Any) -> None:
        self.leg = leg
        self._pipe, there = _context.Pipe()
        self._process = _context.Process(
            target=_live, args=(there, leg, msgspec.msgpack.encode(place), arguments), daemon=True
        )
        self._process.start()
        there.close()
        self._early = READY

    def until_ready(self) -> None:
        """Returns when the leg says so; also when it failed, as its result will tell."""
        self._early = self._next()

    @property
    def has_answered(self) -> bool:
        """Whether its result has come already, though it was only asked to be ready."""
        return self._early != READY

    def stop(self) -> None:
        """Whoever asks `asked_to_stop` hears it once and for all, whoever waits `until_told` each time."""
        try:
            self._pipe.send_bytes(STOP)
        except OSError:
            return

    def result(self) -> Measured:
        """What was measured. Whatever went wrong is told in `wrong`."""
        try:
            return self._answer()
        except (EOFError, OSError):
            return void(f"{self.leg} ended without an answer")
        finally:
            self.end()

    def _answer(self) -> Measured:
        answer = self._early
        while answer == READY:
            answer = self._next()
        return msgspec.msgpack.decode(answer, type=Measured)

    def _next(self) -> bytes:
        if not self._pipe.poll(LEG_S_MAX):
            return msgspec.msgpack.encode(void(f"{self.leg} took longer than {LEG_S_MAX:g} s"))
        return self._pipe.recv_bytes()

    def end(self) -> None:
        self._process.join(1)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def start() -> None:
    """To be called once, before the first leg."""
    _context.set_forkserver_preload(["tenure_bench.legs.everything"])


def run(leg: str, place: Place, **arguments: Any) -> Measured:
    return Child(leg, place, **arguments).result()


def void(reason: str) -> Measured:
    return Measured(1, Cost(1.0, {}), [reason])


def _live(pipe: Connection, leg: str, place: bytes, arguments: dict[str, Any]) -> None:
    settle_the_heap()
    try:
        body = import_module(f"tenure_bench.legs.{leg}").run
        measured = uvloop.run(_within(body(msgspec.msgpack.decode(place, type=Place), _Pipe(pipe), **arguments)))
    except Exception as error:  # noqa: BLE001 - it is told to whoever asked
        where = traceback.extract_tb(error.__traceback__)[-1]
        measured = void(f"{leg}: {type(error).__name__}: {error} ({where.name}:{where.lineno})"[:400])
    pipe.send_bytes(msgspec.msgpack.encode(measured))
    pipe.close()


async def _within(body: Awaitable[Measured]) -> Measured:
    async with asyncio.timeout(LEG_S_MAX - 5):
        return await body
