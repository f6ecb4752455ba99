"""What the API reads, one statement each, without locks."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
import msgspec
from tenure.contracts.tier import Step

from mall.states import Member, Order, Quote
from mall.store import order_of, quote_of

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


async def quote(pool: Pool, quote_id: str) -> Quote | None:
    row = await pool.fetchrow("SELECT * FROM quotes WHERE quote_id = $1", quote_id)
    return quote_of(row) if row else None


async def order(pool: Pool, order_id: str) -> Order | None:
    """The order without its codes: those are shown by a command only."""
    row = await pool.fetchrow("SELECT * FROM orders WHERE order_id = $1", order_id)
    return order_of(row) if row else None


async def orders_of(pool: Pool, member_id: str, *, before: str | None, limit: int) -> list[Order]:
    """A member's orders, newest first, up to one more than `limit`."""
    rows = await pool.fetch(
        """SELECT * FROM orders WHERE member_id = $1 AND ($2::text IS NULL OR order_id < $2)
           ORDER BY order_id DESC LIMIT $3 + 1""",
        member_id,
        before,
        limit,
    )
    return [order_of(row) for row in rows]


async def to_deliver(pool: Pool, *, after: str, limit: int) -> list[Order]:
    """Goods and services that are paid and not delivered yet, oldest first, up to one more than `limit`."""
    rows = await pool.fetch(
        """SELECT * FROM orders WHERE kind <> 'code' AND status IN ('fulfilled', 'shipped') AND order_id > $1
           ORDER BY order_id LIMIT $2 + 1""",
        after,
        limit,
    )
    return [order_of(row) for row in rows]


async def history(pool: Pool, order_id: str) -> list[Mapping[str, Any]]:
    """Every status the order had, oldest first."""
    rows = await pool.fetch(
        'SELECT status, reason, "on", at FROM order_steps WHERE order_id = $1 ORDER BY seq', order_id
    )
    return [dict(row) for row in rows]


async def member(pool: Pool, member_id: str) -> Member:
    timeline = await pool.fetchval("SELECT timeline FROM members WHERE member_id = $1", member_id)
    steps = msgspec.json.decode(timeline, type=tuple[Step, ...]) if timeline else ()
    return Member(member_id=member_id, timeline=steps)


async def available(pool: Pool) -> Mapping[str, int]:
    """Units on each shelf."""
    return {r["sku"]: r["available"] for r in await pool.fetch("SELECT sku, available FROM shelves")}
