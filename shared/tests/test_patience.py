"""What one member, one replica or one moment cannot do must not hold up the others: locked rows, timers, a clock without partitions."""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import asyncpg
import pytest
from tenure.edge import pulse as pulses
from tenure.edge.pulse import Pulse
from tenure.settings import Settings
from tenure.spine import clock
from tenure.spine.aside import Aside
from tenure.spine.clock import tick
from tenure.spine.codec import event_of, utc_now
from tenure.spine.consumer import Consumer
from tenure.spine.gather import Gatherer
from tenure.spine.intake import Intake
from tenure.spine.log import Log, Record
from tenure.spine.parking import COUNT
from tenure.spine.progress import Progress
from tenure.spine.retry import WORLD_DOWN
from tenure.spine.runtime import Runtime
from tenure.spine.topics import ensure_topics
from tenure.spine.transact import Door, Item, Outcome
from tenure.telemetry.traces import SEND_S_MAX, configure_tracing
from tenure.testing import Under, under_test

from .toy import TOY, grant

CALLERS = 16


def granted(member: str, n: int) -> Item:
    return Item(event_of(grant(member, 1), id=f"{member}-{n}", source="/test", time=utc_now()))


async def test_one_locked_row_makes_its_own_callers_wait_and_nobody_else(toy: Under) -> None:
    """As a process that was stopped in a transaction holds it: the first batch finds out, those after it know."""
    await toy.pool.execute("INSERT INTO totals (key) VALUES ('M-7')")
    gatherer, over = Gatherer(toy.door), time.monotonic() + 8.0
    done, waited = dict.fromkeys(range(CALLERS), 0), list[float]()

    async def caller(n: int) -> None:
        while (began := time.monotonic()) < over:
            try:
                await gatherer.submit([granted(f"M-{n}", done[n])])
                done[n] += 1
            except asyncpg.LockNotAvailableError:
                assert n == 7
            if n != 7:
                waited.append(time.monotonic() - began)

    async with toy.pool.acquire() as conn:
        holding = conn.transaction()
        await holding.start()
        await conn.execute("SELECT FROM totals WHERE key = 'M-7' FOR UPDATE")
        await asyncio.gather(*(caller(n) for n in range(CALLERS)))
        await holding.rollback()
    assert done[7] == 0
    assert all(done[n] > 3 for n in done if n != 7), done
    assert sorted(waited)[len(waited) // 2] < 1.5, "half of them at once, or nearly"
    assert await gatherer.submit([granted("M-7", 0)]), "free again"


async def test_the_pulse_outlives_whatever_its_question_ends_in(toy: Under, monkeypatch: pytest.MonkeyPatch) -> None:
    name = await toy.pool.fetchval("SELECT current_database()")
    pulse, real, asked = Pulse(f"{toy.settings.database_url}/{name}"), pulses._question, 0
    found: list[bool] = []

    async def question(url: str, conn: object) -> object:
        nonlocal asked
        asked += 1
        found.append(pulse.answers)
        if asked in (3, 4):
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
        if asked == 5:
            raise KeyError("nobody thought of this")
        return await real(url, conn)  # type: ignore[arg-type]

    monkeypatch.setattr(pulses, "_question", question)
    async with pulse.felt(), asyncio.timeout(20):
        while asked < 8:
            await asyncio.sleep(0.05)
    assert False in found, "it was told"
    assert pulse.answers, "and heard that it answers again"


async def test_a_leader_without_partitions_lets_another_start_the_day(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More replicas than partitions: who has none cannot know whether the facts of before are read."""
    monkeypatch.setattr(clock, "LEAVE_IT_FOR_S", 0.5)
    await ensure_topics(log)
    wall = settings.model_copy(update={"clock": "wall"})
    async with under_test(replace(TOY, background=(clock.lead,)), wall) as t:
        topics = [topic.name for topic in TOY.reads]
        others = [await log.consumer(f"tenure.{TOY.name}", topics) for _ in range(7)]
        async with Runtime(t.door, log, wall) as runtime, asyncio.timeout(60):
            while not runtime.consumer.idle:
                await asyncio.sleep(0.05)
            lock = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = $1"
            held = [await t.pool.fetchval(lock, clock.LOCK) for _ in range(40) if not await asyncio.sleep(0.05)]
            assert 0 in held, "it does not keep the lock"
            for other in others:
                await other.close()
            while not (await log.ends({("time.v1", 0): 0}))["time.v1", 0]:
                await asyncio.sleep(0.05)


async def test_a_consumer_that_hangs_ends_its_process_and_one_that_waits_does_not(
    toy: Under, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.spine.runtime.LOOK_EVERY_S", 0.02)
    runtime = Runtime(toy.door, log, toy.settings.model_copy(update={"clock": "wall"}))
    assert runtime.consumer.clock == "wall", "what lies ahead is told by the platform's clock"
    watching = asyncio.create_task(runtime._watch())
    runtime.consumer.alive_at -= 10_000  # it is at the door, which takes long
    await asyncio.sleep(0.1)
    assert not runtime.failed.is_set()
    runtime.consumer.intake.alive_at -= 10_000
    await asyncio.wait_for(runtime.failed.wait(), 5)
    runtime.worker.stopping.set()
    await asyncio.wait_for(watching, 5)


async def test_a_run_of_wrong_events_counts_though_a_good_one_ended_it(toy: Under, log: Log) -> None:
    records = toy.records(*(grant(f"M-{n}", 13) for n in range(50)), grant("M-ok", 1))
    consumer = consumer_of(toy, log, parked_run_max=20)
    await consumer.intake.apply(records)
    assert (consumer.intake.parked_run, consumer.intake.longest_run) == (0, 50)
    await consumer.intake.apply(toy.records(grant("M-ok", 2)))
    assert consumer.intake.longest_run == 0, "each poll by itself"


@pytest.mark.parametrize("fit", [8, 3, 1])
async def test_a_poll_that_takes_too_long_is_halved_until_it_fits(
    toy: Under, monkeypatch: pytest.MonkeyPatch, fit: int
) -> None:
    """The limit of one statement is no fault of any event: none is parked, and no transaction is tried with more than before."""
    taken = ends_queries_of_more_than(fit, monkeypatch)
    await Intake(toy.door, Progress(toy.door)).apply(toy.records(*(grant(f"M-{n}", 1) for n in range(8))))
    assert sum(taken) == await toy.pool.fetchval("SELECT sum(amount) FROM totals") == 8
    assert (max(taken) <= fit, await toy.parked()) == (True, [])


async def test_an_event_that_takes_too_long_by_itself_is_tried_again_and_not_parked(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_queries_of_more_than(0, monkeypatch)
    with pytest.raises(asyncpg.QueryCanceledError) as slow:
        await Intake(toy.door, Progress(toy.door)).apply(toy.records(grant("M-1", 1)))
    assert isinstance(slow.value, WORLD_DOWN)
    assert await toy.parked() == []


def ends_queries_of_more_than(items_max: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A database with time for so many events of one transaction; how many there were in each that it had time for."""
    once, taken = Door.transact, list[int]()

    async def transact(door: Door, items: Sequence[Item], **more: Any) -> list[Outcome]:
        if sum(item.wrong is None for item in items) > items_max:
            raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")
        taken.append(len(items))
        return await once(door, items, **more)

    monkeypatch.setattr(Door, "transact", transact)
    return taken


async def test_of_several_days_in_one_poll_the_newest_is_today(toy: Under) -> None:
    ticks = [tick(date(2026, 1, day)) for day in (3, 5, 4)]
    toy.door.service = replace(TOY, ignores=TOY.ignores - {"day.started"})
    records = [Record(t.topic, 0, n, t.key, t.value, tuple(t.headers), 0) for n, t in enumerate(ticks)]
    await Intake(toy.door, Progress(toy.door)).apply(records)
    assert await toy.pool.fetchval("SELECT day FROM calendar") == date(2026, 1, 5)


async def test_a_day_begins_with_the_last_half_of_a_poll_also_where_that_is_refused(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before what was read with it, and not never."""
    toy.door.service = replace(TOY, ignores=TOY.ignores - {"day.started"})
    started, once, seen = tick(date(2026, 1, 3)), Door.transact, list[date | None]()

    async def looking(door: Door, items: Sequence[Item], **more: Any) -> list[Outcome]:
        outcomes = await once(door, items, **more)
        seen.append(await toy.pool.fetchval("SELECT day FROM calendar"))
        return outcomes

    monkeypatch.setattr(Door, "transact", looking)
    day = Record(started.topic, 0, 0, started.key, started.value, tuple(started.headers), 0)
    records = toy.records(grant("M-1", 1), grant("M-2", 5_000))  # the toy's table takes less than a thousand
    await Intake(toy.door, Progress(toy.door)).apply([day, *records])
    assert (seen, await toy.parked()) == ([None, date(2026, 1, 3)], [("M-2", "data_refused")])


async def test_who_halts_when_the_park_is_empty_already_goes_on(toy: Under, log: Log) -> None:
    consumer = consumer_of(toy, log, parked_run_max=2)
    assert await toy.pool.fetchval(COUNT) == 0
    await asyncio.wait_for(consumer._halt("2 events in a row were parked"), 5)
    assert not consumer.halted


def consumer_of(t: Under, log: Log, *, parked_run_max: int) -> Consumer:
    return Consumer(t.door, log, batch_records_max=1_000, poll_timeout_s=0.2, parked_run_max=parked_run_max)


def test_what_is_put_aside_comes_back_after_a_while() -> None:
    aside = Aside(for_s=0.05)
    aside.put(["M-1", "M-2"])
    assert (aside.keys(), len(aside)) == ({"M-1", "M-2"}, 2)
    time.sleep(0.06)
    assert (aside.keys(), len(aside)) == (frozenset(), 0)


def test_a_collector_that_says_nothing_does_not_keep_a_process_from_ending(settings: Settings) -> None:
    from tenure.telemetry import traces

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        end = configure_tracing(settings.model_copy(update={"otlp_endpoint": endpoint}), "toy")
        traces.collecting[0].start_span("one").end()
        began = time.monotonic()
        end()
        assert time.monotonic() - began < SEND_S_MAX + 1


@pytest.mark.parametrize(("read", "started"), [(True, 1), (False, 0)])
async def test_a_day_is_not_started_before_the_facts_of_before_are_read(
    toy: Under, log: Log, monkeypatch: pytest.MonkeyPatch, read: bool, started: int
) -> None:
    """An outage over midnight delays the day."""

    async def until_read(*_: object, **__: object) -> bool:
        return read

    monkeypatch.setattr(Consumer, "until_read", until_read)
    await ensure_topics(log)
    worker, producer = Runtime(toy.door, log, toy.settings).worker, await log.producer()
    async with toy.pool.acquire() as conn:
        await clock._start_days(worker, conn, producer)  # type: ignore[arg-type]
    assert (await log.ends({("time.v1", 0): 0}))["time.v1", 0] == started
