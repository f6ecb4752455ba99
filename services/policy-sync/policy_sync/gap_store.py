"""Which waiting facts were dismissed, by whom and why: rows that only grow, read newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec
from asyncpg.connection import Connection

from policy_sync.rules.recorded import GapDismissed

NEWEST: Final = 2**63 - 1
_KEEP: Final = """
INSERT INTO dismissals (key, source, id, heard, by, reason)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[])
"""
_PAGE: Final = """
SELECT d.seq, d.key AS policy_no, f.type, d.id, d.source, d.by, d.reason, d.at
FROM dismissals d JOIN facts f USING (key, source, id) WHERE d.seq < $1 ORDER BY d.seq DESC LIMIT $2
"""


class Dismissal(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that waited and was taken out for good: who did it, why, and when."""

    seq: int
    policy_no: str
    type: str
    id: str
    source: str
    by: str
    reason: str
    at: datetime


async def keep(conn: Connection, rows: Sequence[GapDismissed]) -> None:
    if rows:
        said = [(r.key, r.fact.source, r.fact.id, r.heard, r.by, r.reason) for r in rows]
        await conn.execute(_KEEP, *map(list, zip(*said, strict=True)))


async def dismissed(pool: "asyncpg.Pool[asyncpg.Record]", *, before: int | None, rows_max: int) -> list[Dismissal]:
    """The newest first."""
    return [Dismissal(**row) for row in await pool.fetch(_PAGE, before or NEWEST, rows_max)]
