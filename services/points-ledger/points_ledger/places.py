"""Where a lot was, and is, that went from number to number with mergers and their undoing.

The invariant: each move gives a lot another number, and its `origin` names a place it had before; so all its places are found from
any of them, among the numbers that were ever merged with one another.
"""

from typing import Any, Final, NamedTuple

_MOVED: Final = " UNION ALL ".join(
    f"SELECT member_id || ':' || lot_no AS id, origin FROM {table} WHERE origin <> '' AND member_id IN (SELECT member_id FROM tied)"
    for table in ("lots", "moved_lots")
)
PLACES: Final = f"""
    WITH RECURSIVE tied(member_id) AS (
      SELECT $1::text UNION
      SELECT o.member_id FROM tied t JOIN account_changes c ON c.member_id = t.member_id AND c.what IN ('merged', 'unmerged')
      JOIN account_changes o ON o.cause = c.cause),
    moved AS MATERIALIZED ({_MOVED}),
    place(id) AS (
      SELECT $2::text UNION
      SELECT CASE WHEN m.id = p.id THEN m.origin ELSE m.id END FROM place p JOIN moved m ON p.id IN (m.id, m.origin))
    SELECT id FROM place"""
NOW: Final = """
    SELECT member_id, lot_no FROM lots WHERE (member_id, lot_no) IN (SELECT * FROM unnest($1::text[], $2::int[]))
    ORDER BY lot_no LIMIT 1"""


class Places(NamedTuple):
    """Of one lot, as two columns."""

    members: list[str]
    numbers: list[int]


async def of(conn: Any, member_id: str, entry_id: str) -> Places:
    """All places of a lot, by the id it has or had with a member."""
    rows = await conn.fetch(PLACES, member_id, entry_id)
    parts = [row["id"].rpartition(":") for row in rows]
    return Places([member for member, _, _ in parts], [int(number) for _, _, number in parts])


async def now(conn: Any, member_id: str, entry_id: str) -> tuple[str, int] | None:
    """Whose the lot is by now, and its number there."""
    row = await conn.fetchrow(NOW, *await of(conn, member_id, entry_id))
    return None if row is None else (row["member_id"], row["lot_no"])
