"""Log lines: one format for ours and those of libraries, JSON or for a terminal.

The invariant: no personal data leaves through here. Lines carry ids, codes and counts; values under names that usually hold
personal data are masked.
"""

import logging
import sys
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


def mask_personal(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A log processor: values under names that usually hold personal data do not leave."""
    for field in PERSONAL.intersection(line):
        line[field] = "***"
    return line


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
    # Tracebacks are plain on a terminal, too: the fancy ones print local variables, and with them personal data.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderers: list[Any] = [console]
    if log_json:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderers,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("aiokafka", "alembic", "httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
