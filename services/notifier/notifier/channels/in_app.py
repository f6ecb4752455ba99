"""The inbox in the app: a message is told by its row, written in the transaction that decided it."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from asyncpg.connection import Connection

from notifier.rules.release import Told

COLUMNS: Final = {
    "message_id": "text",
    "member_id": "text",
    "template": "text",
    "dedupe": "text",
    "purpose": "text",
    "capped": "bool",
    "asked_at": "timestamptz",
    "scheduled_for": "timestamptz",
    "sent_at": "timestamptz",
    "language": "text",
    "title_zh": "text",
    "title_en": "text",
    "text_zh": "text",
    "text_en": "text",
    "backfill": "bool",
}
_ARRAYS: Final = ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(COLUMNS.values(), 1))
_INSERT: Final = f"""
INSERT INTO message ({", ".join(COLUMNS)}, sms)
SELECT {", ".join(COLUMNS)}, CASE WHEN by_sms THEN 'queued' ELSE 'none' END
FROM unnest({_ARRAYS}, ${len(COLUMNS) + 1}::bool[]) AS t ({", ".join(COLUMNS)}, by_sms)
ON CONFLICT DO NOTHING
"""


async def deliver(conn: Connection, told: Sequence[Told]) -> None:
    """Put messages into their members' inboxes. One statement."""
    if told:
        await conn.execute(_INSERT, *([*map(attrgetter(name), told)] for name in (*COLUMNS, "sms")))
