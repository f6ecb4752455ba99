"""A consumer is alive if polls succeed and its position moves: what only looks alive gets a new client, what hangs ends its process."""

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka import errors
from tenure.edge.http import create_app
from tenure.settings import Settings
from tenure.spine import consumer as consumer_module
from tenure.spine import retry
from tenure.spine.consumer import Consumer
from tenure.spine.kafka_consumer import KafkaConsumer, Rebalances
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import Log, OnPartitions, Position, Record, TopicPartition, WorldDown, open_log
from tenure.spine.runtime import Runtime
from tenure.spine.topics import ensure_topics
from tenure.telemetry import metrics
from tenure.testing import Under

from .test_delivery import outgoing, until


class Wrapped:
    """A member of a group that fails or falls silent as it is told."""

    def __init__(self, inner: Any, ills: list[Exception | str]) -> None:
        self.inner, self.ills = inner, ills

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def poll(self, *, records_max: int, timeout_s: float) -> list[Record]:
        ill = self.ills[0] if self.ills else None
        if isinstance(ill, Exception):
            self.ills.pop(0)
            raise ill
        if ill == "silent":
            await asyncio.sleep(0.02)
            return []
        return list(await self.inner.poll(records_max=records_max, timeout_s=timeout_s))

    def high_water(self) -> dict[TopicPartition, int]:
        found = dict(self.inner.high_water())
        return found if not self.ills else {place: self.inner.positions().get(place, 0) + 1 for place in found}

    async def commit(self, positions: Iterable[Position]) -> None:
        if self.ills and self.ills[0] == "no commit":
            self.ills.pop(0)
            raise WorldDown("committing: no answer in 10 s")
        await self.inner.commit(positions)


class IllLog:
    """A log each of whose clients has its own ills; those after the last are well."""

    def __init__(self, inner: Log, *ills: list[Exception | str]) -> None:
        self.inner, self.ills, self.clients = inner, list(ills), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def consumer(
        self,
        group: str,
        topics: Sequence[str],
        *,
        on_assigned: OnPartitions | None = None,
        on_revoked: OnPartitions | None = None,
    ) -> Any:
        self.clients += 1
        inner = await self.inner.consumer(group, topics, on_assigned=on_assigned, on_revoked=on_revoked)
        return Wrapped(inner, self.ills.pop(0) if self.ills else [])


def consumer_of(t: Under, log: Any) -> Consumer:
    return Consumer(t.door, log, batch_records_max=2, poll_timeout_s=0.1, parked_run_max=1_000)


async def run_until_total(t: Under, consumer: Consumer, amount: int) -> None:
    running = asyncio.create_task(consumer.run())
    await until(lambda: t.pool.fetchval("SELECT coalesce(sum(amount), 0) = $1 FROM totals", amount), t, seconds=30)
    consumer.stop()
    await running


async def test_after_every_error_of_the_group_a_new_client_goes_on_where_the_last_one_was(
    toy: Under, settings: Settings
) -> None:
    inner = open_log(settings.kafka)
    await ensure_topics(inner)
    await (await inner.producer()).send(outgoing(*range(1, 11)))
    ill = IllLog(
        inner,
        [WorldDown("polling: UnknownMemberIdError")],
        [WorldDown("polling: IllegalGenerationError")],
        ["no commit"],
    )
    log: Any = ill
    await run_until_total(toy, consumer_of(toy, log), 55)
    assert ill.clients == 3
    assert await toy.pool.fetchval("SELECT count(*) FROM inbox") == 10


async def test_a_commit_that_fails_only_means_redelivery(toy: Under, settings: Settings) -> None:
    inner = open_log(settings.kafka)
    await ensure_topics(inner)
    await (await inner.producer()).send(outgoing(1, 2, 3, 4))
    log: Any = IllLog(inner, ["no commit"])
    await run_until_total(toy, consumer_of(toy, log), 10)
    again: Any = IllLog(inner)
    running = consumer_of(toy, again)
    await (await inner.producer()).send(outgoing(1, 2, 3, 4, 5))
    await run_until_total(toy, running, 15)


async def test_a_client_whose_polls_bring_nothing_while_records_wait_is_replaced(
    toy: Under, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "ADVANCES_WITHIN_S", 0.5)
    inner = open_log(settings.kafka)
    await ensure_topics(inner)
    await (await inner.producer()).send(outgoing(1, 2, 3))
    ill = IllLog(inner, ["silent"])
    log: Any = ill
    running = consumer_of(toy, log)
    await run_until_total(toy, running, 6)
    assert ill.clients == 2


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownMemberIdError(),
        errors.IllegalGenerationError(),
        errors.RebalanceInProgressError(),
        errors.GroupCoordinatorNotAvailableError(),
        errors.NotCoordinatorForGroupError(),
        errors.GroupAuthorizationFailedError("g"),
        errors.TopicAuthorizationFailedError("t"),
        errors.ConsumerStoppedError(),
        errors.OffsetOutOfRangeError({}),
        errors.CorruptRecordException(),
        errors.KafkaConnectionError(),
        ConnectionResetError(),
    ],
    ids=lambda e: type(e).__name__,
)
async def test_whatever_the_client_raises_about_its_group_is_the_world_being_down(error: Exception) -> None:
    class Client:
        def assignment(self) -> set[Any]:
            return set()

        async def getmany(self, **_: Any) -> dict[Any, Any]:
            raise error

    rebalances = Rebalances(None, None)
    rebalances.settled.set()
    member = KafkaConsumer(Client(), KafkaSettings(bootstrap="h:1"), rebalances)
    with pytest.raises(WorldDown, match=type(error).__name__):
        await member.poll(records_max=1, timeout_s=0.1)


