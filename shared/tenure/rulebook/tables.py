"""Where drafts and published versions are kept: two tables in the database of the service that owns the rules.

The invariants: steps on drafts take turns (one lock), so the newest entry of the log names everything that was published before
it; the log is append-only.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from asyncpg.connection import Connection

from tenure.rulebook.drafts import Draft
from tenure.rulebook.kinds import Published

CREATE: Final = """
CREATE TABLE rule_drafts (                    -- rules on their way, and those that arrived
  draft_id      text PRIMARY KEY,
  seq           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  kind          text NOT NULL,
  state         text NOT NULL CHECK (state IN ('proposed', 'approved', 'withdrawn')),
  effective     date NOT NULL,
  document      jsonb NOT NULL,               -- as it was proposed; its number and date stand beside it
  reason        text NOT NULL,
  proposed_by   text NOT NULL,
  proposed_at   timestamptz NOT NULL,
  version       integer,                      -- given when approved; never given again
  approved_by   text CHECK (approved_by <> proposed_by),
  approved_at   timestamptz,
  withdrawn_by  text,
  withdrawn_at  timestamptz,
  withdrawn_why text NOT NULL DEFAULT '',
  CHECK (state <> 'approved' OR (version IS NOT NULL AND approved_by IS NOT NULL)),
  UNIQUE (kind, version)
);
CREATE UNIQUE INDEX rule_drafts_one_a_day ON rule_drafts (kind, effective) WHERE state = 'approved';
CREATE TABLE rule_log (                       -- append-only: who did what to which draft; its newest row names what is published
  seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  draft_id text NOT NULL REFERENCES rule_drafts,
  action   text NOT NULL CHECK (action IN ('proposed', 'approved', 'withdrawn')),
  actor    text NOT NULL,
  reason   text NOT NULL,
  at       timestamptz NOT NULL
);
"""
REVISION: Final = "SELECT coalesce(max(seq), 0) FROM rule_log"
PUBLISHED: Final = """
SELECT kind, version, effective, document, draft_id FROM rule_drafts WHERE state = 'approved' ORDER BY kind, version
"""
LOCK: Final = 7_200_011
_TAKE_TURNS: Final = "SELECT pg_advisory_xact_lock($1)"
_COLUMNS: Final = Draft.__struct_fields__
_DRAFT: Final = f"SELECT {', '.join(_COLUMNS)} FROM rule_drafts WHERE draft_id = $1 AND kind = $2"
_DRAFTS: Final = f"""
SELECT seq, {", ".join(_COLUMNS)} FROM rule_drafts WHERE kind = $1 AND seq < $2 AND ($3::text IS NULL OR state = $3)
ORDER BY seq DESC LIMIT $4
"""
_COUNTS: Final = """
SELECT coalesce(max(version), 0) AS number_max, count(*) FILTER (WHERE state = 'proposed') AS waiting
FROM rule_drafts WHERE kind = $1
"""
_PUT: Final = f"""
INSERT INTO rule_drafts ({", ".join(_COLUMNS)}) VALUES ({", ".join(f"${n}" for n in range(1, len(_COLUMNS) + 1))})
ON CONFLICT (draft_id) DO UPDATE
SET ({", ".join(_COLUMNS[2:])}) = ({", ".join(f"excluded.{name}" for name in _COLUMNS[2:])})
"""
_LOG: Final = "INSERT INTO rule_log (draft_id, action, actor, reason, at) VALUES ($1, $2, $3, $4, $5)"
_ENTRIES: Final = "SELECT action, actor, reason, at FROM rule_log WHERE draft_id = $1 ORDER BY seq"


class Entry(msgspec.Struct, frozen=True):
    """One line of the log."""

    action: str
    actor: str
    reason: str
    at: datetime


async def take_turns(conn: Connection) -> None:
    await conn.execute(_TAKE_TURNS, LOCK)


async def published(reader: Any) -> list[Published]:
    rows = await reader.fetch(PUBLISHED)
    return [Published(**{**row, "document": msgspec.json.decode(row["document"])}) for row in rows]


async def draft(reader: Any, kind: str, draft_id: str) -> Draft | None:
    row = await reader.fetchrow(_DRAFT, draft_id, kind)
    return None if row is None else _draft(row)


async def page(reader: Any, kind: str, *, before: int, state: str | None, rows_max: int) -> list[tuple[int, Draft]]:
    """The newest first, with the number that pages are turned by."""
    rows = await reader.fetch(_DRAFTS, kind, before, state, rows_max)
    return [(row["seq"], _draft(row)) for row in rows]


async def counts(conn: Connection, kind: str) -> tuple[int, int]:
    """The highest number ever given, and how many drafts wait."""
    row = await conn.fetchrow(_COUNTS, kind)
    assert row is not None
    return row["number_max"], row["waiting"]


async def keep(conn: Connection, one: Draft, *, actor: str, reason: str, at: datetime) -> None:
    """Write the draft as it is now, and who made it so."""
    values = [getattr(one, name) for name in _COLUMNS]
    values[_COLUMNS.index("document")] = msgspec.json.encode(one.document).decode()
    await conn.execute(_PUT, *values)
    await conn.execute(_LOG, one.draft_id, one.state, actor, reason, at)


async def entries(reader: Any, draft_id: str) -> Sequence[Entry]:
    return [Entry(*row.values()) for row in await reader.fetch(_ENTRIES, draft_id)]


def _draft(row: Any) -> Draft:
    values = {name: row[name] for name in _COLUMNS}
    return Draft(**{**values, "document": msgspec.json.decode(values["document"])})
