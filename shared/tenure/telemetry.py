"""What Tenure tells about itself: log lines, metrics, traces. Every metric is declared here, once, with a sentence.

The invariant: no personal data leaves through here. Log lines carry ids, codes and counts; values under names that
usually hold personal data are masked. All metrics live in one registry of this module and carry the service as a
label, so that seven services in one process can be told apart.
"""

import logging
import re
import secrets
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final

import structlog
from opentelemetry import trace
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

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
REGISTRY: Final = CollectorRegistry()
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of Tenure, exposed with the prefix `tenure_`. Counters get `_total` appended by the client."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(name, says, labels, namespace="tenure", registry=registry)

        def gauge(name: str, says: str, *labels: str) -> Gauge:
            return Gauge(name, says, labels, namespace="tenure", registry=registry)

        def histogram(name: str, says: str, *labels: str) -> Histogram:
            return Histogram(name, says, labels, namespace="tenure", registry=registry, buckets=_SECONDS)

        self.events_consumed = counter("events_consumed", "Events whose effect committed.", "service", "topic")
        self.events_parked = counter("events_parked", "Events set aside because they are wrong.", "service", "code")
        self.parked_events = gauge("parked_events", "Events that are parked now.", "service")
        self.batch_seconds = histogram(
            "batch_seconds", "How long one transaction over a poll's records took.", "service"
        )
        self.outbox_waiting = gauge("outbox_waiting", "Outbox rows not yet acknowledged by the log.", "service")
        self.relay_published = counter("relay_published", "Records the log acknowledged.", "service")
        self.consumer_last_poll_age_seconds = gauge(
            "consumer_last_poll_age_seconds", "Age of the last poll that succeeded.", "service"
        )
        self.consumer_lag = gauge("consumer_lag", "Records written and not yet read.", "service", "topic", "partition")
        self.due_keys = counter("due_keys", "Keys that lived through a day that came.", "service")
        self.due_refused = counter("due_refused", "Keys that could not live through a day and wait a while.", "service")
        self.log_went_backwards = counter(
            "log_went_backwards", "Partitions that ended before what was known.", "service", "topic"
        )
        self.log_gaps = counter("log_gaps", "Records the log had lost before they were read.", "service", "topic")
        self.task_failures = counter("task_failures", "Tasks that ended on an error nobody foresaw.", "service", "task")
        self.loop_blocked_seconds = histogram("loop_blocked_seconds", "How long something held the event loop.")
        self.http_request_seconds = histogram(
            "http_request_seconds", "Time until a response began.", "service", "route", "status"
        )
        self.gathered_items = histogram_of_counts(registry)


def histogram_of_counts(registry: CollectorRegistry) -> Histogram:
    return Histogram(
        "gathered_items",
        "Writes over HTTP that shared one transaction.",
        ("service",),
        namespace="tenure",
        registry=registry,
        buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    )


metrics: Final = Metrics(REGISTRY)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)


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


_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ZEROS: Final = frozenset("0")


def new_traceparent(parent: str = "") -> str:
    """A W3C trace context: a child of `parent` if that is one, else the root of a new trace."""
    matched = _TRACEPARENT.fullmatch(parent)
    if matched and set(matched[1]) != _ZEROS and set(matched[2]) != _ZEROS:
        return f"00-{matched[1]}-{secrets.token_hex(8)}-{matched[3]}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    return traceparent[3:35]


@contextmanager
def traced(name: str, *, traceparent: str = "", **attributes: str | float | bool) -> Iterator[Span]:
    """A span round a piece of work, in the trace of the event or request that caused it."""
    context = TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
    with trace.get_tracer("tenure").start_as_current_span(name, context=context, attributes=attributes) as span:
        yield span
