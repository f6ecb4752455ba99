"""The mock core's day on running services: every awkward case comes out as it says, also when the day is sent twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import httpx
import pytest
from tenure.settings import Settings
from tenure_local.api import ApiError
from tenure_local.mock_core import day_of_traffic
from tenure_local.mock_desk import differences

from .running import Running, eventually, running

DAY = date(2026, 3, 2)
CASES = day_of_traffic(DAY)
TRIES_MAX = 120
PAUSE_S = 0.5
pytestmark = pytest.mark.timeout(180)


class Seen:
    """The running services' API, asked as the CLI asks it; answers are looked up before."""

    def __init__(self, here: Running) -> None:
        self._somebody = next(iter(here.services.values()))
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{here.port}", timeout=30)

    def get(self, path: str, *names: str, **params: Any) -> Any:
        headers = self._somebody.auth("operator")
        answer = self._http.get(path.format(*names), params=params, headers=headers)
        if answer.is_error:
            raise ApiError(answer)
        return answer.json()

    def wrong(self) -> dict[str, list[str]]:
        with self._http:
            return {case.name: w for case in CASES if (w := list(differences(self, case, DAY)))}


@pytest.fixture
async def here(settings: Settings) -> AsyncIterator[Running]:
    by_events = settings.model_copy(update={"clock": "events"})
    async with running(["policy-sync", "tier-engine", "points-ledger"], by_events) as platform:
        yield platform


async def send(here: Running) -> None:
    await here.send(*(record for case in CASES for record in case.records))


async def wrong(here: Running) -> dict[str, list[str]]:
    return await asyncio.to_thread(Seen(here).wrong)


async def test_every_awkward_case_comes_out_as_it_says_and_twice_is_once(here: Running) -> None:
    await send(here)
    await here.day(DAY)

    left = await wrong(here)
    for _ in range(TRIES_MAX):
        if not left:
            break
        await asyncio.sleep(PAUSE_S)
        left = await wrong(here)
    assert left == {}
    pool = here.services["policy-sync"].pool
    facts = await pool.fetchval("SELECT count(*) FROM facts")
    assert await pool.fetchval("SELECT count(*) FROM duplicates") == 1, "one fact came again under a new id"
    await send(here)
    await eventually(lambda: _read(here), "the day was read again")
    assert await pool.fetchval("SELECT count(*) FROM facts") == facts
    assert await wrong(here) == {}


async def _read(here: Running) -> bool:
    consumer = here.runtimes["policy-sync"].consumer
    return consumer.caught_up.is_set() and all(
        consumer.positions.get(place, 0) >= high for place, high in consumer.high_water.items()
    )


def test_the_day_covers_the_domain_s_awkward_cases() -> None:
    assert len(CASES) == len({case.name for case in CASES}) == 22
    assert all(case.records and case.expects for case in CASES)
