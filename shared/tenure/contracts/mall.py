"""`mall.v1`: orders in the points mall."""

from datetime import date

from tenure.contracts.event import Data


class OrderEvent(Data, frozen=True, kw_only=True):
    member_id: str
    order_id: str
    sku: str
    quantity: int
    points: int
    effective: date


class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderFulfilled(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderFailed(OrderEvent, frozen=True, kw_only=True):
    reason: str


class OrderShipped(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderDelivered(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderRefunded(OrderEvent, frozen=True, kw_only=True):
    reason: str


class OrderClosed(OrderEvent, frozen=True, kw_only=True):
    pass
