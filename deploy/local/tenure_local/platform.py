"""Starts and stops the embedded platform: PostgreSQL and a broker from wheels, a gateway and a worker process."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

import httpx
import msgspec
from tenure import database
from tenure.embedded.choose import Chosen, start_durable_kafka, start_postgres, start_wheel_broker
from tenure.embedded.postgres import FORGETFUL, Postgres
from tenure.embedded.server import Server, free_port, stop_detached
from tenure.embedded.whole import write_whole
from tenure.settings import Settings

from tenure_local.holding import held, make_let_go
from tenure_local.home import Addresses, Home, NotUpError
from tenure_local.resuming import Resumed, resume
from tenure_local.services import SERVICES

PORT: Final = 8080
STARTING_KAFKA: Final = "starting Apache Kafka (the first time Maven fetches it, which takes minutes)"
Say = Callable[[str], None]


class AlreadyUpError(Exception):
    """A platform is up in this folder already."""


class ElsewhereError(Exception):
    """A platform elsewhere is named, and one is to be started here."""

    def __init__(self, url: str) -> None:
        super().__init__(f"TENURE_SERVICE_URL (or --url) names {url}; this starts a platform here: leave it out")


class Node(Server):
    """A process of services, ready when it answers on its health port."""

    def __init__(self, home: Home, addresses: Addresses, *, port: int, detached: bool) -> None:
        super().__init__(home.folder / self.name, port=port, detached=detached)
        self.home, self.addresses = home, addresses

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tenure_local.node", self.name]

    def environment(self) -> dict[str, str]:
        return self.home.environment(self.addresses, port=self.port)

    def is_ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}/health/live", timeout=1).status_code == httpx.codes.OK
        return False


class Worker(Node):
    name = "worker"


class Gateway(Node):
    name = "gateway"


UNSYNCED = "TENURE_EMBEDDED_FSYNC"
"""Set to `off`, PostgreSQL does not wait for the disk: for tests, whose data nobody needs after a power cut."""


class Platform:
    """Everything `up` starts; `stop` ends it all. What was started detached outlives this process."""

    def __init__(
        self, home: Home, *, port: int = PORT, broker: str = "wheel", clock: str = "events", detached: bool = False
    ) -> None:
        self.home, self.port, self.broker, self.clock, self.detached = home, port, broker, clock, detached
        self._stack = ExitStack()
        self._nodes_up: list[Node] = []

    def start(self, say: Say, *, clean: bool = False) -> Addresses:
        """Start everything, in order; each step says what it does. `clean` forgets an earlier run first.

        Raises AlreadyUpError, ElsewhereError, HeldError, ServerFailedError, NoDurableKafkaError.
        """
        if self.home.elsewhere:
            raise ElsewhereError(self.home.elsewhere)
        try:
            self._stack.enter_context(held(self.home))
            refuse_a_second(self.home)
            stop_detached_ones(self.home)
            if clean and self.home.has_data():
                say("starting clean: what an earlier run left is deleted")
                reset(self.home)
            self.home.prepare()
            return self._start(say)
        except BaseException:
            self.stop()
            raise

    def _start(self, say: Say) -> Addresses:
        database_url = self._postgres(say)
        broker = self._broker(say)
        addresses = self._addresses(database_url, broker)
        write_whole(self.home.note, msgspec.json.format(msgspec.json.encode(addresses)))
        self._stack.callback(self.home.note.unlink, missing_ok=True)
        say("bringing the services' databases up to date")
        settings = self.home.settings()
        for line in asyncio.run(migrate_and_resume(self.home, settings, broker)).lines():
            say(line)
        say("starting the seven services")
        self._nodes(addresses)
        return addresses

    def _addresses(self, database_url: str, broker: Chosen) -> Addresses:
        port = self.port if port_is_free(self.port) else free_port()
        return Addresses(
            url=f"http://127.0.0.1:{port}",
            worker_url=f"http://127.0.0.1:{free_port()}",
            database_url=database_url,
            kafka=broker.address,
            broker=broker.kind,
            clock=self.clock,
        )

    def _postgres(self, say: Say) -> str:
        if url := os.environ.get("TENURE_DATABASE_URL"):
            say("using the PostgreSQL that TENURE_DATABASE_URL names")
            return url
        say(
            "starting PostgreSQL from its wheel" + (", with the data of an earlier run" if self.home.has_data() else "")
        )
        unsynced = FORGETFUL if os.environ.get(UNSYNCED) == "off" else None
        server = start_postgres(self.home.folder / "postgres", settings=unsynced, detached=self.detached)
        self._stack.callback(server.stop)
        return server.url

    def _broker(self, say: Say) -> Chosen:
        folder = self.home.folder / "broker"
        folder.mkdir(exist_ok=True)
        if address := os.environ.get("TENURE_KAFKA"):
            say("using the Kafka that TENURE_KAFKA names")
            return Chosen(
                address.partition("?")[0], address, durable=True, kind="configured", why="TENURE_KAFKA is set"
            )
        say("starting the embedded broker (memory only)" if self.broker == "wheel" else STARTING_KAFKA)
        start = start_wheel_broker if self.broker == "wheel" else start_durable_kafka
        chosen = start(folder, detached=self.detached)
        self._stack.callback(chosen.stop)
        return chosen

    def _nodes(self, addresses: Addresses) -> None:
        """The worker and the gateway, side by side: most of their start is loading code."""
        nodes: list[Node] = [
            Worker(self.home, addresses, port=_port_of(addresses.worker_url), detached=self.detached),
            Gateway(self.home, addresses, port=_port_of(addresses.url), detached=self.detached),
        ]
        self._nodes_up = nodes
        self._stack.callback(side_by_side, [node.stop for node in nodes])
        for node in nodes:
            node.launch()
        for node in nodes:
            node.await_ready()

    def ended(self) -> set[str]:
        """The processes of services that were started here and are no more."""
        return {f"the {node.name}" for node in self._nodes_up if not node.running}

    def stop(self) -> None:
        """Stop what `start` started; nothing is left of it then."""
        self._stack.close()


def side_by_side(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do them at the same time. Returns what each returned."""
    with ThreadPoolExecutor(max_workers=len(works) or 1) as pool:
        return [done.result() for done in [pool.submit(work) for work in works]]


