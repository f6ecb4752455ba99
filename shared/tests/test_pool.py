"""A pool tells how full it is, and nobody waits for a connection for ever."""

import asyncio

import asyncpg
import pytest
from tenure import database, pool
from tenure.settings import Settings
from tenure.telemetry import REGISTRY


def figure(name: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(name, {"service": "postgres", **labels})
    assert found is not None
    return found


async def test_who_names_no_limit_gets_no_connection_after_a_while_and_is_counted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "ACQUIRE_S_MAX", 0.2)
    opened = await database.open_pool(settings, "postgres", size_max=2)
    before = figure("tenure_pool_acquire_timeouts_total")
    held = [await opened.acquire(), await opened.acquire()]
    waiting = asyncio.create_task(opened.fetchval("SELECT 1"))
    await asyncio.sleep(0)
    in_use, idle = figure("tenure_pool_connections", state="in_use"), figure("tenure_pool_connections", state="idle")
    assert (in_use, idle, figure("tenure_pool_connections_max")) == (2, 0, 2)
    assert figure("tenure_pool_waiting_callers") == 1
    with pytest.raises(TimeoutError):
        await waiting
    assert figure("tenure_pool_acquire_timeouts_total") == before + 1
    for conn in held:
        await opened.release(conn)
    assert await opened.fetchval("SELECT 1") == 1
    assert figure("tenure_pool_waiting_callers") == 0
    await opened.close()


async def test_a_session_knows_the_arrays_its_statements_have_without_asking_the_catalogue(settings: Settings) -> None:
    opened = await database.open_pool(settings, "postgres", size_max=1)
    asked: list[str] = []
    async with opened.acquire() as conn:
        rows = await conn.fetch(
            "SELECT e.typname::text AS element, e.oid::int, e.typarray::int FROM pg_type e WHERE e.oid = ANY ($1::int[])",
            [oid for _, oid, _ in database.ARRAYS],
        )
        assert sorted(map(tuple, rows)) == sorted(database.ARRAYS)
        conn.add_query_logger(lambda told: asked.append(told.query))
        for element, _, _ in database.ARRAYS:
            assert await conn.fetchval(f"SELECT cardinality($1::{element}[])", [None]) == 1
    await opened.close()
    assert len(asked) == len(database.ARRAYS)


async def test_an_array_is_given_as_any_list_tuple_or_set_and_as_nothing_else(settings: Settings) -> None:
    opened = await database.open_pool(settings, "postgres", size_max=1)
    given = {"a": "x", "b": "y"}
    for array in (["a", "b"], ("a", "b"), {"a", "b"}, frozenset("ab"), given.keys()):
        assert sorted(await opened.fetchval("SELECT $1::text[]", array)) == ["a", "b"]
    assert await opened.fetchval("SELECT $1::text[]", given.values()) == ["x", "y"]
    assert await opened.fetchval("SELECT $1::int[]", [[1, 2], [3, 4]]) == [[1, 2], [3, 4]]
    assert await opened.fetchval("SELECT $1::bytea[]", [b"raw", None]) == [b"raw", None]
    for wrong in (iter(["a"]), given, "ab"):
        with pytest.raises(asyncpg.DataError):
            await opened.fetchval("SELECT $1::text[]", wrong)
    await opened.close()
