"""Rows of states: whoever meets another transaction in creating one does its own again; what is blank may be taken."""

import asyncio

import asyncpg
import pytest
from tenure.rows import Rows

ROWS = Rows("kept_rows", {"id": "text", "state": "bytea"}, blank="kept.state = ''", touched="saves = kept.saves + 1")
TABLE = "CREATE TABLE kept_rows (id text PRIMARY KEY, state bytea NOT NULL, saves int NOT NULL DEFAULT 1)"


async def test_a_state_is_created_once_and_nobodys_change_is_written_over(postgres):
    one, other = [await asyncpg.connect(f"{postgres}/postgres") for _ in range(2)]
    try:
        await one.execute("DROP TABLE IF EXISTS kept_rows")
        await one.execute(TABLE)
        await one.execute("INSERT INTO kept_rows VALUES ('blank', '', 1)")
        async with one.transaction():
            await ROWS.write(one, [("b", b"1"), ("a", b"1"), ("blank", b"1")], known={})
            late = asyncio.create_task(_create(other, [("c", b"2"), ("b", b"2")]))
            await _until_waiting(one)
        with pytest.raises(asyncpg.SerializationError):
            await late
        await ROWS.write(other, [("c", b"3"), ("a", b"3")], known={"a": None})
        rows = await one.fetch("SELECT id, state, saves FROM kept_rows ORDER BY id")
        assert [tuple(r) for r in rows] == [("a", b"3", 2), ("b", b"1", 1), ("blank", b"1", 2), ("c", b"3", 1)]
    finally:
        await one.execute("DROP TABLE IF EXISTS kept_rows")
        await one.close()
        await other.close()


async def _create(conn, rows):
    async with conn.transaction():
        await ROWS.write(conn, rows, known={})


async def _until_waiting(conn):
    """Until somebody waits for a lock of another transaction."""
    async with asyncio.timeout(20):
        while not await conn.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0.01)
