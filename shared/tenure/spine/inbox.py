"""Each event's effect happens once: its key is claimed in the transaction that holds the effect.

One statement claims a whole poll and tells which keys have parked events that later ones must queue behind.
"""

import uuid
from collections.abc import Sequence
from typing import Final

from asyncpg.connection import Connection

_CLAIM: Final = """
WITH incoming AS (SELECT * FROM unnest($1::uuid[], $2::text[]) AS t (event_key, key)),
     blocked  AS (SELECT DISTINCT key FROM parked WHERE key = ANY ($2::text[])),
     claimed  AS (INSERT INTO inbox (event_key)
                  SELECT event_key FROM incoming WHERE key NOT IN (SELECT key FROM blocked)
                  ON CONFLICT DO NOTHING RETURNING event_key)
SELECT (SELECT array_agg(event_key) FROM claimed) AS claimed, (SELECT array_agg(key) FROM blocked) AS blocked
"""


async def claim(conn: Connection, keys: Sequence[tuple[uuid.UUID, str]]) -> tuple[set[uuid.UUID], set[str]]:
    """Claim `(event_key, ordering key)` pairs. Returns the event keys that are new, and the ordering keys that are blocked."""
    if not keys:
        return set(), set()
    row = await conn.fetchrow(_CLAIM, [k for k, _ in keys], [k for _, k in keys])
    assert row is not None
    return set(row["claimed"] or ()), set(row["blocked"] or ())


async def unclaim(conn: Connection, keys: Sequence[uuid.UUID]) -> None:
    """Give claims back, for events that turned out wrong and were parked: their replay must be able to claim them."""
    if keys:
        await conn.execute("DELETE FROM inbox WHERE event_key = ANY ($1::uuid[])", list(keys))


async def forget_older_than(conn: Connection, *, retention_days: int, rows_max: int) -> int:
    """Retention: delete claims and answers older than `retention_days`, a bounded number of each. Returns rows."""
    done = await conn.fetchval(
        """WITH old AS (SELECT event_key FROM inbox WHERE seen_at < now() - make_interval(days => $1) LIMIT $2),
                gone AS (DELETE FROM inbox USING old WHERE inbox.event_key = old.event_key RETURNING 1),
                stale AS (SELECT caller, key FROM idempotency
                          WHERE answered_at < now() - make_interval(days => $1) LIMIT $2),
                dropped AS (DELETE FROM idempotency i USING stale s
                            WHERE i.caller = s.caller AND i.key = s.key RETURNING 1)
           SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM dropped)""",
        retention_days,
        rows_max,
    )
    return int(done)
