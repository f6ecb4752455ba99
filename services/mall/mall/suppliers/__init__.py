"""Who delivers what an order bought: one file per outside system.

A supplier is asked at least once per order, under the order's id, and must take a repeated request as the same one. An answer
that did not come is `unknown`: the order stays in progress and the supplier is asked again.
"""

from typing import Protocol

from mall.states import Answer, Order


class Supplier(Protocol):
    async def supply(self, order: Order) -> Answer: ...
