"""A platform that starts on another log than last time: nobody waits for what that log never had, and nobody misses anything."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import asyncpg
import pytest
from tenure import database
from tenure.embedded.choose import Chosen, start_postgres
from tenure.spine import outbox
from tenure.spine.log import Outgoing
from tenure_local.home import Home
from tenure_local.platform import migrate_and_resume
from tenure_local.services import SERVICES

WHEEL = Chosen("127.0.0.1:1", "127.0.0.1:1", durable=False, kind="wheel", why="a test")
KAFKA = Chosen("127.0.0.1:2", "127.0.0.1:2", durable=True, kind="jars", why="a test")
ELSEWHERE = Chosen("kafka:9092", "kafka:9092", durable=True, kind="configured", why="a test")
POLICY = "policy.v1"
READ_POLICY = {"tier-engine", "points-ledger", "benefits", "mall", "notifier", "member-view"}


@dataclass
class Stopped:
    """A platform whose services are down; `at` gives a connection to a service's database."""

    home: Home
    at: dict[str, asyncpg.Connection]

    async def resume(self, broker: Chosen) -> list[str]:
        return (await migrate_and_resume(self.home, self.home.settings(), broker)).lines()

    async def told_ten_policies(self, *, read_by: set[str]) -> None:
        """policy-sync told ten events; some have read them all, the others none."""
        teller = self.at["policy-sync"]
        await outbox.emit(teller, [Outgoing(POLICY, b"P", b"{}", [])] * 10)
        await teller.execute("UPDATE outbox SET published = true")
        await teller.execute("INSERT INTO published VALUES ($1, 0, 10)", POLICY)
        for name in read_by:
            await self.at[name].execute("INSERT INTO progress VALUES ($1, 0, 10)", POLICY)

    async def waiting(self) -> int:
        return int(await self.at["policy-sync"].fetchval("SELECT count(*) FROM outbox WHERE NOT published"))

    async def positions(self) -> int:
        """How many positions are noted, read or acknowledged, in all services."""
        ask = "SELECT (SELECT count(*) FROM progress) + (SELECT count(*) FROM published)"
        return sum([int(await conn.fetchval(ask)) for conn in self.at.values()])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    postgres = start_postgres(tmp_path_factory.mktemp("resuming") / "pg", durable=False)
    yield postgres.url
    postgres.stop()


@pytest.fixture
async def stopped(server: str, tmp_path: Path) -> AsyncIterator[Stopped]:
    home = Home(tmp_path / "data")
    home.prepare()
    urls = {"url": "http://127.0.0.1:1", "worker_url": "http://127.0.0.1:1"}
    home.note.write_text(
        json.dumps({**urls, "database_url": server, "kafka": "x:1", "broker": "wheel", "clock": "events"})
    )
    for service in SERVICES:
        await database.migrate(home.settings(), service.database, service.migrations)
    async with AsyncExitStack() as stack:
        at = {s.name: await asyncpg.connect(f"{server}/{s.database}") for s in SERVICES}
        for conn in at.values():
            stack.push_async_callback(conn.close)
            await conn.execute("TRUNCATE outbox, published, progress, calendar")
        yield Stopped(home, at)


async def test_a_new_platform_has_nothing_to_resume(stopped: Stopped) -> None:
    assert await stopped.resume(WHEEL) == []


async def test_what_everyone_has_read_is_not_published_again(stopped: Stopped) -> None:
    await stopped.told_ten_policies(read_by=READ_POLICY)
    assert await stopped.resume(WHEEL) == []
    assert await stopped.waiting() == 0
    assert await stopped.positions() == 0


async def test_what_one_service_has_not_read_is_published_again(stopped: Stopped) -> None:
    await stopped.told_ten_policies(read_by=READ_POLICY - {"member-view"})
    assert await stopped.resume(WHEEL) == [
        "the log is a new one, and not everyone had read the old one: services publish again"
    ]
    assert await stopped.waiting() == 1
    assert await stopped.positions() == 0


async def test_facts_of_an_import_that_no_one_read_are_counted_and_not_waited_for(stopped: Stopped) -> None:
    stopped.home.targets.write_text('[["core.policy.v1", 0, 30], ["core.claim.v1", 3, 12]]')
    await stopped.at["policy-sync"].execute("INSERT INTO progress VALUES ('core.policy.v1', 0, 25)")
    assert await stopped.resume(WHEEL) == [
        "17 facts of an import or replay were lost with the old log, unread: send them again"
    ]
    assert not stopped.home.targets.exists()


async def test_a_log_that_remembers_is_taken_up_where_it_was(stopped: Stopped) -> None:
    await stopped.resume(KAFKA)
    await stopped.told_ten_policies(read_by=set())
    stopped.home.targets.write_text('[["core.policy.v1", 0, 30]]')
    assert await stopped.resume(KAFKA) == []
    assert await stopped.waiting() == 0
    assert await stopped.positions() == 1
    assert stopped.home.targets.exists()


@pytest.mark.parametrize("other", [WHEEL, ELSEWHERE], ids=["the wheel", "a Kafka elsewhere"])
async def test_another_broker_is_another_log(stopped: Stopped, other: Chosen) -> None:
    await stopped.resume(KAFKA)
    await stopped.told_ten_policies(read_by=set())
    await stopped.resume(other)
    assert await stopped.waiting() == 1
    assert await stopped.positions() == 0


async def test_it_says_where_the_calendar_stands(stopped: Stopped) -> None:
    await stopped.at["tier-engine"].execute("INSERT INTO calendar (day) VALUES ($1)", date(2018, 12, 31))
    assert await stopped.resume(WHEEL) == ["resuming where the earlier run ended: the calendar stands at 2018-12-31"]
