"""What the mall makes of the ledger's answers, and what it sends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from mall.limits import LEASE_S
from mall.ports.ledger import HttpLedger
from mall.service import SERVICE
from mall.states import Answer, Order
from mall.worker import run
from tenure.contracts.programme import Programme
from tenure.edge.http import create_app
from tenure.settings import Settings
from tenure.spine.runtime import Worker

ANSWERS = [
    # status  body                                        -> what it means for the order
    (201, {"hold_id": "O-1", "status": "held"}, Answer("done")),
    (200, {}, Answer("done")),
    (409, {"code": "insufficient_points"}, Answer("refused", "insufficient_points")),
    (422, {"code": "debt_outstanding"}, Answer("refused", "debt_outstanding")),
    (404, {"code": "unknown_member"}, Answer("refused", "unknown_member")),
    (422, {"code": "hold_too_large"}, Answer("refused", "hold_too_large")),
    (409, {"code": "idempotency_key_in_flight"}, Answer("unknown", "idempotency_key_in_flight")),
    (404, {"code": "not_found"}, Answer("unknown", "not_found")),  # no ledger behind this gateway
    (401, {"code": "unauthenticated"}, Answer("unknown", "unauthenticated")),  # our token, not the points
    (429, {"code": "rate_limited"}, Answer("unknown", "rate_limited")),
    (503, {"code": "unavailable"}, Answer("unknown", "unavailable")),
    (404, "<html>no such backend</html>", Answer("unknown", "http_404")),  # a proxy, not the ledger
    (409, ["code"], Answer("unknown", "http_409")),
    (302, {}, Answer("unknown", "http_302")),
]


def ledger_that(answers: Any, settings: Settings) -> HttpLedger:
    return HttpLedger(settings, httpx.MockTransport(answers))


@pytest.fixture
def order(new_quote: Any) -> Order:
    fields = {
        "order_id": "O-1",
        "member_id": "M-1",
        "sku": "x",
        "kind": "code",
        "quantity": 1,
        "points": 2800,
        "cash_fen": 0,
        "catalogue_version": 1,
        "status": "placed",
        "placed_on": new_quote().quoted_on,
        "next_try_at": new_quote().valid_until,
        "give_up_at": new_quote().valid_until,
    }
    return Order(**fields)


@pytest.mark.parametrize(("status", "body", "expected"), ANSWERS)
async def test_answers(settings: Settings, order: Order, status: int, body: Any, expected: Answer) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    async with ledger_that(lambda _: httpx.Response(status, text=content), settings) as ledger:
        assert await ledger.ask("hold", order) == expected


STATES = [
    # asked      refused because       the hold as it stands                                     -> what it means
    ("hold", "hold_exists", {"state": "held"}, Answer("done")),  # our own, whose answer was forgotten
    ("hold", "hold_exists", {"state": "held", "member_id": "M-2"}, Answer("refused", "hold_exists")),
    ("hold", "hold_exists", {"state": "timed_out"}, Answer("refused", "hold_exists")),
    ("capture", "hold_resolved", {"state": "captured", "captured": 2800}, Answer("done")),
    ("capture", "hold_resolved", {"state": "timed_out"}, Answer("refused", "hold_resolved")),
    ("capture", "hold_resolved", None, Answer("refused", "hold_resolved")),  # there is no such hold
    ("release", "hold_resolved", {"state": "released"}, Answer("refused", "hold_resolved")),
    ("release", "hold_resolved", {"state": "captured", "captured": 2800}, Answer("unknown", "hold_captured")),
    ("refund", "refund_too_large", {"state": "captured", "captured": 2800, "refunded": 2800}, Answer("done")),
    ("refund", "hold_not_captured", {"state": "held"}, Answer("refused", "hold_not_captured")),
    ("capture", "hold_resolved", {"state": 7}, Answer("unknown", "hold_not_understood")),
]


@pytest.mark.parametrize(("step", "code", "hold", "expected"), STATES)
async def test_a_hold_in_another_state_is_looked_at(
    settings: Settings, order: Order, step: Any, code: str, hold: dict[str, Any] | None, expected: Answer
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(409, json={"code": code})
        if hold is None:
            return httpx.Response(404, json={"code": "not_found"})
        return httpx.Response(200, json={"member_id": "M-1", "points": 2800, "captured": 0, "refunded": 0} | hold)

    async with ledger_that(answer, settings) as ledger:
        assert await ledger.ask(step, order) == expected


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ConnectError, httpx.PoolTimeout, httpx.RemoteProtocolError])
async def test_no_answer_is_unknown(settings: Settings, order: Order, error: type[Exception]) -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        raise error("...")

    async with ledger_that(silent, settings) as ledger:
        assert await ledger.ask("capture", order) == Answer("unknown", error.__name__)


async def test_each_step_has_one_key_and_the_services_token(settings: Settings, order: Order, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    told = settings.model_copy(update={"service_token_file": tmp_path / "token", "service_url": "http://gateway"})
    asked: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={})

    async with ledger_that(note, told) as ledger:
        for step in ("hold", "hold", "capture", "release", "refund"):
            await ledger.ask(step, order)  # type: ignore[arg-type]
    assert [r.headers["idempotency-key"] for r in asked] == [
        "O-1:hold",
        "O-1:hold",
        "O-1:capture",
        "O-1:release",
        "O-1:refund",
    ]
    assert {r.headers["authorization"] for r in asked} == {"Bearer abc"}
    assert [str(r.url) for r in asked[1:]] == [
        "http://gateway/v1/holds",
        "http://gateway/v1/holds/O-1/capture",
        "http://gateway/v1/holds/O-1/release",
        "http://gateway/v1/holds/O-1/refund",
    ]
    assert json.loads(asked[0].content) == {
        "hold_id": "O-1",
        "member_id": "M-1",
        "points": 2800,
        "reference": "O-1",
        "ttl_s": settings.hold_ttl_s,
    }
    assert settings.hold_ttl_s > LEASE_S


async def test_the_apps_end_closes_its_connections(settings: Settings, mall: Any, monkeypatch: Any) -> None:
    closed: list[HttpLedger] = []

    async def close(self: HttpLedger) -> None:
        closed.append(self)

    monkeypatch.setattr(HttpLedger, "close", close)
    app = create_app([(SERVICE, mall.t.door)], settings)
    async with app.router.lifespan_context(app):
        assert not closed
    assert len(closed) == 1


async def test_the_worker_opens_shelves_and_keeps_an_order_while_the_ledger_is_down(
    mall: Any, new_quote: Any, rules: Programme
) -> None:
    await mall.t.pool.execute("UPDATE shelves SET opened = false WHERE sku = 'smoke-alarm'")
    mall.late_s = -2 * LEASE_S
    await mall.saga().place(new_quote())
    nowhere = mall.t.settings.model_copy(update={"service_url": "http://127.0.0.1:1"})

    worker = Worker(mall.t.door, nowhere, None, None, asyncio.Event())  # type: ignore[arg-type]
    running = asyncio.create_task(run(worker))
    async with asyncio.timeout(20):
        await worker.wake_relay.wait()
    worker.stopping.set()
    await running
    kept = await mall.t.pool.fetchrow("SELECT status, attempts, next_try_at > now() AS later FROM orders")
    assert tuple(kept) == ("placed", 1, True)
    assert await mall.available("smoke-alarm") == 100 + rules.catalogue.newest.by_sku["smoke-alarm"].initial_stock
    assert not await mall.broken()
