"""Starts and stops the embedded platform: PostgreSQL and a broker from wheels, a gateway and a worker process."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import ClassVar, Final

import httpx
import msgspec
from tenure import database
from tenure.embedded.choose import Chosen, start_durable_kafka, start_postgres, start_wheel_broker
from tenure.embedded.server import Server, free_port, stop_detached
from tenure.settings import Settings

from tenure_local.home import Addresses, Home, NotUpError

PORT: Final = 8080
Say = Callable[[str], None]


class AlreadyUpError(Exception):
    """A platform is up in this folder already."""


class Node(Server):
    """A process of services, ready when it answers on its health port."""

    name: ClassVar[str] = "tenure"

    def __init__(self, home: Home, role: str, addresses: Addresses, *, port: int, detached: bool) -> None:
        super().__init__(home.folder / role, port=port, detached=detached)
        self.home, self.role, self.addresses = home, role, addresses

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tenure_local.node", self.role]

    def environment(self) -> dict[str, str]:
        return self.home.environment(self.addresses, port=self.port)

    def is_ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}/health/live", timeout=1).status_code == httpx.codes.OK
        return False


class Platform:
    """Everything `up` starts. Leaving the context stops it all, unless it was started detached."""

    def __init__(
        self, home: Home, *, port: int = PORT, broker: str = "wheel", clock: str = "events", detached: bool = False
    ) -> None:
        self.home, self.port, self.broker, self.clock, self.detached = home, port, broker, clock, detached
        self._stack = ExitStack()

    def start(self, say: Say) -> Addresses:
        """Start what is missing, in order; each step says what it does. Raises AlreadyUpError, ServerFailedError."""
        if running(self.home) is not None:
            raise AlreadyUpError(f"a platform is up already at {running(self.home)}; stop it with `tenure down`")
        clear_leftovers(self.home)
        self.home.prepare()
        try:
            return self._start(say)
        except BaseException:
            self.stop()
            raise

    def _start(self, say: Say) -> Addresses:
        database_url = self._postgres(say)
        broker = self._broker(say)
        port = self.port if port_is_free(self.port) else free_port()
        addresses = Addresses(
            url=f"http://127.0.0.1:{port}",
            worker_url=f"http://127.0.0.1:{free_port()}",
            database_url=database_url,
            kafka=broker.address,
            broker=broker.kind,
            clock=self.clock,
        )
        self.home.note.write_bytes(msgspec.json.format(msgspec.json.encode(addresses)))
        self._stack.callback(self.home.note.unlink, missing_ok=True)
        say("creating the services' databases")
        asyncio.run(migrate_all(self.home.settings()))
        say("starting the seven services")
        self._node("worker", addresses, int(addresses.worker_url.rsplit(":", 1)[1]))
        self._node("gateway", addresses, port)
        return addresses

    def _postgres(self, say: Say) -> str:
        if url := os.environ.get("TENURE_DATABASE_URL"):
            say("using the PostgreSQL that TENURE_DATABASE_URL names")
            return url
        say("starting PostgreSQL from its wheel")
        server = start_postgres(self.home.folder / "postgres", detached=self.detached)
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
        say("starting the embedded broker (memory only)" if self.broker == "wheel" else "starting Apache Kafka")
        start = start_wheel_broker if self.broker == "wheel" else start_durable_kafka
        chosen = start(folder, detached=self.detached)
        self._stack.callback(chosen.stop)
        return chosen

    def _node(self, role: str, addresses: Addresses, port: int) -> None:
        node = Node(self.home, role, addresses, port=port, detached=self.detached)
        self._stack.callback(node.stop)
        node.start()

    def stop(self) -> None:
        self._stack.close()


async def migrate_all(settings: Settings) -> None:
    """Create and migrate every service's database."""
    from tenure_local.services import SERVICES

    for service in SERVICES:
        await database.migrate(settings, service.database, service.migrations)


def running(home: Home) -> str | None:
    """The URL of the platform that answers, if one is up in this folder."""
    try:
        url = home.addresses().url
        httpx.get(f"{url}/health/live", timeout=2).raise_for_status()
    except (NotUpError, httpx.HTTPError):
        return None
    return url


def stop_everything(home: Home) -> list[str]:
    """Stop what was started detached: services first, then the broker, then PostgreSQL. Returns what was stopped."""
    stopped = [path.stem for path in _pid_files(home) if stop_detached(path)]
    home.note.unlink(missing_ok=True)
    return stopped


def clear_leftovers(home: Home) -> None:
    """What a killed `up` left behind must not be taken for a running platform."""
    stop_everything(home)


def _pid_files(home: Home) -> list[Path]:
    order = {"gateway": 0, "worker": 1, "wheel-broker": 2, "kafka": 2}
    found = [path for pattern in ("*.pid", "broker/*.pid", "postgres/*.pid") for path in home.folder.glob(pattern)]
    return sorted(found, key=lambda path: order.get(path.stem, 3))


def reset(home: Home) -> None:
    """Forget everything this platform knew. It must be down."""
    for name in ("postgres", "broker", "worker", "gateway"):
        shutil.rmtree(home.folder / name, ignore_errors=True)
    for path in (home.sms, home.targets):
        path.unlink(missing_ok=True)


def port_is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0
