"""What goes wrong, drawn from one seed: each fault has a name and how rare it is, and is counted as it strikes.

The invariant: a process that ended has no effect any more, and one that is stopped has none until it goes on. Both are decided
where a process would speak to the world, so it does not matter what it was about to do.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Final

import asyncpg

from tenure.simulation.connection import Weather
from tenure.spine.log import WorldDown
from tenure.spine.retry import wait_or

FAULTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "connection lost in a statement": 1_500,
        "statement cancelled": 3_000,
        "deadlock reported": 3_000,
        "server out of memory": 6_000,
        "connection lost before the commit": 150,
        "connection lost after the commit": 150,
        "records not sent": 150,
        "records sent in part": 150,
        "records sent, acknowledgement lost": 100,
        "records sent twice": 100,
        "poll failed": 300,
        "offsets not committed": 60,
        "offsets committed, answer lost": 100,
        "beginnings not told": 20,
    }
)
"""One in so many statements, commits, sends, polls, commits of offsets, and questions where a partition begins."""
ANSWER_S_MEAN: Final = 0.0015


@dataclass
class Dice:
    """The only source of chance in a simulation. `harder`: how many times more often everything strikes."""

    seed: int
    calm: bool = False
    harder: int = 1
    struck: Counter[str] = field(default_factory=Counter)
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def strikes(self, fault: str) -> bool:
        if self.calm or self.random.random() * FAULTS[fault] >= self.harder:
            return False
        self.struck[fault] += 1
        return True


class Storm(Weather):
    """The world as one process meets it."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.going_on = asyncio.Event()
        self.going_on.set()
        self.steps_left = 0
        self.arrived = asyncio.Event()

    async def moment(self) -> None:
        """Some time passes."""
        if self.silent:
            raise asyncpg.ConnectionDoesNotExistError("this process has ended")
        await asyncio.sleep(self.dice.random.expovariate(1 / ANSWER_S_MEAN))
        if self.steps_left:
            self.steps_left -= 1
            if not self.steps_left:
                self.going_on.clear()
                self.arrived.set()
        if not self.going_on.is_set():
            await self.going_on.wait()

    async def stops_after(self, steps: int, *, within_s: float) -> None:
        """Stop it after so many more steps, wherever that is; if it takes too few of them, now."""
        self.steps_left = steps
        await wait_or(self.arrived, within_s)
        self.steps_left = 0
        self.arrived.clear()
        self.going_on.clear()

    async def statement(self) -> None:
        await self.moment()
        strikes = self.dice.strikes
        if strikes("connection lost in a statement"):
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        if strikes("statement cancelled"):
            raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")
        if strikes("deadlock reported"):
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        if strikes("server out of memory"):
            raise asyncpg.OutOfMemoryError("out of memory")

    async def before_commit(self) -> None:
        await self.moment()
        if self.dice.strikes("connection lost before the commit"):
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async def after_commit(self) -> None:
        await self.moment()
        if self.dice.strikes("connection lost after the commit"):
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async def broker(self, fault: str) -> None:
        """Before a request to the broker: it may never get there."""
        await self.moment()
        if self.dice.strikes(fault):
            raise WorldDown(fault)
