"""The embedded platform from outside, as its user has it: processes that come, answer, and are gone again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from tenure.embedded.server import free_port
from tenure_local.home import Home
from tenure_local.platform import UNSYNCED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
PARKED_RUN_MAX = 4
TENURE = Path(sys.executable).with_name("tenure")


@dataclass(frozen=True)
class Shell:
    """The `tenure` command from another folder, with nothing in its environment but where its data is, which need not last."""

    folder: Path
    cwd: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "TENURE_DATA_DIR": str(self.folder),
            "TENURE_PARKED_RUN_MAX": str(PARKED_RUN_MAX),
            UNSYNCED: "off",
        }

    def run(self, *words: str, status: int | None = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [TENURE, *words],
            env=self.environment,
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert status is None or done.returncode == status, done.stdout + done.stderr
        return done

    def foreground(self, port: int | None = None) -> "subprocess.Popen[str]":
        """`tenure up` in a terminal of its own, once it is up."""
        started = subprocess.Popen(
            [TENURE, "up", "--port", str(port or free_port())],
            env=self.environment,
            cwd=self.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert started.stdout is not None
        for line in started.stdout:
            if "Ctrl-C" in line:
                return started
        raise AssertionError(f"it ended with status {started.wait(10)}")

    def processes(self) -> list[str]:
        """Command lines of every process that has to do with this folder, or was told of it."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(self.folder).encode() in told and entry.name != str(os.getpid()):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found

    def until_nothing_is_left(self) -> None:
        deadline = time.monotonic() + 20
        while left := self.processes():
            assert time.monotonic() < deadline, left


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell with a platform up in the background."""
    folder = tmp_path_factory.mktemp("platform")
    shell = Shell(folder / "data", folder)
    assert "Tenure is up at" in shell.run("up", "--detach", "--port", str(free_port())).stdout
    yield shell
    shell.run("down")
    assert shell.processes() == []


@pytest.fixture
def other_shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell with nothing up."""
    shell = Shell(tmp_path / "data", tmp_path)
    yield shell
    shell.run("down")


def test_a_second_platform_in_the_same_folder_is_refused(shell: Shell) -> None:
    for words in (["up", "--detach"], ["demo", "--exit"]):
        assert "a platform is up already at http://127.0.0.1:" in shell.run(*words, status=1).stderr


def test_json_is_all_there_is_on_standard_output(shell: Shell) -> None:
    assert all(finding["ok"] for finding in json.loads(shell.run("doctor", "--json").stdout))
    assert json.loads(shell.run("wait", "--json").stdout)["drained"] is True
    assert all(json.loads(shell.run("verify", "--json").stdout).values())
    assert json.loads(shell.run("parked", "list", "--json").stdout) == []


def test_an_unknown_member_is_named(shell: Shell) -> None:
    assert shell.run("status", "No/Body", status=1).stderr == "✗ no member No/Body is known here\n"


async def test_wrong_records_of_the_core_are_parked_shown_and_taken_out(shell: Shell) -> None:
    await push(shell, b"P-W", b"{not json")
    await push(shell, b"P-W", b'{"name": "Li", "behind": true}')
    await push(shell, b"P-V", b'{"specversion":"1.0"}')
    deadline = time.monotonic() + 30  # what others publish is waited for once a consumer has heard of it
    while "parked events wait for someone: 3 in policy-sync" not in shell.run("wait").stdout:
        assert time.monotonic() < deadline
    rows = json.loads(shell.run("parked", "list", "--json").stdout)
    assert {(row["service"], row["key"]) for row in rows} == {("policy-sync", "P-W"), ("policy-sync", "P-V")}
    first, behind, other = sorted(rows, key=lambda row: (row["key"] != "P-W", row["seq"]))
    assert behind["code"] == "missing_attribute", "wrong by itself, and it waits all the same"
    shown = json.loads(shell.run("parked", "show", "policy-sync", str(behind["seq"])).stdout)
    assert shown["value"] == {"name": "***", "behind": "***"}
    again = shell.run("parked", "replay").stdout
    assert f"still wrong: policy-sync #{first['seq']}  P-W  " in again
    assert "0 events had their effect now, 3 are still parked" in again
    assert "1 shown of 3 parked" in shell.run("parked", "list", "--limit", "1").stdout
    narrowed = ("--service", "policy-sync", "--key", "P-V", "--code", other["code"], "--older-than", "0")
    assert [r["seq"] for r in json.loads(shell.run("parked", "list", "--json", *narrowed).stdout)] == [other["seq"]]
    assert "✗ parked events: 3 in policy-sync" in shell.run("doctor", status=1).stdout
    seqs = [str(row["seq"]) for row in (first, behind, other)]
    said = shell.run("parked", "discard", "policy-sync", *seqs, "--reason", "a test").stdout
    assert all(f"`tenure parked replay --key '{row['key']}'`" in said for row in (first, other))
    assert shell.run("parked", "list").stdout == "nothing is parked\n"
    gone = shell.run("parked", "discard", "policy-sync", str(first["seq"]), "--reason", "again", status=1)
    assert "policy-sync has no parked event" in gone.stderr
    audit = json.loads(shell.run("parked", "audit", "--json", "--service", "policy-sync").stdout)
    assert {(row["seq"], row["action"], row["reason"]) for row in audit} == {
        (row["seq"], "discarded", "a test") for row in (other, behind, first)
    }


