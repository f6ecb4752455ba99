"""Where reading goes on: what the database recorded is what counts, whatever the group's offsets say and whoever had the partition."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from tenure.contracts import message
from tenure.settings import Settings
from tenure.spine.codec import event_of, utc_now
from tenure.spine.intake import Intake
from tenure.spine.log import Consumer, Log, Outgoing, Position, Record, TopicPartition
from tenure.spine.memory_log import MemoryLog
from tenure.spine.progress import Progress, Reached, RecordWentBackError
from tenure.spine.runtime import Runtime
from tenure.spine.transact import Door, Item, Outcome
from tenure.testing import Under

from .test_delivery import outgoing, until
from .test_recovery import counted
from .toy import grant

PLACE = ("points.v1", 0)
END = 20


@dataclass
class Client:
    """A client of one partition, which the group gave it `at`, and which begins and ends in the log where it is said.

    `fetched`: the broker has answered it. Behind a record there may stand a mark, as a transaction's end does: read on from there,
    it goes on behind it.
    """

    at: int
    begins: int = 0
    marks: frozenset[int] = frozenset()
    fetched: bool = True
    sought: list[int] = field(default_factory=list)

    def positions(self) -> dict[TopicPartition, int]:
        return {PLACE: self.at}

    def high_water(self) -> dict[TopicPartition, int]:
        return {PLACE: END} if self.fetched else {}

    async def beginnings(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, self.begins)

    async def seek(self, positions: Iterable[Position]) -> None:
        for position in positions:
            self.sought.append(position.next_offset)
            self.at = max(position.next_offset, self.begins)
            self.at += self.at in self.marks


def progress_of(t: Under) -> Progress:
    return Progress(t.door)


async def gone_on(progress: Progress, client: Client) -> None:
    """Polls that bring nothing."""
    for _ in range(3):
        assert await progress.settle(client, []) == []  # type: ignore[arg-type]


async def recorded(t: Under) -> int | None:
    found: int | None = await t.pool.fetchval("SELECT next_offset FROM progress WHERE topic = $1", PLACE[0])
    return found


@pytest.mark.parametrize(
    ("known", "client", "sought", "gaps", "then"),
    [
        pytest.param(None, Client(at=0), [], 0, None, id="new, and so is the log"),
        pytest.param(None, Client(at=12), [], 0, None, id="the group says where a database begins that knows nothing"),
        pytest.param(9, Client(at=12), [9], 0, 9, id="the client is beyond what the database has"),
        pytest.param(3, Client(at=12, begins=7), [7], 1, 7, id="what came after it is partly not there any more"),
        pytest.param(3, Client(at=12, begins=12), [12], 1, 12, id="nothing of it is there any more"),
        pytest.param(12, Client(at=12), [], 0, 12, id="they agree"),
        pytest.param(9, Client(at=10, marks=frozenset({9})), [9], 0, 9, id="where a transaction ends no record stands"),
    ],
)
async def test_what_was_read_before_and_is_not_there_any_more_is_a_gap_and_told_once(
    toy: Under, known: int | None, client: Client, sought: list[int], gaps: int, then: int | None
) -> None:
    if known is not None:
        await toy.door.transact([], positions=[Reached(*PLACE, known)])
    before, progress = counted("log_gaps", "mall", PLACE[0]), progress_of(toy)
    await progress.on_assigned([PLACE])
    await gone_on(progress, client)
    assert client.sought == sought
    again = progress_of(toy)  # the process was started anew
    await again.on_assigned([PLACE])
    await gone_on(again, Client(at=client.at, begins=client.begins, marks=client.marks))
    assert counted("log_gaps", "mall", PLACE[0]) - before == gaps
    assert await recorded(toy) == then


async def test_a_partition_that_comes_back_is_looked_at_again(toy: Under) -> None:
    """Between going back and the next poll it was taken away and given back: the group still says what it said."""
    await toy.door.transact([], positions=[Reached(*PLACE, 5)])
    progress, before, after = progress_of(toy), Client(at=9), Client(at=9)
    for client in (before, after):
        await progress.on_assigned([PLACE])
        await gone_on(progress, client)
    assert (before.sought, after.sought) == ([5], [5])


async def test_where_a_client_goes_on_is_known_only_once_it_was_answered(toy: Under) -> None:
    """The group's offset may be gone from the log by then, and the client goes on where the log begins."""
    await toy.door.transact([], positions=[Reached(*PLACE, 5)])
    before, progress = counted("log_gaps", "mall", PLACE[0]), progress_of(toy)
    client = Client(at=5, begins=12, fetched=False)
    await progress.on_assigned([PLACE])
    await gone_on(progress, client)
    client.at, client.fetched = 12, True
    await gone_on(progress, client)
    assert counted("log_gaps", "mall", PLACE[0]) == before + 1


