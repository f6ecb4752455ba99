"""How an order moves: the new status, the line in its history, and what the world is told, always together.

It is told of whoever has the order by then: after a merger that is not the number it was placed under.
"""

from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

from msgspec.structs import replace
from tenure.contracts import mall
from tenure.contracts.decision import Decision

from mall.states import STEP_OF, Order, Row, Status, Stepped

TOLD: Final[Mapping[Status, type[mall.OrderEvent]]] = MappingProxyType(
    {
        "placed": mall.OrderPlaced,
        "fulfilled": mall.OrderFulfilled,
        "failed": mall.OrderFailed,
        "refunded": mall.OrderRefunded,
    }
)


def moved(
    order: Order,
    status: Status,
    *,
    on: date,
    next_try_at: datetime | None = None,
    reason: str | None = None,
    tells: tuple[type[mall.OrderEvent], ...] | None = None,
    rows: tuple[Row, ...] = (),
) -> Decision[Any]:
    """The order in its new status. `tells` defaults to what the status itself tells (a refund that was refused tells nothing)."""
    assert status not in STEP_OF or next_try_at is not None, f"an order that is {status} has something to do next"
    after = replace(
        order,
        status=status,
        reason=order.reason if reason is None else reason,
        attempts=0,
        next_try_at=next_try_at if status in STEP_OF else None,
    )
    if tells is None:
        tells = (TOLD[status],) if status in TOLD else ()
    history = Stepped(order.order_id, status, after.reason, on)
    return Decision(
        after, emit=tuple(_tell(t, after, on) for t in tells), rows=(*rows, history), reply=after.unveiled()
    )


def _tell(event: type[mall.OrderEvent], order: Order, on: date) -> mall.OrderEvent:
    more = {"reason": order.reason} if event in (mall.OrderFailed, mall.OrderRefunded) else {}
    return event(
        member_id=order.owner,
        order_id=order.order_id,
        sku=order.sku,
        quantity=order.quantity,
        points=order.points,
        effective=on,
        kind=order.kind,
        cash_fen=order.cash_fen,
        **more,
    )
