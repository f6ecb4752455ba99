"""The whole pipeline: all seven services in one worker process, from facts that wait in the log to messages that wait to be told.

The clock starts when every consumer has its partitions, and ends with the last commit of the cluster after which everything
that was published is read, every outbox is empty and nothing moves. Background timers do not run: a queued message stays
queued.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

import asyncpg
from benefits import verify as benefits_books
from points_ledger import audit
from policy_sync import verify as facts_books
from tenure import database, programme
from tenure.spine.log import open_log
from tenure.spine.runtime import Runtime
from tenure.spine.transact import Door
from tenure_local.services import SERVICES
from tier_engine import verify as tier_books

from tenure_bench import books
from tenure_bench.children import Driver
from tenure_bench.legs.ledger import Joined
from tenure_bench.measure import Cost, Measured, Meter
from tenure_bench.world import Place

LOOK_EVERY_S: Final = 0.1
Offsets = dict[tuple[str, int], int]


async def run(
    place: Place, driver: Driver, *, before: list[tuple[str, int, int]], facts: list[tuple[str, int, int]], events: int
) -> Measured:
    """`before`: where every topic ended before the facts; `facts`: up to where they stand."""
    del driver
    settings = place.settings()
    rules = programme.load(settings.programme_dir)
    async with AsyncExitStack() as stack:
        runtimes, logs, lookers = [], [], []
        for service in SERVICES:
            pool = await database.open_pool(settings, place.databases[service.name])
            stack.push_async_callback(pool.close)
            lookers.append(await asyncpg.connect(f"{place.database_url}/{place.databases[service.name]}"))
            stack.push_async_callback(lookers[-1].close)
            logs.append(Joined(open_log(settings.kafka)))
            door = Door(replace(service, background=(), due=None), pool, rules)
            runtimes.append(Runtime(door, logs[-1], settings))  # type: ignore[arg-type]
        for runtime in runtimes:
            await stack.enter_async_context(runtime)
        await asyncio.gather(*(log.joined.wait() for log in logs))
        meter, begun = Meter(place.trees), time.time()
        await until_drained(runtimes, lookers, _ends(before) | _ends(facts))
        cost = meter.stop()
        ended = await lookers[0].fetchval("SELECT extract(epoch FROM timestamp)::float8 FROM pg_last_committed_xact()")
        doors = {r.door.service.name: r.door for r in runtimes}
        wrong = await faults(doors, rules, members=events // 2)
    return Measured(events, Cost(ended - begun, cost.cpu_s), wrong)


def _ends(positions: list[tuple[str, int, int]]) -> Offsets:
    return {(topic, partition): end for topic, partition, end in positions}


async def until_drained(runtimes: list[Runtime], lookers: list[asyncpg.Connection], known: Offsets) -> None:
    """Twice in a row: nothing waits in an outbox, and everything acknowledged is read by everyone who reads it."""
    last: list[Any] = []
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        rows = [await _look(conn) for conn in lookers]
        high = dict(known)
        for row in rows:
            high |= _ends(row["published"])
        is_idle = not any(row["waiting"] for row in rows) and all(_has_read(r, high) for r in runtimes)
        marks = [row["mark"] for row in rows]
        if is_idle and marks == last:
            return
        last = marks if is_idle else []


async def _look(conn: asyncpg.Connection) -> Any:
    return await conn.fetchrow(
        """SELECT EXISTS (SELECT FROM outbox WHERE NOT published) AS waiting, (SELECT coalesce(max(seq), 0) FROM outbox) AS mark,
                  ARRAY(SELECT (topic, partition, next_offset) FROM published) AS published"""
    )


def _has_read(runtime: Runtime, high: Offsets) -> bool:
    topics = {topic.name for topic in runtime.door.service.reads}
    read = runtime.consumer.progress.recorded | runtime.consumer.positions
    return all(read.get(place, 0) >= end for place, end in high.items() if place[0] in topics)


async def faults(doors: dict[str, Door], rules: Any, *, members: int) -> list[str]:
    """What is wrong with anyone's books, or missing at the end of the line."""
    wrong = []
    for name, door in doors.items():
        async with door.pool.acquire() as conn:
            await conn.execute("ANALYZE")
            if (await books.counts(conn)).get("parked"):  # type: ignore[arg-type]
                wrong.append(f"{name} parked something")
    checks = {
        **await facts_books.verify(doors["policy-sync"].pool),
        **await tier_books.verify(doors["tier-engine"].pool, rules),
        **await audit.verify(doors["points-ledger"].pool),
        **await benefits_books.verify(doors["benefits"].pool, rules),
    }
    wrong += [name for name, holds in checks.items() if not holds]
    queued = await doors["notifier"].pool.fetchval("SELECT count(*) FROM member WHERE waiting > 0")
    shown = await doors["member-view"].pool.fetchval(
        "SELECT count(*) FROM member_view WHERE rendered IS NOT NULL AND pending > 0"
    )
    if (queued, shown) != (members, members):
        wrong.append(f"{queued} members with a message queued and {shown} with points shown, not {members}")
    return wrong
