"""The rows a service wrote, as the bytes COPY takes: what the floor writes is exactly what the service wrote, in its order.

The invariant: nothing of a row is left out, and nothing is encoded while the floor is measured. Tables that hold a row a
transaction or fewer (outbox, progress) are cut as finely as the rest.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Final

import asyncpg
import msgspec

TABLES: Final = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname NOT IN ('alembic_version', 'cursor_secret')
ORDER BY relname
"""
"""Those that no migration fills: what lies in a new database is not what a service wrote."""
VOLATILE: Final = {
    "inbox": ("seen_at",),
    "transfers": ("recorded_at", "seq"),
    "outbox": ("seq", "records", "emitted_at", "published"),
}
"""Columns that differ between two runs over the same events."""


class Chunk(msgspec.Struct, frozen=True):
    """What one transaction copies: table to bytes."""

    tables: dict[str, bytes]


class Snapshot(msgspec.Struct, frozen=True):
    """All rows of a database: how many by table, and the bytes of them in chunks."""

    rows: dict[str, int]
    chunks: list[Chunk]

    def save(self, path: Path) -> Path:
        path.write_bytes(msgspec.msgpack.encode(self))
        return path

    @classmethod
    def load(cls, path: Path) -> "Snapshot":
        return msgspec.msgpack.decode(path.read_bytes(), type=cls)

    @property
    def total_rows(self) -> int:
        return sum(self.rows.values())


async def snapshot(
    conn: asyncpg.Connection, *, chunks: int, where: Mapping[str, str] = MappingProxyType({}), only: Sequence[str] = ()
) -> Snapshot:
    """Everything in the database, in the order in which it lies there, cut into so many chunks. `where` narrows a table."""
    rows: dict[str, int] = {}
    cut: list[dict[str, bytes]] = [{} for _ in range(chunks)]
    for table in only or await tables(conn):
        rows[table] = await conn.fetchval(f"SELECT count(*) FROM {table} {where.get(table, '')}")
        for n, part in enumerate(cut):
            first, last = rows[table] * n // chunks, rows[table] * (n + 1) // chunks
            if last > first:
                part[table] = await _bytes_of(conn, table, where.get(table, ""), first, last - first)
    return Snapshot({t: n for t, n in rows.items() if n}, [Chunk(part) for part in cut if part])


async def _bytes_of(conn: asyncpg.Connection, table: str, where: str, skip: int, take: int) -> bytes:
    out = BytesIO()
    query = f"SELECT * FROM {table} {where} ORDER BY ctid OFFSET {skip} LIMIT {take}"
    await conn.copy_from_query(query, output=out, format="binary")
    return out.getvalue()


async def tables(conn: asyncpg.Connection) -> list[str]:
    return [row["relname"] for row in await conn.fetch(TABLES)]


async def copy(conn: asyncpg.Connection, chunk: Chunk) -> None:
    """One transaction, one COPY a table."""
    async with conn.transaction():
        for table, content in chunk.tables.items():
            await conn.copy_to_table(table, source=BytesIO(content), format="binary")


async def counts(conn: asyncpg.Connection) -> dict[str, int]:
    """Rows by table, of tables that have any."""
    found = {}
    for table in await tables(conn):
        if rows := await conn.fetchval(f"SELECT count(*) FROM {table}"):
            found[table] = rows
    return found


async def fingerprint(conn: asyncpg.Connection, tables: Sequence[str]) -> dict[str, str]:
    """What stands in each table, whatever its order; columns that differ from run to run are left out."""
    return {table: await _fingerprint(conn, table) for table in tables}


async def _fingerprint(conn: asyncpg.Connection, table: str) -> str:
    names = await conn.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
        table,
    )
    kept = ", ".join(row["attname"] for row in names if row["attname"] not in VOLATILE.get(table, ()))
    found = await conn.fetchval(
        f"SELECT md5(string_agg(h, '' ORDER BY h)) FROM (SELECT md5(row({kept})::text) AS h FROM {table}) t"
    )
    return str(found)
