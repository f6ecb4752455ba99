"""One script, two stores: whatever the spine does on PostgreSQL and on the simulation's model comes to the same, step by step.

Each script acts through the real door and the real statements and writes down what it sees; the two transcripts must be equal.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from tenure.settings import Settings
from tenure.simulation.connection import Pool
from tenure.simulation.states import Shape, modelled
from tenure.simulation.tables import Store
from tenure.spine import inbox, leading, outbox, parking
from tenure.spine.codec import encode, event_key, event_of
from tenure.spine.floor import DRAWN, WRITERS
from tenure.spine.log import Outgoing, Position, Record
from tenure.spine.park import drain
from tenure.spine.progress import Reached, RecordWentBackError
from tenure.spine.transact import Door, Idempotency, Item
from tenure.testing import under_test

from .toy import TOY, Total, grant

AT = datetime(2026, 1, 1, tzinfo=UTC)
TABLES = ("inbox", "outbox", "published", "progress", "parked", "parked_log", "idempotency", "calendar")


class Stand:
    """A door on one of the stores, and what can be seen behind it."""

    def __init__(self, door: Door, states: Callable[[], Awaitable[dict[str, Any]]], dump: Callable[[str], Any]) -> None:
        ids = itertools.count(1)
        self.door, self.states, self.dump = door, states, dump
        door.new_id = lambda: f"effect-{next(ids)}"
        self.offsets = itertools.count(1)
        self.looks_at = list(TABLES)
        self.seen: list[Any] = []

    def items(self, *grants: tuple[str, int], ids: str = "e", **more: Any) -> list[Item]:
        """Grants as the consumer hands them over; the n-th of one `ids` has one id wherever it stands."""
        events = [
            event_of(grant(member, amount, **more), id=f"{ids}-{n}", source="/core", time=AT)
            for n, (member, amount) in enumerate(grants)
        ]
        return [Item(event, self.record(event)) for event in events]

    def record(self, event: Any) -> Record:
        out = encode(event)
        return Record(out.topic, 0, next(self.offsets), out.key, out.value, out.headers, 0)

    async def do(self, *items: Item, **more: Any) -> None:
        outcomes = await self.door.transact(items, **more)
        self.seen.append([(o.body, o.wrong and o.wrong.code, o.seen) for o in outcomes])

    async def look(self) -> None:
        self.seen.append([await self.states(), *[await self.dump(table) for table in self.looks_at]])

    async def told(self) -> list[Outgoing]:
        """What waits in the outbox."""
        async with self.door.pool.acquire() as conn:
            rows = await outbox.waiting(conn, rows_max=100, events_max=100)
        return [record for _, records in rows for record in records]


@asynccontextmanager
async def on_postgres(settings: Settings) -> AsyncIterator[Stand]:
    async with under_test(TOY, settings) as t:

        async def states() -> dict[str, Any]:
            rows = await t.pool.fetch("SELECT * FROM totals WHERE (amount, days) <> (0, 0) OR due_on IS NOT NULL")
            return {r["key"]: Total(amount=r["amount"], due_on=r["due_on"], days=r["days"]) for r in rows}

        async def dump(table: str) -> Any:
            return comparable(table, [dict(r) for r in await t.pool.fetch(f"SELECT * FROM {table}")])

        yield Stand(t.door, states, dump)


@asynccontextmanager
async def on_the_model(settings: Settings) -> AsyncIterator[Stand]:
    store = Store("mall")
    service = modelled(TOY, Shape(blank=lambda _: Total()))

    async def states() -> dict[str, Any]:
        return {key: total for key, total in store.tables["states"].items() if total != Total()}

    async def dump(table: str) -> Any:
        rows = store.tables[table]
        if table in ("published", "progress"):
            found = [{"topic": t, "partition": p, "next_offset": at} for (t, p), at in rows.items()]
        elif table in ("inbox", "calendar"):
            found = [{"event_key": key, "day": row} for key, row in rows.items()]
        else:
            found = [dict(row) for row in rows.values()]
        return comparable(table, found)

    yield Stand(Door(service, Pool(store), None), states, dump)  # type: ignore[arg-type]


def comparable(table: str, rows: list[dict[str, Any]]) -> Any:
    """What a table says, without the instants; identity columns by their order, since a store may leave gaps."""
    if table == "inbox":
        return sorted(str(row["event_key"]) for row in rows)
    if table == "calendar":
        return [row["day"] for row in rows]
    names = {
        "outbox": ("records", "events", "published"),
        "parked": (
            "event_key",
            "key",
            "topic",
            "partition",
            "offset",
            "headers",
            "value",
            "code",
            "detail",
            "attempts",
        ),
        "parked_log": ("event_key", "key", "action", "actor", "reason"),
        "idempotency": ("caller", "key", "fingerprint", "ok", "body"),
    }.get(table, ("topic", "partition", "next_offset"))
    if "seq" in (rows[0] if rows else ()):
        rows.sort(key=lambda row: row["seq"])
    found = [tuple(bytes(row[n]) if isinstance(row[n], memoryview) else row[n] for n in names) for row in rows]
    return found if table in ("outbox", "parked") else sorted(found, key=str)


async def delivered_twice_and_in_halves(s: Stand) -> None:
    first = s.items(("M-1", 5), ("M-2", 7), ("M-1", 3))
    await s.do(*first[:2], positions=[Reached("points.v1", 0, 2)])
    await s.do(*first, *first[1:], positions=[Reached("points.v1", 0, 3), Reached("tier.v1", 1, 9)])
    await s.do(*first, positions=[Reached("points.v1", 0, 1)])


async def parked_and_drained(s: Stand) -> None:
    await s.do(*s.items(("M-1", 1), ("M-1", 13), ("M-1", 2), ("M-2", 666), ("M-3", 4)))
    await s.do(*s.items(("M-1", 8), ("M-3", 9), ("M-2", 3), ids="f"))
    await s.look()
    drained = await drain(s.door)
    s.seen.append((drained.passed, sorted((k.key, k.code) for k in drained.stuck.values()), drained.complete))
    await s.look()
    stuck = [one.seq for one in drained.stuck.values() if one.key == "M-1"]
    s.seen.append(await s.door.leave_park(stuck, action="discarded", actor="op-1", reason="TICKET-1"))
    s.seen.append((await drain(s.door, by="op-1")).passed)
    async with s.door.pool.acquire() as conn:
        s.seen.append([await parking.count(conn), await parking.keys(conn)])
        s.seen.append([(p.key, p.code, p.attempts) for p in await parking.listed(conn, key="M-2")])


async def delivered_again_while_it_is_parked(s: Stand) -> None:
    items = s.items(("M-1", 5), ("M-1", 13), ("M-1", 2))
    await s.do(*items)
    await s.do(*items)
    await s.do(*items[:1], *items[2:])


async def answered_once(s: Stand) -> None:
    for key, fingerprint, amount in (("k", b"1", 5), ("k", b"1", 5), ("k", b"2", 7), ("l", b"3", 13), ("l", b"3", 13)):
        [item] = s.items(("M-1", amount), ids=f"call-{len(s.seen)}")
        asked = Idempotency("caller", key, fingerprint)
        await s.do(Item(item.event, idempotency=asked), Item(item.event, once=True))


async def due_work(s: Stand) -> None:
    on = date(2026, 1, 2)
    await s.do(
        *[i for n in range(7) for i in s.items((f"M-{n}", n), ids=f"g{n}", activates_on=date(2026, 1, 2 + n % 3))]
    )
    await s.do(day=on)
    await s.do(day=date(2026, 1, 1))
    for _ in range(3):
        s.seen.append(await s.door.fall_due(on, keys_max=2, aside=frozenset({"M-3"})))
    s.seen.append(await s.door.fall_due(date(2026, 1, 9), keys_max=100))


async def two_at_once(s: Stand) -> None:
    """Two consumers read the same records, and one meets them in another order. Either may be first, and tells in its order."""
    items = s.items(("M-1", 5), ("M-2", 7), ("M-3", 3))
    both = await asyncio.gather(s.door.transact(items), s.door.transact(items[::-1]))
    s.seen.append(sorted(sum(not o.seen for o in outcomes) for outcomes in both))
    s.looks_at = [table for table in TABLES if table != "outbox"]
    s.seen.append(sorted(record.value for record in await s.told()))


async def the_log_goes_backwards(s: Stand) -> None:
    await s.do(*s.items(("M-1", 5)), positions=[Reached("points.v1", 0, 10)])
    await s.do(*s.items(("M-2", 5), ids="f"))
    async with s.door.pool.acquire() as conn:
        rows = await outbox.waiting(conn, rows_max=10, events_max=1)
        await outbox.mark_published(conn, [seq for seq, _ in rows], [Position("message.v1", 3, 7)])
        s.seen.append((len(rows), await outbox.acknowledged(conn)))
        s.seen.append(len(await outbox.waiting(conn, rows_max=10, events_max=9, above=rows[-1][0])))
        s.seen.append([await outbox.publish_again(conn, rows_max=1), await outbox.publish_again(conn, rows_max=1)])
        await outbox.forget_acknowledged(conn)
    await s.door.go_back([Position("points.v1", 0, 4), Position("tier.v1", 0, 4)])


async def the_database_went_backwards(s: Stand) -> None:
    """It knows less than whoever read knows: nothing happens. What somebody else has read on is no contradiction."""
    await s.do(*s.items(("M-1", 5)), positions=[Reached("points.v1", 0, 10)])
    for n, known in enumerate((10, 4, 0, 11)):
        try:
            await s.do(*s.items(("M-1", n), ids=f"f{n}"), positions=[Reached("points.v1", 0, 12 + n, known)])
        except RecordWentBackError:
            s.seen.append(f"{known} is not recorded")
        await s.door.go_back([Position("points.v1", 0, 10)])
    with suppress(RecordWentBackError):
        await s.do(positions=[Reached("tier.v1", 0, 3, 1)])


async def a_late_commit(s: Stand) -> None:
    """A row with a lower number commits after one with a higher: until then it is drawn, held and not seen."""
    [item] = s.items(("M-1", 5))
    async with s.door.pool.acquire() as late, s.door.pool.acquire() as reader:
        async with late.transaction():
            await outbox.emit(late, [encode(item.event)])
            await s.do(*s.items(("M-2", 7), ids="f"))
            drawn = await reader.fetchval(DRAWN)
            waiting = [seq for seq, _ in await outbox.waiting(reader, rows_max=9, events_max=9)]
            s.seen.append((drawn, waiting, len(await reader.fetch(WRITERS)), len(await late.fetch(WRITERS))))
        waiting = [seq for seq, _ in await outbox.waiting(reader, rows_max=9, events_max=9)]
        s.seen.append((waiting, len(await reader.fetch(WRITERS))))


async def one_leads(s: Stand) -> None:
    async with s.door.pool.acquire() as one, s.door.pool.acquire() as other:
        got = [await conn.fetchval(leading.TRY_LOCK, 77) for conn in (one, other)]
        await one.execute(leading.UNLOCK, 77)
        s.seen.append([*got, await other.fetchval(leading.TRY_LOCK, 77)])
        await other.execute(leading.UNLOCK, 77)


SCRIPTS = (
    delivered_twice_and_in_halves,
    parked_and_drained,
    delivered_again_while_it_is_parked,
    answered_once,
    due_work,
    two_at_once,
    the_log_goes_backwards,
    the_database_went_backwards,
    a_late_commit,
    one_leads,
)


async def both(settings: Settings, script: Callable[[Stand], Awaitable[None]]) -> tuple[list[Any], list[Any]]:
    seen = []
    for opened in (on_postgres, on_the_model):
        async with opened(settings) as stand:
            await script(stand)
            await stand.look()
            seen.append(stand.seen)
    return seen[0], seen[1]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
async def test_the_model_does_what_postgresql_does(
    script: Callable[[Stand], Awaitable[None]], settings: Settings
) -> None:
    real, model = await both(settings, script)
    assert model == real


@pytest.mark.parametrize("point", ["claimed", "loaded", "saved", "emitted", "before_commit", "committed"])
async def test_what_is_lost_with_a_connection_is_the_same(
    point: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the commit nothing happened; after it everything did, and only the answer is lost. Then it is delivered again."""

    def lost(reached: str) -> None:
        if reached == f"transact.{point}":
            raise asyncpg.ConnectionDoesNotExistError(point)

    async def script(s: Stand) -> None:
        items = s.items(("M-1", 5), ("M-2", 13), ("M-2", 1))
        with monkeypatch.context() as m:
            for module in ("batch", "transact"):
                m.setattr(f"tenure.spine.{module}.reach", lost)
            with pytest.raises(asyncpg.ConnectionDoesNotExistError):
                await s.do(*items, positions=[Reached("points.v1", 0, 3)], day=date(2026, 1, 5))
        await s.look()
        await s.do(*items, positions=[Reached("points.v1", 0, 3)])

    real, model = await both(settings, script)
    assert model == real


