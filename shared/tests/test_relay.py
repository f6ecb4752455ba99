"""A relay that lost its lead without noticing, and one that is cut off in the middle: they repeat, and never reorder."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest
from asyncpg.connection import Connection
from tenure.spine import floor, outbox, relay
from tenure.spine.codec import decode
from tenure.spine.floor import Floor
from tenure.spine.leading import TRY_LOCK, leading, lost_sessions
from tenure.spine.log import Log, Outgoing, Position, Producer
from tenure.spine.memory_log import MemoryLog
from tenure.spine.relay import LOCK, Relay
from tenure.spine.retry import WORLD_DOWN
from tenure.spine.topics import ensure_topics
from tenure.testing import Under

from .toy import grant


@dataclass
class Meanwhile:
    """A producer that lets something happen between the reading of the rows and their sending."""

    inner: Producer
    happens: Callable[[], object]

    async def send(self, batch: Sequence[Outgoing]) -> list[Position]:
        await self.happens()  # type: ignore[misc]
        return await self.inner.send(batch)

    async def close(self) -> None:
        await self.inner.close()


async def heard(log: Log, count: int) -> list[tuple[str, int]]:
    """Ids and running totals in the order of the log."""
    reader = await log.consumer("reader", ["message.v1"])
    found: list[tuple[str, int]] = []
    async with asyncio.timeout(10):
        while len(dict(found)) < count:
            events = [decode(r.headers, r.value) for r in await reader.poll(records_max=100, timeout_s=1)]
            found += [(e.id, e.data.params["amount"]) for e in events]  # type: ignore[union-attr]
    await reader.close()
    return found


async def test_a_relay_that_lost_its_lead_unnoticed_repeats_and_cannot_mark(toy: Under, log: Log) -> None:
    """Its session ended while it had rows in hand; another leads, publishes them and more; then it sends what it had."""
    first, second = Relay("mall", toy.pool, log), Relay("mall", toy.pool, log)

    async def another_leads() -> None:
        await end(toy, conn)
        async with leading(toy.pool, LOCK, asyncio.Event(), lost_sessions()) as other:
            assert other is not None
            while await second.publish_once(other, await log.producer()):
                await toy.feed(*[grant("M-1", 1)] * (2 if len(told) < 3 else 0))
                told.append(1)

    told: list[int] = []
    await toy.feed(*[grant("M-1", 1) for _ in range(5)])
    async with toy.pool.acquire() as conn:
        await conn.execute(TRY_LOCK, LOCK)
        with pytest.raises(WORLD_DOWN):
            await first.publish_once(conn, Meanwhile(await log.producer(), another_leads))
    records = await heard(log, 11)
    assert list(dict(records).values()) == list(range(1, 12)), "who drops what it has seen hears all, in order"
    assert len(records) == 11 + 5, "the five in hand came twice"
    assert await toy.pool.fetchval("SELECT bool_and(published) FROM outbox")


async def end(t: Under, conn: Connection) -> None:
    """As PostgreSQL does to a session that says nothing for too long, or a cable to any."""
    assert await t.pool.fetchval("SELECT pg_terminate_backend($1)", conn.get_server_pid())
    async with asyncio.timeout(5):
        while await t.pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def at_work(relays: list[Relay]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        yield
    finally:
        for relay in relays:
            relay.stop()
        await asyncio.gather(*tasks)


async def test_a_second_relay_waits_and_takes_over(toy: Under, log: Log) -> None:
    async with at_work([Relay("mall", toy.pool, log) for _ in range(2)]):
        await toy.feed(*[grant("M-1", 1) for _ in range(3)])
        assert [amount for _, amount in await heard(log, 3)] == [1, 2, 3]
        leaders = await toy.pool.fetch("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")
        assert len(leaders) == 1
        await toy.pool.execute("SELECT pg_terminate_backend($1)", leaders[0]["pid"])
        await toy.feed(*[grant("M-1", 1) for _ in range(3)])
        records = await heard(log, 6)
        assert list(dict(records).values()) == [1, 2, 3, 4, 5, 6]
    assert toy.pool.get_size() == toy.pool.get_idle_size()


async def test_asking_for_the_lead_ends_with_the_asker(toy: Under) -> None:
    """Cancelled while it waits, it leaves neither a lock nor a connection."""
    async with leading(toy.pool, LOCK, asyncio.Event(), lost_sessions()):
        asker = asyncio.create_task(_ask(toy.pool))
        await asyncio.sleep(0.05)
        asker.cancel()
        await asyncio.wait([asker])
    assert toy.pool.get_size() == toy.pool.get_idle_size()
    async with asyncio.timeout(5):
        while await toy.pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"):
            await asyncio.sleep(0.01)


async def _ask(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    async with leading(pool, LOCK, asyncio.Event(), lost_sessions()):
        raise AssertionError("somebody else leads")


async def test_a_repair_that_is_cut_off_is_done_again(toy: Under, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log forgot; the relay has put one of three rows back to be told again when it is cut off. Another finds it unfinished."""
    assert isinstance(log, MemoryLog)
    monkeypatch.setattr(relay, "REPAIR_ROWS_MAX", 1)
    for _ in range(3):
        await toy.feed(grant("M-1", 1))
    async with at_work([Relay("mall", toy.pool, log)]):
        await heard(log, 3)
        async with asyncio.timeout(10):
            while not await toy.pool.fetchval("SELECT bool_and(published) FROM outbox"):
                await asyncio.sleep(0.02)
    log.forget()
    await ensure_topics(log)
    once, pages = outbox.publish_again, []

    async def cut_off(conn: Connection, *, rows_max: int) -> int:
        pages.append(rows_max)
        if len(pages) == 2:
            raise ConnectionResetError
        return await once(conn, rows_max=rows_max)

    monkeypatch.setattr(outbox, "publish_again", cut_off)
    async with at_work([Relay("mall", toy.pool, log)]):
        assert sorted({amount for _, amount in await heard(log, 3)}) == [1, 2, 3]
    assert len(pages) > 2, "cut off, and done again"


