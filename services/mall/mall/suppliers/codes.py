"""Codes from our own table, in set-based statements inside the write door's transaction.

The invariant: a code belongs to at most one order at a time, and a reserved unit always has a free code: codes are counted onto
the shelf in the transaction that inserts them, and taken only by orders that reserved their units there before.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from asyncpg.connection import Connection
from tenure.spine.faults import reach

from mall.states import Code, CodesTaken

# Each order's claims are numbered within its SKU, as are the free codes, and equal numbers meet. Codes that another
# transaction is taking right now are skipped, not waited for.
_TAKE: Final = """
WITH asked  AS (SELECT * FROM unnest($1::text[], $2::text[], $3::int[]) AS t (order_id, sku, quantity)),
     wanted AS (SELECT order_id, sku, row_number() OVER (PARTITION BY sku ORDER BY order_id, unit) AS n
                FROM asked CROSS JOIN LATERAL generate_series(1, quantity) AS unit),
     free   AS (SELECT sku, code, row_number() OVER (PARTITION BY sku) AS n
                FROM (SELECT sku, sum(quantity) AS units FROM asked GROUP BY sku) AS per_sku
                CROSS JOIN LATERAL (SELECT code FROM codes c WHERE c.sku = per_sku.sku AND c.order_id IS NULL
                                    ORDER BY c.code_id LIMIT per_sku.units FOR UPDATE SKIP LOCKED) AS picked)
UPDATE codes SET order_id = wanted.order_id
FROM wanted JOIN free USING (sku, n)
WHERE codes.sku = free.sku AND codes.code = free.code
"""


class CodesMissingError(RuntimeError):
    """Reserved units without codes: the shelf and the codes disagree. Nothing was changed; see GET /v1/mall/verify."""


async def held_by(conn: Connection, orders: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """The codes of these orders, in the order they were loaded."""
    rows = await conn.fetch(
        """SELECT order_id, array_agg(code ORDER BY code_id) AS codes FROM codes
           WHERE order_id = ANY ($1::text[]) GROUP BY order_id""",
        orders,
    )
    return {row["order_id"]: tuple(row["codes"]) for row in rows}


async def known(conn: Connection, codes: Sequence[Code]) -> set[Code]:
    """Those of these codes that were loaded before. The caller holds the locks of their shelves, so none can come between."""
    rows = await conn.fetch(
        "SELECT sku, code FROM codes JOIN unnest($1::text[], $2::text[]) AS t (sku, code) USING (sku, code)",
        [c.sku for c in codes],
        [c.code for c in codes],
    )
    return {Code(sku=row["sku"], code=row["code"]) for row in rows}


async def add(conn: Connection, codes: Sequence[Code]) -> None:
    await conn.execute(
        "INSERT INTO codes (sku, code) SELECT * FROM unnest($1::text[], $2::text[])",
        [c.sku for c in codes],
        [c.code for c in codes],
    )


async def take(conn: Connection, taken: Sequence[CodesTaken]) -> None:
    """Give each order its codes. Raises CodesMissingError, and the whole transaction with it."""
    reach("saga.codes_taking")
    done = await conn.execute(_TAKE, [t.order_id for t in taken], [t.sku for t in taken], [t.quantity for t in taken])
    if done != f"UPDATE {sum(t.quantity for t in taken)}":
        raise CodesMissingError
    reach("saga.codes_taken")


async def give_back(conn: Connection, orders: Sequence[str]) -> None:
    """These orders' codes are free again."""
    reach("saga.codes_returning")
    await conn.execute("UPDATE codes SET order_id = NULL WHERE order_id = ANY ($1::text[])", orders)
    reach("saga.codes_returned")
