"""What a member does: look, ask the price, order, see the code, give it back."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from tenure.contracts.programme.catalogue import Item as CatalogueItem
from tenure.edge import Page, answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Id, MemberId
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import REPLAYED_HEADER, IdempotencyKey
from tenure.edge.paging import LIMIT_DEFAULT, Cursor, Limit, decode_cursor, page_of
from tenure.edge.problems import Problem
from tenure.settings import Settings
from tenure.spine.faults import reach
from tenure.spine.transact import Idempotency, Item, Outcome

from mall import reads
from mall.api.views import (
    AfterSalesBody,
    CatalogueView,
    CodesView,
    Language,
    OrderBody,
    OrderView,
    QuoteBody,
    answer_order,
    show_item,
    show_order,
)
from mall.commands import AskRefund, FindOrder, MakeQuote, ViewCode
from mall.limits import INLINE_DEADLINE_S, LEASE_S, QUOTE_TTL_S
from mall.ports.ledger import HttpLedger, Ledger
from mall.rules.quotes import may_have
from mall.rules.steps import REFUND_REFUSED
from mall.saga import Saga, new_quote_id, order_id_of
from mall.states import Order, Person, Quote

Member = Annotated[Caller, Depends(caller("member"))]
Reader = Annotated[Caller, Depends(caller("member", "agent", "operator", "sre", "service"))]
OfMember = Annotated[MemberId | None, Query(description="whose; the caller's own without it")]
_order: Final = msgspec.json.Decoder(Order)


def router(app: App, *, ledger: Callable[[Settings], Ledger] = HttpLedger) -> APIRouter:
    """The shop, with its saga on the edge's Gatherer. `ledger` builds the port to points-ledger."""
    port = ledger(app.settings)
    shop = Shop(app, Saga(app.submit, port, app.today, app.now))
    routes = APIRouter(lifespan=partial(_closing, port))
    _read_routes(routes, app)
    _write_routes(routes, app, shop)
    return routes


@asynccontextmanager
async def _closing(port: Ledger, _: FastAPI) -> AsyncIterator[None]:
    yield
    if isinstance(port, HttpLedger):
        await port.close()


class Shop:
    """Orders over HTTP: placed and driven inline, so that most callers have their code in the same answer."""

    def __init__(self, app: App, saga: Saga) -> None:
        self.app, self.saga = app, saga

    async def order(self, request: Request, quote_id: str, who: Caller) -> Response:
        """Place the quote's order, and drive it as far as the deadline lets. Asked again: the same order, as it is now."""
        idempotency = await self.app.idempotency(request, who)
        quote = await reads.quote(self.app.pool, quote_id)
        if quote is None or quote.member_id != who.subject:
            return await self._of_forgotten_quote(quote_id, who, idempotency)
        with self.app.in_flight.hold(idempotency):
            outcome = await self.saga.place(quote, idempotency)
            return await self._driven(outcome, status=201)

    async def refund(self, request: Request, order_id: str, reason: str, who: Caller) -> Response:
        """Ask for the points back, and see how far it comes. Raises Problem refund_refused: the ledger gives none back."""
        idempotency = await self.app.idempotency(request, who)
        await seen_order(self.app, order_id, who)
        day = await self.app.today()
        until = self.app.now() + timedelta(seconds=LEASE_S)
        command = AskRefund(order_id=order_id, reason=reason, on=day, next_try_at=until)
        with self.app.in_flight.hold(idempotency):
            event = self.saga.event(command, key=who.subject, day=day)
            (outcome,) = await self.app.submit([Item(event, idempotency=idempotency)])
            return await self._driven(outcome, status=200, unless=REFUND_REFUSED)

    async def _driven(self, outcome: Outcome, *, status: int, unless: str = "") -> Response:
        """The order as far as it comes now. `unless`: raises this Problem where it is the reason why the order stands as it did."""
        answered = self.app.answer(outcome)
        order = _order.decode(outcome.body)
        if not outcome.seen:
            await self.saga.drive_within(order, INLINE_DEADLINE_S)
        now = await reads.order(self.app.pool, order.order_id) or order
        if now.status == "fulfilled" and now.reason and now.reason == unless:
            raise Problem(unless)
        replayed = {k: v for k, v in answered.headers.items() if k.lower() == REPLAYED_HEADER.lower()}
        return answer_order(now, self.app.programme, status=status, headers=replayed)

    async def _of_forgotten_quote(self, quote_id: str, who: Caller, idempotency: Idempotency) -> Response:
        """A quote is kept for a day, its order for ever: who asks late is still told what became of it."""
        order = await seen_order(self.app, order_id_of(quote_id), who)
        with self.app.in_flight.hold(idempotency):
            event = self.saga.event(FindOrder(order_id=order.order_id), key=who.subject, day=await self.app.today())
            (outcome,) = await self.app.submit([Item(event, idempotency=idempotency)])
            return await self._driven(outcome, status=201)


