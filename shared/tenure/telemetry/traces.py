"""Traces: the W3C context that goes from a request or core event through outbox, topic and consumer to the message."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

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
