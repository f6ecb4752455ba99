"""An approval or a withdrawal goes out through the outbox, in the transaction that decided it.

The invariant: the same step has the same id whenever it is told, so telling it again, for a log that forgot or for one that never
heard of it, does no harm.
"""

from datetime import datetime

from asyncpg.connection import Connection

from tenure.contracts.keys import key_of
from tenure.rulebook import tables
from tenure.rulebook.drafts import Draft
from tenure.rulebook.following import event_id, told
from tenure.spine import outbox
from tenure.spine.codec import record_of
from tenure.spine.effects import refuse_what_cannot_be_told
from tenure.spine.log import Outgoing


def records_of(draft: Draft, *, source: str, time: datetime, traceparent: str = "") -> list[Outgoing]:
    """What the log gets of a draft as it stands. Raises WrongEventError effect_too_large."""
    data = told(draft)
    if data is None:
        return []
    record = record_of(
        data,
        key=key_of(data),
        id=event_id(draft),
        source=source,
        time=time,
        backfill=False,
        traceparent=traceparent,
    )
    refuse_what_cannot_be_told([record])
    return [record]


async def tell(conn: Connection, draft: Draft, *, source: str, time: datetime, traceparent: str = "") -> bool:
    """Put it into the outbox of the transaction that decided it. Returns whether there was anything to tell."""
    records = records_of(draft, source=source, time=time, traceparent=traceparent)
    await outbox.emit(conn, records)
    return bool(records)


async def tell_again(conn: Connection, *, source: str) -> None:
    """Put all that was ever published into the outbox once more, as it stands now."""
    for draft in await tables.ever_published(conn):
        at = draft.withdrawn_at or draft.approved_at
        assert at is not None, "what has a number was approved"
        await tell(conn, draft, source=source, time=at)
