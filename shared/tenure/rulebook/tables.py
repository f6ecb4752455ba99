"""Where drafts and published versions are kept: two tables in the database of the service that owns the rules, and one in that of
each service that goes by them.

The invariants: steps on drafts take turns (one lock), and so does what is heard, so the newest number names everything that was
published before it; the log is append-only (a trigger); what was heard to be withdrawn stays so.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from asyncpg.connection import Connection

from tenure.rulebook.drafts import Draft
from tenure.rulebook.following import Heard
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
GUARD_LOG: Final = """
CREATE FUNCTION rule_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN RAISE EXCEPTION 'the log of the rules is append-only' USING ERRCODE = 'check_violation'; END$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_log
  FOR EACH STATEMENT EXECUTE FUNCTION rule_log_is_append_only();
"""
UNGUARD_LOG: Final = "DROP TRIGGER append_only ON rule_log; DROP FUNCTION rule_log_is_append_only()"
CREATE_HEARD: Final = """
CREATE TABLE rules_heard (                    -- what other services published, as it was told on programme.v1
  seq       bigint GENERATED ALWAYS AS IDENTITY UNIQUE,  -- drawn anew with every change
  draft_id  text PRIMARY KEY,
  kind      text NOT NULL,
  version   integer NOT NULL,
  effective date NOT NULL,
  document  jsonb,                            -- without number and date; NULL = withdrawn before its day
  heard_at  timestamptz NOT NULL DEFAULT now(),
  UNIQUE (kind, version)
);
CREATE UNIQUE INDEX rules_heard_one_a_day ON rules_heard (kind, effective) WHERE document IS NOT NULL;
"""
NO_REVISION: Final = "SELECT 0"
REVISION: Final = "SELECT coalesce(max(seq), 0) FROM rule_log"
REVISION_HEARD: Final = "SELECT coalesce(max(seq), 0) FROM rules_heard"
REVISION_BOTH: Final = f"SELECT ({REVISION}) + ({REVISION_HEARD})"
_OWN: Final = "SELECT kind, version, effective, document, draft_id FROM rule_drafts WHERE state = 'approved'"
_HEARD: Final = "SELECT kind, version, effective, document, draft_id FROM rules_heard WHERE document IS NOT NULL"
PUBLISHED: Final = f"{_OWN} ORDER BY kind, version"
PUBLISHED_HEARD: Final = f"{_HEARD} ORDER BY kind, version"
PUBLISHED_BOTH: Final = f"{_OWN} UNION ALL {_HEARD} ORDER BY kind, version"
KEEP_HEARD: Final = """
INSERT INTO rules_heard (draft_id, kind, version, effective, document) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (draft_id) DO UPDATE SET seq = DEFAULT, document = NULL, heard_at = now()
WHERE excluded.document IS NULL AND rules_heard.document IS NOT NULL
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
_EVER_PUBLISHED: Final = (
    f"SELECT {', '.join(_COLUMNS)} FROM rule_drafts WHERE version IS NOT NULL ORDER BY seq LIMIT $1"
)
EVER_PUBLISHED_MAX: Final = 10_000
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


async def published(reader: Any, statement: str = PUBLISHED) -> list[Published]:
    rows = await reader.fetch(statement)
    return [Published(**{**row, "document": msgspec.json.decode(row["document"])}) for row in rows]


async def ever_published(reader: Any) -> list[Draft]:
    """Every draft that ever had a number, as it stands now, the oldest first."""
    return [_draft(row) for row in await reader.fetch(_EVER_PUBLISHED, EVER_PUBLISHED_MAX)]


async def keep_heard(conn: Connection, heard: Sequence[Heard]) -> None:
    """Write what was told, in its order."""
    await take_turns(conn)
    for one in heard:
        document = None if one.document is None else msgspec.json.encode(one.document).decode()
        await conn.execute(KEEP_HEARD, one.draft_id, one.kind, one.version, one.effective, document)


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
