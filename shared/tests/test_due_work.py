"""When a day came: the facts of before it come first, for a bounded time, once for all its batches; then the relay is woken."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta

import pytest
from tenure.contracts.message import MessageRequested
from tenure.spine import jobs
from tenure.spine.consumer import Consumer
from tenure.spine.jobs import DueWork
from tenure.spine.log import Log
from tenure.testing import Under

from .test_delivery import until
from .toy import grant

FIRST, SECOND = date(2026, 1, 2), date(2026, 1, 3)


@asynccontextmanager
async def at_work(t: Under, log: Log) -> AsyncIterator[DueWork]:
    """Due work beside a consumer of which the test says whether it has read what there is."""
    consumer = Consumer(t.door, log, batch_records_max=10, poll_timeout_s=0.1, parked_run_max=10)
    due = DueWork(t.door, consumer, asyncio.Event())
    task = asyncio.create_task(due.run())
    try:
        yield due
    finally:
        due.stop()
        await task


async def all_lived(t: Under) -> bool:
    return bool(await t.pool.fetchval("SELECT bool_and(days = 1) FROM totals"))


async def test_a_day_waits_for_the_facts_that_stand_in_the_log_and_then_wakes_the_relay(toy: Under, log: Log) -> None:
    await toy.feed(grant("M-1", 5))
    await toy.door.transact([], day=FIRST)
    async with at_work(toy, log) as due:
        await asyncio.sleep(0.3)
        assert not await all_lived(toy), "something may stand in the log that was before"
        await toy.feed(grant("M-1", 7))
        assert not due.wake_relay.is_set()
        due.consumer.caught_up.set()
        await until(lambda: all_lived(toy), toy)
        await asyncio.wait_for(due.wake_relay.wait(), 5)
    assert [m.params["amount"] for m in await toy.emitted(MessageRequested)] == [5, 12, -1]


async def test_facts_that_never_end_hold_each_day_up_once_and_for_all_of_its_time(
    toy: Under, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six keys, one to a transaction; then a day that comes while nothing is due."""
    monkeypatch.setattr(jobs, "KEYS_MAX", 1)
    monkeypatch.setattr(jobs, "CATCH_UP_WAIT_MAX_S", 0.5)
    await toy.feed(*[grant(f"M-{n}", 1, activates_on=FIRST if n < 6 else SECOND) for n in range(7)])
    async with at_work(toy, log):
        for day, keys in ((FIRST, 6), (SECOND, 7)):
            await asyncio.sleep(0.6)
            await toy.door.transact([], day=day)
            began = time.monotonic()
            await until(lambda: toy.pool.fetchval("SELECT sum(days) = $1 FROM totals", keys), toy)  # noqa: B023
            assert 0.45 < time.monotonic() - began < 2.5, f"{day}: not at once, and not once for each of its batches"


async def test_days_that_keep_coming_do_not_put_one_another_off(
    toy: Under, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a replay of years, of which the consumer is behind all the time: the first of them waits, and none between batches."""
    monkeypatch.setattr(jobs, "KEYS_MAX", 1)
    monkeypatch.setattr(jobs, "CATCH_UP_WAIT_MAX_S", 0.5)
    await toy.feed(*[grant(f"M-{n}", 1, activates_on=FIRST) for n in range(8)])
    async with at_work(toy, log):
        for n in range(25):
            await toy.door.transact([], day=FIRST + timedelta(n))
            await asyncio.sleep(0.1)
        assert await all_lived(toy)


async def test_more_refused_than_can_be_an_accident_is_said_and_waited_for(
    toy: Under, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ASIDE_KEYS_MAX", 2)
    await toy.feed(*[grant(f"M-{n}", 1) for n in range(3)])
    await toy.pool.execute("ALTER TABLE totals ADD CHECK (days = 0)")
    await toy.door.transact([], day=FIRST)
    async with at_work(toy, log) as due:
        due.consumer.caught_up.set()
        async with asyncio.timeout(10):
            while not due.backoff.failures:
                await asyncio.sleep(0.01)
        assert "3 keys cannot live through their day" in due.backoff.reason


def test_a_transaction_of_due_work_takes_as_many_keys_as_fit_into_its_time() -> None:
    pace = jobs.Pace()
    for keys, took_s, then in (
        (100, 0.05, 200),
        (200, 0.0, 400),
        (37, 9.0, 400),
        (400, 0.2, 200),
        (200, 99.0, 10),
        (10, 0.1, 10),
    ):
        pace.learn(keys, took_s)
        assert pace.keys == then, (keys, took_s)
    for _ in range(8):
        pace.learn(pace.keys, 0.0)
    assert pace.keys == jobs.KEYS_MAX
