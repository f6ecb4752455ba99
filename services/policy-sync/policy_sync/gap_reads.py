"""Facts that wait, oldest first: what an operator or the core's team has to close."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

import asyncpg
import msgspec
from tenure.contracts.topics import TYPE_OF

from policy_sync.rules.facts import Fact
from policy_sync.rules.gaps import gaps
from policy_sync.store import facts_of

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
OLDEST_AGE: Final = """
SELECT coalesce(extract(epoch FROM now() - min(waiting_since)), 0)::float8 FROM policies WHERE waiting > 0
"""
_WAITING: Final = """
SELECT policy_no, waiting_since, extract(epoch FROM now() - waiting_since)::bigint AS age_s FROM policies
WHERE waiting > 0 AND (waiting_since, policy_no) > ($1, $2) ORDER BY waiting_since, policy_no LIMIT $3
"""


class EarlyFact(msgspec.Struct, frozen=True, kw_only=True):
    """`missing`: issue, term, claim_report, cancellation or lapse: what has to be heard before this counts; or room, where this
    would leave a term without days or give two terms one day.
    """

    type: str
    id: str
    source: str
    time: datetime
    missing: str


class GapView(msgspec.Struct, frozen=True, kw_only=True):
    """A policy with facts that wait, and for how long the oldest of them has."""

    policy_no: str
    waiting_since: datetime
    age_s: int
    facts: Sequence[EarlyFact]


async def open_gaps(pool: Pool, *, after: tuple[datetime, str] | None, rows_max: int) -> list[GapView]:
    """Policies with facts that wait, the longest first."""
    since, policy_no = after or (LONG_AGO, "")
    rows = await pool.fetch(_WAITING, since, policy_no, rows_max)
    async with pool.acquire() as conn:
        known = await facts_of(conn, [row["policy_no"] for row in rows])  # type: ignore[arg-type]
    return [GapView(**row, facts=_early(known[row["policy_no"]])) for row in rows]


def _early(facts: Sequence[Fact]) -> list[EarlyFact]:
    return [
        EarlyFact(
            type=TYPE_OF[type(g.fact.data)], id=g.fact.id, source=g.fact.source, time=g.fact.time, missing=g.missing
        )
        for g in gaps(facts)
    ]
