"""What callers are shown and what they may send."""

from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import Response
from pydantic import Field, StringConstraints
from tenure.contracts.programme import Programme
from tenure.contracts.programme.catalogue import Item
from tenure.edge.bodies import Body, Id, Words
from tenure.edge.http import json_response

from mall.limits import CODE_CHARS_MAX, CODES_PER_UPLOAD_MAX, LOW_STOCK_UNITS, QUANTITY_MAX, STOCK_DELTA_MAX
from mall.states import Order, SagaStep

StockState = Literal["in_stock", "low", "sold_out"]
Language = Literal["zh", "en"]
OnHold: Final = frozenset({"placed", "held", "supplied", "releasing"})
ACCEPTED: Final = 202


class QuoteBody(Body):
    sku: Id
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX)] = 1


class OrderBody(Body):
    quote_id: Id


class AfterSalesBody(Body):
    """`reason` is one of a list: a free text could carry personal data into events."""

    kind: Literal["refund"]
    reason: Literal["changed_mind", "bought_by_mistake", "not_usable", "other"]


class CodesBody(Body):
    codes: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=CODE_CHARS_MAX, pattern=r"^[\x21-\x7e]+$")]],
        Field(min_length=1, max_length=CODES_PER_UPLOAD_MAX),
    ]


class StockBody(Body):
    delta: Annotated[int, Field(ge=-STOCK_DELTA_MAX, le=STOCK_DELTA_MAX)]
    reason: Annotated[Words, StringConstraints(min_length=3, max_length=200)]


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """`points` is the price of the day; `list_points` the ordinary one, which differs during a campaign."""

    sku: str
    title: str
    kind: str
    category: str
    points: int
    list_points: int
    cash_fen: int
    tier_min: str
    limit_per_member: int | None
    limit_period: str | None
    stock: StockState
    available: bool


class CatalogueView(msgspec.Struct, frozen=True):
    items: list[ItemView]


class CodesView(msgspec.Struct, frozen=True):
    order_id: str
    codes: list[str]


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """`status` is what a member needs to know; `step` what the mall does next for it, null when nothing."""

    order_id: str
    member_id: str
    sku: str
    title_zh: str
    title_en: str
    kind: str
    quantity: int
    points: int
    cash_fen: int
    status: str
    step: SagaStep | None
    reason: str
    placed_on: date
    viewed_on: date | None


def show_item(item: Item, day: date, available: int, *, lang: Language) -> ItemView:
    return ItemView(
        sku=item.sku,
        title=item.title_en if lang == "en" else item.title_zh,
        kind=item.kind,
        category=item.category,
        points=item.points_on(day),
        list_points=item.points,
        cash_fen=item.cash_fen,
        tier_min=item.tier_min,
        limit_per_member=item.limit_per_member,
        limit_period=item.limit_period if item.limit_per_member else None,
        available=available > 0,
        stock="sold_out" if available <= 0 else "low" if available <= LOW_STOCK_UNITS else "in_stock",
    )


def show_order(order: Order, programme: Programme) -> OrderView:
    item = _as_quoted(order, programme)
    return OrderView(
        order_id=order.order_id,
        member_id=order.owner,
        sku=order.sku,
        title_zh=item.title_zh if item else order.sku,
        title_en=item.title_en if item else order.sku,
        kind=order.kind,
        quantity=order.quantity,
        points=order.points,
        cash_fen=order.cash_fen,
        status="processing" if order.status in OnHold else order.status,
        step=order.step,
        reason=order.reason,
        placed_on=order.placed_on,
        viewed_on=order.viewed_on,
    )


def _as_quoted(order: Order, programme: Programme) -> Item | None:
    """What was ordered, in the words of the catalogue it was quoted from: it may have changed at midnight."""
    quoted = (v for v in programme.catalogue.all if v.version == order.catalogue_version)
    return next(quoted, programme.catalogue.at(order.placed_on)).by_sku.get(order.sku)


def answer_order(order: Order, programme: Programme, *, status: int, headers: dict[str, str] | None = None) -> Response:
    """The order; 202 while something is still to be done for it."""
    response = json_response(show_order(order, programme), ACCEPTED if order.step else status)
    response.headers.update(headers or {})
    return response


def shown(payload: Any) -> Response:
    return json_response(payload)
