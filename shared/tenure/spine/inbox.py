"""Each event's effect happens once: its key is claimed in the transaction that holds the effect.

One statement claims a whole poll and tells which keys have parked events that later ones must queue behind, and what was published
by then. Claims are made in the order of their keys, so that two consumers that read the same records cannot wait for one another
in a ring.
"""

import uuid
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from asyncpg.connection import Connection

CLAIM: Final = """
WITH incoming AS (SELECT * FROM unnest($1::uuid[], $2::text[]) AS t (event_key, key)),
     blocked  AS (SELECT DISTINCT key FROM parked WHERE key = ANY ($2::text[])),
     seen     AS (SELECT i.event_key FROM incoming JOIN blocked USING (key) JOIN inbox i USING (event_key)),
     claimed  AS (INSERT INTO inbox (event_key)
                  SELECT event_key FROM incoming WHERE key NOT IN (SELECT key FROM blocked) ORDER BY event_key
                  ON CONFLICT DO NOTHING RETURNING event_key)
SELECT (SELECT array_agg(event_key) FROM claimed) AS claimed, (SELECT array_agg(key) FROM blocked) AS blocked,
       (SELECT array_agg(event_key) FROM seen) AS seen, {revision} AS revision
"""
CLAIM_ALL: Final = """
INSERT INTO inbox (event_key) SELECT k FROM unnest($1::uuid[]) AS k ORDER BY k
ON CONFLICT DO NOTHING RETURNING event_key
"""
UNCLAIM: Final = "DELETE FROM inbox WHERE event_key = ANY ($1::uuid[])"


class Claims(NamedTuple):
    """`new` events are ours; `blocked` keys have something parked; `seen` events of those keys had their effect before.

    `revision` is the newest of what was asked for with the claim; None when there was nothing to claim.
    """

    new: set[uuid.UUID]
    blocked: set[str]
    seen: set[uuid.UUID]
    revision: int | None = None


@cache
def claiming(revision: str) -> str:
    """The statement that claims, and asks for one more number."""
    return CLAIM.format(revision=f"({revision})")


async def claim(conn: Connection, keys: Sequence[tuple[uuid.UUID, str]], *, revision: str = "SELECT 0") -> Claims:
    """Claim `(event_key, ordering key)` pairs, except those of blocked keys; and ask for a revision, as no claim is without."""
    if not keys:
        return Claims(set(), set(), set())
    row = await conn.fetchrow(claiming(revision), [k for k, _ in keys], [k for _, k in keys])
    assert row is not None
    return Claims(set(row["claimed"] or ()), set(row["blocked"] or ()), set(row["seen"] or ()), row["revision"])


async def claim_all(conn: Connection, keys: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Claim whatever their keys wait for. Returns those that are new."""
    rows = await conn.fetch(CLAIM_ALL, list(keys))
    return {row["event_key"] for row in rows}


async def unclaim(conn: Connection, keys: Sequence[uuid.UUID]) -> None:
    """Give back claims this transaction made, for events that turned out wrong: their replay must be able to claim them."""
    if keys:
        await conn.execute(UNCLAIM, list(keys))


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
