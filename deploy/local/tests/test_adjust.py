"""`tenure adjust FILE` run twice, by a nervous operator or after a time-out, proposes once; on a ledger on real PostgreSQL."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from points_ledger.service import SERVICE
from tenure.contracts.activity import ActivityCompleted
from tenure.edge import create_app, serve
from tenure.embedded.server import free_port
from tenure.settings import Settings
from tenure.testing import Under, under_test

TENURE = Path(sys.executable).with_name("tenure")
DAY = date(2026, 6, 15)
HEAD = "member_id,points,reason,ticket"
GOOD, REFUSED = f"{HEAD}\nM-1,10,goodwill,T-1\n", f"{HEAD}\nM-404,10,goodwill,T-2\n"
Adjust = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await under.feed(ActivityCompleted(member_id="M-1", activity_id="c-1", kind="check_up", on=DAY))
        await under.day(DAY)
        yield under


@pytest.fixture
async def adjust(t: Under, tmp_path: Path, keys: tuple[Path, Path]) -> AsyncIterator[Adjust]:
    """`tenure adjust`: its exit status, and what it said."""
    port, stopping = free_port(), asyncio.Event()
    serving = asyncio.create_task(
        serve(create_app([(SERVICE, t.door)], t.settings), "127.0.0.1", port, stopping=stopping)
    )
    named = {"TENURE_SERVICE_URL": f"http://127.0.0.1:{port}", "TENURE_JWT_PRIVATE_KEY_FILE": str(keys[0])}
    file = tmp_path / "file.csv"

    async def run(text: str, *words: str, who: str = "op-1", command: str = "adjust") -> tuple[int, str]:
        file.write_text(text, encoding="utf-8")
        what = [str(file)] if command == "adjust" else [text]
        ran = await asyncio.create_subprocess_exec(
            *(TENURE, command, *what, "--as", who, *words),
            env={**os.environ, "TENURE_TOKEN": "", "TENURE_DATA_DIR": str(tmp_path / "data"), **named},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await ran.communicate()
        assert ran.returncode is not None
        return ran.returncode, said.decode()

    yield run
    stopping.set()
    await serving


async def proposed(t: Under) -> list[tuple[str, str]]:
    return [tuple(row) for row in await t.pool.fetch("SELECT DISTINCT batch, proposed_by FROM adjustments ORDER BY 2")]


async def test_a_file_sent_twice_is_proposed_once_unless_again_is_said(t: Under, adjust: Adjust) -> None:
    status, said = await adjust(GOOD)
    ((batch, _),) = await proposed(t)
    assert (status, f"proposed as {batch}" in said) == (0, True), said
    status, said = await adjust(GOOD)
    assert (status, f"proposed before as {batch}, and it waits" in said, "--again" in said) == (0, True, True), said
    assert await proposed(t) == [(batch, "op-1")]
    as_json: dict[str, Any] = json.loads((await adjust(GOOD, "--json"))[1])
    assert (as_json["batch"], as_json["proposed_before"]) == (batch, True)
    assert (await adjust(batch, who="op-2", command="approve-adjustments"))[0] == 0
    status, said = await adjust(batch, who="op-2", command="approve-adjustments")
    assert (status, f"nothing of {batch} waits any more" in said) == (0, True), said
    status, said = await adjust("B-404", who="op-2", command="approve-adjustments")
    assert (status, "no file of adjustments B-404 is known here" in said) == (1, True), said
    assert f"proposed before as {batch}, and nothing of it waits any more" in (await adjust(GOOD))[1]
    assert "proposed as" in (await adjust(GOOD, "--again"))[1]
    assert len(await proposed(t)) == 2
    assert "proposed as" in (await adjust(GOOD, who="op-3"))[1], "another person's is another proposal"
    assert len(await proposed(t)) == 3


async def test_a_file_that_was_refused_is_judged_anew_each_time(t: Under, adjust: Adjust) -> None:
    assert (await adjust(REFUSED, "--dry-run"))[0] == 1
    for _ in range(2):
        status, said = await adjust(REFUSED)
        assert (status, "row 2, M-404: unknown_member" in said) == (1, True), said
    await t.feed(ActivityCompleted(member_id="M-404", activity_id="c-2", kind="check_up", on=DAY))
    status, said = await adjust(REFUSED)
    assert (status, "proposed as" in said) == (0, True), said
    assert len(await proposed(t)) == 1
