"""What stands between the network and the routes: trace and security headers, the rate limit, the body limit.

Plain ASGI, no buffering: a body over the limit is refused by its announced length or at the chunk that crosses it,
and is never held in memory. The rate is counted per verified subject, and per address for those who show no valid
token, so that made-up tokens do not buy fresh allowances. Calls between Tenure's own services were limited where they
came in.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import structlog
from fastapi import Response
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenure.edge.access import Gate
from tenure.edge.catalogue import Catalogue
from tenure.edge.problems import Asked, Problem, answer_to, render
from tenure.telemetry import metrics, new_traceparent, trace_id
from tenure.telemetry.traces import begin, traceparent_of

UNLIMITED_PATHS: Final = ("/health/", "/metrics")
_SECURITY: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def asked_of(scope: Scope) -> Asked:
    return Asked(scope["path"], Headers(scope=scope).get("accept-language", ""))


class Trace:
    """Gives every request a trace (a child of the caller's) and every response its headers, and measures it."""

    def __init__(self, app: ASGIApp, *, name_of: Callable[[Any], tuple[str, str]]) -> None:
        self.app, self.name_of = app, name_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        parent = Headers(scope=scope).get("traceparent", "")
        span = begin(scope["method"], kind=SpanKind.SERVER, parent=parent, http__request__method=scope["method"])
        traceparent = traceparent_of(span) if span is not None else new_traceparent(parent)
        scope.setdefault("state", {})["traceparent"] = traceparent
        began = time.perf_counter()

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message, traceparent)
                self._observe(scope, message["status"], time.perf_counter() - began, span)
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(trace_id=trace_id(traceparent)),
            metrics.http_requests_in_flight.track_inprogress(),
        ):
            await self.app(scope, receive, finish)

    def _observe(self, scope: Scope, status: int, seconds: float, span: Span | None) -> None:
        """By the route's pattern, never by the path: a label must not hold an id."""
        service, pattern = self.name_of(scope.get("route"))
        metrics.http_request_seconds.labels(service, pattern, status).observe(seconds)
        if span is not None:
            span.update_name(f"{scope['method']} {pattern}")
            span.set_attributes({"http.route": pattern, "http.response.status_code": status, "tenure.service": service})
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.set_status(Status(StatusCode.ERROR))
            span.end()


class LastResort:
    """Whatever the routes did not expect is answered 500, with all headers, and logged."""

    def __init__(self, app: ASGIApp, *, catalogue: Catalogue) -> None:
        self.app, self.catalogue = app, catalogue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            await answer_to(error, self.catalogue, asked_of(scope))(scope, receive, send)


def _add_headers(message: Message, traceparent: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["traceparent"] = traceparent
    for name, value in _SECURITY.items():
        headers.setdefault(name, value)


class Buckets:
    """A token bucket per caller: `burst` at once, `rate_per_s` over time. Whoever is longest unseen is forgotten."""

    def __init__(
        self, *, rate_per_s: int, burst: int, callers_max: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        assert 0 < rate_per_s <= burst
        self.rate_per_s, self.burst, self.callers_max, self.clock = rate_per_s, burst, callers_max, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, caller: str) -> float:
        """Take one. Returns 0.0, or after how many seconds there will be one."""
        now = self.clock()
        left, at = self._left.get(caller, (float(self.burst), now))
        left = min(float(self.burst), left + (now - at) * self.rate_per_s)
        granted = left >= 1
        self._left[caller] = (left - 1 if granted else left, now)
        self._left.move_to_end(caller)
        if len(self._left) > self.callers_max:
            self._left.popitem(last=False)
        return 0.0 if granted else (1 - left) / self.rate_per_s


class RateLimit:
    def __init__(self, app: ASGIApp, *, buckets: Buckets, gate: Gate, catalogue: Catalogue) -> None:
        self.app, self.buckets, self.gate, self.catalogue = app, buckets, gate, catalogue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(UNLIMITED_PATHS):
            caller = self._caller(scope)
            wait_s = self.buckets.take(caller) if caller else 0.0
            if wait_s:
                problem = Problem("rate_limited", retry_after_s=ceil(wait_s))
                await render(problem, self.catalogue, asked_of(scope))(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _caller(self, scope: Scope) -> str:
        """Whose allowance this request takes; empty for nobody's."""
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            try:
                caller = self.gate.caller_of(token.strip())
            except Problem:
                pass
            else:
                return "" if "service" in caller.roles else f"subject {caller.subject}"
        client = scope.get("client")
        return f"address {client[0] if client else 'unknown'}"


class _TooLargeError(Exception):
    """The body crossed the limit."""


class BodyLimit:
    def __init__(self, app: ASGIApp, *, bytes_max: int, catalogue: Catalogue) -> None:
        self.app, self.bytes_max, self.catalogue = app, bytes_max, catalogue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _announced(scope) > self.bytes_max:
            await self._refusal(scope)(scope, receive, send)
            return
        await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken, started = 0, False

        async def take() -> Message:
            nonlocal taken
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > self.bytes_max:
                    raise _TooLargeError
            return message

        async def answer(message: Message) -> None:
            nonlocal started
            # Whatever the route makes of the broken body, the answer is ours.
            if taken <= self.bytes_max or started:
                started = True
                await send(message)

        with suppress(_TooLargeError):
            await self.app(scope, take, answer)
        if taken > self.bytes_max and not started:
            await self._refusal(scope)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response:
        problem = Problem(
            "body_too_large",
            f"The body may have {self.bytes_max} bytes.",
            detail_zh=f"请求体最多 {self.bytes_max} 字节。",
        )
        return render(problem, self.catalogue, asked_of(scope))


def _announced(scope: Scope) -> int:
    try:
        return int(Headers(scope=scope).get("content-length", "0"))
    except ValueError:
        return 0
