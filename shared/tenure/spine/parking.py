"""Wrong events wait in PostgreSQL, per key, with those of the same key behind them in order; all other keys flow.

Parking commits with the batch it was found in. Replay drains a key in order through the same door as everything else; what is
replayed or discarded is written to `parked_log` with who and why. What was discarded is claimed in the inbox, so that its
redelivery does not bring it back.

A batch that meets a parked key and a replay of that key take turns (`take_turns`): what comes in either finds the key drained or is
parked before the replay looks for the last time. Nothing is left behind that queues behind nothing.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec
from asyncpg.connection import Connection

from tenure.spine.log import Headers, Record

BEHIND: Final = "behind"
DETAIL_CHARS_MAX: Final = 500
_TURNS: Final = 7_200_004
_TURNS_MAX: Final = 256  # a power of two; PostgreSQL has room for a few thousand locks in all
_headers_decoder: Final = msgspec.msgpack.Decoder(list[tuple[str, bytes | None]])
PARK: Final = """
INSERT INTO parked (event_key, key, topic, partition, "offset", headers, value, code, detail)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bytea[], $7::bytea[],
                     $8::text[], $9::text[])
ON CONFLICT (event_key) DO UPDATE SET attempts = parked.attempts + 1
"""
LISTED: Final = "SELECT * FROM parked WHERE seq > $1 AND ($2::text IS NULL OR key = $2) ORDER BY seq LIMIT $3"
COUNT: Final = "SELECT count(*) FROM parked"
KEYS: Final = "SELECT key FROM parked GROUP BY key ORDER BY min(seq)"
TAKE_TURNS: Final = """
SELECT pg_advisory_xact_lock($1, t.hash)
FROM (SELECT DISTINCT hashtext(k) & $3 AS hash FROM unnest($2::text[]) AS k ORDER BY hash) AS t
"""
STILL_PARKED: Final = "SELECT seq FROM parked WHERE seq = ANY ($1::bigint[]) ORDER BY seq FOR UPDATE"
LEAVE: Final = """
WITH gone AS (DELETE FROM parked WHERE seq = ANY ($1::bigint[]) RETURNING seq, event_key, key),
     settled AS (INSERT INTO inbox (event_key) SELECT event_key FROM gone ORDER BY 1 ON CONFLICT DO NOTHING),
     logged AS (INSERT INTO parked_log (seq, event_key, key, action, actor, reason)
                SELECT seq, event_key, key, $2, $3, $4 FROM gone RETURNING 1)
SELECT count(*) FROM logged
"""
REFUSE_AGAIN: Final = "UPDATE parked SET attempts = attempts + 1, code = $2, detail = $3 WHERE seq = $1"


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """One record to park: `key` is what it blocks, `code` is why (or 'behind')."""

    event_key: uuid.UUID
    key: str
    record: Record
    code: str
    detail: str


class ParkedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A parked record as operators see it. The value is shown by `show` only, masked by the caller."""

    seq: int
    event_key: uuid.UUID
    key: str
    topic: str
    partition: int
    offset: int
    headers: Headers
    value: bytes
    code: str
    detail: str
    attempts: int
    parked_at: datetime

    @property
    def record(self) -> Record:
        return Record(
            topic=self.topic,
            partition=self.partition,
            offset=self.offset,
            key=self.key.encode(),
            value=self.value,
            headers=self.headers,
            timestamp_ms=0,
        )


async def park(conn: Connection, wrong: Sequence[Parked]) -> None:
    """Keep these records, in order. One that is parked already only counts another attempt."""
    if not wrong:
        return
    await conn.execute(
        PARK,
        [p.event_key for p in wrong],
        [p.key for p in wrong],
        [p.record.topic for p in wrong],
        [p.record.partition for p in wrong],
        [p.record.offset for p in wrong],
        [msgspec.msgpack.encode([(n, v) for n, v in p.record.headers]) for p in wrong],
        [p.record.value or b"" for p in wrong],
        [p.code for p in wrong],
        [p.detail[:DETAIL_CHARS_MAX].replace("\0", "") for p in wrong],
    )


async def listed(conn: Connection, *, key: str | None = None, after: int = 0, rows_max: int = 100) -> list[ParkedEvent]:
    """Parked events in the order they were parked, of one key or of all."""
    rows = await conn.fetch(LISTED, after, key, rows_max)
    return [event_of_row(dict(row)) for row in rows]


async def count(conn: Connection) -> int:
    return int(await conn.fetchval(COUNT))


async def keys(conn: Connection) -> list[str]:
    """Every key with something parked, the longest waiting first."""
    rows = await conn.fetch(KEYS)
    return [row["key"] for row in rows]


async def take_turns(conn: Connection, waiting: Collection[str]) -> None:
    """Let nobody else park behind these keys or replay them until the transaction ends."""
    await conn.execute(TAKE_TURNS, _TURNS, list(waiting), _TURNS_MAX - 1)


async def still_parked(conn: Connection, seqs: Sequence[int]) -> set[int]:
    """Which of these are still parked, locked until the transaction ends: two replays of one key take turns."""
    rows = await conn.fetch(STILL_PARKED, list(seqs))
    return {row["seq"] for row in rows}


async def leave(conn: Connection, seqs: Sequence[int], *, action: str, actor: str, reason: str) -> int:
    """Take events out of the park and write down who did it and why. Returns how many left."""
    return int(await conn.fetchval(LEAVE, list(seqs), action, actor, reason))


async def refuse_again(conn: Connection, seq: int, *, code: str, detail: str) -> None:
    """A replay met the same wall, or another one."""
    await conn.execute(REFUSE_AGAIN, seq, code, detail[:DETAIL_CHARS_MAX].replace("\0", ""))


def event_of_row(row: dict[str, object]) -> ParkedEvent:
    raw = row.pop("headers")
    assert isinstance(raw, bytes)
    return ParkedEvent(headers=_headers_decoder.decode(raw), **row)  # type: ignore[arg-type]