async def forget(t: Under) -> None:
    """As after a restore, or a crash that took the last transactions with it."""
    await t.pool.execute(
        "DELETE FROM inbox; DELETE FROM totals; DELETE FROM outbox; UPDATE progress SET next_offset = 0"
    )


async def test_offsets_that_outlived_what_the_database_knows_do_not_hide_events(
    toy: Under, log: Log, settings: Settings
) -> None:
    producer = await log.producer()
    await producer.send(outgoing(1, 2, 3))
    async with Runtime(toy.door, log, settings):
        await until(lambda: toy.pool.fetchval("SELECT count(*) = 3 FROM inbox"), toy)
    await forget(toy)
    async with Runtime(toy.door, log, settings):
        await until(lambda: toy.pool.fetchval("SELECT coalesce(sum(amount), 0) = 6 FROM totals"), toy)


@pytest.mark.parametrize("then", ["UPDATE progress SET next_offset = 0", "DELETE FROM progress"])
@pytest.mark.parametrize("more", [True, False], ids=["another event comes", "nothing comes any more"])
async def test_a_database_that_was_put_back_under_a_consumer_that_lives_is_read_for_again(
    toy: Under, log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch, then: str, more: bool
) -> None:
    """Nothing is passed over, none comes before an earlier one of its key, and partitions that nothing comes in are read again, too."""
    monkeypatch.setattr("tenure.spine.progress.LOOK_EVERY_S", 600 if more else 0.05)
    producer = await log.producer()
    await producer.send([*outgoing(1, 2, 3), *outgoing(7, member="M-2")])
    async with Runtime(toy.door, log, settings) as runtime:
        await until(lambda: toy.pool.fetchval("SELECT count(*) = 4 FROM inbox"), toy)
        await runtime.consumer.caught_up.wait()
        await toy.pool.execute(f"DELETE FROM inbox; DELETE FROM totals; DELETE FROM outbox; {then}")
        await producer.send(outgoing(1, 2, 3, 4)[3:] if more else [])
        await until(lambda: toy.pool.fetchval("SELECT sum(amount) = $1 FROM totals", 17 if more else 13), toy)
        assert not runtime.failed.is_set()
    assert await told(toy, "M-1") == ([1, 3, 6, 10] if more else [1, 3, 6])


async def told(t: Under, member: str) -> list[int]:
    return [e.params["amount"] for e in await t.emitted(message.MessageRequested) if e.member_id == member]


@pytest.mark.parametrize(
    ("recorded_by_then", "known", "wrong"),
    [
        pytest.param(5, 9, True, id="less is recorded than was known"),
        pytest.param(None, 9, True, id="nothing is recorded any more"),
        pytest.param(9, 9, False, id="they agree"),
        pytest.param(30, 9, False, id="somebody else has read on"),
        pytest.param(5, 0, False, id="nothing was known"),
    ],
)
async def test_what_builds_on_more_than_is_recorded_does_not_happen(
    toy: Under, recorded_by_then: int | None, known: int, wrong: bool
) -> None:
    if recorded_by_then is not None:
        await toy.door.transact([], positions=[Reached(*PLACE, recorded_by_then)])
    item = Item(event_of(grant("M-1", 5), id="e-1", source="/core", time=utc_now()), once=True)
    with pytest.raises(RecordWentBackError) if wrong else nullcontext():
        await toy.door.transact([item], positions=[Reached(*PLACE, 12, known)])
    assert await toy.pool.fetchval("SELECT count(*) FROM inbox") == (0 if wrong else 1)
    assert await recorded(toy) == (recorded_by_then if wrong else max(12, recorded_by_then or 0))


