"""What a member or an operator may do with an order: place it, see its code, ask for the points back, ship, deliver.

The invariant: a code that was seen is never refunded, and a code on its way back is never seen.
"""

from typing import Final

from msgspec.structs import replace
from tenure.contracts import mall
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme

from mall.commands import AskRefund, ClaimOrder, Deliver, PlaceOrder, Ship, ViewCode
from mall.rules.quotes import must_be_still_used, must_be_within_limit, window_of
from mall.rules.telling import moved
from mall.states import Member, Order, Person, Quote, Shelf

Placing = tuple[Member | None, Shelf | None, Order | None, Person]
_NO_REFUND: Final = {"shipped": "already_shipped", "failed": "nothing_to_refund"}


def on_order(state: Placing, event: Event, programme: Programme) -> Decision[Placing]:
    """Reserve the units. The same quote again is the same order.

    Refuses member_merged, quote_expired, out_of_stock, limit_reached.
    """
    member, shelf, order, person = state
    asked: PlaceOrder = event.data
    quote = asked.quote
    if order is not None:
        return Decision(state, reply=order.unveiled())
    must_be_still_used(person)
    if asked.at >= quote.valid_until:
        raise RefusedError("quote_expired", "ask for a new quote")
    if shelf is None or shelf.available < quote.quantity:
        raise RefusedError("out_of_stock", "fewer units are left than asked for")
    member, window = _count(member or Member(member_id=quote.member_id), person, quote, programme)
    placed = moved(_order_of(asked, window), "placed", on=asked.on, next_try_at=asked.next_try_at)
    shelf = replace(shelf, available=shelf.available - quote.quantity)
    return replace(placed, state=(member, shelf, placed.state, person))


def _count(member: Member, person: Person, quote: Quote, programme: Programme) -> tuple[Member, str | None]:
    """The member with the units counted against the item's limit, and the window they count in."""
    item = programme.catalogue.at(quote.quoted_on).by_sku.get(quote.sku)
    window = window_of(item, quote.quoted_on) if item else None
    if item is None or window is None:
        return member, None
    must_be_within_limit(item, member, person, quote.quantity, day=quote.quoted_on)
    taken = {**member.taken, window: member.taken.get(window, 0) + quote.quantity}
    return replace(member, taken=taken), window


def _order_of(asked: PlaceOrder, window: str | None) -> Order:
    quote = asked.quote
    return Order(
        order_id=asked.order_id,
        member_id=quote.member_id,
        sku=quote.sku,
        kind=quote.kind,
        quantity=quote.quantity,
        points=quote.points,
        cash_fen=quote.cash_fen,
        catalogue_version=quote.catalogue_version,
        status="placed",
        placed_on=asked.on,
        taken_under=window,
        next_try_at=asked.next_try_at,
        give_up_at=asked.give_up_at,
    )


def on_find(state: Order | None, event: Event, programme: Programme) -> Decision[Order | None]:  # noqa: ARG001
    """The order as it stands."""
    order = _there(state)
    return Decision(order, reply=order.unveiled())


def on_claim(state: Order | None, event: Event, programme: Programme) -> Decision[Order | None]:  # noqa: ARG001
    """One worker gets the order: the one that saw it as it still is."""
    asked: ClaimOrder = event.data
    if state is None or state.next_try_at != asked.seen:
        return Decision(state)
    claimed = replace(state, next_try_at=asked.next_try_at)
    return Decision(claimed, reply=claimed.unveiled())


def on_view(state: Order | None, event: Event, programme: Programme) -> Decision[Order | None]:  # noqa: ARG001
    """Show the codes, and close the order. Refuses not_a_code, code_not_ready, code_gone."""
    order, asked = _there(state), event.data
    assert isinstance(asked, ViewCode)
    if order.kind != "code":
        raise RefusedError("not_a_code", "this order has no code")
    if order.status == "closed":
        return Decision(order, reply=order.codes)
    if order.status in ("refunding", "refunded", "failed"):
        raise RefusedError("code_gone", "the points went back")
    if order.status != "fulfilled":
        raise RefusedError("code_not_ready", "the order is still being worked on")
    seen = moved(replace(order, viewed_on=asked.on), "closed", on=asked.on, reason="", tells=(mall.OrderClosed,))
    return replace(seen, reply=order.codes)


def on_refund(state: Order | None, event: Event, programme: Programme) -> Decision[Order | None]:  # noqa: ARG001
    """Begin to give the points back. Refuses code_viewed, already_shipped, nothing_to_refund, order_in_progress."""
    order, asked = _there(state), event.data
    assert isinstance(asked, AskRefund)
    if order.status in ("refunding", "refunded"):
        return Decision(order, reply=order.unveiled())
    if order.status == "closed":
        raise RefusedError("code_viewed" if order.kind == "code" else "already_delivered", "it cannot be given back")
    if order.status in _NO_REFUND:
        raise RefusedError(_NO_REFUND[order.status], f"the order is {order.status}")
    if order.status != "fulfilled":
        raise RefusedError("order_in_progress", "the order is still being worked on")
    return moved(order, "refunding", on=asked.on, next_try_at=asked.next_try_at, reason=asked.reason)


def on_ship(state: Order | None, event: Event, programme: Programme) -> Decision[Order | None]:  # noqa: ARG001
    """The goods left. Refuses not_shippable."""
    order, asked = _there(state), event.data
    assert isinstance(asked, Ship)
    if order.status == "shipped":
        return Decision(order, reply=order)
    if order.kind != "goods" or order.status != "fulfilled":
        raise RefusedError("not_shippable", f"a {order.kind} order that is {order.status} is not shipped")
    return moved(order, "shipped", on=asked.on, reason="", tells=(mall.OrderShipped,))


def on_deliver(state: Order | None, event: Event, programme: Programme) -> Decision[Order | None]:  # noqa: ARG001
    """The goods arrived, or the service was rendered: the order is closed. Refuses not_deliverable."""
    order, asked = _there(state), event.data
    assert isinstance(asked, Deliver)
    if order.kind != "code" and order.status == "closed":
        return Decision(order, reply=order)
    ready = {"goods": "shipped", "service": "fulfilled"}.get(order.kind)
    if order.status != ready:
        raise RefusedError("not_deliverable", f"a {order.kind} order that is {order.status} is not delivered")
    return moved(order, "closed", on=asked.on, reason="", tells=(mall.OrderDelivered, mall.OrderClosed))


def _there(order: Order | None) -> Order:
    if order is None:
        raise RefusedError("not_found", "there is no such order")
    return order
