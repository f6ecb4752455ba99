"""What lanes are fed, and what must be true of them afterwards, however often they died."""

import asyncio
import itertools
import random
from collections import defaultdict
from dataclasses import dataclass, field

import asyncpg
from tenure import database
from tenure.spine.codec import decode, encode, event_of, utc_now
from tenure.spine.log import Outgoing, Position, WorldDown

from .lane import Lane

from toy import grant  # isort: skip - its folder is on the path once the lane is imported

MEMBERS = 8
EVENTS_PER_MEMBER = 25


@dataclass
class Load:
    """Grants in order per member, now and then again; `granted` is what a run without faults would have applied."""

    lane: Lane
    seed: int
    granted: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    sent: list[Outgoing] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def some(self, count: int) -> list[Outgoing]:
        """The next grants. A core system repeats itself: what stood among the last ones may come again."""
        new = [self._next() for _ in range(count)]
        self.sent = (self.sent + new)[-50:]
        return [*new, *(out for out in self.sent if self.random.random() < 0.1)]

    def _next(self) -> Outgoing:
        n = next(self._numbers)
        generation, place = divmod(n, MEMBERS * EVENTS_PER_MEMBER)
        member, amount = f"M-{generation}-{place % MEMBERS}", self.random.randint(1, 9)
        self.granted[member].append(amount)
        return encode(event_of(grant(member, amount), id=f"{self.lane.name}-{n}", source="/core/test", time=utc_now()))

    @property
    def events(self) -> int:
        return sum(len(amounts) for amounts in self.granted.values())

    def told(self) -> dict[str, list[int]]:
        """The running totals a service without faults tells, per member, in order."""
        return {member: list(itertools.accumulate(amounts)) for member, amounts in self.granted.items()}


async def feed(loads: list[Load], until: asyncio.Event, *, every_s: float = 0.1, count: int = 2) -> None:
    """Keep publishing to every lane; a broker that is down is waited for."""
    log = loads[0].lane.log().log
    producer = await log.producer()
    while not until.is_set():
        batch = [o for load in loads for o in renamed(load, load.some(count))]
        while True:
            try:
                await producer.send(batch)
                break
            except WorldDown:
                await asyncio.sleep(0.2)
        await asyncio.sleep(every_s)
    await producer.close()


async def feed_some(load: Load, count: int) -> None:
    producer = await load.lane.log().log.producer()
    await producer.send(renamed(load, load.some(count)))
    await producer.close()


def renamed(load: Load, batch: list[Outgoing]) -> list[Outgoing]:
    return [Outgoing(f"{load.lane.name}.{o.topic}", o.key, o.value, o.headers) for o in batch]


async def connect(lane: Lane) -> asyncpg.Connection:
    return await asyncpg.connect(database.url_of(lane.settings(), lane.database), timeout=5)


async def drained(load: Load, *, within_s: float = 60) -> None:
    conn = await connect(load.lane)
    sql = "SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM outbox WHERE NOT published)"
    try:
        async with asyncio.timeout(within_s):
            while tuple(await conn.fetchrow(sql)) != (load.events, 0):
                await asyncio.sleep(0.05)
    finally:
        await conn.close()


async def verify(load: Load) -> int:
    """Every event had one effect, the journal is that of a run without faults, and the world heard it in order. Returns repeats."""
    conn = await connect(load.lane)
    try:
        assert await conn.fetchval("SELECT count(*) FROM parked") == 0
        assert await conn.fetchval("SELECT count(*) FROM inbox") == load.events
        assert await conn.fetchval("SELECT count(*) FROM outbox WHERE NOT published") == 0
        totals = {r["key"]: r["amount"] for r in await conn.fetch("SELECT key, amount FROM totals")}
        acked = {(r["topic"], r["partition"]): r["next_offset"] for r in await conn.fetch("SELECT * FROM published")}
    finally:
        await conn.close()
    assert totals == {member: sum(amounts) for member, amounts in load.granted.items()}
    heard, repeats = await listen(load.lane, acked)
    assert heard == load.told()
    return repeats


async def listen(lane: Lane, acked: dict[tuple[str, int], int]) -> tuple[dict[str, list[int]], int]:
    """What a consumer with an inbox makes of the lane's messages: the first of each id, in order per member."""
    log = lane.log()
    ends = await log.ends(acked)
    assert all(ends[place] >= end for place, end in acked.items())
    reader = await log.consumer("reader", ["message.v1"])
    heard, seen, repeats = defaultdict(list), set(), 0
    while any(reader.positions().get(place, 0) < end for place, end in ends.items()):
        for record in await reader.poll(records_max=1_000, timeout_s=0.5):
            event = decode(record.headers, record.value)
            repeats += event.id in seen
            if event.id not in seen:
                seen.add(event.id)
                heard[event.data.member_id].append(event.data.params["amount"])
        await reader.commit([Position(*place, at) for place, at in reader.positions().items()])
    await reader.close()
    return dict(heard), repeats
