"""Members of a group come and go all the time, on a real Kafka, while events keep coming: none is passed over, none has two effects.

A poll may last longer than a rebalance and a batch as long as one, so that whatever a member had in hand or on its way meets every
step of the handing over.
"""

import asyncio
import random

import pytest

from .conftest import LONG, NewLane
from .lane import Lane
from .load import Load, drained, feed_some, verify
from .test_world import at_work, under_load

SEEDS = range(1, 9) if LONG else range(1, 2)
MEMBERS, TURNS, GROUPS = 3, 12 if LONG else 3, 20 if LONG else 2
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def comes_and_goes(lane: Lane, chance: random.Random) -> None:
    for _ in range(TURNS):
        async with at_work(lane, poll_timeout_s=chance.choice([0.05, 0.3, 2.0])) as member:
            await asyncio.sleep(chance.random() * 2)
            assert not member.failed.is_set()
        await asyncio.sleep(chance.random() * 0.3)


@pytest.mark.parametrize("seed", SEEDS)
async def test_members_that_come_and_go_pass_nothing_over(new_lane: NewLane, seed: int) -> None:
    load = Load(await new_lane(), seed)
    async with under_load(load), asyncio.TaskGroup() as members:
        for n in range(MEMBERS):
            members.create_task(comes_and_goes(load.lane, random.Random(f"{seed}/{n}")))
    async with at_work(load.lane):
        await drained(load)
    await verify(load)


async def test_what_comes_first_to_a_group_that_still_forms_is_not_passed_over(new_lane: NewLane) -> None:
    """Nobody has recorded anything of these partitions yet, so nobody could notice later."""
    chance = random.Random(5)
    for n in range(GROUPS):
        load = Load(await new_lane(), n)
        async with at_work(load.lane, poll_timeout_s=2.0) as first:
            while not first.consumer.joined:
                await asyncio.sleep(0.01)
            async with at_work(load.lane, poll_timeout_s=2.0):
                await asyncio.sleep(chance.random() * 0.6)
                await feed_some(load, 40)
                await drained(load, within_s=20)
        await verify(load)
