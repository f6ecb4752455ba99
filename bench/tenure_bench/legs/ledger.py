"""The ledger's own consumer, drained: the real service on the real spine, from the log to the last commit of the database.

The clock starts when the group has its partitions, and ends when everything published is committed. The relay is a leg of its own.
"""

import asyncio
from collections.abc import Sequence

import asyncpg
from points_ledger import audit
from points_ledger.service import SERVICE
from tenure import database, programme
from tenure.spine.consumer import Consumer
from tenure.spine.log import Consumer as LogConsumer
from tenure.spine.log import Log, OnPartitions, open_log
from tenure.spine.transact import Door

from tenure_bench import books
from tenure_bench.children import Driver
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place

TABLES = ("accounts", "lots", "transfers", "inbox")


class Joined:
    """A log that says when the group was joined."""

    def __init__(self, log: Log) -> None:
        self.log, self.joined = log, asyncio.Event()

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> LogConsumer:
        client = await self.log.consumer(group, topics, on_assigned=on_assigned, on_revoked=on_revoked)
        self.joined.set()
        return client

    async def until_joined(self, running: "asyncio.Task[None]") -> None:
        """Raises what the consumer raised, should it end before."""
        waiting = asyncio.create_task(self.joined.wait())
        await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            waiting.cancel()
            running.result()

    def __getattr__(self, name: str) -> object:
        return getattr(self.log, name)


async def run(
    place: Place,
    driver: Driver,
    *,
    ends: list[tuple[str, int, int]],
    events: int,
    lots: int | None = None,
    expected: dict[str, str] | None = None,
    base: dict[str, int] | None = None,
    audited: bool = True,
) -> Measured:
    """Consume up to `ends`; each event grants one lot, or all together `lots`.

    `expected` are the fingerprints of the tables, `base` how many rows stood in them before.
    """
    del driver
    settings = place.settings()
    pool = await database.open_pool(settings, place.database)
    door = Door(SERVICE, pool, programme.load(settings.programme_dir))
    log = Joined(open_log(settings.kafka))
    consumer = Consumer(
        door,
        log,  # type: ignore[arg-type]
        batch_records_max=settings.batch_records_max,
        poll_timeout_s=settings.poll_timeout_s,
        parked_run_max=settings.parked_run_max,
        lanes_max=settings.consumer_lanes_max,
    )
    running = asyncio.create_task(consumer.run())
    await log.until_joined(running)
    meter = Meter(place.trees)
    await drained(consumer, ends)
    cost = meter.stop()
    consumer.stop()
    await running
    await pool.close()
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    wrong = await faults(conn, events=events, lots=lots, expected=expected, base=base, audited=audited)
    await conn.close()
    return Measured(events, cost, wrong)


async def drained(consumer: Consumer, ends: list[tuple[str, int, int]]) -> None:
    while any(consumer.progress.recorded.get((topic, partition), 0) < end for topic, partition, end in ends):
        consumer.committed.clear()
        await consumer.committed.wait()


async def faults(
    conn: asyncpg.Connection,
    *,
    events: int,
    lots: int | None = None,
    expected: dict[str, str] | None = None,
    base: dict[str, int] | None = None,
    audited: bool = True,
) -> list[str]:
    """What is wrong with the books: an event without its effect, or an invariant of the ledger that does not hold."""
    found = await books.counts(conn)
    grown = [found.get(table, 0) - (base or {}).get(table, 0) for table in ("inbox", "lots", "transfers")]
    granted = events if lots is None else lots
    wrong = (
        [] if grown == [events, granted, granted] and "parked" not in found else [f"{found} rows for {events} events"]
    )
    if audited:
        await conn.execute("ANALYZE")
        wrong += [name for name, holds in (await audit.verify(conn)).items() if not holds]
    seen = await books.fingerprint(conn, list(expected or {}))
    return wrong + [f"{table} differs" for table, was in (expected or {}).items() if seen[table] != was]