@dataclass
class Asked:
    """A connection of whoever looks where the floor is; after its first question, somebody begins to write."""

    conn: Connection
    begins: Callable[[], Awaitable[None]]
    begun: bool = False

    async def fetch(self, sql: str) -> list[asyncpg.Record]:
        return await self.conn.fetch(sql)

    async def fetchval(self, sql: str) -> int:
        if not self.begun:
            self.begun = True
            await self.begins()
        return int(await self.conn.fetchval(sql))


async def test_who_begins_between_the_two_questions_is_among_the_writers(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How far `seq` was drawn is asked before who writes: a row that is drawn in between has its writer among them."""
    monkeypatch.setattr(floor, "LOOK_EVERY_S", 0.0)
    async with toy.pool.acquire() as asker, toy.pool.acquire() as writer:
        late = writer.transaction()

        async def begins() -> None:
            await late.start()
            await writer.execute(outbox.EMIT, outbox.pack([]), 1)

        looks, asked = Floor(), Asked(asker, begins)  # type: ignore[arg-type]
        for _ in range(3):
            await looks.look(asked)  # type: ignore[arg-type]
            looks.rise(None)
        assert asked.begun
        assert looks.seq == 0, "the first row may still come"
        await late.commit()
        for _ in range(2):
            await looks.look(asked)  # type: ignore[arg-type]
            looks.rise(None)
        assert looks.seq == 1


async def test_more_than_it_takes_at_once_is_published_to_the_last_row(
    toy: Under, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it begins to look rises to the first row that waits, never over those it has not read yet."""
    monkeypatch.setattr(floor, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(relay, "ROWS_MAX", 2)
    for _ in range(11):
        await toy.feed(grant("M-1", 1))
    one, producer = Relay("mall", toy.pool, log), await log.producer()
    await ensure_topics(log)
    async with toy.pool.acquire() as conn:
        while await one.publish_once(conn, producer):
            pass
    assert await toy.pool.fetchval("SELECT count(*) FROM outbox WHERE NOT published") == 0
    assert [amount for _, amount in await heard(log, 11)] == list(range(1, 12))


async def test_topics_with_other_partitions_are_waited_for_until_they_are_as_declared(toy: Under, log: Log) -> None:
    assert isinstance(log, MemoryLog)
    log.forget()
    await log.ensure_topics({"message.v1": 8})
    one = Relay("mall", toy.pool, log)
    await toy.feed(grant("M-1", 1))
    async with at_work([one]):
        async with asyncio.timeout(10):
            while one.backoff.failures < 2:
                await asyncio.sleep(0.02)
        assert one.backoff.reason == "PartitionsDiffer: message.v1 has 8 partitions, not 6"
        log.forget()
        await ensure_topics(log)
        assert [amount for _, amount in await heard(log, 1)] == [1]


async def test_who_was_woken_looks_once_and_rests_again(toy: Under, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    once, looks = Relay.publish_once, list[int]()

    async def looking(one: Relay, conn: Connection, producer: Producer) -> int:
        looks.append(await once(one, conn, producer))
        return looks[-1]

    monkeypatch.setattr(Relay, "publish_once", looking)
    monkeypatch.setattr(relay, "IDLE_WAIT_S", 60.0)
    one = Relay("mall", toy.pool, log)
    async with at_work([one]):
        await toy.feed(grant("M-1", 1))
        one.wake.set()
        await heard(log, 1)
        await asyncio.sleep(0.3)
    assert len(looks) < 6, "it does not spin"
