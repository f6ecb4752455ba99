"""Servers started here are real, survive what they must, and leave nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import asyncpg
import pytest
from tenure.embedded import choose
from tenure.embedded.broker import WheelBroker, speaks_kafka
from tenure.embedded.kafka import Kafka
from tenure.embedded.kafka_jars import NoKafkaJarsError, kafka_jars
from tenure.embedded.postgres import Postgres
from tenure.embedded.server import Server, ServerFailedError, free_port, started_ticks, stop_detached
from tenure.spine.log import Outgoing, Position, open_log


async def rows(server: Postgres, sql: str) -> list[tuple]:
    connection = await asyncpg.connect(f"{server.url}/postgres")
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


@pytest.fixture
def need_jars() -> None:
    try:
        kafka_jars()
    except NoKafkaJarsError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs a real Kafka: {error}")
        pytest.skip(str(error))


async def test_postgres_keeps_committed_rows_over_a_crash_and_a_restart(tmp_path: Path):
    with Postgres(tmp_path / "data") as server:
        await rows(server, "CREATE TABLE member (name text)")
        await rows(server, "INSERT INTO member VALUES ('王小明')")
        server.kill()
        server.start()
        assert await rows(server, "SELECT name FROM member") == [("王小明",)]
    with Postgres(tmp_path / "data") as again:
        assert await rows(again, "SELECT name FROM member") == [("王小明",)]
        again.remove()
    assert not (tmp_path / "data").exists()
    assert not again.data_dir.exists()


async def test_postgres_is_set_up_as_we_say(tmp_path: Path):
    asked = ("server_encoding", "fsync", "jit", "max_connections", "listen_addresses", "unix_socket_directories")
    for durable, fsync in ((True, "on"), (False, "off")):
        with Postgres(tmp_path / fsync, durable=durable, settings={"work_mem": "8MB"}) as server:
            shown = {name: (await rows(server, f"SHOW {name}"))[0][0] for name in (*asked, "work_mem")}
            assert await rows(server, "SELECT upper('é')") == [("É",)]
            server.remove()
        expected = dict(zip(asked, ("UTF8", fsync, "off", "300", "127.0.0.1", ""), strict=True)) | {"work_mem": "8MB"}
        assert shown == expected


async def test_data_that_need_not_last_is_gone_after_stop_wherever_it_was(tmp_path: Path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = Postgres(private / "data", durable=False).start()
    where = server.data_dir
    assert (where / "PG_VERSION").exists()
    server.stop()
    assert not (private / "data").is_symlink()
    assert where == private / "data" or not where.exists()
    temporary = choose.start_postgres(durable=False)
    assert await rows(temporary, "SELECT 1") == [(1,)]
    temporary.stop()
    assert not temporary.data_dir.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a stand-in")
def test_as_root_private_folders_stay_private(tmp_path: Path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with Postgres(private / "data", durable=False) as server:
        assert private.stat().st_mode & 0o777 == 0o700
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
        assert (private / "data").resolve() == server.data_dir


def test_two_servers_at_once_do_not_meet(tmp_path: Path):
    with WheelBroker(tmp_path / "a") as first, WheelBroker(tmp_path / "b") as second:
        assert first.port != second.port
        assert speaks_kafka(first.port)
        assert speaks_kafka(second.port)
    assert not speaks_kafka(first.port)


@pytest.mark.kafka
async def test_kafka_keeps_records_and_commits_when_it_is_killed_in_a_folder_of_any_name(
    tmp_path: Path, need_jars: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LC_ALL", "C")
    with Kafka(tmp_path / "积分, 会员" / "kafka") as server:
        log = open_log(server.address)
        await log.ensure_topics({"policy.v1": 1})
        producer, consumer = await log.producer(), await log.consumer("ledger", ["policy.v1"])
        await producer.send([Outgoing("policy.v1", b"member-1", value, []) for value in (b"a", b"b")])
        while not await consumer.poll(records_max=10, timeout_s=1):
            pass
        await consumer.commit([Position("policy.v1", 0, 1)])
        await consumer.close()
        await producer.close()
        server.kill()
        server.start()
        consumer = await log.consumer("ledger", ["policy.v1"])
        while not (records := await consumer.poll(records_max=10, timeout_s=1)):
            pass
        assert [(r.offset, r.value) for r in records] == [(1, b"b")]
        await consumer.close()
    assert (server.data_dir / "logs" / "policy.v1-0").is_dir()


class Broken(Server):
    name = "broken server"

    def command(self) -> list[str]:
        return [sys.executable, "-c", "print('the port is haunted'); raise SystemExit(3)"]

    def is_ready(self) -> bool:
        return False


class Silent(Broken):
    def command(self) -> list[str]:
        return [sys.executable, "-c", "import signal; print('waiting for Godot', flush=True); signal.pause()"]


def test_a_server_that_ends_says_why(tmp_path: Path):
    with pytest.raises(ServerFailedError, match=r"(?s)broken server ended with status 3.*the port is haunted"):
        Broken(tmp_path / "data").start()


def test_a_server_that_never_gets_ready_is_ended_and_says_what_it_wrote(tmp_path: Path):
    server = Silent(tmp_path / "data", start_deadline_s=1.0)
    with pytest.raises(ServerFailedError, match=r"(?s)not ready after 1 s.*waiting for Godot"):
        server.start()
    assert not server.running


class Talkative(Broken):
    def command(self) -> list[str]:
        said = "print('ready'); [print('somebody joined') for _ in range(10_000)]"
        return [sys.executable, "-c", f"import signal; {said}; print(end='', flush=True); signal.pause()"]

    def is_ready(self) -> bool:
        return self.has_written("somebody joined\n" * 10_000) and self.has_written("ready\n")


def test_a_server_is_ready_however_much_it_wrote_after_it_said_so(tmp_path: Path):
    server = Talkative(tmp_path / "data", start_deadline_s=30.0)
    server.start()
    assert "ready" not in server.log_tail()
    server.stop()


PARENT = """
    import sys
    from pathlib import Path
    from tenure.embedded.broker import WheelBroker
    from tenure.embedded.postgres import Postgres
    folder, detached, ending = Path(sys.argv[1]), sys.argv[2] == "detached", sys.argv[3]
    started = [
        WheelBroker(folder / "broker", detached=detached).start(),
        Postgres(folder / "data", durable=False, detached=detached).start(),
    ]
    print(*(server.pid for server in started), flush=True)
    if ending == "wait":
        sys.stdin.read()
