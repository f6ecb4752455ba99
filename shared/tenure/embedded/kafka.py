"""Apache Kafka itself, from its own jars: one KRaft node on loopback, for tests and for one machine.

The invariant: it is the real broker with durable storage; killed and started again on the same data directory, it still
has every acked record and every committed offset. It is told the directory by being started in it, for its files of properties
cannot name every folder: they are read as Latin-1, and a comma is two folders there.
"""

import shutil
import signal
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import ClassVar

from tenure.embedded.broker import speaks_kafka
from tenure.embedded.kafka_jars import kafka_jars
from tenure.embedded.server import Server, ServerFailedError, free_port

_FORMAT_DEADLINE_S = 60.0
_HEAP_MB = 512
_PROPERTIES_FILE = "server.properties"
_LOG4J_FILE = "log4j2.properties"

_LOG4J = """\
status = error
rootLogger.level = info
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
"""


class Kafka(Server):
    name = "Apache Kafka"
    orphan_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        detached: bool = False,
        proxy_port: int | None = None,
        start_deadline_s: float = 90.0,
        stop_deadline_s: float = 15.0,
    ) -> None:
        super().__init__(
            data_dir, port=port, detached=detached, start_deadline_s=start_deadline_s, stop_deadline_s=stop_deadline_s
        )
        self.controller_port = free_port()
        self.proxy_port = proxy_port
        self.behind_port = free_port() if proxy_port else 0
        """Who comes in here, through a proxy on `proxy_port`, is told to come back through the proxy."""

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """For `open_log`."""
        return self.bootstrap

    def prepare(self) -> None:
        super().prepare()
        self._jars = kafka_jars()
        (self.data_dir / _LOG4J_FILE).write_text(_LOG4J)
        lines = [f"{name}={value}" for name, value in self._node().items()]
        (self.data_dir / _PROPERTIES_FILE).write_text("\n".join(lines) + "\n")
        if not (self.data_dir / "logs" / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        return [*self._java(), "kafka.Kafka", _PROPERTIES_FILE]

    def environment(self) -> dict[str, str]:
        """Java knows the folder it is in by the locale's letters."""
        return {**super().environment(), "LC_ALL": "C.UTF-8"}

    def is_ready(self) -> bool:
        return self.has_written("Kafka Server started") and speaks_kafka(self.port)

    def _java(self) -> list[str]:
        """A serial collector and a small heap: on one machine it shares the cores with everything else. And the quick compiler
        only: the thorough one works for minutes before it has saved what it cost, which is longer than most of these brokers live.
        """
        java = shutil.which("java") or "java"
        memory = [f"-Xmx{_HEAP_MB}m", "-Xms128m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"]
        return [
            java,
            *memory,
            "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={_LOG4J_FILE}",
            "-cp",
            f"{self._jars}/*",
        ]

    def _node(self) -> dict[str, object]:
        controller = f"127.0.0.1:{self.controller_port}"
        behind = [f"BEHIND://127.0.0.1:{self.behind_port}"] if self.proxy_port else []
        told = [f"BEHIND://127.0.0.1:{self.proxy_port}"] if self.proxy_port else []
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": ",".join([f"PLAINTEXT://{self.bootstrap}", f"CONTROLLER://{controller}", *behind]),
            "advertised.listeners": ",".join([f"PLAINTEXT://{self.bootstrap}", *told]),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,BEHIND:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": "logs",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # A killed node must wait for its own former session before it may register again.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 1000,
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "log.retention.hours": -1,
        }

    def _format(self) -> None:
        # Its letters may begin with a dash, which the tool would take for an option.
        cluster_id = "T" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", _PROPERTIES_FILE]
        done = subprocess.run(
            [*self._java(), *tool],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.data_dir,
            env=self.environment(),
            timeout=_FORMAT_DEADLINE_S,
        )
        if done.returncode:
            raise ServerFailedError(f"formatting Kafka's storage failed:\n{done.stdout}{done.stderr}")
