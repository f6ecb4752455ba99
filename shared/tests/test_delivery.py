"""From the log to the outbox and back to a log: the consumer, the relay and due work, on the in-memory log."""

import asyncio
from collections.abc import Callable
from datetime import date

import pytest
from tenure.contracts.time import DayStarted
from tenure.settings import Settings
from tenure.spine import relay
from tenure.spine.clock import days_that_came, tick
from tenure.spine.codec import decode, encode, event_of, utc_now
from tenure.spine.log import Log, Outgoing
from tenure.spine.memory_log import MemoryLog
from tenure.spine.runtime import Runtime
from tenure.spine.topics import ensure_topics
from tenure.testing import Under

from .toy import grant


def outgoing(*amounts: int, member: str = "M-1") -> list[Outgoing]:
    return [
        encode(event_of(grant(member, a), id=f"{member}-{i}-{a}", source="/test", time=utc_now()))
        for i, a in enumerate(amounts)
    ]


async def until(true: Callable[[], object], t: Under, *, seconds: float = 10) -> None:
    """Wait for a fact in the database to come true; fails after a deadline."""
    async with asyncio.timeout(seconds):
        while not await true():  # type: ignore[misc]
            await asyncio.sleep(0.01)


async def read_all(log: Log, topic: str, count: int) -> list[int]:
    reader = await log.consumer("reader", [topic])
    seen: list[int] = []
    async with asyncio.timeout(10):
        while len(seen) < count:
            seen += [
                decode(r.headers, r.value).data.params["amount"]
                for r in await reader.poll(records_max=100, timeout_s=1)
            ]
    await reader.close()
    return seen


async def test_what_is_published_has_its_effect_and_tells_the_world_in_order(
    toy: Under, log: Log, settings: Settings
) -> None:
    producer = await log.producer()
    async with Runtime(toy.door, log, settings):
        await producer.send(outgoing(1, 2, 3))
        assert await read_all(log, "message.v1", 3) == [1, 3, 6]
    assert await toy.pool.fetchval("SELECT count(*) FROM outbox WHERE NOT published") == 0


async def test_what_was_told_here_is_relayed_without_waiting_for_the_next_look(
    toy: Under, log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "IDLE_WAIT_S", 600.0)
    producer = await log.producer()
    async with Runtime(toy.door, log, settings):
        for n, amount in enumerate((1, 2, 3)):
            await producer.send(outgoing(amount, member=f"M-{n}"))
            assert len(await read_all(log, "message.v1", n + 1)) == n + 1


async def test_a_type_the_service_ignores_is_passed_over_whatever_is_in_it(
    toy: Under, log: Log, settings: Settings
) -> None:
    producer = await log.producer()
    headers = [("ce_type", b"points.expired")]
    await producer.send([Outgoing("points.v1", b"M-1", b"{", headers)])
    async with Runtime(toy.door, log, settings):
        await producer.send(outgoing(1))
        assert await read_all(log, "message.v1", 1) == [1]
    assert not await toy.parked()
    await producer.send([Outgoing("points.v1", b"M-1", b"{", [("ce_type", b"points.granted")])])
    async with Runtime(toy.door, log, settings):
        await until(toy.parked, toy)


async def test_an_event_the_database_refuses_stands_alone_and_is_parked(
    toy: Under, log: Log, settings: Settings
) -> None:
    producer = await log.producer()
    await producer.send([o for n in range(8) for o in outgoing(1, member=f"M-{n}")])
    await producer.send(outgoing(5_000, member="M-3"))  # the toy's table takes less than a thousand
    await producer.send([o for n in range(8) for o in outgoing(2, member=f"M-{n}")])
    async with Runtime(toy.door, log, settings) as runtime:
        await until(
            lambda: toy.pool.fetchval("SELECT sum(next_offset) = 17 FROM progress WHERE topic = 'points.v1'"), toy
        )
        assert not runtime.failed.is_set()
    assert await toy.parked() == [("M-3", "data_refused"), ("M-3", "behind")]
    amounts = {r["key"]: r["amount"] for r in await toy.pool.fetch("SELECT key, amount FROM totals")}
    assert amounts == {f"M-{n}": 1 if n == 3 else 3 for n in range(8)}


async def test_a_run_of_wrong_events_stops_the_consumer(toy: Under, log: Log, settings: Settings) -> None:
    producer = await log.producer()
    await producer.send([o for n in range(30) for o in outgoing(13, member=f"M-{n}")])
    careful = settings.model_copy(update={"parked_run_max": 20, "batch_records_max": 5})
    async with Runtime(toy.door, log, careful) as runtime:
        await until(lambda: halted(runtime), toy)
        assert 20 <= await toy.pool.fetchval("SELECT count(*) FROM parked") < 30
        assert (await runtime.health())["failed"], "not ready"
        assert not runtime.failed.is_set(), "the other services of this process go on"
        seqs = [r["seq"] for r in await toy.pool.fetch("SELECT seq FROM parked ORDER BY seq LIMIT 5")]
        await toy.door.leave_park(seqs, action="discarded", actor="op-1", reason="looked")
        await until(lambda: toy.pool.fetchval("SELECT count(*) = 25 FROM parked"), toy)
        assert not runtime.consumer.halted, "someone looked, so it went on"


async def halted(runtime: Runtime) -> bool:
    return bool(runtime.consumer.halted)


