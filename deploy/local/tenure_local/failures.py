"""The failures that can happen to anyone, each as one line that says what to do."""

import subprocess
from collections.abc import Callable
from typing import Final

import asyncpg
import httpx
from tenure.embedded.choose import NoDurableKafkaError
from tenure.embedded.server import ServerFailedError
from tenure.programme import ProgrammeError
from tenure.settings import SettingsError
from tenure.spine.log import PartitionsDiffer, WorldDown

from tenure_local.api import ApiError
from tenure_local.drained import ConsumerHaltedError, WorkerGoneError
from tenure_local.holding import HeldError
from tenure_local.home import NobodyError, NotNamedError, NotUpError
from tenure_local.moving import NotDrainedError
from tenure_local.park_desk import NoSuchParkedError
from tenure_local.platform import AlreadyUpError, ElsewhereError
from tenure_local.playback import CalendarError

_CAUSES: Final = ("fatal", "error", "exception", "panic")


def line(error: BaseException) -> str | None:
    """What to print for it; None for a mistake of ours, which keeps its traceback."""
    return next((put(error) for kinds, put in _LINES if isinstance(error, kinds)), None)


def server_failed(text: str) -> str:
    """The first line of the message, and the line of the log that names the cause."""
    first, *log = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in log if any(word in line.lower() for word in _CAUSES)]
    cause = (causes or log or ["it wrote nothing"])[-1]
    return f"{first.removesuffix('; its log:').removesuffix(':')}: {cause}"


def _one_line(error: BaseException) -> str:
    return "; ".join(part.strip() for part in str(error).splitlines() if part.strip()) or type(error).__name__


def _file(error: BaseException) -> str:
    assert isinstance(error, OSError)
    return f"{error.filename}: {error.strerror}" if error.filename else _one_line(error)


# The first that fits counts: a refused connection is an OSError, too.
_LINES: Final[tuple[tuple[tuple[type[BaseException], ...], Callable[[BaseException], str]], ...]] = (
    (
        (AlreadyUpError, ApiError, CalendarError, HeldError, NoSuchParkedError, NotDrainedError, NotUpError),
        _one_line,
    ),
    ((ElsewhereError, NobodyError, NotNamedError, ProgrammeError, ConsumerHaltedError, WorkerGoneError), _one_line),
    ((ServerFailedError,), lambda error: server_failed(str(error))),
    ((NoDurableKafkaError,), lambda error: f"no Apache Kafka can be had here: {_one_line(error)}"),
    ((SettingsError,), lambda error: f"a setting is wrong: {_one_line(error)}"),
    (
        (httpx.HTTPError,),
        lambda error: f"the platform does not answer ({type(error).__name__}); `tenure doctor` says why",
    ),
    ((PartitionsDiffer,), lambda error: f"the broker's topics are not Tenure's: {_one_line(error)}"),
    ((WorldDown,), lambda error: f"the broker does not answer ({_one_line(error)}); `tenure doctor` says more"),
    (
        (asyncpg.PostgresError, asyncpg.InterfaceError),
        lambda error: f"PostgreSQL says: {_one_line(error)}; `tenure doctor` says more",
    ),
    (
        (ConnectionError, TimeoutError),
        lambda error: f"the platform's PostgreSQL does not answer ({_one_line(error)}); `tenure doctor` says more",
    ),
    ((OSError,), _file),
    ((subprocess.TimeoutExpired,), _one_line),
)
