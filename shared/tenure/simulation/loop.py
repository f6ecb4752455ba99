"""An event loop whose time is a number: it jumps to the next timer as soon as nothing else is ready to run.

The invariant: the order in which things happen follows from the program and its seed alone. No socket is waited for, no thread is
started, and `time.monotonic` tells the loop's time while it runs, so that the spine's own deadlines and backoffs pass in it.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from heapq import heappop, heappush
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack
from unittest.mock import patch

import structlog

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
SAME_MOMENT_S: Final = 1e-6
"""Timers that are no further apart are due together."""


class NothingWillHappenError(Exception):
    """Every task waits, and no timer is set: the simulated world hangs."""


class _Due(asyncio.TimerHandle):
    """What will be called: soon, or when its time has come; nothing more once it is cancelled."""

    __slots__ = ("args", "call", "context", "due_at")

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...], context: Context | None, due_at: float) -> None:
        self.call: Callable[..., Any] | None = call
        self.args, self.due_at = args, due_at
        self.context = copy_context() if context is None else context

    def cancel(self) -> None:
        self.call, self.args = None, ()

    def cancelled(self) -> bool:
        return self.call is None

    def when(self) -> float:
        return self.due_at


class VirtualLoop(asyncio.BaseEventLoop):
    """Asyncio's own loop, but for what is called next; an error in a callback ends the run."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._soon: deque[_Due] = deque()
        self._later: list[tuple[float, int, _Due]] = []
        self._timers = 0
        self._is_over = False

    def time(self) -> float:
        return self._now_s

    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None) -> _Due:
        due = _Due(callback, args, context, self._now_s)
        self._soon.append(due)
        return due

    call_soon_threadsafe = call_soon
    """There is one thread, and nobody sleeps who would have to be woken."""

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> _Due:
        due = _Due(callback, args, context, when)
        self._timers += 1
        heappush(self._later, (when, self._timers, due))
        return due

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> _Due:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def stop(self) -> None:
        super().stop()
        self._is_over = True

    def _run_once(self) -> None:
        """Asyncio calls it again until it is told to stop."""
        soon, self._is_over = self._soon, False
        while not self._is_over:
            if not soon:
                self._let_time_pass()
            due = soon.popleft()
            if due.call is not None:
                due.context.run(due.call, *due.args)

    def _let_time_pass(self) -> None:
        """To the next timer that is still wanted."""
        later, soon = self._later, self._soon
        while later and later[0][2].call is None:
            heappop(later)
        if not later:
            raise NothingWillHappenError
        self._now_s = max(self._now_s, later[0][0])
        until = self._now_s + SAME_MOMENT_S
        while later and later[0][0] < until:
            soon.append(heappop(later)[2])


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
