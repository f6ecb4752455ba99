"""A log whose consumers join their groups and then poll nothing until they may, so that a clock can start with all of them."""

import asyncio
from collections.abc import Sequence
from typing import Any

from tenure.spine.log import Consumer as LogConsumer
from tenure.spine.log import Log, OnPartitions, Record, TopicPartition


class _Held:
    """A member of the group that polls nothing until it may."""

    def __init__(self, client: LogConsumer, may: asyncio.Event) -> None:
        self.client, self.may = client, may

    async def poll(self, *, records_max: int, timeout_s: float) -> list[Record]:
        await self.may.wait()
        return await self.client.poll(records_max=records_max, timeout_s=timeout_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


class Holding:
    """A log whose consumers are held until `may` is set."""

    def __init__(self, log: Log) -> None:
        self.log, self.may = log, asyncio.Event()
        self.client: LogConsumer | None = None

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> _Held:
        self.client = await self.log.consumer(group, topics, on_assigned=on_assigned, on_revoked=on_revoked)
        return _Held(self.client, self.may)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)

    @property
    def given(self) -> frozenset[TopicPartition]:
        """The partitions this member has now."""
        return self.client.assignment() if self.client is not None else frozenset()
