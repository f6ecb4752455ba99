"""The servers of one run, real and of its own: PostgreSQL as durable as in production, Apache Kafka, and databases made anew.

The invariant: every leg meets the same PostgreSQL: a fresh database from a migrated template, a checkpoint just behind it, no
vacuum in the background, and a disk that is done with what earlier legs wrote. Whatever is switched off or on is the same for
both sides of a pair, and stands in the results.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from tenure import database
from tenure.contracts.topics import TOPICS
from tenure.embedded.choose import start_durable_kafka
from tenure.embedded.postgres import Postgres
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine import outbox
from tenure.spine.kafka_settings import KafkaSettings
from tenure.spine.log import Outgoing, Position, open_log
from tenure.spine.topics import ensure_topics

from tenure_bench.books import Snapshot, copy

ROOT: Final = Path(__file__).resolve().parents[2]
POSTGRES: Final[Mapping[str, str]] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "off",  # legs are short; where it falls would decide who looks slow
    "track_commit_timestamp": "on",  # tells when an event became visible, without asking again and again
    "shared_buffers": "512MB",
}
PUBLISH_AT_ONCE: Final = 10_000
NULL_TOPIC: Final = "bench.null"
NULL_PARTITIONS: Final = 6


class Place(msgspec.Struct, frozen=True):
    """Where a leg runs: a database of its own (or several, by service), the log, and whose CPU counts."""

    database_url: str
    kafka: str
    trees: dict[str, int]
    database: str = ""
    databases: dict[str, str] = {}
    folder: str = ""

    def settings(self) -> Settings:
        return Settings(
            database_url=self.database_url,
            kafka=self.kafka,
            programme_dir=ROOT / "programme",
            data_dir=Path(self.folder),
            clock="events",
        )


class World:
    """PostgreSQL and Kafka, started when entered and gone, with their data, when left."""

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="tenure-bench-"))
        self.folder.chmod(0o711)
        self._postgres = Postgres(self.folder / "postgres" / "data", settings=dict(POSTGRES))
        try:
            self._postgres.start()
            self._kafka = start_durable_kafka(self.folder)
        except BaseException:
            self.__exit__()
            raise
        self._made = 0
        self._templates: dict[str, str] = {}
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_kafka"):
            self._kafka.stop()
        self._postgres.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def place(self) -> Place:
        trees = {"postgres": self._postgres.pid}
        if (broker := broker_pid(self.folder)) is not None:
            trees["broker"] = broker
        return Place(self._postgres.url, self._kafka.address, trees, folder=str(self.folder))

    @property
    def kafka_kind(self) -> str:
        return self._kafka.kind

    async def prepare(self, services: Sequence[Service[Any]]) -> None:
        """Topics, and a migrated template for each service."""
        log = open_log(self._kafka.address)
        await ensure_topics(log)
        await log.ensure_topics({NULL_TOPIC: NULL_PARTITIONS})
        for service in services:
            name = f"template_{service.package}"
            await database.migrate(self.place.settings(), name, service.migrations)
            self._templates[service.name] = name

    async def fresh(self, service: str, *, of: str | None = None) -> Place:
        """A new database like the service's template, or like the database `of`."""
        name = await self.copy_of(of or self._templates[service])
        return msgspec.structs.replace(self.place, database=name, databases={service: name})

    async def fresh_all(self, services: Sequence[Service[Any]]) -> Place:
        """A new database for each of these services."""
        names = {service.name: await self.copy_of(self._templates[service.name]) for service in services}
        return msgspec.structs.replace(self.place, databases=names)

    async def copy_of(self, template: str) -> str:
        self._made += 1
        name = f"leg_{self._made}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"', "CHECKPOINT")
        await asyncio.to_thread(os.sync)
        return name

    async def outbox_of(self, service: str, rows: Snapshot) -> list[Outgoing]:
        """The records in the outbox of these rows, as the relay would read them."""
        place = await self.fresh(service)
        conn = await asyncpg.connect(f"{self._postgres.url}/{place.database}")
        for chunk in rows.chunks:
            await copy(conn, chunk)
        packed = await conn.fetch("SELECT records FROM outbox ORDER BY seq")
        await conn.close()
        await self.drop(place.database)
        return [record for row in packed for record in outbox.unpack(row["records"])]

    async def drop(self, *names: str) -> None:
        await self._execute(*(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)' for name in names))

    async def _execute(self, *statements: str) -> None:
        conn = await asyncpg.connect(f"{self._postgres.url}/postgres")
        try:
            for statement in statements:
                await conn.execute(statement)
        finally:
            await conn.close()

    async def publish(self, records: Sequence[Outgoing]) -> list[Position]:
        """Returns up to where each partition written reaches now."""
        producer = await open_log(self._kafka.address).producer()
        ends: dict[tuple[str, int], Position] = {}
        for n in range(0, len(records), PUBLISH_AT_ONCE):
            for at in await producer.send(records[n : n + PUBLISH_AT_ONCE]):
                ends[at.topic, at.partition] = at
        await producer.close()
        return list(ends.values())

    async def ends(self) -> list[Position]:
        """Where every topic of Tenure ends now."""
        client = AIOKafkaConsumer(**KafkaSettings.from_address(self._kafka.address).consumer("bench.ends"))
        await client.start()
        try:
            places = [KafkaPartition(topic.name, n) for topic in TOPICS for n in range(topic.partitions)]
            client.assign(places)  # all their leaders are asked for at once, instead of a topic each tenth of a second
            found = await client.end_offsets(places)
            return [Position(tp.topic, tp.partition, end) for tp, end in found.items()]
        finally:
            await client.stop()

    async def stand_at(self, group: str, positions: Sequence[Position]) -> None:
        """Let a consumer group that has no members now begin at these places."""
        settings = KafkaSettings.from_address(self._kafka.address).consumer(group)
        client = AIOKafkaConsumer(**settings)
        await client.start()
        try:
            places = {KafkaPartition(p.topic, p.partition): p.next_offset for p in positions}
            client.assign(list(places))
            await client.commit(places)
        finally:
            await client.stop()


def broker_pid(folder: Path) -> int | None:
    """The broker's process where it was started from its jars; in a container nobody here can count it."""
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if any(str(folder / "kafka") in part for part in command):
            return int(process.pid)
    return None
