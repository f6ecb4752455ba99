"""Imports in the database: their states, the parts of their files, and what was found wrong with their rows."""

from collections.abc import Sequence
from typing import IO, Any, Final, TypeAlias

import asyncpg
import msgspec
from asyncpg.connection import Connection

from policy_sync.rules.imports import Counts, ImportState
from policy_sync.rules.recorded import FindingKept, FindingsForgotten, PartKept

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
_encode: Final = msgspec.json.Encoder().encode
_LOAD: Final = """
SELECT i.*, i.counts::text AS counts_text,
       array(SELECT part FROM import_parts p WHERE p.import_id = i.import_id ORDER BY part) AS parts
FROM imports i WHERE import_id = ANY ($1::text[]) ORDER BY import_id
"""


async def load(conn: Connection, ids: Sequence[str]) -> dict[str, ImportState]:
    """The imports of these ids, locked; one that is new begins empty."""
    rows = await conn.fetch(_LOAD + " FOR UPDATE", list(ids))
    return {id_: ImportState(id=id_) for id_ in ids} | {row["import_id"]: _state(row) for row in rows}


async def save(conn: Connection, states: Sequence[ImportState], rows: Sequence[Any]) -> None:
    await _states(conn, [s for s in states if s.opened_at is not None])
    parts = {(r.import_id, r.part): r for r in rows if isinstance(r, PartKept)}
    await _parts(conn, list(parts.values()))
    await _forget(conn, states, rows)
    await _findings(conn, [r for r in rows if isinstance(r, FindingKept)])


async def next_queued(pool: Pool) -> ImportState | None:
    """The import to read on with: the oldest that is whole and not at its end."""
    row = await pool.fetchrow(
        """SELECT *, counts::text AS counts_text, '{}'::int[] AS parts FROM imports
           WHERE stage = 'queued' ORDER BY opened_at, import_id LIMIT 1"""
    )
    return _state(row) if row else None


async def spool(pool: Pool, import_id: str, file: IO[bytes]) -> None:
    """Write the file's parts, in order, to a file."""
    numbers = await pool.fetch("SELECT part FROM import_parts WHERE import_id = $1 ORDER BY part", import_id)
    for row in numbers:
        body = await pool.fetchval(
            "SELECT body FROM import_parts WHERE import_id = $1 AND part = $2", import_id, row["part"]
        )
        file.write(body)
    file.flush()


def _state(row: Any) -> ImportState:
    return ImportState(
        id=row["import_id"],
        source=row["source"],
        file_name=row["file_name"],
        declaration=row["declaration"],
        dry_run=row["dry_run"],
        live_from=row["live_from"],
        opened_by=row["opened_by"],
        opened_at=row["opened_at"],
        stage=row["stage"],
        parts=tuple(row["parts"]),
        position=row["position"],
        counts=msgspec.json.decode(row["counts_text"], type=Counts),
        findings=row["findings"],
        why=row["why"],
    )


async def _states(conn: Connection, states: Sequence[ImportState]) -> None:
    await conn.executemany(
        """INSERT INTO imports (import_id, source, declaration, file_name, dry_run, live_from, opened_by, opened_at, stage,
                                position, counts, findings, why)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
           ON CONFLICT (import_id) DO UPDATE
           SET stage = excluded.stage, position = excluded.position, counts = excluded.counts,
               findings = excluded.findings, why = excluded.why, changed_at = now()""",
        [
            (
                *(
                    s.id,
                    s.source,
                    s.declaration,
                    s.file_name,
                    s.dry_run,
                    s.live_from,
                    s.opened_by,
                    s.opened_at,
                    s.stage,
                ),
                *(s.position, _encode(s.counts).decode(), s.findings, s.why),
            )
            for s in states
        ],
    )


async def _parts(conn: Connection, parts: Sequence[PartKept]) -> None:
    await conn.executemany(
        """INSERT INTO import_parts (import_id, part, body) VALUES ($1, $2, $3)
           ON CONFLICT (import_id, part) DO UPDATE SET body = excluded.body""",
        parts,
    )


async def _forget(conn: Connection, states: Sequence[ImportState], rows: Sequence[Any]) -> None:
    """A file that was read to its end is not needed again; a reading that began anew finds everything anew."""
    await conn.execute(
        "DELETE FROM import_parts WHERE import_id = ANY ($1::text[])",
        [s.id for s in states if s.stage in ("done", "failed")],
    )
    await conn.execute(
        "DELETE FROM import_findings WHERE import_id = ANY ($1::text[])",
        [r.import_id for r in rows if isinstance(r, FindingsForgotten)],
    )


async def _findings(conn: Connection, findings: Sequence[FindingKept]) -> None:
    await conn.executemany(
        "INSERT INTO import_findings (import_id, row, place, code, detail) VALUES ($1, $2, $3, $4, $5)", findings
    )
