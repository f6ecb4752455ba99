"""`mall.v1`: orders in the points mall. Codes never stand in an event: who has one can use it."""

from datetime import date

from tenure.contracts.event import Data


class OrderEvent(Data, frozen=True, kw_only=True):
    """`points` is the price of the whole order, `cash_fen` what is paid to the supplier on delivery beside it; `kind` (code, goods,
    service) says what "fulfilled" means.
    """

    member_id: str
    order_id: str
    sku: str
    quantity: int
    points: int
    effective: date
    kind: str = ""
    cash_fen: int = 0


class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    """The stock is reserved and the points are asked for."""


class OrderFulfilled(OrderEvent, frozen=True, kw_only=True):
    """The points are captured; the code can be seen, or the supplier took the order."""


class OrderFailed(OrderEvent, frozen=True, kw_only=True):
    """Nothing was delivered and no points were taken."""

    reason: str


class OrderShipped(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderDelivered(OrderEvent, frozen=True, kw_only=True):
    pass


class OrderRefunded(OrderEvent, frozen=True, kw_only=True):
    """The points went back to the lots they came from, and the units to the shelf."""

    reason: str


class OrderClosed(OrderEvent, frozen=True, kw_only=True):
    """Nothing can be given back any more: the code was seen, or the goods were delivered."""
