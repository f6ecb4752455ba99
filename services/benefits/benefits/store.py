"""Where a member is kept: one row with the whole state, the columns that are queried beside it, and rows others read.

A few statements whatever the number of members: one locked read in id order, one update, one insert per kind of row.
"""

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import Any, Final, TypeVar

import msgspec
from asyncpg.connection import Connection
from tenure.contracts.tier import tier_on
from tenure.rows import Rows
from tenure.service import Saved

from benefits.state import Appointment, ClaimKnown, Forgotten, Handed, Report, State

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(State)
OPEN: Final = frozenset({"active", "requested", "used"})
Row = TypeVar("Row")
_ROWS: Final = Rows(
    "members",
    {
        "member_id": "text",
        "due_on": "date",
        "tier": "text",
        "open_grants": "int",
        "used": "int",
        "state": "bytea",
        "astray": "bool",
    },
    blank="kept.state = ''",
)


def decode(raw: bytes) -> State:
    return _decoder.decode(raw)


async def load(conn: Connection, keys: Sequence[str]) -> dict[str, State]:
    """The members' states, locked; a member seen for the first time is not in the answer."""
    rows = await conn.fetch(
        "SELECT member_id, state FROM members WHERE member_id = ANY($1::text[]) ORDER BY member_id FOR UPDATE", keys
    )
    return {row["member_id"]: decode(row["state"]) for row in rows if row["state"]}


async def save(conn: Connection, saved: Saved[State]) -> None:
    """The changed states, and the rows to append."""
    await _ROWS.write(conn, [_row(state) for state in saved.after.values()], known=saved.before)
    await _save_appointments(conn, _of(saved.rows, Appointment))
    await _save_reports(conn, _of(saved.rows, Report))
    for kind, alike in groupby((row for row in saved.rows if isinstance(row, ClaimKnown | Handed)), key=type):
        if kind is ClaimKnown:
            await _save_claims(conn, _of(list(alike), ClaimKnown))
        else:
            for handed in _of(list(alike), Handed):
                await _hand(conn, handed)
    await _forget(conn, _of(saved.rows, Forgotten))


def _row(state: State) -> tuple[Any, ...]:
    grants = state.grants.values()
    return (
        state.member_id,
        state.due_on,
        tier_on(state.tiers, state.lived_to),
        sum(is_open(g.status, state.lived_to, g.period_end) for g in grants),
        len(state.uses),
        _encode(state),
        state.is_astray,
    )


def is_open(status: str, day: date, period_end: date | None) -> bool:
    """A grant of the current period that stands: active, asked for, or used up."""
    return status in OPEN and (period_end is None or day < period_end)


async def due(conn: Connection, day: date, keys_max: int) -> list[str]:
    """Members for whom something falls due by `day`, earliest first, locked."""
    rows = await conn.fetch(
        """SELECT member_id FROM members WHERE due_on <= $1 ORDER BY due_on, member_id LIMIT $2 FOR UPDATE SKIP LOCKED""",
        day,
        keys_max,
    )
    return [row["member_id"] for row in rows]


async def state_of(pool: Any, member_id: str) -> State | None:
    """A member as saved last, for reads. None for one never heard of."""
    raw = await pool.fetchval("SELECT state FROM members WHERE member_id = $1", member_id)
    return decode(raw) if raw else None


async def person_of(pool: Any, member_id: str) -> State | None:
    """The member, or whoever the person is now if that number was merged into another."""
    state, seen = await state_of(pool, member_id), {member_id}
    while state is not None and state.merged_into is not None and state.merged_into not in seen:
        seen.add(state.merged_into)
        state = await state_of(pool, state.merged_into)
    return state


async def owner_of_claim(pool: Any, claim_no: str) -> str | None:
    owner: str | None = await pool.fetchval("SELECT member_id FROM claims WHERE claim_no = $1", claim_no)
    return owner


def _of(rows: Sequence[Any], kind: type[Row]) -> list[Row]:
    return [row for row in rows if isinstance(row, kind)]


async def _save_claims(conn: Connection, rows: Sequence[ClaimKnown]) -> None:
    newest = {row.claim_no: row.member_id for row in rows}
    await conn.execute(
        """INSERT INTO claims (claim_no, member_id) SELECT * FROM unnest($1::text[], $2::text[])
           ON CONFLICT (claim_no) DO UPDATE SET member_id = excluded.member_id""",
        list(newest),
        list(newest.values()),
    )


async def _save_appointments(conn: Connection, rows: Sequence[Appointment]) -> None:
    if rows:
        newest = list({row.use_id: row for row in rows}.values())
        await conn.execute(
            """INSERT INTO appointments (use_id, grant_id, member_id, benefit, slot_date, region, status)
               SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::text[], $7::text[])
               ON CONFLICT (use_id) DO UPDATE SET status = excluded.status""",
            [r.use_id for r in newest],
            [r.grant_id for r in newest],
            [r.member_id for r in newest],
            [r.benefit for r in newest],
            [r.slot_date for r in newest],
            [r.region for r in newest],
            [r.status for r in newest],
        )


async def _save_reports(conn: Connection, rows: Sequence[Report]) -> None:
    if rows:
        await conn.execute(
            """INSERT INTO reports (report_id, member_id, policy_no, made_on, body)
               SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::bytea[])
               ON CONFLICT (report_id) DO NOTHING""",
            [r.report_id for r in rows],
            [r.member_id for r in rows],
            [r.policy_no for r in rows],
            [r.made_on for r in rows],
            [r.body for r in rows],
        )


async def _hand(conn: Connection, handed: Handed) -> None:
    await conn.execute(
        r"""UPDATE appointments SET member_id = $2
            WHERE member_id = $1 AND regexp_replace(grant_id, '(\.[^.]*){2}$', '') = ANY ($3::text[])""",
        handed.from_id,
        handed.to_id,
        sorted(handed.holders),
    )
    await conn.execute(
        "UPDATE reports SET member_id = $2 WHERE member_id = $1 AND report_id = ANY ($3::text[])",
        handed.from_id,
        handed.to_id,
        handed.reports,
    )
    await conn.execute(
        """INSERT INTO claims AS c (claim_no, member_id) SELECT unnest($3::text[]), $2
           ON CONFLICT (claim_no) DO UPDATE SET member_id = excluded.member_id WHERE c.member_id = $1""",
        handed.from_id,
        handed.to_id,
        handed.claims,
    )


async def _forget(conn: Connection, rows: Sequence[Forgotten]) -> None:
    if rows:
        members = [row.member_id for row in rows]
        await conn.execute("UPDATE appointments SET region = NULL WHERE member_id = ANY ($1::text[])", members)
        await conn.execute("DELETE FROM reports WHERE member_id = ANY ($1::text[])", members)
