"""The network breaks between one service and its broker or database, while events keep coming, and is mended again.

Each kind of break (see `proxy`) lasts longer than a session; after it the service reads again within 15 s and without a human, and what
`verify` asks for holds. `make test-faults` goes through all kinds on both sides; `make test` through one of each.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tenure import database
from tenure.embedded.kafka import Kafka
from tenure.embedded.postgres import Postgres
from tenure.embedded.server import free_port
from tenure.spine.log import Outgoing, WorldDown, open_log
from tenure.spine.transact import Door

from . import lane as lane_module
from .conftest import LONG, NewLane
from .lane import QUICK, TOY, Lane
from .load import Load, drained, verify
from .proxy import Mode, Proxy
from .test_world import at_work, begins, grows, under_load

BROKEN_S = 12.0 if LONG else 4.0
CASES: list[tuple[str, Mode]] = [
    ("kafka", "partition"),
    ("postgres", "swallow"),
    ("kafka", "swallow"),
    ("kafka", "cut"),
    ("kafka", "half_open"),
    ("kafka", "slow"),
    ("postgres", "partition"),
    ("postgres", "cut"),
    ("postgres", "half_open"),
    ("postgres", "slow"),
]
pytestmark = [
    pytest.mark.kafka,
    pytest.mark.timeout(300),
    # A connection whose other end does not answer is dropped, not closed; the client library warns of that when it is collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@asynccontextmanager
async def behind_a_proxy(lane: Lane, side: str, broker: Kafka, server: Postgres) -> AsyncIterator[tuple[Lane, Proxy]]:
    """The lane as its service sees it: its broker or its database is at the other end of a proxy."""
    assert broker.proxy_port is not None
    if side == "kafka":
        async with Proxy(broker.behind_port, port=broker.proxy_port) as proxy:
            yield msgspec.structs.replace(lane, kafka=f"127.0.0.1:{proxy.port}"), proxy
    else:
        async with Proxy(server.port, port=free_port()) as proxy:
            url = lane.database_url.replace(f":{server.port}", f":{proxy.port}")
            yield msgspec.structs.replace(lane, database_url=url), proxy


async def breaks_and_is_mended(
    load: Load, side: str, mode: Mode, broken_s: float, broker: Kafka, server: Postgres
) -> None:
    """It reads again in time, by itself, and everything had its effect once."""
    async with behind_a_proxy(load.lane, side, broker, server) as (seen, proxy), at_work(seen) as runtime:
        async with under_load(load):
            await begins(load.lane)
            assert proxy.connections > 0, "the service is reached through the proxy"
            proxy.breaks(mode)
            await asyncio.sleep(broken_s)
            proxy.heal()
            took = await grows(load.lane)
            print(f"{side} {mode}: {broken_s:.0f} s broken, reads again after {took:.1f} s")
        assert not runtime.failed.is_set()
        await drained(load, within_s=60)
    await verify(load)


@pytest.mark.parametrize(("side", "mode"), CASES if LONG else CASES[:2])
async def test_a_service_that_was_cut_off_goes_on_by_itself(
    new_lane: NewLane, broker: Kafka, server: Postgres, side: str, mode: Mode
) -> None:
    await breaks_and_is_mended(Load(await new_lane(), 4), side, mode, BROKEN_S, broker, server)


@pytest.mark.skipif(not LONG, reason="make test-faults does; the limits of the tests stand for it above")
@pytest.mark.parametrize("broken_s", [3.0, 12.0, 25.0])
@pytest.mark.parametrize("mode", ["swallow", "half_open"])
async def test_with_the_limits_of_production_it_reads_again_in_time_however_long_nothing_was_answered(
    new_lane: NewLane, broker: Kafka, server: Postgres, mode: Mode, broken_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked while the network swallowed it is waited for until a limit ends it: each is shorter than the promise."""
    monkeypatch.setattr(lane_module, "QUICK", "")
    await breaks_and_is_mended(Load(await new_lane(), 5), "kafka", mode, broken_s, broker, server)


async def test_a_client_that_is_closed_while_it_is_cut_off_leaves_nothing_going(broker: Kafka) -> None:
    """A heartbeat that went on would keep its place in the group for ever, and nobody would read its partitions."""
    assert broker.proxy_port is not None
    async with Proxy(broker.behind_port, port=broker.proxy_port) as proxy:
        log = open_log(f"127.0.0.1:{proxy.port}{QUICK}&close_deadline_s=0.3")
        await log.ensure_topics({"left.alone": 2})
        consumer = await log.consumer("leaves", ["left.alone"])
        await consumer.poll(records_max=1, timeout_s=0.1)
        assert of_the_library()
        proxy.breaks("partition")
        await consumer.close()
        proxy.heal()
        async with asyncio.timeout(5):
            while of_the_library():
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", ["swallow", "half_open"])
async def test_what_is_asked_of_a_broker_that_went_silent_is_given_up_at_its_own_deadline(
    broker: Kafka, mode: Mode
) -> None:
    """Long before the library would: an idempotent producer never lets a batch expire, and a commit waits as long as a request may."""
    assert broker.proxy_port is not None
    topic, limits = f"silent.{mode}", "&send_deadline_s=1&commit_deadline_s=1&close_deadline_s=0.3"
    async with Proxy(broker.behind_port, port=broker.proxy_port) as proxy:
        log = open_log(f"127.0.0.1:{proxy.port}?request_timeout_ms=60000{limits}")
        await log.ensure_topics({topic: 1})
        producer, consumer = await log.producer(), await log.consumer(f"silent-{mode}", [topic])
        (sent,) = await producer.send([Outgoing(topic, b"M-1", b"1", [])])
        while not await consumer.poll(records_max=1, timeout_s=0.2):
            pass
        proxy.breaks(mode)
        for ask in (lambda: producer.send([Outgoing(topic, b"M-1", b"2", [])]), lambda: consumer.commit([sent])):
            began = time.monotonic()
            async with asyncio.timeout(20):
                with pytest.raises(WorldDown):
                    await ask()
            assert 0.9 < time.monotonic() - began < 6
        proxy.heal()
        await consumer.close()
        await producer.close()


async def test_a_session_with_a_database_that_went_silent_is_given_up_once_not_waited_for_again(
    new_lane: NewLane, server: Postgres
) -> None:
    """A rollback, or a cancellation's end, asked of a session that does not answer would take as long as the question did."""
    lane = await new_lane()
    async with Proxy(server.port, port=free_port()) as proxy:
        settings = lane.settings().model_copy(
            update={
                "database_url": f"postgresql://postgres@127.0.0.1:{proxy.port}",
                "idle_in_transaction_timeout_ms": 30_000,
            }
        )
        pool = await database.open_pool(settings, lane.database)
        limit_s = settings.statement_timeout_ms / 1000 + 5

        async def of_a_transaction() -> None:
            await Door(TOY, pool, None).keep(silent)

        async def alone() -> None:
            async with pool.acquire() as conn:
                await silent(conn)

        async def silent(conn: Any) -> None:
            await conn.fetchval("SELECT 1")
            proxy.breaks("swallow")
            asyncio.get_running_loop().call_later(0.3, proxy.heal)
            await conn.fetchval("SELECT 2")

        for ask in (of_a_transaction, alone):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await ask()
            assert time.monotonic() - began < limit_s + 1.5
            assert await pool.fetchval("SELECT 3") == 3
        pool.terminate()


def of_the_library() -> list[str]:
    """The tasks of Kafka clients that are under way."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith(("GroupCoordinator.", "Fetcher.", "AIOKafkaClient."))]
