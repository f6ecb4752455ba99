"""A pool tells how full it is, and nobody waits for a connection for ever."""

import asyncio

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
