"""Log lines: one format for ours and those of libraries, JSON or for a terminal.

The invariant: no personal data leaves through here. Lines carry ids, codes and counts. Values under names that usually hold
personal data are masked, and so is what looks like a telephone or identity number or a mail address, wherever it stands. Of an
exception the kind and the place are told; its words only where they are ours, because others quote what they were given.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from tenure.settings import Settings

PERSONAL: Final = frozenset(
    {
        "name",
        "phone",
        "mobile",
        "email",
        "address",
        "id_no",
        "identity_no",
        "contact",
        "authorization",
        "token",
        "password",
    }
)


_NUMBERS: Final = re.compile(r"(?<!\d)(1[3-9]\d{9}|\d{17}[\dXx]|\d{15})(?!\d)|[^\s@'\"]+@[^\s@'\"]+\.\w+")
_OUR_PACKAGES: Final = frozenset(
    {"tenure", "policy_sync", "points_ledger", "tier_engine", "benefits", "mall", "notifier", "member_view"}
)
_FORGOTTEN: Final = re.compile(r"exception=(\w+)\(.*\)", re.DOTALL)  # asyncio's words about a task nobody waited for
MASK: Final = "***"
_OUR_WORDS: Final = (OSError, TimeoutError, AssertionError)
"""Besides our own exceptions: these name addresses, time limits and conditions, never what was given."""
_CAUSES_MAX: Final = 5


def covered(text: str) -> str:
    """The text without what looks like a telephone or identity number or a mail address."""
    return _NUMBERS.sub(MASK, _FORGOTTEN.sub(r"exception=\1", text))


def mask_personal(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A log processor: values under names that usually hold personal data do not leave."""
    for field, value in line.items():
        if field in PERSONAL:
            line[field] = MASK
        elif isinstance(value, str):
            line[field] = covered(value)
    return line


def tell_exception(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A log processor: an exception becomes its kind and the places it passed, without the words of others."""
    info = line.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else sys.exc_info()[1]
    if info and error is not None:
        line["exception"] = "\n".join(_told(error))
    return line


def _told(error: BaseException) -> list[str]:
    """The error and what it came from, the first cause last."""
    lines: list[str] = []
    cause: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if cause is None:
            break
        ours = isinstance(cause, _OUR_WORDS) or type(cause).__module__.partition(".")[0] in _OUR_PACKAGES
        lines.append(f"{type(cause).__qualname__}: {covered(str(cause))}" if ours else type(cause).__qualname__)
        frames = traceback.extract_tb(cause.__traceback__)
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return lines


def configure_logging(settings: Settings) -> None:
    """One format for our lines and those of libraries: JSON, or for a terminal. Call it once, at start."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_personal,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    _route_libraries(shared, level, log_json=settings.log_json)


def _route_libraries(shared: list[Any], level: int, *, log_json: bool) -> None:
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if log_json else structlog.dev.ConsoleRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                tell_exception,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("aiokafka", "alembic", "httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
