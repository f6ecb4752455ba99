"""What a transaction tells the world commits with it, as one row: `outbox.emit` is one insert whatever the batch's size.

Order per key is exact: all events of a key are emitted under the lock of that key's state, and `seq` is drawn inside it, so of
two transactions that touch one key the later has the higher `seq`. A row that commits late is not skipped, because the relay
asks for what is unpublished, never for what lies beyond a cursor that could have passed it (`floor`).
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from asyncpg.connection import Connection

from tenure.spine.log import Outgoing, Position
from tenure.spine.progress import ADVANCE, EMIT_AND_ADVANCE, Reached, RecordWentBackError

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[Outgoing])

MARK: Final = """
WITH acked AS (INSERT INTO published (topic, partition, next_offset)
               SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[])
               ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset)
UPDATE outbox SET published = true WHERE seq = ANY ($1::bigint[])
RETURNING extract(epoch FROM statement_timestamp() - emitted_at)::float8 AS age_s
"""
EMIT: Final = "INSERT INTO outbox (records, events) VALUES ($1, $2)"
ACKNOWLEDGED: Final = "SELECT topic, partition, next_offset FROM published"
FORGET_ACKNOWLEDGED: Final = "DELETE FROM published"
PUBLISH_AGAIN: Final = """
WITH told AS (SELECT seq FROM outbox WHERE published LIMIT $1),
     again AS (UPDATE outbox SET published = false FROM told WHERE outbox.seq = told.seq RETURNING 1)
SELECT count(*) FROM again
"""
WAITING: Final = """
WITH oldest AS (SELECT seq, events FROM outbox WHERE NOT published AND seq > $3 ORDER BY seq LIMIT $1),
     fitting AS (SELECT seq FROM (SELECT seq, sum(events) OVER (ORDER BY seq) - events AS before FROM oldest) AS t
                 WHERE before < $2)
SELECT seq, records FROM outbox WHERE seq IN (SELECT seq FROM fitting) ORDER BY seq
"""


def pack(records: Sequence[Outgoing]) -> bytes:
    return _encoder.encode(records)


def unpack(packed: bytes) -> list[Outgoing]:
    return _decoder.decode(packed)


async def emit(conn: Connection, records: Sequence[Outgoing], reached: Sequence[Reached] = ()) -> None:
    """Tell these, and remember that the log was read up to there. One statement. Raises RecordWentBackError."""
    if not reached:
        if records:
            await conn.execute(EMIT, pack(records), len(records))
        return
    places = map(list, zip(*reached, strict=True))
    if records:
        went_back = await conn.fetchval(EMIT_AND_ADVANCE, *places, pack(records), len(records))
    else:
        went_back = await conn.fetchval(ADVANCE, *places)
    if went_back:
        raise RecordWentBackError


async def waiting(
    conn: Connection, *, rows_max: int, events_max: int, above: int = 0
) -> list[tuple[int, list[Outgoing]]]:
    """The oldest unpublished rows, as (seq, records): as many as hold `events_max` events, and one at least.

    `above` is a `seq` up to which all is known to be published.
    """
    rows = await conn.fetch(WAITING, rows_max, events_max, above)
    return [(row["seq"], unpack(row["records"])) for row in rows]


async def mark_published(conn: Connection, seqs: Sequence[int], acked: Sequence[Position]) -> list[float]:
    """Remember that the log acknowledged these rows, and up to where. One statement. Returns how many seconds each waited."""
    topics, partitions, offsets = zip(*acked, strict=True) if acked else ((), (), ())
    rows = await conn.fetch(MARK, list(seqs), list(topics), list(partitions), list(offsets))
    return [row["age_s"] for row in rows]


async def acknowledged(conn: Connection) -> dict[tuple[str, int], int]:
    rows = await conn.fetch(ACKNOWLEDGED)
    return {(r["topic"], r["partition"]): r["next_offset"] for r in rows}


async def publish_again(conn: Connection, *, rows_max: int) -> int:
    """The log forgot: what is retained goes out again, and the inboxes drop what they have seen. Returns rows; 0 = all done."""
    return int(await conn.fetchval(PUBLISH_AGAIN, rows_max))


async def forget_acknowledged(conn: Connection) -> None:
    """What the log acknowledged before it forgot says nothing any more. Until here, a crash leaves it to be noticed again."""
    await conn.execute(FORGET_ACKNOWLEDGED)


async def forget_older_than(conn: Connection, *, retention_h: int, rows_max: int) -> int:
    """Retention: delete published rows older than `retention_h`, a bounded number at a time. Returns rows."""
    done = await conn.fetchval(
        """WITH old AS (SELECT seq FROM outbox WHERE published AND emitted_at < now() - make_interval(hours => $1)
                        ORDER BY seq LIMIT $2),
                gone AS (DELETE FROM outbox USING old WHERE outbox.seq = old.seq RETURNING 1)
           SELECT count(*) FROM gone""",
        retention_h,
        rows_max,
    )
    return int(done)
