"""An event loop whose time is a number: it jumps to the next timer as soon as nothing else is ready to run.

The invariant: the order in which things happen follows from the program and its seed alone. No socket is waited for, no thread is
started, and `time.monotonic` tells the loop's time while it runs, so that the spine's own deadlines and backoffs pass in it.
"""

import asyncio
import random
import selectors
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from unittest.mock import patch

import structlog

T = TypeVar("T")
_TICK_S: Final = 1e-6


class NothingWillHappenError(Exception):
    """Every task waits, and no timer is set: the simulated world hangs."""


class _Instant(selectors.SelectSelector):
    """Never waits: what the loop would have slept, passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise NothingWillHappenError
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)
        self._clock_resolution = _TICK_S

    def time(self) -> float:
        return self._instant.now_s

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""


def run(main: Coroutine[Any, Any, T], *, seed: int) -> T:
    """Run `main` to its end in virtual time; the spine's jitter is drawn from the seed, too."""
    loop = VirtualLoop()
    state = random.getstate()
    random.seed(seed)
    try:
        with patch("time.monotonic", loop.time), _quiet(), asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(main)
    finally:
        random.setstate(state)


def _drop(*_: Any) -> dict[str, Any]:
    raise structlog.DropEvent


@contextmanager
def _quiet() -> Iterator[None]:
    """The spine reports every fault it meets; here they are meant, and counted by who causes them."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)
