"""Many members at once: nobody gets what is not there, and nobody pays for nothing."""

import asyncio
from typing import Any

MEMBERS = 200
UNITS = 50
SKU = "dental-cleaning"


async def test_two_hundred_orders_at_once_for_fifty_units(mall: Any) -> None:
    members = [f"M-{n}" for n in range(MEMBERS)]
    for member in members:
        await mall.join(member, "gold", points=10_000)
    quotes = [(await mall.quote(member, SKU)).json()["quote_id"] for member in members]
    orders = zip(members, quotes, strict=True)
    answers = await asyncio.gather(*(ordered(mall, member, quote) for member, quote in orders))
    bought = [a.json()["order_id"] for a in answers if a.status_code == 201]
    refused = [a.json()["code"] for a in answers if a.status_code == 409]
    assert len(bought) == UNITS
    assert refused == ["out_of_stock"] * (MEMBERS - UNITS)
    assert await mall.statuses() == {"fulfilled": UNITS}
    assert await mall.available(SKU) == 0
    held = await mall.t.pool.fetch("SELECT order_id FROM codes WHERE sku = $1", SKU)
    assert sorted(row["order_id"] for row in held) == sorted(bought)
    assert mall.bank.accounts["mall"] == UNITS * 6000
    assert not await mall.broken()


async def ordered(mall: Any, member: str, quote: str) -> Any:
    """As a client does that is told to come back (503): under the same key."""
    for _ in range(30):
        answer = await mall.order_quote(member, quote, key=f"order-{member}")
        if answer.status_code != 503:
            break
        await asyncio.sleep(0.5)
    return answer


async def test_the_last_points_are_spent_once(mall: Any) -> None:
    await mall.join("M-1", points=2800)
    quotes = [(await mall.quote("M-1", "coffee-voucher-30")).json()["quote_id"] for _ in range(8)]
    answers = await asyncio.gather(*(mall.order_quote("M-1", quote) for quote in quotes))
    assert sorted(a.json()["status"] for a in answers) == ["failed"] * 7 + ["fulfilled"]
    assert (mall.bank.accounts["M-1"], await mall.available("coffee-voucher-30")) == (0, 199)
    assert not await mall.broken()


async def test_buying_refunding_and_loading_at_once_keeps_the_books(mall: Any) -> None:
    members = [f"M-{n}" for n in range(20)]
    for member in members:
        await mall.join(member, points=5600)

    async def buy_and_return(member: str) -> None:
        order = (await mall.order(member, "tree-planting", 3)).json()
        path = f"/v1/orders/{order['order_id']}"
        if int(member[2:]) % 2:
            await mall.call("POST", f"{path}/after-sales", "member", member, json={"kind": "refund", "reason": "other"})
        else:
            await mall.call("GET", f"{path}/code", "member", member)

    async def load(n: int) -> None:
        codes = [f"NEW-{i}" for i in range(n, n + 20)]
        await mall.call("POST", "/v1/catalogue/tree-planting/codes", json={"codes": codes})

    await asyncio.gather(*map(buy_and_return, members), *(load(n) for n in range(0, 50, 10)))
    assert await mall.statuses() == {"closed": 10, "refunded": 10}
    assert await mall.available("tree-planting") == 500 + 60 - 30
    assert not await mall.broken()