async def test_a_batch_that_is_halved_has_no_half_an_effect_on_a_database_that_was_put_back(
    toy: Under,
) -> None:
    """Else the first half's events would have come before those that are missing."""
    await toy.pool.execute("ALTER TABLE totals ADD CHECK (amount <> 7)")
    progress = progress_of(toy)
    intake = Intake(toy.door, progress)
    await intake.apply(read(0, *outgoing(1, 2)))
    await forget(toy)
    with pytest.raises(RecordWentBackError):
        await intake.apply(read(2, *outgoing(3, member="M-3"), *outgoing(7, member="M-7")))
    assert await toy.pool.fetchval("SELECT count(*) FROM inbox") == 0


async def test_the_first_half_of_a_batch_does_not_say_that_the_second_was_read(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    await toy.pool.execute("ALTER TABLE totals ADD CHECK (amount <> 7)")
    once, committed = Door.transact, list[tuple[int, int | None]]()

    async def looking(door: Door, items: Sequence[Item], **more: Any) -> list[Outcome]:
        outcomes = await once(door, items, **more)
        committed.append((len(items), await recorded(toy)))
        return outcomes

    monkeypatch.setattr(Door, "transact", looking)
    await Intake(toy.door, progress_of(toy)).apply(read(0, *outgoing(3, member="M-3"), *outgoing(7, member="M-7")))
    assert committed == [(1, None), (1, 2)]


def read(first: int, *sent: Outgoing) -> list[Record]:
    return [Record(*PLACE, first + n, out.key, out.value, out.headers, 0) for n, out in enumerate(sent)]


async def test_a_group_that_lost_its_offsets_reads_all_that_is_kept_and_has_no_effect_twice(
    toy: Under, log: Log, settings: Settings
) -> None:
    """Kafka forgets them when the group had no member for a week; meanwhile the inbox was swept. The log keeps 90 days, by segments."""
    assert isinstance(log, MemoryLog)
    producer = await log.producer()
    await producer.send(outgoing(1, 2, 3))
    async with Runtime(toy.door, log, settings):
        await until(lambda: toy.pool.fetchval("SELECT count(*) = 3 FROM inbox"), toy)
    await toy.pool.execute("UPDATE inbox SET seen_at = now() - interval '97 days'")
    log._broker.groups.clear()
    async with Runtime(toy.door, log, settings) as runtime:
        await runtime.vitals.sweep()
        await runtime.consumer.caught_up.wait()
        await producer.send(outgoing(9, member="M-2"))
        await until(lambda: toy.pool.fetchval("SELECT count(*) = 1 FROM totals WHERE key = 'M-2'"), toy)
    assert await toy.pool.fetchval("SELECT amount FROM totals WHERE key = 'M-1'") == 6


async def test_a_rebalance_before_the_first_poll_from_there_does_not_hide_them_either(
    toy: Under, log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = await log.producer()
    await producer.send(outgoing(1, 2, 3))
    async with Runtime(toy.door, log, settings) as first:
        await until(lambda: toy.pool.fetchval("SELECT count(*) = 3 FROM inbox"), toy)
        await first.consumer.caught_up.wait()
    await forget(toy)
    settle, came = Progress.settle, asyncio.Event()

    async def settle_then_rebalance(self: Progress, client: Consumer, records: list[Record]) -> list[Record]:
        found = await settle(self, client, records)
        if not came.is_set():
            came.set()
            task = asyncio.create_task(log.consumer("tenure.mall", ["points.v1"]))
            joining.append(task)
        return found

    joining: list[asyncio.Task[Consumer]] = []
    monkeypatch.setattr(Progress, "settle", settle_then_rebalance)
    async with Runtime(toy.door, log, settings):
        await came.wait()
        await (await joining[0]).close()  # it takes some partitions, and leaves them again without having read
        await until(lambda: toy.pool.fetchval("SELECT coalesce(sum(amount), 0) = 6 FROM totals"), toy)
