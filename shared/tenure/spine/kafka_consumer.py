"""Reading from Kafka as a member of a group.

The invariant: `poll` comes back in its time, with WorldDown once the broker has been silent too long, or a rebalance has not
ended in twice the time the broker gives it. The client library keeps that silence to itself (it logs and goes on), so this adapter
listens for the one sign of life there is: the time of the last fetch answered, which moves on an idle topic as well.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError

from tenure.spine.kafka_closing import put_away
from tenure.spine.kafka_deadline import within
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import OnPartitions, Position, Record, TopicPartition, WorldDown

_POLL_GRACE_S = 0.2
_IDLE_S_MAX = 1.0
_READY_S_MAX = 0.001
_FRESH_MS_MAX = 5
_HOLDS_BACK_S = 3600.0


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes rebalances on, but not the library's empty sets; `settled` while none is going on, `begun` counts them."""

    def __init__(self, on_assigned: OnPartitions | None, on_revoked: OnPartitions | None) -> None:
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self.settled = asyncio.Event()
        self.begun = 0

    async def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        try:
            if assigned and self._on_assigned:
                await self._on_assigned(sorted((tp.topic, tp.partition) for tp in assigned))
        finally:
            self.settled.set()

    async def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:
        self.settled.clear()
        self.begun += 1
        if revoked and self._on_revoked:
            await self._on_revoked(sorted((tp.topic, tp.partition) for tp in revoked))


