"""Where simulations are kept: the question, how far it is, what it came to, and the members whom the draft changes.

The invariant: a page's members, its sums and the place where the next one begins are written in one transaction, and only by
whoever read on from the same place; so a simulation that is interrupted goes on, and nobody is counted twice. All members are read
as one statement found them: they are copied when it begins, so no transaction has to stay open beside the live work.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from asyncpg.connection import Connection

from tier_engine.rules.compare import Changed, Effect, Question, Weighed

WAITING_MAX: Final = 5
KEPT_MAX: Final = 20
LISTED_MAX: Final = 200_000
LEASE: Final = timedelta(seconds=90)

_pack: Final = msgspec.msgpack.Encoder().encode
_question: Final = msgspec.msgpack.Decoder(Question).decode
_weighed: Final = msgspec.msgpack.Decoder(Weighed).decode

ADD: Final = """
INSERT INTO simulations (simulation_id, asked, question, asked_by, asked_at) VALUES ($1, $2, $3, $4, $5)
"""
UNDER_WAY: Final = "SELECT count(*) FROM simulations WHERE state IN ('waiting', 'running')"
FORGET: Final = """
DELETE FROM simulations WHERE state IN ('done', 'failed')
AND seq <= coalesce((SELECT seq FROM simulations ORDER BY seq DESC OFFSET $1 LIMIT 1), 0)
"""
TAKE: Final = """
UPDATE simulations SET state = 'running', taken_until = now() + $1
WHERE simulation_id = (
  SELECT simulation_id FROM simulations
  WHERE state IN ('waiting', 'running') AND (taken_until IS NULL OR taken_until < now())
  ORDER BY seq LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING simulation_id, question, after, sums, listed, members_total
"""
IS_COPIED: Final = "SELECT members_total IS NOT NULL FROM simulations WHERE simulation_id = $1 FOR UPDATE"
COPY: Final = """
WITH copied AS (
  INSERT INTO simulation_snapshot (simulation_id, member_id, state)
  SELECT $1, member_id, state FROM members WHERE state IS NOT NULL AND merged_into IS NULL RETURNING 1)
UPDATE simulations SET members_total = (SELECT count(*) FROM copied), taken_until = now() + $2 WHERE simulation_id = $1
"""
COPY_S_MAX: Final = 600
TAKE_TIME: Final = f"SET LOCAL statement_timeout = '{COPY_S_MAX}s'"
PAGE: Final = """
SELECT member_id, state FROM simulation_snapshot WHERE simulation_id = $1 AND member_id > $2 ORDER BY member_id LIMIT $3
"""
FORGET_COPIES: Final = "DELETE FROM simulation_snapshot WHERE simulation_id = $1"
GO_ON: Final = """
UPDATE simulations
SET after = $3, sums = $4, members_done = $5, listed = listed + $6, taken_until = now() + $7
WHERE simulation_id = $1 AND after = $2 AND state = 'running'
RETURNING 1
"""
LIST: Final = """
INSERT INTO simulation_members (simulation_id, member_id, effect, differs_on, current, draft)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::date[], $5::text[], $6::text[])
"""
FINISH: Final = """
UPDATE simulations SET state = $2, result = $3, error = $4, finished_at = now(), taken_until = NULL, sums = NULL
WHERE simulation_id = $1 AND state = 'running' AND ($2 = 'failed' OR after = $5) RETURNING 1
"""
LET_GO: Final = (
    "UPDATE simulations SET taken_until = NULL WHERE simulation_id = $1 AND after = $2 AND state = 'running'"
)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation that this worker has taken, and how far it is."""

    simulation_id: str
    question: Question
    after: str
    sums: Weighed
    listed: int
    counted: bool


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation as it is stored."""

    simulation_id: str
    seq: int
    state: str
    asked: str
    asked_by: str
    asked_at: datetime
    members_total: int | None
    members_done: int
    listed: int
    result: str | None
    error: str | None
    finished_at: datetime | None


_SHOWN: Final = ", ".join(Shown.__struct_fields__)


async def take(conn: Connection) -> Job | None:
    """The oldest simulation that nobody works on, for a while."""
    row = await conn.fetchrow(TAKE, LEASE)
    if row is None:
        return None
    question = _question(row["question"])
    return Job(
        simulation_id=row["simulation_id"],
        question=question,
        after=row["after"],
        sums=_weighed(row["sums"]) if row["sums"] else Weighed.empty(question),
        listed=row["listed"],
        counted=row["members_total"] is not None,
    )


async def add(conn: Connection, simulation_id: str, *, asked: bytes, question: Question, by: str, at: datetime) -> bool:
    """Whether there was room for it. Those that ended longest ago make room."""
    await conn.execute("LOCK TABLE simulations IN SHARE ROW EXCLUSIVE MODE")
    under_way: int = await conn.fetchval(UNDER_WAY)
    if under_way >= WAITING_MAX:
        return False
    await conn.execute(FORGET, KEPT_MAX - 1)
    await conn.execute(ADD, simulation_id, asked.decode(), _pack(question), by, at)
    return True


async def copy_members(conn: Connection, simulation_id: str) -> None:
    """Every member as it is now, once, however many workers come to it."""
    await conn.execute(TAKE_TIME)
    if not await conn.fetchval(IS_COPIED, simulation_id):
        await conn.execute(COPY, simulation_id, LEASE)


async def go_on(conn: Connection, job: Job, *, after: str, sums: Weighed, changed: Sequence[Changed]) -> bool:
    """Keep what one page came to. False: somebody else went on from here meanwhile."""
    rows = changed[: max(0, LISTED_MAX - job.listed)]
    kept = msgspec.structs.replace(sums, changed=[])
    done = await conn.fetchval(GO_ON, job.simulation_id, job.after, after, _pack(kept), sums.members, len(rows), LEASE)
    if done is None:
        return False
    if rows:
        columns = zip(*(msgspec.structs.astuple(row) for row in rows), strict=True)
        await conn.execute(LIST, job.simulation_id, *map(list, columns))
    return True


async def finish(conn: Connection, job: Job, *, result: bytes | None = None, error: str | None = None) -> None:
    """Keep what it came to, unless somebody else went further."""
    text = result.decode() if result is not None else None
    await conn.execute(TAKE_TIME)
    state = "failed" if error else "done"
    if await conn.fetchval(FINISH, job.simulation_id, state, text, error, job.after):
        await conn.execute(FORGET_COPIES, job.simulation_id)


async def page(reader: Any, simulation_id: str, after: str, rows_max: int) -> list[tuple[str, bytes]]:
    return [(row["member_id"], row["state"]) for row in await reader.fetch(PAGE, simulation_id, after, rows_max)]


async def shown(reader: Any, simulation_id: str) -> Shown | None:
    row = await reader.fetchrow(f"SELECT {_SHOWN} FROM simulations WHERE simulation_id = $1", simulation_id)
    return None if row is None else Shown(**row)


async def listed(reader: Any, *, before: int, rows_max: int) -> list[Shown]:
    """The newest first."""
    rows = await reader.fetch(
        f"SELECT {_SHOWN} FROM simulations WHERE seq < $1 ORDER BY seq DESC LIMIT $2", before, rows_max
    )
    return [Shown(**row) for row in rows]


async def members(
    reader: Any, simulation_id: str, *, effect: Effect | None, after: str, rows_max: int
) -> list[Changed]:
    """Whom the draft changes, by id."""
    rows = await reader.fetch(
        """SELECT member_id, effect, differs_on, current, draft FROM simulation_members
           WHERE simulation_id = $1 AND member_id > $2 AND ($3::text IS NULL OR effect = $3) ORDER BY member_id LIMIT $4""",
        simulation_id,
        after,
        effect,
        rows_max,
    )
    return [Changed(*row.values()) for row in rows]
