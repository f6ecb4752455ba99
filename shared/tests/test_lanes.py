"""A large poll in lanes: the same effects in the same order as in one, whatever becomes of one of the lanes."""

import itertools
from collections import defaultdict
from typing import Any

import asyncpg
import pytest
from tenure.settings import Settings, SettingsError, load_settings
from tenure.spine.codec import encode, event_of, utc_now
from tenure.spine.consumer import Consumer
from tenure.spine.lanes import LANE_RECORDS_MIN, TICKS, in_lanes
from tenure.spine.log import Outgoing, Record, open_log, partition_of
from tenure.spine.topics import ensure_topics
from tenure.spine.transact import Door
from tenure.testing import Under

from .toy import grant

EVENTS = 2 * LANE_RECORDS_MIN
PARTITIONS = 6


def record(n: int, *, topic: str = "points.v1", partition: int | None = None) -> Record:
    place = n % PARTITIONS if partition is None else partition
    return Record(topic, place, n, b"k", b"{}", (), 0)


@pytest.mark.parametrize("lanes_max", [2, 3, 4, 50])
def test_every_record_is_in_one_lane_and_a_partition_number_in_no_two(lanes_max: int) -> None:
    topics = itertools.cycle(["points.v1", "tier.v1"])
    poll = [record(n, topic=next(topics), partition=n // 2 % PARTITIONS) for n in range(4 * LANE_RECORDS_MIN)]
    lanes = in_lanes(poll, lanes_max=lanes_max)
    assert len(lanes) == min(lanes_max, 4)
    assert sorted((r for lane in lanes for r in lane), key=lambda r: r.offset) == poll
    numbers = [{r.partition for r in lane} for lane in lanes]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(numbers, 2))
    assert all([r.offset for r in lane] == sorted(r.offset for r in lane) for lane in lanes), "the order of the poll"


@pytest.mark.parametrize(
    ("why", "poll"),
    [
        ("small", [record(n) for n in range(2 * LANE_RECORDS_MIN - 1)]),
        ("one partition", [record(n, partition=4) for n in range(4 * LANE_RECORDS_MIN)]),
        ("a day begins", [*(record(n) for n in range(4 * LANE_RECORDS_MIN)), record(0, topic=TICKS, partition=0)]),
    ],
)
def test_a_poll_that_is_not_worth_it_is_one_lane(why: str, poll: list[Record]) -> None:
    assert in_lanes(poll, lanes_max=3) == [poll], why


def test_the_relay_and_callers_keep_connections() -> None:
    with pytest.raises(SettingsError, match="TENURE_CONSUMER_LANES_MAX"):
        load_settings(pool_size_max=3, consumer_lanes_max=3)


async def test_lanes_apply_what_one_would_also_when_one_of_them_fails_once(
    toy: Under, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(settings.kafka)
    await ensure_topics(log)
    wanted = await _published(log)
    transact, begun = Door.transact, 0

    async def failing(self: Door, items: Any, **more: Any) -> Any:
        nonlocal begun
        begun += 1
        if begun == 2:
            raise asyncpg.LockNotAvailableError("somebody else held it for too long")
        return await transact(self, items, **more)

    monkeypatch.setattr(Door, "transact", failing)
    consumer = Consumer(toy.door, log, batch_records_max=EVENTS, poll_timeout_s=1.0, parked_run_max=10, lanes_max=2)
    client = await log.consumer("tenure.mall", ["points.v1"], on_assigned=consumer.progress.on_assigned)
    while sum(consumer.progress.recorded.values()) < EVENTS:
        await consumer._turn(client)
    await client.close()
    await log.close()
    assert begun >= 4, "two lanes, and both again"
    assert await toy.pool.fetchval("SELECT count(*) FROM inbox") == EVENTS
    heard: dict[str, list[int]] = defaultdict(list)
    for told in await toy.emitted():
        heard[told.member_id].append(told.params["amount"])
    assert heard == {member: list(itertools.accumulate(amounts)) for member, amounts in wanted.items()}
    assert {row["topic"] for row in await toy.pool.fetch("SELECT topic FROM progress")} == {"points.v1"}


async def _published(log: Any) -> dict[str, list[int]]:
    """Grants of twelve members who stand in several partitions; what was granted, by member."""
    granted: dict[str, list[int]] = defaultdict(list)
    records: list[Outgoing] = []
    for n in range(EVENTS):
        member, amount = f"M-{n % 12}", 1 + n % 7
        granted[member].append(amount)
        records.append(encode(event_of(grant(member, amount), id=f"{n}", source="/test", time=utc_now())))
    assert len({partition_of(m.encode(), PARTITIONS) for m in granted}) > 2
    producer = await log.producer()
    await producer.send(records)
    await producer.close()
    return granted