def _port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


async def migrate_and_resume(home: Home, settings: Settings, broker: Chosen) -> Resumed:
    """Create and migrate every service's database; then look at where an earlier run ended."""
    for service in SERVICES:
        await database.migrate(settings, service.database, service.migrations)
    return await resume(home, settings, broker)


def running(home: Home) -> str | None:
    """The URL of the platform that answers, if one is up in this folder."""
    try:
        url = home.addresses().url
        httpx.get(f"{url}/health/live", timeout=2).raise_for_status()
    except (NotUpError, httpx.HTTPError):
        return None
    return url


def refuse_a_second(home: Home) -> None:
    """Raises AlreadyUpError."""
    if url := running(home):
        raise AlreadyUpError(f"a platform is up already at {url}; stop it with `tenure down`")


def stop_everything(home: Home) -> list[str]:
    """Stop a platform in another terminal, or what was started detached. Returns what was stopped. Raises HeldError."""
    elsewhere = ["the platform in another terminal"] if make_let_go(home) else []
    return elsewhere + stop_detached_ones(home)


def stop_detached_ones(home: Home) -> list[str]:
    """Stop what was started detached, or what a killed `up` left: services first, then the broker and PostgreSQL."""
    nodes = [home.folder / f"{role}.pid" for role in ("gateway", "worker")]
    servers = [home.folder / "broker" / "wheel-broker.pid", home.folder / "broker" / "kafka.pid"]
    servers.append(home.folder / "postgres" / "data.pid")
    names = {"data": "postgres"}
    were_up = side_by_side([partial(stop_detached, path) for path in nodes])
    were_up += [stop_detached(path) for path in servers]
    home.note.unlink(missing_ok=True)
    return [names.get(p.stem, p.stem) for p, was_up in zip([*nodes, *servers], were_up, strict=True) if was_up]


def reset(home: Home) -> None:
    """Forget everything this platform knew; its keys stay. It must be down."""
    Postgres(home.folder / "postgres" / "data").remove()  # as root the data may lie elsewhere, behind a link
    for name in ("postgres", "broker", "worker", "gateway"):
        if (home.folder / name).exists():
            shutil.rmtree(home.folder / name)
    for path in (home.sms, home.targets, home.log_name, *home.folder.glob("*.log")):
        path.unlink(missing_ok=True)


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0
