"""Traces: one id from a request or core event through outbox, topic and consumer to the message.

The invariants: the W3C context travels with the event (its `traceparent`), never in the task that happens to run, because many
events share a transaction; spans are made only while somebody collects them (`TENURE_OTLP_ENDPOINT`), and cost one comparison
otherwise; only what committed is exported, so that a batch done again is not seen twice. Names follow OpenTelemetry's
conventions for HTTP and messaging. Spans carry ids of events and names of topics, routes and types; nothing of their data.
"""

import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer

from tenure.settings import Settings

Attribute = str | int | float | bool
LINKS_MAX: Final = 128
SEND_S_MAX: Final = 2.0
OTLP_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ZEROS: Final = frozenset("0")
collecting: Final[list[Tracer]] = []
"""Who makes spans; empty while nobody wants them."""


def configure_tracing(settings: Settings, process: str) -> Callable[[], None]:
    """Export spans by OTLP if the settings or OpenTelemetry's own variables name a collector. Returns what ends it."""
    named_elsewhere = any(os.environ.get(name) for name in OTLP_VARIABLES)
    if not settings.otlp_endpoint and not named_elsewhere:
        return lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    endpoint = f"{settings.otlp_endpoint}/v1/traces" if settings.otlp_endpoint else None
    provider = TracerProvider(resource=Resource.create({"service.name": process}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=SEND_S_MAX)))
    collecting[:] = [provider.get_tracer("tenure")]

    def end() -> None:
        """Send what is left, if it is taken in time: a collector that is away may not keep a process from ending."""
        collecting.clear()
        last = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(SEND_S_MAX)

    return end


@contextmanager
def collected_by(provider: TracerProvider) -> Iterator[None]:
    """Let a provider have the spans meanwhile; for tests."""
    collecting[:] = [provider.get_tracer("tenure")]
    try:
        yield
    finally:
        collecting.clear()


def begin(
    name: str, *, kind: SpanKind, parent: str = "", links: Iterable[str] = (), **attributes: Attribute
) -> Span | None:
    """A span in the trace of what caused it (a traceparent); None while nobody collects. Dots in names are written `__`."""
    if not collecting:
        return None
    context = _context(parent)
    return collecting[0].start_span(
        name,
        context=trace.set_span_in_context(NonRecordingSpan(context)) if context else Context(),
        kind=kind,
        links=[Link(linked) for text in islice(dict.fromkeys(links), LINKS_MAX) if (linked := _context(text))],
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
    )


def traceparent_of(span: Span) -> str:
    """The context that what this span causes is a child of."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def new_traceparent(parent: str = "") -> str:
    """A W3C trace context: a child of `parent` if that is one, else the root of a new trace."""
    if context := _context(parent):
        return f"00-{context.trace_id:032x}-{secrets.token_hex(8)}-{context.trace_flags:02x}"
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    return traceparent[3:35]


def _context(text: str) -> SpanContext | None:
    matched = _TRACEPARENT.fullmatch(text)
    if matched is None or set(matched[1]) == _ZEROS or set(matched[2]) == _ZEROS:
        return None
    flags = TraceFlags(int(matched[3], 16))
    return SpanContext(int(matched[1], 16), int(matched[2], 16), is_remote=True, trace_flags=flags)