async def test_what_was_on_its_way_when_partitions_were_taken_away_is_not_handed_out() -> None:
    rebalances = Rebalances(None, None)
    rebalances.settled.set()

    class Client:
        _subscription = SimpleNamespace(subscription=None)

        def assignment(self) -> set[Any]:
            return set()

        async def getmany(self, **_: Any) -> dict[Any, Any]:
            await rebalances.on_partitions_revoked(set())
            return {"anywhere": [Record("anywhere", 0, 0, b"", b"", (), 0)]}

    member = KafkaConsumer(Client(), KafkaSettings(bootstrap="h:1"), rebalances)
    assert await member.poll(records_max=1, timeout_s=0.1) == []


async def test_waits_grow_from_a_tenth_of_a_second_to_five_with_jitter_and_end_when_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []

    async def note(_: asyncio.Event, seconds: float) -> bool:
        waited.append(seconds)
        return False

    with monkeypatch.context() as m:
        m.setattr(retry, "wait_or", note)
        random.seed(7)
        for _ in range(200):
            backoff = retry.Backoff()
            for _ in range(9):
                await backoff.wait(WorldDown("away"))
            assert (backoff.failures, backoff.reason) == (9, "WorldDown: away")
            backoff.succeeded()
            assert (backoff.failures, backoff.reason) == (0, "")
    for n in range(9):
        longest = min(5.0, 0.1 * 2**n)
        tries = waited[n::9]
        assert all(longest / 2 <= wait <= longest for wait in tries)
        assert max(tries) - min(tries) > longest / 4, "two that failed together do not come back together"
    stopping = retry.Backoff()
    stopping.stopping.set()
    stopping.failures = 20
    began = time.monotonic()
    await stopping.wait(WorldDown("away"))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 12"),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.AdminShutdownError(),
        asyncpg.CrashShutdownError(),
        asyncpg.QueryCanceledError(),
        asyncpg.DiskFullError(),
        asyncpg.OutOfMemoryError(),
        asyncpg.SerializationError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.LockNotAvailableError(),
        asyncpg.IdleInTransactionSessionTimeoutError(),
        asyncpg.PostgresIOError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.InvalidCachedStatementError(),
        asyncpg.OutdatedSchemaCacheError("a type was changed"),
        asyncpg.ClientConfigurationError("no host is known by that name"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_what_a_database_raises_that_is_away_busy_or_being_changed_parks_no_event(error: Exception) -> None:
    """It is the world being down, and nobody's fault."""
    assert isinstance(error, retry.WORLD_DOWN)
    assert not retry.is_fault_of_the_data(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CheckViolationError(),
        asyncpg.UniqueViolationError(),
        asyncpg.NumericValueOutOfRangeError(),
        asyncpg.UntranslatableCharacterError(),
        asyncpg.InterfaceError("invalid input for query argument $1: 'x' (an integer is required)"),
        OverflowError(),
        ValueError(),
        TypeError(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_what_a_database_does_not_take_is_the_fault_of_the_data(error: Exception) -> None:
    assert retry.is_fault_of_the_data(error)


async def test_health_tells_how_long_ago_it_polled_and_how_far_it_is_behind_and_503_when_it_hangs(
    toy: Under, settings: Settings
) -> None:
    log = open_log(settings.kafka)
    await ensure_topics(log)
    async with Runtime(toy.door, log, settings) as runtime:
        await (await log.producer()).send(outgoing(1, 2, 3))
        await until(lambda: toy.pool.fetchval("SELECT sum(amount) = 6 FROM totals"), toy)
        app = create_app([], settings, lives={"mall": runtime.consumer.health}, checks={"mall": runtime.health})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:
            live = await http.get("/health/live")
            assert (live.status_code, live.json()["status"]) == (200, "live")
            told = live.json()["consumers"]["mall"]
            assert told["seconds_since_poll"] < 10
            assert (told["lag"], told["seconds_since_advance"], told["stalled"]) == (0, 0.0, False)
            runtime.consumer.backoff.failures = 3
            assert (await http.get("/health/live")).status_code == 200, "a world that is down is waited for"
            runtime.consumer.alive_at -= 10_000
            runtime.consumer.intake.alive_at -= 10_000
            hangs = await http.get("/health/live")
            assert (hangs.status_code, hangs.json()["status"]) == (503, "stalled")
            runtime.consumer.alive_at = time.monotonic()
    assert metrics.consumer_joins.labels("mall")._value.get() >= 1
    await log.close()
