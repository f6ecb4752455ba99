"""What the mall adds up to, and whether its books agree: read by operators and by the demo's invariants."""

from typing import Any, Final, TypeAlias

import asyncpg

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_TOTALS: Final = """
SELECT count(*) AS orders,
       count(*) FILTER (WHERE next_try_at IS NOT NULL) AS in_progress,
       count(*) FILTER (WHERE status IN ('fulfilled', 'shipped', 'closed')) AS fulfilled,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status = 'refunded') AS refunded,
       coalesce(sum(quantity) FILTER (WHERE status IN ('fulfilled', 'shipped', 'closed')), 0)::bigint AS units_fulfilled,
       coalesce(sum(points) FILTER (WHERE status IN ('fulfilled', 'shipped', 'closed', 'refunding')), 0)::bigint
         AS points_captured,
       coalesce(sum(points) FILTER (WHERE status = 'refunded'), 0)::bigint AS points_refunded
FROM orders
"""

# One statement sees one moment, so the books are compared as they stood together.
_VERIFY: Final = """
WITH out AS (SELECT sku, sum(quantity) AS units FROM orders WHERE status NOT IN ('failed', 'refunded') GROUP BY sku),
     held AS (SELECT order_id, count(*) AS codes FROM codes WHERE order_id IS NOT NULL GROUP BY order_id),
     shelf_codes AS (SELECT sku, count(*) AS loaded FROM codes GROUP BY sku)
SELECT NOT EXISTS (SELECT FROM shelves s LEFT JOIN out o USING (sku)
                   WHERE s.stocked <> s.available + coalesce(o.units, 0)) AS stock_conserved,
       NOT EXISTS (SELECT FROM shelves s WHERE s.stocked <>
                   (SELECT coalesce(sum(units), 0) FROM shelf_entries e WHERE e.sku = s.sku)) AS stock_accounted_for,
       NOT EXISTS (SELECT FROM shelf_codes c LEFT JOIN shelves s USING (sku)
                   WHERE c.loaded IS DISTINCT FROM s.stocked) AS codes_are_the_stock,
       NOT EXISTS (SELECT FROM orders o LEFT JOIN held h USING (order_id)
                   WHERE o.kind = 'code' AND o.status IN ('supplied', 'fulfilled', 'closed', 'refunding')
                     AND coalesce(h.codes, 0) <> o.quantity) AS codes_match_orders,
       NOT EXISTS (SELECT FROM held h JOIN orders o USING (order_id)
                   WHERE o.status IN ('placed', 'failed', 'refunded')) AS codes_only_with_live_orders,
       NOT EXISTS (SELECT FROM orders
                   WHERE (next_try_at IS NULL) = (status IN ('placed', 'held', 'supplied', 'releasing', 'refunding'))
                  ) AS orders_whole,
       NOT EXISTS (SELECT FROM orders o WHERE o.status IS DISTINCT FROM
                     (SELECT status FROM order_steps s WHERE s.order_id = o.order_id ORDER BY seq DESC LIMIT 1)
                  ) AS history_whole,
       NOT EXISTS (SELECT FROM orders WHERE viewed_on IS NOT NULL AND status <> 'closed') AS seen_codes_stay_paid
"""


async def totals(pool: Pool) -> dict[str, int]:
    row = await pool.fetchrow(_TOTALS)
    assert row is not None
    return dict(row)


async def verify(pool: Any) -> dict[str, Any]:
    """Each statement about the books, and whether it holds."""
    row = await pool.fetchrow(_VERIFY)
    assert row is not None
    return dict(row)