"""


def parent(folder: Path, *, detached: bool, ending: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A process that starts two servers, tells their pids, and then ends or waits to be killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(folder), "detached" if detached else "owned", ending],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    return process, [int(pid) for pid in process.stdout.readline().split()]


def gone(pid: int) -> bool:
    """Waits for the end of a process that is not our child; the test's time-out is the limit."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(watched):
        import select

        return bool(select.select([watched], [], [], 20)[0])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends the servers of a killed parent")
@pytest.mark.parametrize("ending", ["exit", "kill -9"])
def test_servers_end_with_their_parent(tmp_path: Path, ending: str):
    process, pids = parent(tmp_path, detached=False, ending="wait" if ending == "kill -9" else "exit")
    if ending == "kill -9":
        process.kill()
    process.communicate()
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
    Postgres(tmp_path / "data").remove()


@pytest.mark.skipif(sys.platform != "linux", reason="a process is known by its pid and start time in /proc")
def test_detached_servers_outlive_their_parent_and_are_stopped_by_their_pid_files(tmp_path: Path):
    process, pids = parent(tmp_path, detached=True, ending="exit")
    process.communicate()
    assert all(started_ticks(pid) is not None for pid in pids)
    files = [tmp_path / "broker.pid", tmp_path / "data.pid"]
    assert [stop_detached(file) for file in files] == [True, True]
    assert all(gone(pid) for pid in pids)
    assert [stop_detached(file) for file in files] == [False, False]
    Postgres(tmp_path / "data").remove()


def test_a_recycled_pid_is_left_alone(tmp_path: Path):
    bystander = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    stale = tmp_path / "data.pid"
    stale.write_text(json.dumps({"pid": bystander.pid, "started": 1, "signal": int(signal.SIGTERM)}))
    assert stop_detached(stale) is False
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_named_kafka_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TENURE_KAFKA", "kafka-1:9092,kafka-2:9092?replicas=3")
    chosen = choose.start_durable_kafka()
    assert (chosen.kind, chosen.durable) == ("configured", True)
    assert chosen.bootstrap == "kafka-1:9092,kafka-2:9092"
    assert chosen.address == "kafka-1:9092,kafka-2:9092?replicas=3"


def test_without_java_the_wheel_broker_is_used_and_says_that_it_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("TENURE_KAFKA", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(choose.NoDurableKafkaError, match="no Docker engine answers; not on the path: java, mvn"):
        choose.start_durable_kafka(tmp_path)
    chosen = choose.start_kafka(tmp_path)
    assert (chosen.kind, chosen.durable) == ("wheel", False)
    assert "java" in chosen.why
    chosen.stop()


def test_a_free_port_is_free():
    assert not speaks_kafka(free_port())


def test_a_free_port_is_none_that_outgoing_connections_are_given():
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(given.read_text().split()[0]) if given.exists() else 32_768
    assert all(free_port() < lowest for _ in range(100))


def test_where_every_port_of_servers_is_taken_the_kernel_gives_one(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr("tenure.embedded.server._SERVERS_PORTS", [taken.getsockname()[1]] * 50)
        assert free_port() not in {0, taken.getsockname()[1]}
