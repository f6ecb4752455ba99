"""What the API reads, without locks: one statement each, and one more where numbers were merged."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
import msgspec
from tenure.contracts.tier import Step

from mall.persons import persons
from mall.states import Member, Order, Person, Quote
from mall.store import ORDERS, orders_of, quote_of

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


async def quote(pool: Pool, quote_id: str) -> Quote | None:
    row = await pool.fetchrow("SELECT * FROM quotes WHERE quote_id = $1", quote_id)
    return quote_of(row) if row else None


async def order(pool: Pool, order_id: str) -> Order | None:
    """The order without its codes: those are shown by a command only."""
    found = await orders_of(pool, await pool.fetch(f"{ORDERS} WHERE order_id = $1", order_id))
    return found[0] if found else None


async def person(pool: Pool, member_id: str) -> Person:
    """Whoever has this number; anyone may be asked about."""
    return (await persons(pool, (member_id,)))[member_id]


async def orders(pool: Pool, whose: Person, *, before: str | None, limit: int) -> list[Order]:
    """A person's orders, newest first, up to one more than `limit`: under whatever number of theirs."""
    rows = await pool.fetch(
        f"""{ORDERS} WHERE member_id = ANY ($1::text[]) AND ($2::text IS NULL OR order_id < $2)
            ORDER BY order_id DESC LIMIT $3 + 1""",
        whose.numbers,
        before,
        limit,
    )
    return await orders_of(pool, rows)


async def to_deliver(pool: Pool, *, after: str, limit: int) -> list[Order]:
    """Goods and services that are paid and not delivered yet, oldest first, up to one more than `limit`."""
    rows = await pool.fetch(
        f"""{ORDERS} WHERE kind <> 'code' AND status IN ('fulfilled', 'shipped') AND order_id > $1
            ORDER BY order_id LIMIT $2 + 1""",
        after,
        limit,
    )
    return await orders_of(pool, rows)


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
