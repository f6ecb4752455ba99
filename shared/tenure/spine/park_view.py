"""What operators see of the park: parked events page by page, one of them whole, and who let which of them go.

The invariant: nothing that could be personal data is shown. Of a payload only fields that a contract declares keep their value,
since contracts declare none that is personal; what looks like a telephone or identity number or a mail address is covered wherever
it stands, headers and keys included, and so is Chinese text: ids, codes and dates have none, names do.
"""

import re
from datetime import datetime
from functools import cache
from typing import Any, Final

import asyncpg
import msgspec

from tenure.contracts.topics import TYPES
from tenure.spine.parking import ParkedEvent, event_of_row

ROWS_MAX: Final = 1_000
MASK: Final = "***"
VALUE_CHARS_MAX: Final = 20_000
_ATTRIBUTES: Final = frozenset(
    {"specversion", "id", "source", "type", "time", "subject", "data", "dataschema", "datacontenttype", "backfill"}
)
_PERSONAL: Final = re.compile(r"(?<!\d)(1[3-9]\d{9}|\d{17}[\dXx]|\d{15})(?!\d)|[^\s@]+@[^\s@]+\.\w+|[\u3400-\u9fff]+")

PAGE: Final = """
SELECT * FROM parked
WHERE seq > $1 AND ($2::text IS NULL OR key = $2) AND ($3::text IS NULL OR code = $3)
  AND ($4::timestamptz IS NULL OR parked_at < $4)
ORDER BY seq LIMIT $5
"""
ONE: Final = "SELECT * FROM parked WHERE seq = $1"
OLDEST: Final = """
SELECT * FROM parked
WHERE seq > $1 AND ($2::text[] IS NULL OR key = ANY ($2)) AND ($3::bigint IS NULL OR seq <= $3) AND NOT key = ANY ($4)
ORDER BY seq LIMIT $5
"""
BLOCKED_BY: Final = """
SELECT key FROM (SELECT DISTINCT ON (key) key, code FROM parked ORDER BY key, seq) AS first WHERE code = $1
"""
SUMMARY: Final = """
SELECT code, count(*) AS events, count(DISTINCT key) AS keys, min(parked_at) AS since FROM parked GROUP BY code ORDER BY 2 DESC
"""
AUDIT: Final = """
SELECT seq, key, action, actor, reason, at FROM parked_log
WHERE ($1::text IS NULL OR key = $1) AND ($2::timestamptz IS NULL OR (at, seq) < ($2, $3::bigint))
ORDER BY at DESC, seq DESC LIMIT $4
"""


class ParkedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One parked event in a list: what it is, and why it is here. `code` behind: it waits for an earlier one of its key."""

    service: str
    seq: int
    key: str
    type: str
    id: str
    topic: str
    partition: int
    offset: int
    code: str
    detail: str
    attempts: int
    parked_at: datetime


class ParkedWhole(ParkedRow, frozen=True, kw_only=True):
    """One parked event whole; of its value what no contract declares is covered."""

    source: str
    time: str
    dataschema: str
    value: Any


class ParkedCode(msgspec.Struct, frozen=True, kw_only=True):
    """How many events are parked under one code, of how many keys, and since when."""

    code: str
    events: int
    keys: int
    since: datetime


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Who took which event out of the park, when, and why. `action`: replayed or discarded."""

    service: str
    seq: int
    key: str
    action: str
    actor: str
    reason: str
    at: datetime


async def page(
    pool: "asyncpg.Pool[asyncpg.Record]",
    *,
    after: int = 0,
    key: str | None = None,
    code: str | None = None,
    before: datetime | None = None,
    rows_max: int = 100,
) -> list[ParkedEvent]:
    """Parked events in the order they were parked; those of a key or code, or parked before an instant, if named."""
    rows = await pool.fetch(PAGE, after, key, code, before, rows_max)
    return [event_of_row(dict(row)) for row in rows]


async def one(pool: "asyncpg.Pool[asyncpg.Record]", seq: int) -> ParkedEvent | None:
    row = await pool.fetchrow(ONE, seq)
    return event_of_row(dict(row)) if row else None


async def oldest(
    pool: "asyncpg.Pool[asyncpg.Record]",
    keys: list[str] | None,
    *,
    after: int,
    up_to: int | None,
    skip: list[str],
    rows_max: int,
) -> list[ParkedEvent]:
    """What comes next in a replay: of these keys (None: of all), none of those to skip."""
    rows = await pool.fetch(OLDEST, after, keys, up_to, skip, rows_max)
    return [event_of_row(dict(row)) for row in rows]


async def blocked_by(pool: "asyncpg.Pool[asyncpg.Record]", code: str) -> list[str]:
    """The keys whose oldest parked event is parked under this code."""
    return [row["key"] for row in await pool.fetch(BLOCKED_BY, code)]


async def summary(pool: "asyncpg.Pool[asyncpg.Record]") -> list[ParkedCode]:
    return [ParkedCode(**dict(row)) for row in await pool.fetch(SUMMARY)]


async def audit(
    pool: "asyncpg.Pool[asyncpg.Record]",
    service: str,
    *,
    key: str | None = None,
    before: tuple[datetime, int] | None = None,
    rows_max: int = 100,
) -> list[Left]:
    """Who took what out of this park, the newest first."""
    rows = await pool.fetch(AUDIT, key, *(before or (None, None)), rows_max)
    return [Left(service=service, **dict(row)) for row in rows]


def row_of(service: str, event: ParkedEvent) -> ParkedRow:
    return ParkedRow(**_fields(service, event, _headers(event)))


def whole_of(service: str, event: ParkedEvent) -> ParkedWhole:
    headers = _headers(event)
    return ParkedWhole(
        **_fields(service, event, headers),
        source=headers.get("ce_source", "?"),
        time=headers.get("ce_time", "?"),
        dataschema=headers.get("ce_dataschema", ""),
        value=masked(event.value),
    )


def masked(value: bytes) -> Any:
    """The value of an event for a human's eyes."""
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"{len(value)} bytes that are not JSON"
    if len(value) > VALUE_CHARS_MAX:
        return f"{len(value)} bytes of JSON, too much to show"
    return _mask(decoded)


@cache
def declared_names() -> frozenset[str]:
    """Every field any contract declares, at any depth."""
    _, parts = msgspec.json.schema_components(list(TYPES.values()))
    return frozenset(name for part in parts.values() for name in part.get("properties", {})) | _ATTRIBUTES


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return {covered(k): _mask(v) if k in declared_names() else MASK for k, v in value.items()}
    if isinstance(value, list):
        return [_mask(v) for v in value]
    return covered(value) if isinstance(value, str) else value


def covered(value: str) -> str:
    """A text as it may be shown."""
    return _PERSONAL.sub(MASK, value)


def _headers(event: ParkedEvent) -> dict[str, str]:
    return {name: covered((value or b"").decode(errors="replace")) for name, value in event.headers}


def _fields(service: str, event: ParkedEvent, headers: dict[str, str]) -> dict[str, Any]:
    return {
        "service": service,
        "seq": event.seq,
        "key": event.key,
        "type": headers.get("ce_type", "?"),
        "id": headers.get("ce_id", "?"),
        "topic": event.topic,
        "partition": event.partition,
        "offset": event.offset,
        "code": event.code,
        "detail": covered(event.detail),
        "attempts": event.attempts,
        "parked_at": event.parked_at,
    }