async def test_events_that_only_queue_behind_one_of_their_key_do_not_stop_the_consumer(
    toy: Under, log: Log, settings: Settings
) -> None:
    producer = await log.producer()
    await producer.send(outgoing(13, *range(14, 64)))
    await producer.send(outgoing(1, member="M-2"))
    careful = settings.model_copy(update={"parked_run_max": 20, "batch_records_max": 5})
    async with Runtime(toy.door, log, careful) as runtime:
        await until(lambda: toy.pool.fetchval("SELECT amount = 1 FROM totals WHERE key = 'M-2'"), toy)
        await until(lambda: toy.pool.fetchval("SELECT count(*) = 51 FROM parked"), toy)
        assert not runtime.consumer.halted


async def test_the_broker_fails_now_and_then_and_nothing_is_lost(toy: Under, log: Log, settings: Settings) -> None:
    assert isinstance(log, MemoryLog)
    producer = await log.producer()
    await producer.send(outgoing(*range(14, 34)))
    log.fail_next(3)
    async with Runtime(toy.door, log, settings):
        await until(lambda: toy.pool.fetchval("SELECT amount = 470 FROM totals"), toy)
    assert await toy.pool.fetchval("SELECT count(*) FROM inbox") == 20


async def test_a_log_that_forgot_is_repaired_from_the_retained_outbox(toy: Under, log: Log, settings: Settings) -> None:
    assert isinstance(log, MemoryLog)
    producer = await log.producer()
    async with Runtime(toy.door, log, settings):
        await producer.send(outgoing(1, 2, 3))
        await read_all(log, "message.v1", 3)
    log.forget()
    await ensure_topics(log)
    async with Runtime(toy.door, log, settings):
        producer = await log.producer()
        await producer.send(outgoing(1, 2, 3, 4))  # the core repeats itself, and goes on
        assert await read_all(log, "message.v1", 4) == [1, 3, 6, 10], "what was told before comes before what is new"
    assert await toy.pool.fetchval("SELECT amount FROM totals") == 10


async def test_a_day_moves_the_calendar_and_wakes_what_is_due(toy: Under, log: Log, settings: Settings) -> None:
    producer = await log.producer()
    await producer.send(outgoing(1))
    await producer.send([tick(date(2026, 1, 2))])
    # The toy does not read time.v1 (the mall does not): its calendar is set as a consumer of it would.
    async with Runtime(toy.door, log, settings):
        await until(lambda: toy.pool.fetchval("SELECT amount = 1 FROM totals"), toy)
        await toy.door.transact([], day=date(2026, 1, 2))
        await until(lambda: toy.pool.fetchval("SELECT days = 1 FROM totals"), toy)


@pytest.mark.parametrize(
    ("newest", "now", "days"),
    [
        (None, "2026-03-01T09:00:00+08:00", ["2026-03-01"]),
        ("2026-02-28", "2026-02-28T23:59:59+08:00", []),
        ("2026-02-28", "2026-02-28T16:00:00+00:00", ["2026-03-01"]),  # 24:00 in Shanghai
        ("2026-02-26", "2026-03-01T00:00:00+08:00", ["2026-02-27", "2026-02-28", "2026-03-01"]),
    ],
)
def test_missed_days_come_in_order(newest: str | None, now: str, days: list[str]) -> None:
    from datetime import datetime

    came = days_that_came(newest and date.fromisoformat(newest), datetime.fromisoformat(now))  # type: ignore[arg-type]
    assert [d.isoformat() for d in came] == days


def test_a_tick_is_the_same_event_however_often_it_is_published() -> None:
    one, two = (tick(date(2026, 1, 1)) for _ in range(2))
    assert one == two
    assert decode(one.headers, one.value).data == DayStarted(date=date(2026, 1, 1))


async def test_retention_deletes_what_is_old_and_published_and_nothing_else(toy: Under, settings: Settings) -> None:
    """An hour, or a day, before its time nothing goes; what waits to be told never does."""
    hours, days = settings.outbox_retention_h, settings.inbox_retention_days
    told = "INSERT INTO outbox (records, events, emitted_at, published) VALUES ('', 1, now() - make_interval(hours => $1), $2)"
    for age_h, published in ((hours + 1, True), (hours - 1, True), (hours + 1, False), (0, True)):
        await toy.pool.execute(told, age_h, published)
    seen = "INSERT INTO inbox SELECT gen_random_uuid(), now() - make_interval(days => $1)"
    answered = "INSERT INTO idempotency VALUES ($1, $2, '', true, '', now() - make_interval(days => $3))"
    for age in (days + 1, days - 1, 0):
        await toy.pool.execute(seen, age)
        await toy.pool.execute(answered, f"of {age} days", "k", age)
    vitals = Runtime(toy.door, MemoryLog("retention"), settings).vitals
    assert await vitals.sweep() == 3
    assert [r["seq"] for r in await toy.pool.fetch("SELECT seq FROM outbox ORDER BY seq")] == [2, 3, 4]
    ages = await toy.pool.fetch("SELECT extract(day FROM now() - seen_at)::int AS age FROM inbox ORDER BY 1")
    assert [r["age"] for r in ages] == [0, days - 1]
    callers = await toy.pool.fetch("SELECT caller FROM idempotency ORDER BY answered_at")
    assert [r["caller"] for r in callers] == [f"of {days - 1} days", "of 0 days"]
    assert await vitals.sweep() == 0


async def test_retention_takes_as_many_statements_as_it_needs(
    toy: Under, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.spine.vitals.SWEEP_ROWS_MAX", 2)
    await toy.pool.execute("INSERT INTO inbox SELECT gen_random_uuid(), '2020-01-01' FROM generate_series(1, 7)")
    assert await Runtime(toy.door, MemoryLog("retention"), settings).vitals.sweep() == 7
