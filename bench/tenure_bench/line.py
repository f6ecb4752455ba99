"""When the whole pipeline is through, and whether anyone's books are wrong: asked of the services' databases alone.

It is through when everything that was published is read by everyone who reads it, every outbox is empty, and nothing moves.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final, Self

import asyncpg
from benefits import verify as benefits_books
from points_ledger import audit
from policy_sync import verify as facts_books
from tenure_local.services import SERVICES
from tier_engine import verify as tier_books

from tenure_bench import books
from tenure_bench.world import Place

LOOK_EVERY_S: Final = 0.25
"""When it was through is read from the last commit, so looking seldom costs no precision, and looking often the cores."""
Offsets = dict[tuple[str, int], int]
READS: Final = {service.name: {topic.name for topic in service.reads} for service in SERVICES}
LOOK: Final = """
SELECT EXISTS (SELECT FROM outbox WHERE NOT published) AS waiting, (SELECT coalesce(max(seq), 0) FROM outbox) AS mark,
       ARRAY(SELECT (topic, partition, next_offset) FROM published) AS published,
       ARRAY(SELECT (topic, partition, next_offset) FROM progress) AS read
"""


def ends(positions: list[tuple[str, int, int]]) -> Offsets:
    return {(topic, partition): end for topic, partition, end in positions}


class Watch:
    """A look at every service's database, from outside of the processes that are measured."""

    def __init__(self, place: Place) -> None:
        self._place, self._stack = place, AsyncExitStack()
        self.pools: dict[str, asyncpg.Pool[asyncpg.Record]] = {}

    async def __aenter__(self) -> Self:
        for service, name in self._place.databases.items():
            url = f"{self._place.database_url}/{name}"
            self.pools[service] = await self._stack.enter_async_context(
                asyncpg.create_pool(url, min_size=1, max_size=2)
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def until_through(self, before: Offsets, facts: Offsets) -> float:
        """Returns when it was: the time of the cluster's last commit. `before`: where every topic ended before the facts."""
        last: list[Any] = []
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            rows: dict[str, Any] = {name: await pool.fetchrow(LOOK) for name, pool in self.pools.items()}
            marks = [row["mark"] for row in rows.values()]
            is_idle = not any(row["waiting"] for row in rows.values()) and _is_read(rows, before, facts)
            if is_idle and marks == last:
                break
            last = marks if is_idle else []
        pool = next(iter(self.pools.values()))
        return float(await pool.fetchval("SELECT extract(epoch FROM timestamp)::float8 FROM pg_last_committed_xact()"))

    async def faults(self, rules: Any, *, members: int) -> list[str]:
        """What is wrong with anyone's books, or missing at the end of the line."""
        wrong = []
        for name, pool in self.pools.items():
            async with pool.acquire() as conn:
                await conn.execute("ANALYZE")
                if (await books.counts(conn)).get("parked"):  # type: ignore[arg-type]
                    wrong.append(f"{name} parked something")
        checks = {
            **await facts_books.verify(self.pools["policy-sync"]),
            **await tier_books.verify(self.pools["tier-engine"], rules),
            **await audit.verify(self.pools["points-ledger"]),
            **await benefits_books.verify(self.pools["benefits"], rules),
        }
        wrong += [name for name, holds in checks.items() if not holds]
        queued = await self.pools["notifier"].fetchval("SELECT count(*) FROM member WHERE waiting > 0")
        shown = await self.pools["member-view"].fetchval(
            "SELECT count(*) FROM member_view WHERE rendered IS NOT NULL AND pending > 0"
        )
        if (queued, shown) != (members, members):
            wrong.append(f"{queued} members with a message queued and {shown} with points shown, not {members}")
        return wrong


def _is_read(rows: dict[str, Any], before: Offsets, facts: Offsets) -> bool:
    """A partition nothing was published to in this leg need not be recorded: the group stood at its end."""
    high = before | facts
    for row in rows.values():
        high |= ends(row["published"])
    return all(
        ends(row["read"]).get(place, before.get(place, 0)) >= end
        for name, row in rows.items()
        for place, end in high.items()
        if place[0] in READS[name]
    )