async def seen_order(app: App, order_id: str, who: Caller) -> Order:
    """Raises Problem not_found, for a foreign order, too."""
    order = await reads.order(app.pool, order_id)
    if order is None:
        raise Problem("not_found")
    if not who.sees(order.owner):
        await seen_person(app, order.owner, who)
    return order


async def seen_person(app: App, member_id: str, who: Caller) -> Person:
    """Whoever has this number, for a caller who sees one of theirs. Raises Problem not_found."""
    person = await reads.person(app.pool, member_id)
    if not any(map(who.sees, person.numbers)):
        raise Problem("not_found")
    return person


def _read_routes(routes: APIRouter, app: App) -> None:
    @routes.get("/catalogue", openapi_extra=answers(CatalogueView))
    async def catalogue(who: Reader, lang: Language = "zh", member_id: OfMember = None) -> Response:
        """What a member may have at their tier, with the price of the day; without a member, everything."""
        items = await _items_for(app, who, member_id)
        day, available = await app.today(), await reads.available(app.pool)
        return json_response(CatalogueView([show_item(i, day, available.get(i.sku, 0), lang=lang) for i in items]))

    @routes.get("/orders", openapi_extra=answers(Page[OrderView]))
    async def orders(
        who: Reader, member_id: OfMember = None, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """A member's orders, newest first."""
        whose = await seen_person(app, member_id or who.subject, who)
        rows = await reads.orders(app.pool, whose, before=decode_cursor(cursor, str), limit=limit)
        page = page_of(rows, limit, key=lambda o: o.order_id, show=lambda o: show_order(o, app.programme))
        return json_response(page)

    @routes.get("/orders/{order_id}", openapi_extra=answers(OrderView))
    async def order(order_id: Id, who: Reader) -> Response:
        """An order as it stands, without its codes."""
        return json_response(show_order(await seen_order(app, order_id, who), app.programme))


async def _items_for(app: App, who: Caller, member: str | None) -> list[CatalogueItem]:
    day = await app.today()
    items = list(app.programme.catalogue.at(day).items)
    member_id = member or (who.subject if "member" in who.roles else None)
    if member_id is None:
        return items
    person = await seen_person(app, member_id, who)
    tier = (await reads.member(app.pool, person.goes_by)).tier_on(day)
    tiers = (await app.rules()).tiers
    return [item for item in items if may_have(item, tier, tiers, day)]


def _write_routes(routes: APIRouter, app: App, shop: Shop) -> None:
    @routes.post("/quotes", status_code=201, openapi_extra=answers(Quote, status=201))
    async def quote(request: Request, body: QuoteBody, who: Member, _: IdempotencyKey = None) -> Response:
        """A price that holds for a while."""
        until = app.now() + timedelta(seconds=QUOTE_TTL_S)
        command = MakeQuote(
            member_id=who.subject,
            quote_id=new_quote_id(),
            sku=body.sku,
            quantity=body.quantity,
            on=await app.today(),
            valid_until=until,
        )
        reach("saga.quoting")
        answered = await app.write(request, command, key=who.subject, caller=who, status=201)
        reach("saga.quoted")
        return answered

    @routes.post("/orders", status_code=201, openapi_extra=answers(OrderView, status=201, or_later=True))
    async def place(request: Request, body: OrderBody, who: Member, _: IdempotencyKey = None) -> Response:
        """Order what was quoted: 201 with the outcome, or 202 while it is still being worked on."""
        return await shop.order(request, body.quote_id, who)

    @routes.get("/orders/{order_id}/code", openapi_extra=answers(CodesView))
    async def code(order_id: Id, who: Member) -> Response:
        """The codes of an order. Seeing them closes the order: they cannot be given back any more."""
        await seen_order(app, order_id, who)
        day = await app.today()
        event = shop.saga.event(ViewCode(order_id=order_id, on=day), key=who.subject, day=day)
        reach("saga.viewing")
        (outcome,) = await app.submit([Item(event)])
        reach("saga.viewed")
        app.answer(outcome)
        return json_response(CodesView(order_id, msgspec.json.decode(outcome.body)))

    @routes.post("/orders/{order_id}/after-sales", openapi_extra=answers(OrderView, or_later=True))
    async def after_sales(
        request: Request, order_id: Id, body: AfterSalesBody, who: Member, _: IdempotencyKey = None
    ) -> Response:
        """Give an order back: 200 with the outcome, or 202 while the points are still on their way."""
        return await shop.refund(request, order_id, body.reason, who)
