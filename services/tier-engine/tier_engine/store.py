"""Where members are kept: one row each, the whole state in one column, because a tier is judged from all of it at once.

The invariant: a batch costs four statements, however many members it touches, and rows are locked in the order of their ids.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple, TypeAlias

import asyncpg
import msgspec
from asyncpg.connection import Connection
from tenure.contracts.tier import Step
from tenure.rows import Rows
from tenure.service import Saved

from tier_engine.rules import Decided, Member

DECISIONS_MAX: Final = 50
Reader: TypeAlias = "asyncpg.Pool[asyncpg.Record] | Connection"

_pack: Final = msgspec.msgpack.Encoder().encode
unpack: Final = msgspec.msgpack.Decoder(Member).decode
_json: Final = msgspec.json.Encoder().encode
_steps: Final = msgspec.json.Decoder(tuple[Step, ...]).decode
_ROWS: Final = Rows(
    "members",
    {
        "member_id": "text",
        "state": "bytea",
        "tier": "text",
        "tier_since": "date",
        "lived_to": "date",
        "due_on": "date",
        "merged_into": "text",
        "judged_by": "int",
    },
    blank="kept.state IS NULL",
)


class Record(NamedTuple):
    """One decision as it was told."""

    decided_at: datetime
    effective: date
    from_tier: str
    to_tier: str
    retroactive: bool
    backfill: bool
    cause: str
    cause_type: str


async def load(conn: Connection, keys: Sequence[str]) -> dict[str, Member]:
    """The members known under these ids, locked."""
    rows = await conn.fetch(
        "SELECT member_id, state FROM members WHERE member_id = ANY($1::text[]) ORDER BY member_id FOR UPDATE",
        keys,
    )
    return {row["member_id"]: unpack(row["state"]) for row in rows if row["state"] is not None}


async def save(conn: Connection, saved: Saved[Member]) -> None:
    await _ROWS.write(conn, [_row(member) for member in saved.after.values()], known=saved.before)
    await _record(conn, saved.rows)


def _row(member: Member) -> tuple[Any, ...]:
    newest = member.timeline[-1] if member.timeline else None
    return (
        member.member_id,
        _pack(member),
        newest and newest.tier,
        newest and newest.effective,
        member.lived_to,
        member.due_on,
        member.whose,
        member.judged_by,
    )


async def _record(conn: Connection, rows: Sequence[Decided]) -> None:
    if not rows:
        return
    await conn.execute(
        """INSERT INTO decisions
             (member_id, effective, from_tier, to_tier, retroactive, rules_version, backfill, cause, cause_type, change,
              told_on)
           SELECT m, e, f, t, r, v, b, c, ct, j::jsonb, o
           FROM unnest($1::text[], $2::date[], $3::text[], $4::text[], $5::bool[], $6::int[], $7::bool[], $8::text[],
                       $9::text[], $10::text[], $11::date[]) AS u (m, e, f, t, r, v, b, c, ct, j, o)""",
        [d.change.member_id for d in rows],
        [d.change.effective for d in rows],
        [d.change.from_tier for d in rows],
        [d.change.to_tier for d in rows],
        [d.change.retroactive for d in rows],
        [d.change.rules_version for d in rows],
        [d.backfill for d in rows],
        [d.cause for d in rows],
        [d.cause_type for d in rows],
        [_json(d.change).decode() for d in rows],
        [d.told_on for d in rows],
    )


async def due(conn: Connection, day: date, keys_max: int) -> list[str]:
    """Members something falls due for. One that was merged away comes with those whom its turn takes (`Member.turn`)."""
    rows = await conn.fetch(
        """SELECT member_id, CASE WHEN merged_into IS NOT NULL THEN state END AS state FROM members WHERE due_on <= $1
           ORDER BY due_on, member_id LIMIT $2 FOR UPDATE SKIP LOCKED""",
        day,
        keys_max,
    )
    return [r["member_id"] if r["state"] is None else unpack(r["state"]).turn for r in rows]


async def member(reader: Reader, member_id: str) -> Member | None:
    state = await reader.fetchval("SELECT state FROM members WHERE member_id = $1", member_id)
    return None if state is None else unpack(state)


async def members(reader: Reader, after: str, rows_max: int) -> list[Member]:
    """The next members by id, with all their terms and growth; ids that were merged away are left out."""
    rows = await reader.fetch(
        """SELECT state FROM members WHERE member_id > $1 AND state IS NOT NULL AND merged_into IS NULL
           ORDER BY member_id LIMIT $2""",
        after,
        rows_max,
    )
    return [unpack(row["state"]) for row in rows]


class Waiting(NamedTuple):
    """A member judged by other rules, and the day it has lived to."""

    judged_by: int
    member_id: str
    lived_to: date | None


_WAITING: Final = """
SELECT judged_by, member_id, lived_to FROM members
WHERE (judged_by, member_id) > ($1, $2) AND judged_by {} $3 AND state IS NOT NULL
ORDER BY judged_by, member_id LIMIT $4
"""


async def judged_by_other_rules(reader: Reader, digest: int, *, after: tuple[int, str], rows_max: int) -> list[Waiting]:
    """The next members that were last judged by other rules than these. An index finds them, on both sides of the digest."""
    low = await reader.fetch(_WAITING.format("<"), *after, digest, rows_max)
    high = await reader.fetch(_WAITING.format(">"), *after, digest, rows_max) if len(low) < rows_max else []
    return [Waiting(*row.values()) for row in (*low, *high)][:rows_max]


async def decisions(reader: Reader, member_id: str) -> list[Record]:
    """The newest decisions about a member, newest first."""
    rows: list[Any] = await reader.fetch(
        """SELECT decided_at, effective, from_tier, to_tier, retroactive, backfill, cause, cause_type
           FROM decisions WHERE member_id = $1 ORDER BY seq DESC LIMIT $2""",
        member_id,
        DECISIONS_MAX,
    )
    return [Record(*row.values()) for row in rows]


TOLD_BY_WALL: Final = "decided_at < ($2::date + 1)::timestamp AT TIME ZONE 'Asia/Shanghai'"
TOLD_BY_CALENDAR: Final = "told_on <= $2"


async def told_by(reader: Reader, member_id: str, day: date, *, wall: bool) -> tuple[Record, tuple[Step, ...]] | None:
    """The newest decision told by the end of a day, of the wall or of the calendar that events drive, and its timeline."""
    row = await reader.fetchrow(
        f"""SELECT decided_at, effective, from_tier, to_tier, retroactive, backfill, cause, cause_type,
                   change->'timeline' AS timeline
            FROM decisions WHERE member_id = $1 AND {TOLD_BY_WALL if wall else TOLD_BY_CALENDAR}
            ORDER BY seq DESC LIMIT 1""",
        member_id,
        day,
    )
    if row is None:
        return None
    *record, timeline = row.values()
    return Record(*record), _steps(timeline)
