"""Members' rows in PostgreSQL: one locked read, a statement to create and one to update, whatever a batch's size."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import msgspec
from asyncpg.connection import Connection
from tenure.contracts.programme import TierRules, Versions
from tenure.rows import Rows
from tenure.service import Saved

from member_view.rules.render import now, render
from member_view.rules.view import Purse, View
from member_view.rules.words import worded

NO_POINTS: Final = Purse()
_encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(View).decode

_LOAD: Final = """
SELECT member_id, state FROM member_view WHERE member_id = ANY ($1::text[]) ORDER BY member_id FOR UPDATE
"""
_ROWS: Final = Rows(
    "member_view",
    {
        "member_id": "text",
        "rendered": "bytea",
        "state": "bytea",
        "tier": "text",
        "covered": "bool",
        "enrolled_on": "date",
        "available": "bigint",
        "pending": "bigint",
        "held": "bigint",
        "debt": "bigint",
        "claims_open": "int",
        "claims_open_fen": "bigint",
        "hand_over_to": "text",
        "worded_by": "int",
    },
    blank="kept.state = ''",
    touched="version = kept.version + 1",
)


async def load(conn: Connection, keys: Sequence[str]) -> dict[str, View]:
    """Lock and read. A member that was never heard of is not in the answer."""
    return {r["member_id"]: decode(r["state"]) for r in await conn.fetch(_LOAD, keys) if r["state"]}


async def in_words_of(
    reader: Any, members: Sequence[str], tiers: Versions[TierRules], day: date
) -> dict[str, bytes | None]:
    """These members' rows as they look on a day by whose rules they were not written. Nothing is locked, nothing changes."""
    rows = await reader.fetch("SELECT member_id, state FROM member_view WHERE member_id = ANY ($1::text[])", members)
    return {r["member_id"]: render(worded(decode(r["state"]), tiers, day)) for r in rows if r["state"]}


async def save(conn: Connection, saved: Saved[View]) -> None:
    """The state, what it looks like, and the columns that operators' figures add up."""
    await _ROWS.write(conn, [_row(view) for view in saved.after.values()], known=saved.before)


def _row(view: View) -> tuple[Any, ...]:
    purse, today = view.purses.get("points", NO_POINTS), now(view)
    return (
        view.member_id,
        render(view, today),
        _encode(view),
        view.standing.tier,
        today.covered,
        view.enrolled_on,
        purse.available,
        purse.pending,
        purse.held,
        purse.debt,
        len(today.claims),
        sum(one.amount_fen for one in today.claims),
        view.merged_into if view.has_leftovers else None,
        view.standing.worded_by,
    )
