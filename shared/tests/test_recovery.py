"""What the runtime does when something breaks under it, on the in-memory log and a real PostgreSQL."""

import asyncio
import random
from collections.abc import Iterable
from datetime import UTC, date, datetime

import asyncpg
import pytest
import structlog.testing
from tenure.contracts.message import MessageRequested
from tenure.settings import Settings
from tenure.spine import jobs, outbox
from tenure.spine.codec import event_of
from tenure.spine.log import Log, Position
from tenure.spine.memory_log import MemoryConsumer, MemoryLog
from tenure.spine.progress import Reached
from tenure.spine.runtime import RESTARTS_MAX, Runtime
from tenure.spine.topics import ensure_topics
from tenure.spine.transact import Idempotency, Item
from tenure.telemetry import metrics
from tenure.testing import Under

from .test_delivery import outgoing, read_all, until
from .toy import grant


def counted(counter: str, *labels: str) -> float:
    return float(getattr(metrics, counter).labels(*labels)._value.get())


async def kill_sessions(t: Under) -> None:
    """Every session of the service ends, the relay's with its lock among them."""
    conn = await asyncpg.connect(t.settings.database_url + "/postgres")
    name = await t.pool.fetchval("SELECT current_database()")
    await kill_sessions_of(conn, name)
    await conn.close()


async def kill_sessions_of(conn: asyncpg.Connection, name: str) -> None:
    await conn.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)


async def test_when_all_database_sessions_end_relay_and_consumer_go_on(
    toy: Under, log: Log, settings: Settings
) -> None:
    producer = await log.producer()
    async with Runtime(toy.door, log, settings) as runtime:
        await producer.send(outgoing(1, 2))
        assert await read_all(log, "message.v1", 2) == [1, 3]
        await kill_sessions(toy)
        await producer.send(outgoing(1, 2, 3, 4))
        await until(lambda: toy.pool.fetchval("SELECT sum(events) = 4 FROM outbox WHERE published"), toy)
        assert not runtime.failed.is_set()
    assert toy.pool.get_size() == toy.pool.get_idle_size(), "no connection is kept"


@pytest.mark.parametrize(
    ("away", "back"),
    [
        ('ALTER DATABASE "{0}" ALLOW_CONNECTIONS false', 'ALTER DATABASE "{0}" ALLOW_CONNECTIONS true'),
        ('ALTER DATABASE "{0}" RENAME TO "{0}_away"', 'ALTER DATABASE "{0}_away" RENAME TO "{0}"'),
    ],
    ids=["takes nobody in", "is not there"],
)
async def test_a_database_that_is_worked_on_is_waited_for(
    toy: Under, log: Log, settings: Settings, away: str, back: str
) -> None:
    """As while it is restored: no task ends on it, and nothing has to be started again."""
    name = await toy.pool.fetchval("SELECT current_database()")
    producer = await log.producer()
    operator = await asyncpg.connect(settings.database_url + "/postgres")
    async with Runtime(toy.door, log, settings) as runtime:
        await producer.send(outgoing(1))
        assert await read_all(log, "message.v1", 1) == [1]
        await operator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await kill_sessions_of(operator, name)
        await operator.execute(away.format(name))
        failed = [counted("task_failures", "mall", task) for task in ("consumer", "relay", "due", "vitals")]
        await producer.send(outgoing(1, 2))
        await asyncio.sleep(1)
        assert [counted("task_failures", "mall", task) for task in ("consumer", "relay", "due", "vitals")] == failed
        await operator.execute(back.format(name))
        await operator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await until(lambda: toy.pool.fetchval("SELECT sum(events) = 2 FROM outbox WHERE published"), toy)
        assert not runtime.failed.is_set()
    await operator.close()


async def test_two_runtimes_by_mistake_publish_once_and_in_order(toy: Under, log: Log, settings: Settings) -> None:
    producer = await log.producer()
    async with Runtime(toy.door, log, settings), Runtime(toy.door, log, settings):
        for n in range(1, 41):
            await producer.send(outgoing(*[1] * n)[-1:])
        await until(lambda: toy.pool.fetchval("SELECT sum(events) = 40 FROM outbox WHERE published"), toy)
    assert await read_all(log, "message.v1", 40) == list(range(1, 41))
    assert sum((await log.ends({("message.v1", p): 0 for p in range(6)})).values()) == 40


