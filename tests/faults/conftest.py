"""Servers of their own for faults: they are killed and stopped, which nobody else's tests should feel."""

import os
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tenure.embedded.kafka import Kafka
from tenure.embedded.kafka_jars import NoKafkaJarsError, kafka_jars
from tenure.embedded.postgres import Postgres
from tenure.testing_databases import create

from .lane import TOY, USED, Lane
from .proxy import kept_port

LONG = int(os.environ.get("TENURE_FAULT_KILLS", "0")) > 100
"""`make test-faults`, rather than the fast part of it in `make test`."""


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    try:
        kafka_jars()
    except NoKafkaJarsError as missing:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs a real Kafka: {missing}")
        pytest.skip(str(missing))
    with kept_port() as port, Kafka(tmp_path_factory.mktemp("faults") / "kafka", proxy_port=port) as server:
        yield server
        server.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Durable: what it said it committed must be there after it was killed."""
    folder: Path = tmp_path_factory.mktemp("faults-postgres")
    with Postgres(folder / "data", settings={"shared_buffers": "64MB"}) as postgres:
        yield postgres
        postgres.remove()


NewLane = Callable[[], Awaitable[Lane]]


@pytest.fixture
def new_lane(broker: Kafka, server: Postgres) -> NewLane:
    async def new() -> Lane:
        name = f"t{uuid.uuid4().hex[:8]}"
        lane = Lane(name=name, database=name, database_url=server.url, kafka=broker.address)
        await create(TOY, lane.settings(), name)
        await lane.log().ensure_topics(USED)
        return lane

    return new
