"""Which Kafka is used: the one named, else the best that can be had here.

The invariant: the answer says what it is. A broker that forgets is never passed off as durable, and `why` tells
a reader of a log or of a skipped test how the choice came about.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tenure.embedded.broker import WheelBroker
from tenure.embedded.kafka import Kafka
from tenure.embedded.kafka_jars import NoKafkaJarsError
from tenure.embedded.postgres import Postgres
from tenure.embedded.server import free_port

Kind = Literal["configured", "docker", "jars", "wheel"]
_DOCKER_ANSWER_S = 5.0
_IMAGE = "apache/kafka:4.2.0"
_READY_LINE = "Kafka Server started"


class NoDurableKafkaError(RuntimeError):
    """No durable Kafka can be had here; the message says why each way is closed."""


@dataclass(frozen=True)
class Chosen:
    """A broker to use. `address` is for `open_log`, `bootstrap` for other clients; stop() ends what was started."""

    bootstrap: str
    address: str
    durable: bool
    kind: Kind
    why: str
    stop: Callable[[], None] = field(default=lambda: None, repr=False)


def start_kafka(data_dir: Path, *, detached: bool = False) -> Chosen:
    """TENURE_KAFKA, a Docker engine, Maven and Java, else the wheel broker: always an answer."""
    try:
        return start_durable_kafka(data_dir, detached=detached)
    except NoDurableKafkaError as error:
        return start_wheel_broker(data_dir, why=str(error), detached=detached)


def start_durable_kafka(data_dir: Path | None = None, *, detached: bool = False) -> Chosen:
    """Without `data_dir`: in a temporary folder that stop() removes. Raises NoDurableKafkaError."""
    if address := os.environ.get("TENURE_KAFKA"):
        return Chosen(address.partition("?")[0], address, durable=True, kind="configured", why="TENURE_KAFKA is set")
    if not detached and _docker_answers():
        return _in_docker()
    try:
        return _from_jars(data_dir, detached=detached)
    except NoKafkaJarsError as error:
        reason = f"TENURE_KAFKA is not set; no Docker engine answers; {error}"
        raise NoDurableKafkaError(reason) from error


def start_wheel_broker(
    data_dir: Path, *, why: str = "asked for", port: int | None = None, detached: bool = False
) -> Chosen:
    broker = WheelBroker(data_dir / "wheel-broker", port=port, detached=detached).start()
    return Chosen(broker.bootstrap, broker.address, durable=False, kind="wheel", why=why, stop=broker.stop)


def start_postgres(
    data_dir: Path | None = None,
    *,
    durable: bool = True,
    settings: dict[str, str] | None = None,
    detached: bool = False,
) -> Postgres:
    """A started server. Without `data_dir`: in a temporary folder that its stop() removes."""
    if data_dir is not None:
        return Postgres(data_dir / "data", durable=durable, settings=settings, detached=detached).start()
    folder = Path(tempfile.mkdtemp(prefix="tenure-postgres-"))
    folder.chmod(0o711)
    return _TemporaryPostgres(folder / "data", durable=durable, settings=settings, detached=detached).start()


class _TemporaryPostgres(Postgres):
    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.asked_dir.parent, ignore_errors=True)


def _from_jars(data_dir: Path | None, *, detached: bool) -> Chosen:
    folder = data_dir or Path(tempfile.mkdtemp(prefix="tenure-kafka-"))
    kafka = Kafka(folder / "kafka", detached=detached)

    def stop() -> None:
        if data_dir is not None:
            return kafka.stop()
        kafka.kill()
        return shutil.rmtree(folder, ignore_errors=True)

    try:
        kafka.start()
    except BaseException:
        stop()
        raise
    return Chosen(kafka.bootstrap, kafka.address, durable=True, kind="jars", why="Maven and Java are here", stop=stop)


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    asking = ["docker", "info", "--format", "{{.ServerVersion}}"]
    try:
        answer = subprocess.run(asking, check=False, capture_output=True, timeout=_DOCKER_ANSWER_S)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0 and bool(answer.stdout.strip())


def _in_docker() -> Chosen:
    """The image formats its storage itself; the outer port must be known before, since the broker advertises it."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = free_port()
    container = DockerContainer(_IMAGE).with_bind_ports(9092, port)
    for name, value in _docker_environment(port).items():
        container = container.with_env(name, value)
    container = container.waiting_for(LogMessageWaitStrategy(_READY_LINE))
    container.start()
    bootstrap = f"127.0.0.1:{port}"
    return Chosen(bootstrap, bootstrap, durable=True, kind="docker", why="a Docker engine answers", stop=container.stop)


def _docker_environment(port: int) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
