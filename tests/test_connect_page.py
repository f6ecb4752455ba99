"""docs/connect-a-core.md takes a newcomer from one event to a balance: its words exist, and (by hand: minutes) its commands do.

TENURE_CONNECT_PAGE=1 runs every command as it stands, in order, on a platform of its own; only the port is another.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from tenure.embedded.server import free_port
from tenure_local.cli import app
from typer.main import get_command

from .prometheus import ROOT

PAGE: Final = ROOT / "docs" / "connect-a-core.md"
BLOCKS: Final = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
TENURE: Final = re.compile(r"\.venv/bin/tenure ([^)|`\n]+)")


@pytest.mark.parametrize("words", sorted({w.strip() for block in BLOCKS for w in TENURE.findall(block)}))
def test_a_command_on_the_page_is_one_that_there_is(words: str) -> None:
    name, *rest = words.split()
    command: Any = get_command(app).commands[name]  # type: ignore[attr-defined]
    options = {opt for parameter in command.params for opt in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options


def test_every_file_the_page_names_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (PAGE.parent / link).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif("TENURE_CONNECT_PAGE" not in os.environ, reason="run by hand: it starts a whole platform")
def test_every_command_on_the_page_does_what_the_page_says(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "TENURE_DATA_DIR": str(tmp_path / "data")}
    environment = {k: v for k, v in environment.items() if k not in ("TENURE_KAFKA", "TENURE_DATABASE_URL")}
    said = []
    try:
        for block in BLOCKS:
            script = "set -eo pipefail\n" + block.replace("localhost:8080", f"localhost:{port}")
            script = script.replace("up --detach", f"up --detach --port {port}")
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, block + done.stdout + done.stderr
            said.append(done.stdout)
    finally:
        subprocess.run(
            [".venv/bin/tenure", "down"], cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False
        )
    whole = "\n".join(said)
    assert whole.count('"status":"accepted"') == 2
    assert re.search(r"\b300\b", said[2]), "the balance is seen"
    assert "4 rows, 9 facts" in whole
    assert whole.count("✓") >= 22
    assert "✗" not in whole
