"""What a consumer concludes from where it reads and where the log ends: each partition for itself, and all of them together."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from tenure.spine import consumer as consumer_module
from tenure.spine.consumer import Consumer
from tenure.spine.log import Position, Record, TopicPartition, WorldDown, open_log
from tenure.spine.progress import Places, Progress, Reached
from tenure.testing import Under

from .test_delivery import outgoing
from .toy import grant

ONE, OTHER, SAME_NUMBER = ("points.v1", 0), ("points.v1", 1), ("tier.v1", 0)


@dataclass
class Client:
    """A client that reads these partitions, and whose log reaches to 20 in each."""

    at: Places
    sought: list[Position] = field(default_factory=list)

    def positions(self) -> Places:
        return self.at

    def high_water(self) -> Places:
        return dict.fromkeys(self.at, 20)

    async def beginnings(self, places: Iterable[TopicPartition]) -> Places:
        return dict.fromkeys(places, 0)

    async def seek(self, positions: Iterable[Position]) -> None:
        self.sought += positions


def read(place: TopicPartition, first: int, records: int) -> list[Record]:
    out = outgoing(*range(records))
    return [Record(*place, first + n, one.key, one.value, one.headers, 0) for n, one in enumerate(out)]


async def settled(t: Under, recorded: Places, *records: Record) -> tuple[list[Record], list[Position]]:
    await t.door.transact([], positions=[Reached(*place, at) for place, at in recorded.items()])
    progress, client = Progress(t.door), Client({(r.topic, r.partition): r.offset + 1 for r in records})
    await progress.on_assigned(list(client.at))
    found: Any = client
    return await progress.settle(found, list(records)), client.sought


async def test_what_came_right_after_the_record_is_taken_as_it_came(toy: Under) -> None:
    came = read(ONE, 9, 3)
    assert await settled(toy, {ONE: 9}, *came) == (came, [])


async def test_where_one_partition_is_read_again_the_records_of_another_are_not_passed_over(toy: Under) -> None:
    again, kept = read(ONE, 12, 2), read(OTHER, 4, 2)
    assert await settled(toy, {ONE: 9, OTHER: 4}, *again, *kept) == (kept, [Position(*ONE, 9)])


async def test_where_the_log_of_one_partition_forgot_the_others_keep_their_places(toy: Under) -> None:
    await toy.door.transact([], positions=[Reached(*place, 9) for place in (ONE, OTHER, SAME_NUMBER)])
    await toy.door.go_back([Position(*ONE, 3)])
    rows = await toy.pool.fetch("SELECT topic, partition, next_offset FROM progress")
    assert {(r["topic"], r["partition"]): r["next_offset"] for r in rows} == {ONE: 3, OTHER: 9, SAME_NUMBER: 9}


def consumer_of(t: Under, *, parked_run_max: int = 2) -> Consumer:
    log = open_log(t.settings.kafka)
    return Consumer(t.door, log, batch_records_max=10, poll_timeout_s=0.1, parked_run_max=parked_run_max)


@pytest.mark.parametrize(
    ("assigned", "positions", "ends", "caught_up"),
    [
        pytest.param({ONE, OTHER}, {ONE: 5, OTHER: 5}, {ONE: 5, OTHER: 5}, True, id="all is read"),
        pytest.param({ONE, OTHER}, {ONE: 5, OTHER: 4}, {ONE: 5, OTHER: 5}, False, id="one is behind"),
        pytest.param({ONE, OTHER}, {ONE: 5}, {ONE: 5, OTHER: 5}, False, id="of one it is not known where it is read"),
        pytest.param({ONE, OTHER}, {ONE: 5, OTHER: 5}, {ONE: 5}, False, id="of one it is not known where it ends"),
        pytest.param({ONE}, {ONE: 5, OTHER: 1}, {ONE: 5, OTHER: 9}, True, id="the other was taken away"),
        pytest.param(set(), {}, {}, False, id="it has none"),
    ],
)
async def test_all_is_read_when_each_of_its_partitions_is(
    toy: Under, assigned: set[TopicPartition], positions: Places, ends: Places, caught_up: bool
) -> None:
    consumer = consumer_of(toy)
    consumer.caught_up.set()
    consumer.positions, consumer.high_water = positions, ends
    client: Any = SimpleNamespace(assignment=lambda: frozenset(assigned))
    consumer._see_whether_caught_up(client)
    assert (consumer.caught_up.is_set(), consumer.idle) == (caught_up, not assigned)


async def test_what_stands_in_the_log_now_is_known_by_a_fetch_from_now_on(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that was fetched before the question says nothing of what came since."""
    monkeypatch.setattr(consumer_module, "LOOK_EVERY_S", 0.02)
    consumer, stopping = consumer_of(toy), asyncio.Event()
    consumer.positions = consumer.high_water = {ONE: 5}
    consumer.last_poll_at = time.monotonic()
    assert not await consumer.until_read(stopping, wait_max_s=0.2)
    consumer.last_poll_at = time.monotonic() + 60
    assert await consumer.until_read(stopping, wait_max_s=5)


@pytest.mark.parametrize(("end", "replaced"), [(5, False), (6, True)], ids=["nothing waits", "a record waits"])
async def test_a_client_that_stands_still_is_replaced_only_while_something_waits(
    toy: Under, end: int, replaced: bool
) -> None:
    consumer = consumer_of(toy)
    consumer.positions, consumer.high_water = {ONE: 5}, {ONE: end}
    consumer.advanced_at -= 1_000
    if replaced:
        with pytest.raises(WorldDown, match="1 records wait"):
            consumer._see_whether_it_advances({ONE: 5})
    else:
        consumer._see_whether_it_advances({ONE: 5})
    assert time.monotonic() - consumer.advanced_at < 60, "from here on it has its time again"


async def test_who_halted_waits_until_fewer_are_parked(toy: Under, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "LOOK_EVERY_S", 0.02)
    await toy.feed(*[grant(f"M-{n}", 13) for n in range(3)])
    consumer = consumer_of(toy)
    consumer.intake.parked_run = 3
    halting = asyncio.create_task(consumer._halt("3 events in a row were parked"))
    await asyncio.sleep(0.3)
    assert consumer.halted, "nobody looked"
    await toy.pool.execute("DELETE FROM parked WHERE key = 'M-1'")
    await asyncio.wait_for(halting, 5)
    assert (consumer.halted, consumer.intake.parked_run) == ("", 0), "and a run begins anew"
