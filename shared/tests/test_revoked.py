"""Partitions are taken away while a batch is in hand: it is finished or abandoned within five seconds, and nothing is lost or doubled."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tenure.settings import Settings
from tenure.spine.in_hand import InHand
from tenure.spine.log import Log
from tenure.spine.runtime import Runtime
from tenure.telemetry import metrics
from tenure.testing import Under, under_test

from .test_delivery import outgoing, until
from .toy import TOY

REVOKED_WITHIN_S = 5.0
SLACK_S = 6.0


@pytest.fixture
async def toy(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(TOY, settings.model_copy(update={"lock_timeout_ms": 25_000})) as t:
        yield t


@asynccontextmanager
async def locked(t: Under, member: str) -> AsyncIterator[None]:
    """Somebody else holds this member's row: the database is slow, as far as the batch can tell."""
    await t.pool.execute("INSERT INTO totals (key) VALUES ($1) ON CONFLICT DO NOTHING", member)
    async with t.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT FROM totals WHERE key = $1 FOR UPDATE", member)
        yield


def revocations(outcome: str) -> float:
    return float(metrics.consumer_revocations.labels("mall", outcome)._value.get())


async def waits_for_the_lock(t: Under) -> bool:
    return bool(await t.pool.fetchval("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


async def total(t: Under) -> int:
    return int(await t.pool.fetchval("SELECT coalesce(sum(amount), 0) FROM totals"))


async def test_a_batch_that_takes_too_long_is_abandoned_in_time_and_whoever_has_the_partition_next_does_it(
    toy: Under, log: Log, settings: Settings
) -> None:
    producer = await log.producer()
    abandoned = revocations("abandoned")
    async with Runtime(toy.door, log, settings) as first:
        async with locked(toy, "M-1"):
            await producer.send([*outgoing(1, 2, 3), *outgoing(4, member="M-2")])
            await until(lambda: waits_for_the_lock(toy), toy)
            began = time.monotonic()
            async with Runtime(toy.door, log, settings) as second:
                await until(lambda: joined(second), toy, seconds=20)
                assert time.monotonic() - began < REVOKED_WITHIN_S + SLACK_S
                assert revocations("abandoned") == abandoned + 1
                assert await total(toy) == 0, "nothing of it is left"
        await until(lambda: all_done(toy, 10), toy)
        assert not first.failed.is_set()
    assert toy.pool.get_size() == toy.pool.get_idle_size(), "no connection is kept"
    assert await toy.pool.fetchval("SELECT count(*) FROM inbox") == 4


async def test_a_batch_that_ends_in_time_is_finished_before_its_partitions_move(
    toy: Under, log: Log, settings: Settings
) -> None:
    producer = await log.producer()
    finished, abandoned = revocations("finished"), revocations("abandoned")
    async with Runtime(toy.door, log, settings):
        async with locked(toy, "M-1"):
            await producer.send(outgoing(1, 2, 3))
            await until(lambda: waits_for_the_lock(toy), toy)
            second = Runtime(toy.door, log, settings)
            await second.__aenter__()
            assert not second.consumer.joined, "the batch is not done"
        await until(lambda: joined(second), toy, seconds=20)
        assert await total(toy) == 6, "committed before anybody else was given the partition"
        assert (revocations("finished"), revocations("abandoned")) == (finished + 1, abandoned)
        await second.stop()


async def joined(runtime: Runtime) -> bool:
    return runtime.consumer.joined


async def all_done(t: Under, amount: int) -> bool:
    return await total(t) == amount


async def test_what_is_in_hand_is_ended_by_its_owners_end_and_by_letting_go_only() -> None:
    hand = InHand(finish_within_s=0.01, abandon_within_s=1)
    assert await hand.let_go(), "nothing is in hand"
    assert await hand.do(asyncio.sleep(0)) is True

    async def fails() -> None:
        raise ValueError("its own fault")

    with pytest.raises(ValueError, match="its own fault"):
        await hand.do(fails())
    doing = asyncio.create_task(hand.do(asyncio.sleep(60)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not await hand.let_go()
    assert await doing is False, "abandoned, and its owner goes on"
    doing = asyncio.create_task(hand.do(asyncio.sleep(60)))
    await asyncio.sleep(0)
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
