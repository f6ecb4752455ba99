"""What an operator does: load codes, correct stock, ship and deliver, look at an order's history and at the books."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from tenure.edge import Page, answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Id
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import IdempotencyKey
from tenure.edge.paging import LIMIT_DEFAULT, Cursor, Limit, decode_cursor, page_of
from tenure.edge.problems import Problem
from tenure.spine.faults import reach

from mall import audit, reads
from mall.api.views import CodesBody, OrderView, StockBody, show_order
from mall.commands import AdjustStock, Deliver, LoadCodes, Ship

Operator = Annotated[Caller, Depends(caller("operator"))]
Auditor = Annotated[Caller, Depends(caller("operator", "sre", "service"))]


def router(app: App) -> APIRouter:
    routes = APIRouter()
    _stock_routes(routes, app)
    _delivery_routes(routes, app)
    _audit_routes(routes, app)
    return routes


def _stock_routes(routes: APIRouter, app: App) -> None:
    @routes.post("/catalogue/{sku}/codes")
    async def codes(request: Request, sku: Id, body: CodesBody, who: Operator, _: IdempotencyKey = None) -> Response:
        """Load codes bought from a supplier; those loaded before are passed over."""
        command = LoadCodes(sku=sku, codes=tuple(dict.fromkeys(body.codes)), by=who.subject)
        return await app.write(request, command, key=sku, caller=who)

    @routes.post("/catalogue/{sku}/stock")
    async def stock(request: Request, sku: Id, body: StockBody, who: Operator, _: IdempotencyKey = None) -> Response:
        """Add units to the shelf, or take some off."""
        command = AdjustStock(sku=sku, delta=body.delta, reason=body.reason, by=who.subject)
        return await app.write(request, command, key=sku, caller=who)


def _delivery_routes(routes: APIRouter, app: App) -> None:
    @routes.get("/mall/to-deliver", openapi_extra=answers(Page[OrderView]))
    async def to_deliver(_: Operator, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Response:
        """Goods and services that are paid and not delivered yet, oldest first."""
        rows = await reads.to_deliver(app.pool, after=decode_cursor(cursor, str) or "", limit=limit)
        page = page_of(rows, limit, key=lambda o: o.order_id, show=lambda o: show_order(o, app.programme))
        return json_response(page)

    @routes.post("/orders/{order_id}/ship", openapi_extra=answers(OrderView))
    async def ship(request: Request, order_id: Id, who: Operator, _: IdempotencyKey = None) -> Response:
        """The goods left the warehouse."""
        return await _written(app, request, Ship(order_id=order_id, on=await app.today()), who)

    @routes.post("/orders/{order_id}/deliver", openapi_extra=answers(OrderView))
    async def deliver(request: Request, order_id: Id, who: Operator, _: IdempotencyKey = None) -> Response:
        """The goods arrived, or the service was rendered."""
        return await _written(app, request, Deliver(order_id=order_id, on=await app.today()), who)


async def _written(app: App, request: Request, command: Ship | Deliver, who: Caller) -> Response:
    """The order as it is after the command."""
    reach("saga.delivering")
    answered = await app.write(request, command, key=command.order_id, caller=who)
    reach("saga.delivered")
    order = await reads.order(app.pool, command.order_id)
    assert order is not None
    answered.body = json_response(show_order(order, app.programme)).body
    answered.headers["content-length"] = str(len(answered.body))
    return answered


def _audit_routes(routes: APIRouter, app: App) -> None:
    @routes.get("/orders/{order_id}/history")
    async def history(order_id: Id, _: Auditor) -> Response:
        """Every status the order had, and why."""
        steps = await reads.history(app.pool, order_id)
        if not steps:
            raise Problem("not_found")
        return json_response({"order_id": order_id, "steps": steps})

    @routes.get("/mall/totals", openapi_extra=answers(dict[str, int]))
    async def totals(_: Auditor) -> Response:
        """How many orders there are in which state, the units they brought, and the points they took and gave back."""
        return json_response(await audit.totals(app.pool))

    @routes.get("/mall/verify", openapi_extra=answers(dict[str, bool]))
    async def verify(_: Auditor) -> Response:
        """Whether the books agree: stock, codes, orders, each by name."""
        return await app.verified(audit.verify)
