"""Schemathesis against the ledger's own description, on a real PostgreSQL: all its checks, and two of ours, find nothing.

What a schema cannot say stands in `schema_hooks`. By default the routes of reservations, activities, entries, roots and what came to
nothing are asked; with TENURE_LEDGER_LONG=1 every route the service has, and many times as often.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from points_ledger.proof import check
from points_ledger.service import SERVICE
from tenure.edge import create_app, serve
from tenure.embedded.server import free_port
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .long_forms import LONG, sized
from .world import D, did, paid, term

HERE = Path(__file__).parent
EXAMPLES = int(os.environ.get("TENURE_SCHEMA_EXAMPLES") or sized(5, 60))
MINE = "^/v1/(holds|activities|entries|ledger/roots|wallets/.+/unpaid)"
PATIENT = {"clock": "events", "answer_timeout_s": 60.0, "pool_acquire_timeout_s": 30.0}
CONFIG = (HERE / "schemathesis.toml").read_text()


@asynccontextmanager
async def without_a_pulse(_: FastAPI) -> AsyncIterator[None]:
    """A machine that is busy with other tests would look like a database that is down."""
    yield


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[tuple[Under, str]]:
    async with under_test(SERVICE, settings.model_copy(update=PATIENT)) as t:
        await t.feed(paid(term(), 50_000), did("check_up", "2026-01-10"))
        await t.day(D("2026-01-11"))
        stopping, port = asyncio.Event(), free_port()
        app = create_app([(SERVICE, t.door)], t.settings)
        app.router.lifespan_context = without_a_pulse
        serving = asyncio.create_task(serve(app, "127.0.0.1", port, stopping=stopping, grace_s=1))
        yield t, f"http://127.0.0.1:{port}/openapi.json"
        stopping.set()
        await serving


@pytest.mark.slow
@pytest.mark.timeout(1_800 if LONG else 240)
async def test_the_api_is_as_it_describes_itself(served: tuple[Under, str], tmp_path: Path) -> None:
    t, url = served
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    token = t.token("operator", "service", "core", "sre", subject="op-1", ttl_s=3_600)
    words = [
        *("-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", url, "--checks", "all"),
        *("--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing,stateful", "--no-color"),
        *("--header", f"Authorization: Bearer {token}", "--suppress-health-check", "all", "--continue-on-failure"),
        *(() if LONG else ("--generation-deterministic", "--include-path-regex", MINE)),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": str(HERE)}
    ran = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await ran.communicate()
    assert ran.returncode == 0, said.decode()[-20_000:]
    assert (await check.examine(t.pool)).wrong == []
