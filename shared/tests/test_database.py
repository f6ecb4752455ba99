"""The database's limits hold, transactions meet without a deadlock, and what one undoes is done again whole."""

import asyncio
import random
import shutil
import socket
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import pytest
import structlog.testing
from tenure import database
from tenure.contracts.message import MessageRequested
from tenure.settings import Settings
from tenure.spine import transact
from tenure.spine.batch import Batch
from tenure.spine.codec import decode, event_of
from tenure.spine.leading import leading, lost_sessions
from tenure.spine.log import Record
from tenure.spine.retry import WORLD_DOWN
from tenure.spine.transact import Door, Item
from tenure.testing import Under

from .toy import TOY, grant

LIMITS = ("statement_timeout_ms", "lock_timeout_ms", "idle_in_transaction_timeout_ms")


async def test_every_session_has_the_limits_of_the_settings(toy: Under, settings: Settings) -> None:
    names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
    held = [await toy.pool.acquire() for _ in range(toy.pool.get_max_size())]
    try:
        for conn in held:
            found = [
                await conn.fetchval("SELECT setting::int FROM pg_settings WHERE name = $1", name) for name in names
            ]
            assert found == [getattr(settings, limit) for limit in LIMITS]
    finally:
        await asyncio.gather(*(toy.pool.release(conn) for conn in held))


async def test_an_older_release_starts_on_a_database_that_a_later_one_migrated_and_says_so(
    toy: Under, settings: Settings
) -> None:
    """A process that ends while an upgrade is under way, or a release that is taken back: both are the old one, on new tables."""
    name = await toy.pool.fetchval("SELECT current_database()")
    known = database.newest_of(TOY.migrations)
    await toy.pool.execute("UPDATE alembic_version SET version_num = '9999'")
    try:
        with structlog.testing.capture_logs() as said:
            await database.migrate(settings, name, TOY.migrations)
        assert await toy.pool.fetchval("SELECT version_num FROM alembic_version") == "9999"
    finally:
        await toy.pool.execute("UPDATE alembic_version SET version_num = $1", known)
    assert [(line["event"], line["version"], line["known"]) for line in said] == [("database_is_newer", "9999", known)]


async def test_a_migration_that_somebody_is_in_the_way_of_steps_back_and_is_tried_again(
    toy: Under, settings: Settings, tmp_path: Path
) -> None:
    """A transaction that an operator forgot: who queued behind it for a whole table would keep everybody else out."""
    name, known = await toy.pool.fetchval("SELECT current_database()"), database.newest_of(TOY.migrations)
    later = shutil.copytree(TOY.migrations, tmp_path / "migrations")
    (later / "0099_later.py").write_text(f"""from alembic import op
revision, down_revision = "0099", "{known}"


def upgrade() -> None:
    op.execute("LOCK TABLE totals IN ACCESS EXCLUSIVE MODE")
""")
    impatient = settings.model_copy(update={"lock_timeout_ms": 200})
    async with toy.pool.acquire() as operator:
        forgotten = operator.transaction()
        await forgotten.start()
        await operator.fetch("SELECT FROM totals")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await database.migrate(impatient, name, later)
        assert issubclass(asyncpg.LockNotAvailableError, WORLD_DOWN), "so a start waits and tries again"
        await toy.feed(grant("M-1", 1))
        await forgotten.rollback()
    try:
        await database.migrate(impatient, name, later)
        assert await toy.pool.fetchval("SELECT version_num FROM alembic_version") == "0099"
    finally:
        await toy.pool.execute("UPDATE alembic_version SET version_num = $1", known)


async def test_every_session_notices_a_server_that_is_gone_without_a_word(toy: Under) -> None:
    async with toy.pool.acquire() as conn:
        sock = conn._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        for name, value in database.SILENCE.items():
            if hasattr(socket, name):
                assert sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value


async def test_who_led_leaves_neither_its_lock_nor_its_limit_in_a_session(toy: Under) -> None:
    """A session is handed back as it is, so whoever sets something in one takes it back."""
    async with await database.open_pool(toy.settings, await name_of(toy), size_max=1) as pool:
        before = await pool.fetchval("SHOW idle_session_timeout")
        async with leading(pool, 1, asyncio.Event(), lost_sessions()) as conn:
            assert conn is not None
            assert await conn.fetchval("SHOW idle_session_timeout") != before
        async with pool.acquire() as conn:
            assert await conn.fetchval("SHOW idle_session_timeout") == before
            assert await conn.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_an_audit_has_time_whatever_the_limits_of_the_pool_and_takes_no_session_of_it(
    toy: Under,
) -> None:
    settings = toy.settings.model_copy(update={"statement_timeout_ms": 100, "lock_timeout_ms": 50})
    async with await database.open_pool(settings, await name_of(toy), size_max=1) as pool:
        async with database.patient(settings, pool) as conn, pool.acquire():
            assert await conn.fetchval("SELECT pg_sleep(0.3) IS NOT NULL")
            assert await conn.fetchval("SHOW statement_timeout") == f"{database.AUDIT_S_MAX // 3600}h"
            assert await conn.fetchval("SELECT $1::text[]", ["a"]) == ["a"]
        with pytest.raises(asyncpg.QueryCanceledError):
            await pool.fetchval("SELECT pg_sleep(0.3)")


