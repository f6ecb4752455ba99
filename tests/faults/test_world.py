"""The world breaks under load: PostgreSQL is killed, the broker is away, a process hangs and wakes as a zombie.

After each the consumer reads again within 15 s and without a human, and what `verify` asks for holds.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import pytest
from tenure import database
from tenure.embedded.kafka import Kafka
from tenure.embedded.postgres import Postgres
from tenure.spine.faults import VARIABLE
from tenure.spine.runtime import Runtime

from . import lane as lane_module
from .conftest import LONG, NewLane
from .lane import QUICK, Lane
from .load import Load, connect, drained, feed, feed_some, verify

NODE = Path(__file__).with_name("node.py")
RECOVERY_S_MAX = 15.0
STARTS_WITHIN_S = 60.0
LOOK_EVERY_S, LOOK_S_MAX = 0.05, 0.15
AWAY_S = 60.0 if LONG else 5.0
BLOCKED_S = 4
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@asynccontextmanager
async def at_work(lane: Lane, **limits: float) -> AsyncIterator[Runtime]:
    """A worker of the lane in this process, with the lane's settings but for these."""
    settings = lane.settings().model_copy(update=limits)
    async with (
        await database.open_pool(settings, lane.database) as pool,
        Runtime(lane.door(pool), lane.log(), settings) as runtime,
    ):
        yield runtime


@asynccontextmanager
async def under_load(load: Load) -> AsyncIterator[None]:
    over = asyncio.Event()
    feeding = asyncio.create_task(feed([load], over))
    try:
        yield
    finally:
        over.set()
        await feeding


async def effects(lane: Lane) -> int:
    conn = await connect(lane)
    try:
        return int(await conn.fetchval("SELECT count(*) FROM inbox"))
    finally:
        await conn.close()


async def grows(lane: Lane, *, by: int = 5, within_s: float = RECOVERY_S_MAX) -> float:
    """Wait until more events have had their effect. Returns how many seconds that took; fails after `within_s` of them.

    A look takes a few hundredths of a second. One that takes much longer did so because the machine is busy with other things, and
    counts for LOOK_S_MAX: what is bounded is how long the service takes, not how long the service and its neighbours take.
    """
    counted, before = 0.0, None
    while True:
        began = time.monotonic()
        try:
            now = await effects(lane)
        except (OSError, asyncpg.PostgresError):
            now = before or 0
        if before is None:
            before = now
        elif now >= before + by:
            return counted
        await asyncio.sleep(LOOK_EVERY_S)
        counted += min(time.monotonic() - began, LOOK_S_MAX)
        assert counted < within_s, f"{now - before} of {by} events had their effect in {within_s:g} s"


async def begins(lane: Lane) -> None:
    """It works at all: how long a process takes to start is not what is measured."""
    await grows(lane, within_s=STARTS_WITHIN_S)


async def test_postgres_is_killed_under_load_and_started_again(new_lane: NewLane, server: Postgres) -> None:
    load = Load(await new_lane(), 1)
    async with at_work(load.lane) as runtime, under_load(load):
        await begins(load.lane)
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.start)
        await grows(load.lane)
        assert not runtime.failed.is_set()
        conn = await connect(load.lane)
        await conn.execute(  # and its sessions one by one, the relay's with its lock among them
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
            load.lane.database,
        )
        await conn.close()
        await grows(load.lane)
    async with at_work(load.lane):
        await drained(load)
    await verify(load)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "limits", [QUICK, ""][: None if LONG else 1], ids=["quick", "as in production"][: None if LONG else 1]
)
async def test_the_broker_is_away_under_load(
    new_lane: NewLane, broker: Kafka, limits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long Java needs to start again is the machine's business; from its first answer on, it is ours."""
    monkeypatch.setattr(lane_module, "QUICK", limits)
    load = Load(await new_lane(), 2)
    async with at_work(load.lane) as runtime:
        # More than is read before the broker is gone: the reading is measured, not the feeding.
        await feed_some(load, 800)
        await begins(load.lane)
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(AWAY_S)
        assert not runtime.consumer.caught_up.is_set(), "who cannot read does not say it has read everything"
        await asyncio.to_thread(broker.start)
        took = await grows(load.lane)
        print(f"{AWAY_S:.0f} s away, reads again after {took:.1f} s")
        await drained(load, within_s=60)
        assert not runtime.failed.is_set()
    await verify(load)


Spawn = Callable[..., "asyncio.Future[asyncio.subprocess.Process]"]


@asynccontextmanager
async def process(lane: Lane, tmp_path: Path, *, fault: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    with (tmp_path / f"node-{fault or 'sound'}").open("wb") as said:
        node = await asyncio.create_subprocess_exec(
            sys.executable,
            str(NODE),
            "run",
            msgspec.json.encode(lane),
            env=os.environ | {VARIABLE: fault},
            stdout=said,
            stderr=said,
        )
    try:
        yield node
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()


@pytest.mark.parametrize("point", ["transact.loaded", "consumer.polled", "relay.sent"][: None if LONG else 1])
async def test_a_process_whose_loop_is_blocked_loses_its_partitions_and_does_no_harm(
    new_lane: NewLane, tmp_path: Path, point: str
) -> None:
    """It is silent for longer than its session, with rows locked, or records in hand; others read on, and it wakes by itself."""
    load = Load(await new_lane(), 5)
    async with under_load(load), process(load.lane, tmp_path, fault=f"{point}:6:{BLOCKED_S}s") as blocked:
        await begins(load.lane)
        async with process(load.lane, tmp_path) as other:
            await grows(load.lane, by=40, within_s=STARTS_WITHIN_S)
            for node in (blocked, other):
                node.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert [await blocked.wait(), await other.wait()] == [0, 0]
    async with at_work(load.lane):
        await drained(load)
    await verify(load)


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize(
    "point", ["transact.saved", "consumer.before_offsets", "relay.read", "relay.sent"][: None if LONG else 1]
)
async def test_a_process_that_hangs_and_wakes_after_its_partitions_moved_does_no_harm(
    new_lane: NewLane, tmp_path: Path, point: str
) -> None:
    """It hangs with rows locked, with offsets not yet committed, or with records in hand that another relay publishes meanwhile."""
    load = Load(await new_lane(), 3)
    conn = await connect(load.lane)
    await conn.execute("ALTER DATABASE " + load.lane.database + " SET idle_session_timeout = '2s'")
    await conn.close()
    async with under_load(load), process(load.lane, tmp_path, fault=f"{point}:6:SIGSTOP") as zombie:
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not is_stopped(zombie.pid):
                await asyncio.sleep(0.02)
        async with process(load.lane, tmp_path) as other:
            await grows(load.lane, by=20, within_s=STARTS_WITHIN_S)
            zombie.send_signal(signal.SIGCONT)
            await grows(load.lane, by=20)
            for node in (zombie, other):
                node.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert [await zombie.wait(), await other.wait()] == [0, 0]
    async with at_work(load.lane):
        await drained(load)
    await verify(load)
