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
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

ASK_ONE_PLATFORM = ("tests/test_portfolio.py", "tests/test_stories.py")
"""They ask what the same run of the demo left, so one worker has them all."""


class ByFileAndPlatform(LoadFileScheduling):
    """Who runs what: a file is one worker's, and all that ask one platform are as one file."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return ASK_ONE_PLATFORM[0] if file in ASK_ONE_PLATFORM else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFileAndPlatform:
    return ByFileAndPlatform(config, log)


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
