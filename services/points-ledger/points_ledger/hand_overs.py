"""Numbers given up whose turn is asked for: who they are by now takes over what came to them since."""

from collections.abc import Iterable
from typing import Any, Final

from asyncpg.connection import Connection

from points_ledger import columns as c
from points_ledger.rules.waiting import SEPARATOR, HandedOver, HandOver

_COLUMNS: Final = {"member_id": "text", "others": "text"}
ASK: Final = c.inserted(
    "hand_overs", _COLUMNS, "ON CONFLICT (member_id) DO UPDATE SET others = excluded.others"
)  # fmt: skip
DONE: Final = f"""
    DELETE FROM hand_overs h USING {c.unnested(_COLUMNS)} WHERE h.member_id = t.member_id AND h.others = t.others"""
KEYS: Final = f"SELECT member_id || '{SEPARATOR}' || others AS key FROM hand_overs LIMIT $2 FOR UPDATE SKIP LOCKED"
"""The keys of their turns."""


async def keep(conn: Connection, rows: Iterable[Any]) -> None:
    """Turns that were had, then those asked for: one asked for again while it was had is had again."""
    asked: dict[str, str] = {}
    had: list[tuple[str, str]] = []
    for row in rows:
        if isinstance(row, HandOver):
            asked[row.member_id] = row.others
        elif isinstance(row, HandedOver):
            had.append((row.member_id, row.others))
    if had:
        await conn.execute(DONE, *c.arrays(had))
    if asked:
        await conn.execute(ASK, *c.arrays(list(asked.items())))