def positions_of(client: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """The public `position` waits for what is not known yet; nobody here can wait."""
    assignment = client._subscription.subscription and client._subscription.subscription.assignment  # noqa: SLF001
    states = {tp: assignment.state_value(tp) for tp in assignment.tps} if assignment else {}
    return {(tp.topic, tp.partition): state.position for tp, state in states.items() if state.has_valid_position}


def fetch_only_when_all_is_taken(client: AIOKafkaConsumer) -> None:
    """Of a client that was started. By itself, a tenth of a second after something of one partition was fetched and not taken yet,
    the library asks for the others alone; where they are idle, that request waits for them (`fetch_wait_ms`), and those that have
    something are not asked for before it is back. So after each turn longer than that, reading stood still for up to half a second.
    """
    client._fetcher._prefetch_backoff = _HOLDS_BACK_S  # noqa: SLF001 - there is no public way to it


def _flat(polled: dict[KafkaPartition, list[Any]]) -> list[Any]:
    return [record for records in polled.values() for record in records]


class KafkaConsumer:
    def __init__(self, client: AIOKafkaConsumer, settings: KafkaSettings, rebalances: Rebalances) -> None:
        self._client = client
        self._rebalances = rebalances
        self._settings = settings
        self._last_sign = 0
        self._heard_at = self._polled_at = self._settled_at = time.monotonic()

    async def poll(self, *, records_max: int, timeout_s: float) -> list[Record]:
        self._start_listening()
        polled: list[Any] = []
        rebalances = self._rebalances.begun
        try:
            # A rebalance holds getmany back beyond its own time-out; and what a member was just given is not delivered
            # before its `on_assigned` is done, although the library has it ready.
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s + _POLL_GRACE_S):
                    await self._rebalances.settled.wait()
                    rebalances = self._rebalances.begun
                    await self._fetched(polled, records_max=records_max, timeout_ms=int(timeout_s * 1000))
        except (KafkaError, ConsumerStoppedError, OSError) as error:
            raise WorldDown(f"polling: {error!r}") from error
        self._listen(heard=bool(polled))
        self._see_whether_it_settles()
        if not self._rebalances.settled.is_set() or self._rebalances.begun != rebalances:
            await self._give_back(polled)
            return []
        return [Record(r.topic, r.partition, r.offset, r.key, r.value, r.headers, r.timestamp) for r in polled]

    async def _give_back(self, polled: list[Any]) -> None:
        """They were taken away while these were on their way: whoever has them next reads from what is committed.

        Where that is this member again, some may be of its new turn, and the client would go on behind them.
        """
        firsts = {(r.topic, r.partition): r.offset for r in reversed(polled)}
        at = positions_of(self._client)
        await self.seek([Position(*place, first) for place, first in firsts.items() if at.get(place, first) > first])

    async def _fetched(self, polled: list[Any], *, records_max: int, timeout_ms: int) -> None:
        """What comes, into `polled`. What lay ready was fetched when the last poll ended, and is as old as all that was done since:
        once it is taken the library fetches again, so what came meanwhile is waited for, a moment at most.
        """
        asked = time.monotonic()
        polled += _flat(await self._client.getmany(timeout_ms=timeout_ms, max_records=records_max))
        if 0 < len(polled) < records_max and time.monotonic() - asked < _READY_S_MAX:
            left = records_max - len(polled)
            polled += _flat(await self._client.getmany(timeout_ms=_FRESH_MS_MAX, max_records=left))

    def _start_listening(self) -> None:
        """While nobody polls, the client fetches nothing: that time is not the broker's silence, nor the rebalance's."""
        now = time.monotonic()
        if now - self._polled_at > _IDLE_S_MAX:
            self._heard_at = self._settled_at = now

    def _listen(self, *, heard: bool) -> None:
        self._polled_at = time.monotonic()
        assigned = self._client.assignment()
        sign = max((self._client.last_poll_timestamp(tp) or 0 for tp in assigned), default=0)
        if heard or sign != self._last_sign:
            self._last_sign, self._heard_at = sign, self._polled_at
        silence_s = self._polled_at - self._heard_at
        if assigned and silence_s > self._settings.silence_s_max:
            raise WorldDown(f"the broker has not answered a fetch for {silence_s:.0f} s")

    def _see_whether_it_settles(self) -> None:
        """The broker ends a rebalance without those who do not come; only a client that lost its way is in one for longer."""
        if self._rebalances.settled.is_set():
            self._settled_at = self._polled_at
        elif (unsettled_s := self._polled_at - self._settled_at) > 2 * self._settings.rebalance_timeout_ms / 1000:
            raise WorldDown(f"the group has been rebalancing for {unsettled_s:.0f} s")

    async def commit(self, positions: Iterable[Position]) -> None:
        """During a rebalance the commit is refused: the partitions are someone else's, so that is not a failure."""
        assigned = self._client.assignment()
        offsets = {
            tp: position.next_offset
            for position in positions
            if (tp := KafkaPartition(position.topic, position.partition)) in assigned
        }
        if not offsets:
            return
        async with within(self._settings.commit_deadline_s, "committing"):
            with suppress(CommitFailedError, IllegalStateError):
                await self._client.commit(offsets)

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset((tp.topic, tp.partition) for tp in self._client.assignment())

    def high_water(self) -> dict[TopicPartition, int]:
        """From the fetch, not from ListOffsets: the wheel broker answers that one with the start of the last batch."""
        marks = {(tp.topic, tp.partition): self._client.highwater(tp) for tp in self._client.assignment()}
        return {place: mark for place, mark in marks.items() if mark is not None}

    async def beginnings(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        async with within(self._settings.topics_deadline_s, "asking where partitions begin"):
            found = await self._client.beginning_offsets([KafkaPartition(*place) for place in places])
        return {(tp.topic, tp.partition): begin for tp, begin in found.items()}

    def positions(self) -> dict[TopicPartition, int]:
        if not self._rebalances.settled.is_set():
            return {}
        return positions_of(self._client)

    async def seek(self, positions: Iterable[Position]) -> None:
        assigned = self._client.assignment()
        for topic, partition, next_offset in positions:
            if (tp := KafkaPartition(topic, partition)) in assigned:
                self._client.seek(tp, next_offset)

    async def close(self) -> None:
        """Leaves the group, so that the others need not wait for the session to run out; on a dead broker, gives up."""
        await put_away(self._client, self._settings.close_deadline_s)
