"""points-ledger over HTTP: hold, capture, release and refund an order's points.

The invariant: one order and one step have one Idempotency-Key for ever, so a repeated question has one effect and one answer.
Whatever is not a clear yes or a clear no of the ledger itself is `unknown`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, Self

import httpx
import structlog
from tenure.settings import Settings

from mall.limits import LEDGER_ANSWER_TIMEOUT_S, LEDGER_CONNECT_TIMEOUT_S, LEDGER_CONNECTIONS_MAX
from mall.states import Answer, Order, SagaStep

log: Final = structlog.get_logger(__name__)
PATHS: Final[Mapping[SagaStep, str]] = MappingProxyType(
    {
        "hold": "/v1/holds",
        "capture": "/v1/holds/{}/capture",
        "release": "/v1/holds/{}/release",
        "refund": "/v1/holds/{}/refund",
    }
)
_NOT_THE_LEDGERS_WORD: Final = frozenset({401, 403, 405, 408, 413, 415, 425, 429})
"""Refusals of the edge or of our token: they say nothing about the points."""


class Ledger(Protocol):
    async def ask(self, step: SagaStep, order: Order) -> Answer: ...


class HttpLedger:
    """The real one. An async context manager; without entering it, close with `close`."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._token_file = settings.service_token_file
        self._hold_ttl_s = settings.hold_ttl_s
        self._http = httpx.AsyncClient(
            base_url=settings.own_url,
            transport=transport,
            timeout=httpx.Timeout(LEDGER_ANSWER_TIMEOUT_S, connect=LEDGER_CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=LEDGER_CONNECTIONS_MAX),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, step: SagaStep, order: Order) -> Answer:
        """Never raises for what the ledger or the network does."""
        headers = {"Idempotency-Key": f"{order.order_id}:{step}", "Authorization": f"Bearer {_token(self._token_file)}"}
        path = PATHS[step].format(order.order_id)
        try:
            response = await self._http.post(path, json=self._body(step, order), headers=headers)
        except httpx.HTTPError as error:
            return Answer("unknown", type(error).__name__)
        return _understood(response)

    def _body(self, step: SagaStep, order: Order) -> dict[str, Any]:
        if step != "hold":
            return {}
        return {
            "hold_id": order.order_id,
            "member_id": order.member_id,
            "points": order.points,
            "reference": order.order_id,
            "ttl_s": self._hold_ttl_s,
        }


def _understood(response: httpx.Response) -> Answer:
    status, code = response.status_code, _code(response)
    if response.is_success:
        return Answer("done")
    ours = status in _NOT_THE_LEDGERS_WORD or status >= HTTPStatus.INTERNAL_SERVER_ERROR or not response.is_client_error
    if ours or not code or code.startswith("idempotency_key_"):
        log.warning("ledger_answer_unknown", status=status, code=code)
        return Answer("unknown", code or f"http_{status}")
    return Answer("refused", code)


def _code(response: httpx.Response) -> str:
    """The `code` of a problem; empty for anything that is none (a proxy's page, say)."""
    try:
        body = response.json()
    except ValueError:
        return ""
    code = body.get("code") if isinstance(body, dict) else None
    return code[:64] if isinstance(code, str) else ""


def _token(path: Path | None) -> str:
    """Read each time, so that a renewed token is taken up; a missing one is answered by the ledger with 401."""
    try:
        return path.read_text().strip() if path else ""
    except OSError as error:
        log.warning("service_token_unreadable", reason=type(error).__name__)
        return ""
