"""A server as a child process: started on a free loopback port, awaited, and gone again without a trace.

The invariant: whatever ends the parent (return, exception, exit, kill -9), the server and all its children end too,
unless it was started detached on purpose; then a pid file says how to stop it. A server that does not come up says why:
the error carries the tail of its log.
"""

import atexit
import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

from tenure.embedded.spawner import on_spawner
from tenure.embedded.whole import write_whole

_TAIL_LINES_MAX = 30
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1
_SERVERS_PORTS = range(20_000, 32_000)
_chance = random.SystemRandom()  # a seeded one would give two runs the same ports
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ServerFailedError(RuntimeError):
    """The server did not come up; the message says what was waited for and ends with the tail of its log."""


class Server(ABC):
    """Subclasses say how to prepare the data directory, which command to run, and when it is ready."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    orphan_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        detached: bool = False,
        start_deadline_s: float = 60.0,
        stop_deadline_s: float = 15.0,
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.log_file = self.data_dir.with_name(f"{self.data_dir.name}.log")
        self.pid_file = self.data_dir.with_name(f"{self.data_dir.name}.pid")
        self.port = port or free_port()
        self.detached = detached
        self.start_deadline_s = start_deadline_s
        self.stop_deadline_s = stop_deadline_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def prepare(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def command(self) -> list[str]: ...

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    @abstractmethod
    def is_ready(self) -> bool: ...

    def os_user(self) -> str | None:
        """Another user to run as, or None for our own."""
        return None

    def start(self) -> Self:
        """Blocks until the server answers. Raises ServerFailedError."""
        return self.launch().await_ready()

    def launch(self) -> Self:
        """Start the process and return at once, so that several servers can get ready side by side."""
        if self.running:
            return self
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._process = self._spawn()
        if self.detached:
            self._write_pid_file()
        else:
            atexit.register(self.stop)
        return self

    def await_ready(self) -> Self:
        """Blocks until a launched server answers. Raises ServerFailedError."""
        try:
            self._await_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Ask, wait, then kill; returns when no process of the group is left."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log_tail(self) -> str:
        """What the server wrote since it was started, the last lines of it."""
        return "\n".join(self._written().splitlines()[-_TAIL_LINES_MAX:])

    def has_written(self, words: str) -> bool:
        """Whether it wrote this since it was started, however much it has written after it."""
        return words in self._written()

    def _written(self) -> str:
        if not self.log_file.exists():
            return ""
        with self.log_file.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            return on_spawner(
                lambda: subprocess.Popen(
                    self.command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self.environment(),
                    cwd=self.data_dir,
                    start_new_session=True,
                    user=self.os_user(),
                    preexec_fn=None if self.detached else self._die_with_parent,  # noqa: PLW1509 - one C call
                )
            )

    def _die_with_parent(self) -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(self.orphan_signal))

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self.start_deadline_s
        while not self.is_ready():
            if not self.running:
                status = self._process.returncode if self._process else None
                raise ServerFailedError(f"{self.name} ended with status {status}; its log:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                waited = f"{self.name} on port {self.port} was not ready after {self.start_deadline_s:g} s"
                raise ServerFailedError(f"{waited}; its log:\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def _end(self, how: signal.Signals) -> None:
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is None:
            return
        end_group(process.pid, how, deadline_s=self.stop_deadline_s, is_alive=lambda: process.poll() is None)
        process.wait()
        self.pid_file.unlink(missing_ok=True)

    def _write_pid_file(self) -> None:
        """What nobody could stop any more must not run. Raises OSError."""
        known = {"pid": self.pid, "started": started_ticks(self.pid), "signal": int(self.stop_signal)}
        try:
            write_whole(self.pid_file, json.dumps(known).encode())
        except BaseException:
            self.kill()
            raise


def stop_detached(pid_file: Path, *, deadline_s: float = 15.0) -> bool:
    """Stop a server started detached; False when it was not running any more. Never touches a recycled pid."""
    if not pid_file.exists():
        return False
    known = json.loads(pid_file.read_text())
    pid: int = known["pid"]
    started: int = known["started"]

    def is_alive() -> bool:
        return started_ticks(pid) == started

    was_alive = is_alive()
    if was_alive:
        end_group(pid, signal.Signals(known["signal"]), deadline_s=deadline_s, is_alive=is_alive)
    pid_file.unlink(missing_ok=True)
    return was_alive


def started_ticks(pid: int) -> int | None:
    """When the process was started, in clock ticks since boot; with the pid it names one process for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[18])


def end_group(pid: int, how: signal.Signals, *, deadline_s: float, is_alive: Callable[[], bool]) -> None:
    """The leader is asked; all that came of it is killed when it is gone or the deadline is over.

    Its children are noted first: those of PostgreSQL have left the group, and an orphan cannot be found any more.
    """
    family = _descendants(pid)
    _signal(os.kill, pid, how)
    deadline = time.monotonic() + deadline_s
    while is_alive() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    _signal(os.killpg, pid, signal.SIGKILL)
    for child, started in family.items():
        if started_ticks(child) == started is not None:
            _signal(os.kill, child, signal.SIGKILL)
    while is_alive() or any(started_ticks(child) == started is not None for child, started in family.items()):
        time.sleep(_POLL_S)


def _descendants(pid: int) -> dict[int, int | None]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    found = {child: started_ticks(child) for child in children}
    for child in children:
        found |= _descendants(child)
    return found


def _signal(send: Callable[[int, int], None], pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        send(pid, how)


def free_port() -> int:
    """A loopback port that was free a moment ago, and that no outgoing connection is given meanwhile.

    The kernel gives outgoing connections, and who binds port 0, those from 32,768 on: so it is looked for below first.
    """
    for port in (*_chance.sample(_SERVERS_PORTS, 50), 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            bound: int = probe.getsockname()[1]
            return bound
    raise ServerFailedError("no port of 127.0.0.1 can be bound")
