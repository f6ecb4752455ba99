"""points-ledger over HTTP: hold, capture, release and refund an order's points.

The invariant: one order and one step have one Idempotency-Key for ever, so a repeated question has one effect and one answer.
Whatever is not a clear yes or a clear no of the ledger itself is `unknown`. Where the ledger says that the hold is in another
state than asked for, the hold itself is looked at: an answer may have been forgotten that was a yes.
"""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, Self

import httpx
import msgspec
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


_OF_ANOTHER_STATE: Final = frozenset({"hold_exists", "hold_resolved", "hold_not_captured", "refund_too_large"})


class Hold(msgspec.Struct, frozen=True):
    """What the mall reads of a hold; other fields are the ledger's own."""

    member_id: str
    points: int
    state: str
    captured: int = 0
    refunded: int = 0


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
        try:
            answer = _understood(await self._post(step, order), step)
            if answer.outcome == "refused" and answer.code in _OF_ANOTHER_STATE:
                answer = _settled(await self._look(order), step, order, refusal=answer)
        except httpx.HTTPError as error:
            return Answer("unknown", type(error).__name__)
        return answer

    async def _post(self, step: SagaStep, order: Order) -> httpx.Response:
        headers = self._headers | {"Idempotency-Key": f"{order.order_id}:{step}"}
        path = PATHS[step].format(order.order_id)
        return await self._http.post(path, json=self._body(step, order), headers=headers)

    async def _look(self, order: Order) -> httpx.Response:
        return await self._http.get(f"/v1/holds/{order.order_id}", headers=self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {_token(self._token_file)}"}

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


def _understood(response: httpx.Response, step: SagaStep) -> Answer:
    status, code = response.status_code, _code(response)
    if response.is_success:
        return Answer("done")
    ours = status in _NOT_THE_LEDGERS_WORD or not response.is_client_error or code.startswith("idempotency_key_")
    misrouted = not code or (step == "hold" and code == "not_found")  # a new hold is never "not found"
    if ours or misrouted:
        log.warning("ledger_answer_unknown", step=step, status=status, code=code)
        return Answer("unknown", code or f"http_{status}")
    return Answer("refused", code)


def _settled(response: httpx.Response, step: SagaStep, order: Order, *, refusal: Answer) -> Answer:
    """What a refused step comes to, by the hold as it stands."""
    if response.status_code == HTTPStatus.NOT_FOUND and _code(response):
        return refusal
    if not response.is_success:
        return Answer("unknown", f"http_{response.status_code}")
    try:
        hold = msgspec.json.decode(response.content, type=Hold)
    except msgspec.DecodeError:
        return Answer("unknown", "hold_not_understood")
    if step == "release" and hold.state == "captured":
        log.error("hold_captured_for_an_order_given_up", order_id=order.order_id)
        return Answer("unknown", "hold_captured")
    return Answer("done") if _is_done(step, order, hold) else refusal


def _is_done(step: SagaStep, order: Order, hold: Hold) -> bool:
    match step:
        case "hold":
            return (hold.member_id, hold.state, hold.points) == (order.member_id, "held", order.points)
        case "capture":
            return (hold.state, hold.captured, hold.refunded) == ("captured", order.points, 0)
        case "refund":
            return hold.refunded == order.points
    return False


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