async def test_when_the_log_forgot_progress_goes_back_and_says_so(toy: Under, log: Log, settings: Settings) -> None:
    assert isinstance(log, MemoryLog)
    producer = await log.producer()
    await producer.send(outgoing(1, 2, 3))
    async with Runtime(toy.door, log, settings):
        await until(lambda: toy.pool.fetchval("SELECT sum(next_offset) = 3 FROM progress"), toy)
    before = counted("log_went_backwards", "mall", "points.v1")
    log.forget()
    await ensure_topics(log)
    async with Runtime(toy.door, log, settings):
        await until(lambda: toy.pool.fetchval("SELECT sum(next_offset) = 0 FROM progress"), toy)
    assert counted("log_went_backwards", "mall", "points.v1") == before + 1


async def test_a_late_consumer_does_not_take_progress_back(toy: Under) -> None:
    for offset in (20, 10):
        await toy.door.transact([], positions=[Reached("points.v1", 0, offset)])
    assert await toy.pool.fetchval("SELECT next_offset FROM progress") == 20


async def test_a_log_that_forgot_and_was_filled_past_its_former_end_is_noticed_too(
    toy: Under, log: Log, settings: Settings
) -> None:
    assert isinstance(log, MemoryLog)
    await toy.feed(grant("M-1", 1))
    async with Runtime(toy.door, log, settings) as runtime:
        await until(lambda: toy.pool.fetchval("SELECT bool_and(published) FROM outbox"), toy)
        log.forget()
        await ensure_topics(log)
        await toy.feed(*[grant("M-1", 1) for _ in range(9)])
        runtime.relay.wake.set()
        async with asyncio.timeout(10):
            heard: set[int] = set()
            while heard != set(range(1, 11)):
                heard |= set(await read_all(log, "message.v1", 1))


async def test_a_log_that_forgot_is_filled_again_though_nothing_new_is_told(
    toy: Under, log: Log, settings: Settings
) -> None:
    assert isinstance(log, MemoryLog)
    producer = await log.producer()
    async with Runtime(toy.door, log, settings):
        await producer.send(outgoing(1, 2, 3))
        await until(lambda: toy.pool.fetchval("SELECT sum(events) = 3 FROM outbox WHERE published"), toy)
        log.forget()
        await ensure_topics(log)
        async with asyncio.timeout(15):
            assert await read_all(log, "message.v1", 3) == [1, 3, 6]


