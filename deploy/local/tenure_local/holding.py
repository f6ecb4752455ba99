"""Who runs a platform in a folder: the process that holds the folder's lock.

The invariant: of two `up`, `demo` or `down --reset` in one folder at most one works at a time. The lock ends with the process
that holds it, however that ends, so nothing has to be cleaned up after a crash.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from tenure_local.home import Home

LET_GO_WITHIN_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.05


class HeldError(Exception):
    """Another command is at work in this folder."""

    def __init__(self, pid: int) -> None:
        super().__init__(
            f"another tenure command (process {pid}) has a platform here already; stop it with `tenure down`"
        )


@contextmanager
def held(home: Home) -> Iterator[None]:
    """Hold the folder. Raises HeldError."""
    home.folder.mkdir(parents=True, exist_ok=True)
    with _lock_file(home).open("a+") as file:
        if not _taken(file):
            raise HeldError(holder(home) or 0)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(home: Home) -> int | None:
    """The process that holds the folder now."""
    try:
        with _lock_file(home).open("r+") as file:
            return None if _taken(file) else int(file.read() or 0)
    except FileNotFoundError:
        return None


def make_let_go(home: Home) -> bool:
    """Ask whoever holds the folder to end, and wait. Returns whether there was one. Raises HeldError if it stays."""
    pid = holder(home)
    if not pid or pid == os.getpid():
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + LET_GO_WITHIN_S
    while holder(home) == pid:
        if time.monotonic() > deadline:
            raise HeldError(pid)
        time.sleep(_LOOK_EVERY_S)
    return True


def _lock_file(home: Home) -> Path:
    return home.folder / "up.lock"


def _taken(file: IO[str]) -> bool:
    """Whether the lock is ours now; it is let go with the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
