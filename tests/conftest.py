"""One platform for all end-to-end tests: the demo's run on real Apache Kafka and PostgreSQL, left up while tests ask."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tenure.embedded.server import free_port
from tenure_local import demo
from tenure_local.home import Home
from tenure_local.platform import Platform
from tenure_local.stories import Asking


@dataclass(frozen=True)
class Ran:
    """The demo, after its run: what it summed up, and the platform to ask."""

    home: Home
    summary: demo.Summary
    ask: Asking


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Iterator[Ran]:
    home = Home(tmp_path_factory.mktemp("platform") / "data")
    platform = Platform(home, port=free_port())
    before = os.environ.get("TENURE_KAFKA")
    os.environ["TENURE_KAFKA"] = kafka
    said: list[str] = []
    try:
        summary = demo.run(platform, said.append)
        with Asking(home) as ask:
            yield Ran(home, summary, ask)
    finally:
        platform.stop()
        if before is None:
            os.environ.pop("TENURE_KAFKA")
