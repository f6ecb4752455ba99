"""Schemathesis against the mall's own description, with the ledger beside it on one port: all checks find nothing.

Only when asked for, by `TENURE_SCHEMA_EXAMPLES`, the most examples a route; the ledger's own has a short form (`points-ledger`).
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path

import pytest
from mall.ports.ledger import HttpLedger
from mall.saga import Saga
from mall.service import SERVICE as MALL
from mall.worker import open_shelves
from points_ledger.service import SERVICE as LEDGER
from tenure.contracts.activity import ActivityCompleted
from tenure.contracts.tier import Step, TierChanged
from tenure.edge import create_app, serve
from tenure.embedded.server import free_port
from tenure.settings import Settings
from tenure.spine.codec import utc_now
from tenure.spine.gather import Gatherer
from tenure.testing import Under, under_test

EXAMPLES = os.environ.get("TENURE_SCHEMA_EXAMPLES", "")
HOOKS = Path(__file__).parents[1] / "services/points-ledger/tests"
MINE = "^/v1/(catalogue|quotes|orders|mall)"
TODAY, BUYER = date(2026, 3, 9), "M-1"
PATIENT = {"clock": "events", "answer_timeout_s": 60.0, "pool_acquire_timeout_s": 30.0}


async def schemathesis(url: str, token: str, folder: Path) -> tuple[int | None, str]:
    """Run it over the mall's routes. Returns its exit code and what it said."""
    (folder / "schemathesis.toml").write_text((HOOKS / "schemathesis.toml").read_text())
    words = [
        *("-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", url, "--checks", "all"),
        *("--max-examples", EXAMPLES, "--phases", "examples,coverage,fuzzing,stateful", "--no-color"),
        *("--header", f"Authorization: Bearer {token}", "--suppress-health-check", "all", "--continue-on-failure"),
        *("--include-path-regex", MINE),
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schema_hooks", "PYTHONPATH": str(HOOKS)}
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, *words),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await ran.communicate()
    return ran.returncode, said.decode()


async def furnish(ledger: Under, mall: Under) -> None:
    """A member with points, of a tier that may buy, and shelves with goods."""
    steps = (Step(effective=TODAY, tier="basic", cause="first_cover"),)
    joined = TierChanged(
        member_id=BUYER,
        from_tier="none",
        to_tier="basic",
        effective=TODAY,
        retroactive=False,
        reasons=(),
        nearest=None,
        policies=("P-1",),
        insured_days=0,
        annual_premium_fen=0,
        rules_version=1,
        timeline=steps,
    )
    checked = ActivityCompleted(member_id=BUYER, activity_id="c-1", kind="check_up", on=TODAY, value=0)
    await ledger.feed(checked)
    await mall.feed(joined)
    for under in (ledger, mall):
        await under.day(TODAY)


@pytest.mark.skipif(not EXAMPLES, reason="TENURE_SCHEMA_EXAMPLES is not set")
@pytest.mark.timeout(0)
async def test_the_mall_is_as_it_describes_itself(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    own = settings.model_copy(
        update={**PATIENT, "host": "127.0.0.1", "port": port, "service_token_file": tmp_path / "t"}
    )
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(under_test(LEDGER, own))
        mall = await stack.enter_async_context(under_test(MALL, own))
        await furnish(ledger, mall)
        (tmp_path / "t").write_text(mall.token("service", subject="mall", ttl_s=36_000))
        app = create_app([(LEDGER, ledger.door), (MALL, mall.door)], own)
        gatherer = Gatherer(mall.door)
        await open_shelves(Saga(gatherer.submit, HttpLedger(own), mall_day, utc_now), mall.pool, mall.door.programme)
        stopping = asyncio.Event()
        serving = asyncio.create_task(serve(app, "127.0.0.1", port, stopping=stopping, grace_s=1))
        token = mall.token("member", "operator", "service", "sre", subject=BUYER, ttl_s=36_000)
        code, said = await schemathesis(f"http://127.0.0.1:{port}/openapi.json", token, tmp_path)
        verified = await mall.http.get("/v1/mall/verify", headers=mall.auth("sre"))
        stopping.set()
        await serving
    assert code == 0, said[-20_000:]
    assert set(verified.json().values()) == {True}


async def mall_day() -> date:
    return TODAY
