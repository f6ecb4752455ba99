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
INSERT INTO message ({", ".join(COLUMNS)}, sms, handed_by)
SELECT {", ".join(COLUMNS)}, CASE WHEN by_sms THEN 'queued' ELSE 'none' END, string_to_array(numbers, ' ')
FROM unnest({_ARRAYS}, ${len(COLUMNS) + 1}::bool[], ${len(COLUMNS) + 2}::text[]) AS t ({", ".join(COLUMNS)}, by_sms, numbers)
"""


async def deliver(conn: Connection, told: Sequence[Told]) -> None:
    """Put messages into their members' inboxes. One statement, which says nothing of those that stand there already: what was
    used up is looked up under the member's lock, so a message that is announced is one that was put there.
    """
    if told:
        columns = [[*map(attrgetter(name), told)] for name in (*COLUMNS, "sms")]
        await conn.execute(_INSERT, *columns, [" ".join(message.handed_by) for message in told])