@pytest.mark.parametrize("commits", [True, False])
async def test_a_claim_waits_for_another_one_of_the_same_event(commits: bool, settings: Settings) -> None:
    key = event_key("/core", "e-1")

    async def script(s: Stand) -> None:
        async with s.door.pool.acquire() as one, s.door.pool.acquire() as other:
            transaction = one.transaction()
            await transaction.__aenter__()
            await inbox.claim(one, [(key, "M-1")])
            waits = asyncio.create_task(inbox.claim(other, [(key, "M-1")]))
            done, _ = await asyncio.wait([waits], timeout=0.2)
            s.seen.append(len(done))
            failed = None if commits else ValueError()
            with suppress(ValueError):
                await transaction.__aexit__(failed and type(failed), failed, None)
            s.seen.append((await waits).new)

    real, model = await both(settings, script)
    assert model == real == [0, set() if commits else {key}, real[-1]]


async def test_a_ring_is_ended_by_an_error_in_one_of_the_two(settings: Settings) -> None:
    async def script(s: Stand) -> None:
        async with s.door.pool.acquire() as one, s.door.pool.acquire() as other, one.transaction():
            await turn(one, "a")
            started = asyncio.Event()

            async def crossing() -> None:
                async with other.transaction():
                    await turn(other, "b")
                    started.set()
                    await turn(other, "a")

            crossed = asyncio.create_task(crossing())
            await started.wait()
            await asyncio.sleep(0.1)
            results = await asyncio.gather(turn(one, "b"), crossed, return_exceptions=True)
            s.seen.append([isinstance(r, asyncpg.DeadlockDetectedError) for r in results].count(True))

    real, model = await both(settings, script)
    assert model[0] == real[0] == 1


async def test_who_waits_for_too_long_is_told_so(settings: Settings) -> None:
    async def script(s: Stand) -> None:
        async with s.door.pool.acquire() as one, s.door.pool.acquire() as other, one.transaction():
            await turn(one, "a")
            await turn(other, "b")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await turn(other, "a")

    await both(settings, script)


async def turn(conn: Any, key: str) -> None:
    await conn.execute(parking.TAKE_TURNS, 5, [key], 255)
