"""On a real Kafka, partitions are taken from a member whose batch the database holds up: the other has them within seconds, each event has
its effect once, and the world hears it in order.
"""

import asyncio
import time

from tenure import database
from tenure.spine.runtime import Runtime
from tenure.telemetry import metrics

from .conftest import NewLane
from .load import Load, connect, drained, feed_some, verify

REVOKED_WITHIN_S = 5.0
SLACK_S = 10.0
"""Until the broker has told everybody of the newcomer, on a machine that does other things, too."""


async def until(true: object, *, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.05)


def abandoned() -> float:
    return float(metrics.consumer_revocations.labels("mall", "abandoned")._value.get())


async def test_a_batch_in_hand_does_not_keep_its_partitions_from_those_they_are_given_to(new_lane: NewLane) -> None:
    lane = await new_lane()
    load = Load(lane, 7)
    settings = lane.settings().model_copy(
        update={
            "lock_timeout_ms": 25_000,
            "statement_timeout_ms": 40_000,
            "idle_in_transaction_timeout_ms": 60_000,
            "answer_timeout_s": 30.0,
        }
    )
    before = abandoned()
    # Who is late to stop is cut off from the database: each has connections of its own, so that only his are.
    pools = [await database.open_pool(settings, lane.database) for _ in range(2)]
    async with pools[0], pools[1]:
        first, second = (Runtime(lane.door(pool), lane.log(), settings) for pool in pools)
        async with first:
            await until(lambda: first.consumer.positions)
            foreign = await connect(lane)
            async with foreign.transaction():
                await foreign.execute("LOCK TABLE totals IN ACCESS EXCLUSIVE MODE")
                await feed_some(load, 40)
                await until(lambda: first.consumer.hand.task is not None and first.consumer.caught_up.is_set() is False)
                began = time.monotonic()
                async with second:
                    await until(
                        lambda: second.consumer.joined
                    )  # and has its partitions, with the same batch to wait for
                    assert time.monotonic() - began < REVOKED_WITHIN_S + SLACK_S
                    assert abandoned() == before + 1
            await foreign.close()
            await feed_some(load, 40)
            await drained(load, within_s=60)
    await verify(load)