async def test_offsets_are_told_only_of_what_the_database_has(
    toy: Under, log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, had = MemoryConsumer.commit, list[tuple[int, int]]()

    async def looking(client: MemoryConsumer, positions: Iterable[Position]) -> None:
        told = list(positions)
        had.append((sum(p.next_offset for p in told), await toy.pool.fetchval("SELECT count(*) FROM inbox")))
        await commit(client, told)

    monkeypatch.setattr(MemoryConsumer, "commit", looking)
    producer = await log.producer()
    async with Runtime(toy.door, log, settings):
        for n in range(3):
            await producer.send(outgoing(n))
            await until(lambda: toy.pool.fetchval("SELECT sum(next_offset) > $1 FROM progress", n), toy)  # noqa: B023
    assert had
    assert all(done >= told for told, done in had)


async def test_who_was_just_given_partitions_has_not_caught_up(
    toy: Under, log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty poll says nothing as long as it is not known how far the log reaches, as in a rebalance."""
    monkeypatch.setattr(MemoryConsumer, "high_water", lambda _: {})
    async with Runtime(toy.door, log, settings) as runtime:
        await until(lambda: polled(runtime), toy)
        assert not runtime.consumer.caught_up.is_set()
        monkeypatch.undo()
        async with asyncio.timeout(5):
            await runtime.consumer.caught_up.wait()


async def polled(runtime: Runtime) -> bool:
    return runtime.consumer.last_poll_at > 0


async def test_steady_traffic_does_not_keep_a_day_from_coming(toy: Under, log: Log, settings: Settings) -> None:
    producer, over = await log.producer(), asyncio.Event()

    async def keep_sending() -> None:
        n = 0
        while not over.is_set():
            await producer.send(outgoing(*[1] * 2, member=f"M-{(n := n + 1)}"))
            await asyncio.sleep(0.02)

    async with Runtime(toy.door, log, settings.model_copy(update={"batch_records_max": 2})) as runtime:
        sending = asyncio.create_task(keep_sending())
        assert await runtime.consumer.until_read(over, wait_max_s=60)
        over.set()
        await sending


async def test_a_due_key_that_is_refused_neither_spins_nor_starves(
    toy: Under, log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "KEYS_MAX", 2)
    await toy.feed(*[grant(f"M-{n}", 1) for n in range(9)])
    await toy.pool.execute("ALTER TABLE totals ADD CHECK (days = 0 OR key NOT IN ('M-0', 'M-1', 'M-2'))")
    await toy.door.transact([], day=date(2026, 1, 2))
    before = counted("due_refused", "mall")
    async with Runtime(toy.door, log, settings):
        await until(lambda: toy.pool.fetchval("SELECT sum(days) = 6 FROM totals"), toy)
        assert counted("due_refused", "mall") == before + 3, "each was tried once, then put aside"


@pytest.mark.parametrize("what", [RuntimeError("nobody foresaw this"), asyncio.CancelledError("a library's own")])
async def test_a_mistake_in_a_task_is_survived_and_only_if_it_stays_the_process_ends(
    toy: Under, log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch, what: BaseException
) -> None:
    left = 2

    async def mistake(*_: object, **__: object) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise what

    producer = await log.producer()
    await producer.send(outgoing(1))
    monkeypatch.setattr("tenure.spine.retry.WAIT_MAX_S", 0.05)
    monkeypatch.setattr("tenure.spine.consumer.ensure_topics", mistake)
    async with Runtime(toy.door, log, settings) as runtime:
        await until(lambda: toy.pool.fetchval("SELECT count(*) = 1 FROM inbox"), toy)
        assert not runtime.failed.is_set()
    left = 1_000
    said = structlog.testing.CapturingLogger()  # five stacks are slow to draw
    monkeypatch.setattr("tenure.spine.runtime.log", said)
    async with Runtime(toy.door, log, settings) as runtime, asyncio.timeout(10):
        await runtime.failed.wait()
    assert [call.args for call in said.calls].count(("task_failed",)) == RESTARTS_MAX


async def test_events_counted_as_consumed_are_those_that_had_their_effect(
    toy: Under, log: Log, settings: Settings
) -> None:
    before = counted("events_consumed", "mall", "points.v1")
    producer = await log.producer()
    await producer.send([*outgoing(1, 2, 13), *outgoing(1, 2)])
    async with Runtime(toy.door, log, settings):
        await until(lambda: toy.pool.fetchval("SELECT sum(next_offset) = 5 FROM progress"), toy)
    assert counted("events_consumed", "mall", "points.v1") == before + 2


async def test_callers_that_go_away_leave_no_connection_and_no_transaction_behind(toy: Under) -> None:
    chance = random.Random(7)

    async def call(n: int) -> None:
        event = event_of(grant(f"M-{n % 5}", 1), id=f"c-{n}", source="/http", time=datetime(2026, 1, 1, tzinfo=UTC))
        await toy.door.transact([Item(event, once=True)])

    for round_ in range(20):
        calls = [asyncio.create_task(call(round_ * 10 + n)) for n in range(10)]
        for task in calls:
            asyncio.get_running_loop().call_later(chance.random() * 0.03, task.cancel)
        await asyncio.wait(calls)
    await until(lambda: _idle(toy), toy)
    name = await toy.pool.fetchval("SELECT current_database()")
    in_transaction = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state LIKE 'idle in transaction%'"
    assert await toy.pool.fetchval(in_transaction, name) == 0
    assert await toy.pool.fetchval("SELECT coalesce(sum(amount), 0) FROM totals") == await toy.pool.fetchval(
        "SELECT count(*) FROM inbox"
    )


async def _idle(t: Under) -> bool:
    return t.pool.get_size() == t.pool.get_idle_size()


async def test_one_idempotency_key_in_two_processes_at_once_has_one_effect(toy: Under) -> None:
    def item() -> Item:
        event = event_of(grant("M-1", 5), id="c-1", source="/http", time=datetime(2026, 1, 1, tzinfo=UTC))
        return Item(event, idempotency=Idempotency("M-1", "key-1", b"body"))

    answers = await asyncio.gather(*[toy.door.transact([item()]) for _ in range(4)], return_exceptions=True)
    lost = [a for a in answers if isinstance(a, asyncpg.UniqueViolationError)]
    again = [(await toy.door.transact([item()]))[0] for _ in lost]
    bodies = {a[0].body for a in answers if isinstance(a, list)} | {o.body for o in again}
    assert bodies == {b'{"amount":5}'}
    assert await toy.pool.fetchval("SELECT amount FROM totals") == 5
    assert len(await toy.emitted(MessageRequested)) == 1


async def test_the_relay_takes_no_more_into_its_hands_than_it_can_hold(toy: Under) -> None:
    for _ in range(4):
        await toy.feed(*[grant("M-1", 1) for _ in range(10)])
    async with toy.pool.acquire() as conn:
        some = await outbox.waiting(conn, rows_max=500, events_max=15)  # type: ignore[arg-type]
        one = await outbox.waiting(conn, rows_max=500, events_max=1)  # type: ignore[arg-type]
    assert ([len(records) for _, records in some], [len(records) for _, records in one]) == ([10, 10], [10])