async def name_of(t: Under) -> str:
    return str(await t.pool.fetchval("SELECT current_database()"))


@pytest.mark.parametrize(
    ("limit", "ended"),
    [
        ({"statement_timeout_ms": 200, "lock_timeout_ms": 100}, asyncpg.QueryCanceledError),
        ({"lock_timeout_ms": 100}, asyncpg.LockNotAvailableError),
        (
            {"statement_timeout_ms": 300, "lock_timeout_ms": 100, "idle_in_transaction_timeout_ms": 300},
            asyncpg.PostgresError,
        ),
    ],
)
async def test_what_takes_too_long_is_ended_and_passes_for_the_world_being_down(
    toy: Under, limit: dict[str, int], ended: type[Exception]
) -> None:
    settings = toy.settings.model_copy(update=limit)
    async with await database.open_pool(settings, await name_of(toy), size_max=2) as pool:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is asked below
            await _too_long(pool, "idle_in_transaction_timeout_ms" in limit, "statement_timeout_ms" in limit)
        assert isinstance(caught.value, (ended, asyncpg.InterfaceError))
        assert isinstance(caught.value, WORLD_DOWN)
        assert await pool.fetchval("SELECT 1") == 1


async def _too_long(pool: "asyncpg.Pool[asyncpg.Record]", silent: bool, slow: bool) -> None:
    async with pool.acquire() as first, first.transaction():
        await first.execute("LOCK TABLE totals")
        if silent:
            await asyncio.sleep(1)
            await first.execute("SELECT 1")
        elif slow:
            await first.execute("SELECT pg_sleep(5)")
        else:
            await pool.execute("SELECT * FROM totals")


async def test_writers_that_touch_the_same_keys_and_events_in_any_order_meet_without_a_deadlock(
    toy: Under, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transact, "TRIES_MAX", 1)  # a deadlock would leave the door
    chance = random.Random(5)
    records = toy.records(*[grant(f"M-{n % 20}", 1) for n in range(600)])
    for begin in range(0, 600, 50):
        some = records[begin : begin + 50]
        due = [toy.door.fall_due(date(2026, 1, 2), keys_max=20) for _ in range(2)]
        await asyncio.gather(*(toy.door.transact(shuffled(chance, some)) for _ in range(6)), *due)
    assert await toy.pool.fetchval("SELECT sum(amount) FROM totals") == 600
    assert await toy.pool.fetchval("SELECT count(*) FROM inbox") == 600


def shuffled(chance: random.Random, records: list[Record]) -> list[Item]:
    return [Item(decode(r.headers, r.value), r) for r in chance.sample(records, len(records))]


async def test_a_serialization_failure_is_done_again_whole(toy: Under, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stricter than we run it: under SERIALIZABLE nearly every two of these transactions meet."""
    name, begun, left = await name_of(toy), 0, 0

    class Counted(Batch):
        async def claim(self) -> None:
            nonlocal begun
            begun += 1
            await super().claim()

    async def call(door: Door, n: int) -> None:
        nonlocal left
        event = event_of(grant("M-1", 1), id=f"c-{n}", source="/http", time=datetime(2026, 1, 1, tzinfo=UTC))
        while not await done(door, Item(event, once=True)):
            left += 1

    monkeypatch.setattr(transact, "Batch", Counted)
    await toy.pool.execute("INSERT INTO totals (key) VALUES ('M-1')")
    await toy.pool.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    async with await database.open_pool(toy.settings, name, size_max=4) as pool:
        await asyncio.gather(*(call(Door(TOY, pool, None), n) for n in range(24)))
    assert await toy.pool.fetchval("SELECT amount FROM totals") == 24
    assert [m.params["amount"] for m in await toy.emitted(MessageRequested)] == list(range(1, 25))
    assert begun > 24 + left, "they did meet, and the door did them again"


async def done(door: Door, item: Item) -> bool:
    """A failure that leaves the door passes for the world being down: the consumer tries again for ever."""
    try:
        await door.transact([item])
    except asyncpg.SerializationError as error:
        return not isinstance(error, WORLD_DOWN)
    return True
