"""Members' rows in PostgreSQL: one locked read, one statement to save, whatever a batch's size."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import msgspec
from asyncpg.connection import Connection
from tenure.contracts.programme import TierRules, Versions
from tenure.service import Saved

from member_view.rules.render import in_force, open_claims, render
from member_view.rules.view import Purse, View
from member_view.rules.words import worded

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(View).decode

_LOAD: Final = """
SELECT member_id, state FROM member_view WHERE member_id = ANY ($1::text[]) ORDER BY member_id FOR UPDATE
"""
_SAVE: Final = """
UPDATE member_view AS m SET version = m.version + 1, rendered = t.rendered, state = t.state, tier = t.tier,
  covered = t.covered, enrolled_on = t.enrolled_on, available = t.available, pending = t.pending, held = t.held,
  debt = t.debt, claims_open = t.claims_open, claims_open_fen = t.claims_open_fen, hand_over_to = t.hand_over_to,
  worded_by = t.worded_by
FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[], $5::bool[], $6::date[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::bigint[], $11::int[], $12::bigint[], $13::text[], $14::int[])
  AS t (member_id, rendered, state, tier, covered, enrolled_on, available, pending, held, debt, claims_open,
        claims_open_fen, hand_over_to, worded_by)
WHERE m.member_id = t.member_id
"""


async def load(conn: Connection, keys: Sequence[str]) -> dict[str, View]:
    """Lock and read; a member that was never heard of begins blank."""
    rows = await conn.fetch(_LOAD, keys)
    if len(rows) < len(set(keys)):
        new = sorted(set(keys) - {row["member_id"] for row in rows})
        await conn.execute("INSERT INTO member_view (member_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", new)
        rows += await conn.fetch(_LOAD, new)
    return {r["member_id"]: _decode(r["state"]) if r["state"] else View(member_id=r["member_id"]) for r in rows}


async def in_words_of(
    reader: Any, members: Sequence[str], tiers: Versions[TierRules], day: date
) -> dict[str, bytes | None]:
    """These members' rows as they look on a day by whose rules they were not written. Nothing is locked, nothing changes."""
    rows = await reader.fetch("SELECT member_id, state FROM member_view WHERE member_id = ANY ($1::text[])", members)
    return {r["member_id"]: render(worded(_decode(r["state"]), tiers, day)) for r in rows if r["state"]}


async def save(conn: Connection, saved: Saved[View]) -> None:
    """The state, what it looks like, and the columns that operators' figures add up."""
    views = list(saved.after.values())
    if not views:
        return
    purses = [v.purses.get("points", Purse()) for v in views]
    claims = [open_claims(v) for v in views]
    await conn.execute(
        _SAVE,
        [v.member_id for v in views],
        [render(v) for v in views],
        [_encode(v) for v in views],
        [v.standing.tier for v in views],
        [bool(in_force(v)) for v in views],
        [v.enrolled_on for v in views],
        [p.available for p in purses],
        [p.pending for p in purses],
        [p.held for p in purses],
        [p.debt for p in purses],
        [len(c) for c in claims],
        [sum(one.amount_fen for one in c) for c in claims],
        [v.merged_into if v.has_leftovers else None for v in views],
        [v.standing.worded_by for v in views],
    )
