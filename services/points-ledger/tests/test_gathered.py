"""Reservations that arrive together share a transaction: many callers, few commits, each with an answer of their own.

TENURE_LEDGER_LONG=1 measures what that is worth on a PostgreSQL with fsync, against one transaction for each.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import structlog
from msgspec.structs import replace
from points_ledger.service import SERVICE
from tenure.edge.http import create_app
from tenure.embedded.choose import start_postgres
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .long_forms import LONG
from .world import D, did

log = structlog.get_logger(__name__)
CALLERS, MEMBERS, PAIRS, LEG_S = 64, 200, 5, 4.0
RATIO_MIN = 1.5


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await ready(under)
        yield under


async def ready(t: Under) -> None:
    await t.feed(*(replace(did("check_up", "2026-01-10"), member_id=f"M-{n}") for n in range(MEMBERS)))
    await t.day(D("2026-01-11"))


async def place(http: httpx.AsyncClient, headers: dict[str, str], n: int) -> None:
    body = {"member_id": f"M-{n % MEMBERS}", "points": 1, "hold_id": f"H-{n}"}
    answer = await http.post("/v1/holds", json=body, headers={**headers, "Idempotency-Key": f"k-{n}"})
    assert answer.status_code in (201, 409), answer.text


async def test_many_at_once_share_few_transactions(t: Under) -> None:
    headers = {"Authorization": f"Bearer {t.token('service', subject='mall')}"}
    await asyncio.gather(*(place(t.http, headers, n) for n in range(CALLERS)))
    held, transactions = await t.pool.fetchrow("SELECT count(*), count(DISTINCT xmin::text) FROM holds")
    assert held == CALLERS
    assert transactions <= CALLERS // 8


@pytest.mark.skipif(not LONG, reason="measures; TENURE_LEDGER_LONG=1 asks for it")
@pytest.mark.timeout(300)
async def test_sharing_transactions_is_worth_it(settings: Settings, tmp_path: Path) -> None:
    server = start_postgres(tmp_path / "durable", durable=True)
    try:
        patient = settings.model_copy(update={"database_url": server.url, "clock": "events"})
        async with under_test(SERVICE, patient) as t:
            await ready(t)
            rates: dict[int, list[float]] = {1: [], settings.gather_items_max: []}
            for n in range(PAIRS):
                for items in sorted(rates, reverse=n % 2 == 0):
                    rates[items].append(await rate(t, patient.model_copy(update={"gather_items_max": items}), n))
    finally:
        server.stop()
    alone, together = rates.values()
    ratio = sorted(b / a for a, b in zip(alone, together, strict=True))[PAIRS // 2]
    log.info("measured", ratio=round(ratio, 2), alone=[round(r) for r in alone], together=[round(r) for r in together])
    assert ratio >= RATIO_MIN


async def rate(t: Under, settings: Settings, leg: int) -> float:
    """Reservations a second that so many callers get, each waiting for its answer before it asks again."""
    app, until, done = create_app([(SERVICE, t.door)], settings), time.monotonic() + LEG_S, 0
    headers = {"Authorization": f"Bearer {t.token('service', subject=f'mall-{leg}-{settings.gather_items_max}')}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tenure") as http:

        async def caller(number: int) -> None:
            nonlocal done
            n = number
            while time.monotonic() < until:
                body = {"member_id": f"M-{n % MEMBERS}", "points": 1}
                answer = await http.post("/v1/holds", json=body, headers={**headers, "Idempotency-Key": f"k-{n}"})
                assert answer.status_code in (201, 409), answer.text
                n, done = n + CALLERS, done + 1

        await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    return done / LEG_S