async def push(shell: Shell, key: bytes, value: bytes) -> None:
    bootstrap = Home(shell.folder).addresses().kafka.partition("?")[0]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False) as producer:
        await producer.send_and_wait("core.policy.v1", value, key=key)


async def test_a_run_of_wrong_events_halts_the_consumer_which_says_so_and_goes_on_once_someone_looked(
    shell: Shell,
) -> None:
    for n in range(PARKED_RUN_MAX):
        await push(shell, b"P-%d" % n, b"{not json")
    deadline = time.monotonic() + 60
    while "policy-sync has halted" not in (said := shell.run("doctor", status=1).stdout):
        assert time.monotonic() < deadline, said
    assert "events in a row were parked; see `tenure parked list`, then replay or discard some" in said
    assert "✗ policy-sync has halted: " in shell.run("wait", status=1).stderr
    seqs = [str(row["seq"]) for row in json.loads(shell.run("parked", "list", "--json").stdout)]
    shell.run("parked", "discard", "policy-sync", *seqs, "--reason", "a test")
    while "drained" not in shell.run("wait", status=None).stdout:
        assert time.monotonic() < deadline


def test_the_core_s_control_file_is_compared_and_what_differs_is_asked_for_or_accepted(shell: Shell) -> None:
    terms = Path(__file__).parents[3] / "examples" / "imports"
    shell.run("import", "home-terms", str(terms / "home-terms.csv"))
    words = ("reconcile", str(terms / "control-2018-08-01.csv"), "--on", "2018-08-01")
    said = shell.run(*words, status=1).stdout
    found = json.loads(shell.run(*words, "--json", status=1).stdout)
    differ = {(d["policy_no"], d["kind"]) for d in found["differences"]}
    assert differ == {("P-X-1", "premium_fen"), ("P-X-9", "missing_here")}
    assert all(no in said for no, _ in differ)
    assert "2 of 2 differences are open" in said
    same = ("reconcile", "--control", found["control"]["control_id"])
    taken = shell.run(*same, "--accept", "--reason", "TICKET-7", "--policy", "P-X-9", status=1).stdout
    assert "accepted" in taken
    assert "1 of 2 differences are open" in shell.run(*same, status=1).stdout
    assert "asked the core for the facts of 1 policies again" in shell.run(*same, "--ask-again").stdout
    again = json.loads(shell.run(*words, "--json", status=1).stdout)
    assert [d["policy_no"] for d in again["differences"]] == ["P-X-1"], "the core has not answered yet"


def test_days_come_and_do_not_go(shell: Shell) -> None:
    assert shell.run("tick", "--to", "2018-06-01").stdout == "the calendar stands at 2018-06-01\n"
    shell.run("wait")
    assert "stands at 2018-06-01 already" in shell.run("tick", "--to", "2018-05-01").stdout
    assert "more than 3,660 days" in shell.run("tick", "--to", "2999-01-01", status=1).stderr
    examples = Path(__file__).parents[3] / "examples" / "motor-portfolio"
    late = shell.run("replay", "motor-portfolio", str(examples), "--from", "2018-05-01", "--to", "2018-12-31", status=1)
    assert "this platform's calendar stands at 2018-06-01, after 2018-05-01" in late.stderr


def test_a_killed_command_takes_its_servers_along_and_its_folder_goes_on_in_another_terminal(
    other_shell: Shell,
) -> None:
    with other_shell.foreground() as up:
        up.send_signal(signal.SIGKILL)
        up.wait(10)
    other_shell.until_nothing_is_left()
    assert "does not answer" in other_shell.run("doctor", status=1).stdout
    with other_shell.foreground() as up:
        assert json.loads(other_shell.run("wait", "--json").stdout)["drained"] is True
        assert "a platform" in other_shell.run("up", "--detach", status=1).stderr
        assert "another terminal" in other_shell.run("down", "--reset").stdout
        assert up.wait(30) == 0
    assert other_shell.processes() == []
    assert other_shell.run("down").stdout == "nothing was running\n"


def test_a_platform_in_a_terminal_ends_at_its_interrupt_and_a_taken_port_is_another_port(other_shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with other_shell.foreground(port) as up:
            up.send_signal(signal.SIGINT)
            _, complained = up.communicate(timeout=30)
    assert up.returncode == 0
    assert f"port {port} is taken by another program" in complained
    assert other_shell.processes() == []


def test_a_dead_worker_is_noticed_explained_and_mended_by_starting_again(shell: Shell) -> None:
    os.kill(json.loads((shell.folder / "worker.pid").read_text())["pid"], signal.SIGKILL)
    assert "the worker process ended" in shell.run("wait", status=1).stderr
    said = shell.run("doctor", status=1).stdout
    assert "✗ worker: http://127.0.0.1:" in said
    assert "`tenure down`, then `tenure up --detach` starts everything again; the data stays" in said
    assert "stopped gateway, wheel-broker, postgres" in shell.run("down").stdout
    shell.run("up", "--detach", "--port", str(free_port()))
    assert (
        "✓ worker: http://127.0.0.1:" in shell.run("doctor", status=None).stdout
    )  # what others left parked is still said
