"""Debian's Prometheus, or the reason why there is none: promtool for rules, and a server that scrapes what a test serves."""

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
RULES: Final = ROOT / "deploy/prometheus/rules/tenure.yml"
READY_WITHIN_S: Final = 30.0


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`. Skips without one; in CI that is a failure."""
    if found := shutil.which(name):
        return found
    why = f"no {name} on the path: `tools/debian.sh prometheus` installs it as root on Debian"
    if os.environ.get("CI"):
        pytest.fail(f"CI needs a real Prometheus: {why}")
    pytest.skip(why)


def rules() -> dict[str, dict[str, Any]]:
    """Every alert by name."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


class Prometheus:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **params: str) -> Any:
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        with urllib.request.urlopen(f"{self.url}{path}{query}", timeout=10) as answer:  # noqa: S310 - loopback
            return json.load(answer)["data"]

    def ask(self, expr: str) -> list[dict[str, Any]]:
        """The result of a query: series with their newest values. Raises HTTPError for what it cannot parse."""
        result = self.get("/api/v1/query", query=expr)["result"]
        return list(result)

    def firing(self) -> dict[str, dict[str, Any]]:
        """Alerts that fire now, by name."""
        return {a["labels"]["alertname"]: a for a in self.get("/api/v1/alerts")["alerts"] if a["state"] == "firing"}


@contextmanager
def serving(folder: Path, config: dict[str, Any], *, port: int) -> Iterator[Prometheus]:
    """A Prometheus with this configuration on a port of loopback."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told)
        try:
            server = Prometheus(f"http://127.0.0.1:{port}")
            until(lambda: _is_ready(server.url), READY_WITHIN_S, "Prometheus is not ready")
            yield server
        finally:
            process.kill()
            process.wait(10)


def until(holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError:
        return False
