"""Callers who hang up, against real PostgreSQL: nothing is half done, and no connection or transaction is left behind."""

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

from tenure.contracts.event import Event
from tenure.spine.gather import Gatherer
from tenure.spine.transact import Idempotency, Item
from tenure.testing import Under


def item(add: Any, n: int) -> Item:
    member = f"M{n % 50}"
    event = Event(
        id=str(n), source="/t", type="Add", key=member, time=datetime.now(UTC), data=add(member_id=member, amount=1)
    )
    return Item(event, idempotency=Idempotency("caller", str(n), b""))


async def test_a_thousand_callers_of_whom_any_may_leave(under: Under, totals: Any) -> None:
    add = next(iter(under.door.service.rules))
    gatherer = Gatherer(under.door, batch_items_max=64)
    chance = random.Random(7)
    tasks = [asyncio.create_task(gatherer.submit([item(add, n)])) for n in range(1_000)]
    for task in chance.sample(tasks, 500):
        await asyncio.sleep(0)
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await gatherer.close()
    answered = {str(n) for n, r in enumerate(results) if isinstance(r, list)}
    done = {row["key"] for row in await under.pool.fetch("SELECT key FROM idempotency")}
    assert len(answered) >= 500
    assert answered <= done, "who got an answer was done"
    assert sum((await totals()).values()) == len(done), "and what was done, was done once"
    assert under.pool.get_idle_size() == under.pool.get_size()
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL AND backend_type = 'client backend'"
    assert await under.pool.fetchval(open_ones + " AND pid <> pg_backend_pid()") == 0
