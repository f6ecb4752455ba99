"""A wallet read on a day whose tick has not come yet says what the tick will do: points that become active repay a debt first.

| owed | becomes active, and lasts | the wallet that day, tick or none |
| --- | --- | --- |
| nothing | 200 | 200 |
| nothing | 200, until 31 March 2028 | that day 200, and nothing on the next |
| 150 | 200 | 50, nothing owed |
| 150 | 100 | nothing, 50 owed |
| 150 | 100, and 100 a week later | the first day 50 owed, then 50 |
| 150 | 100, expired since; 100 later | 50: what expires has repaid before |
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from points_ledger import reads
from points_ledger.service import SERVICE
from tenure.contracts.decision import DayReached
from tenure.contracts.points import Wallet
from tenure.settings import Settings
from tenure.spine.transact import Item
from tenure.testing import Under, under_test

from .long_forms import sized
from .test_state_machine import lived
from .world import D, M, World, cancelled, paid, term

ACTIVE, LATER, OVER = D("2026-03-10"), D("2026-03-17"), D("2028-04-02")


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


async def read(t: Under) -> dict[Wallet, reads.Balance]:
    """As the app is told today."""
    today = await t.pool.fetchval("SELECT day FROM calendar")
    return (await reads.wallet(t.pool, M, today)).wallets


async def owing(t: Under, points: int) -> None:
    """So many points were spent of a policy that never was."""
    first = term(policy_no="P-0")
    await t.feed(paid(first, points * 100, "2026-01-01"))
    await t.day(D("2026-01-02"))
    await t.http.post("/v1/holds", json={"member_id": M, "points": points, "hold_id": "H"}, headers=t.auth("service"))
    await t.http.post("/v1/holds/H/capture", headers=t.auth("service"))
    await t.feed(cancelled(first, "2026-02-01", "flat"))


CASES = [
    pytest.param(0, {ACTIVE: 200}, ACTIVE, (200, 0), id="nothing owed"),
    pytest.param(0, {ACTIVE: 200}, D("2028-03-31"), (200, 0), id="on its last day"),
    pytest.param(0, {ACTIVE: 200}, D("2028-04-01"), (0, 0), id="on the day after"),
    pytest.param(150, {ACTIVE: 200}, ACTIVE, (50, 0), id="more than is owed"),
    pytest.param(150, {ACTIVE: 100}, ACTIVE, (0, 50), id="less than is owed"),
    pytest.param(150, {ACTIVE: 100, LATER: 100}, ACTIVE, (0, 50), id="the first of two"),
    pytest.param(150, {ACTIVE: 100, LATER: 100}, LATER, (50, 0), id="both at once"),
    pytest.param(150, {ACTIVE: 100, OVER: 100}, OVER, (50, 0), id="the first is over by then"),
]


@pytest.mark.parametrize(("owed", "pending", "today", "then"), CASES)
async def test_what_becomes_active_repays_a_debt_first(
    t: Under, owed: int, pending: dict[Any, int], today: Any, then: tuple[int, int]
) -> None:
    if owed:
        await owing(t, owed)
    for n, (active, points) in enumerate(pending.items(), 1):
        sold = term(policy_no=f"P-{n}", cooling_off_end=active)
        await t.feed(paid(sold, points * 100, "2026-03-01"))
    await t.door.transact([], day=today)
    before = await read(t)
    assert (before["points"].available, before["points"].debt) == then
    await t.day(today)
    assert await read(t) == before


@pytest.mark.parametrize("seed", range(sized(3, 30)))
async def test_whatever_happened_a_tick_changes_nothing_that_was_read(t: Under, seed: int) -> None:
    """Lives of fifty random steps: each day's wallet is read before its tick, and after it."""
    world = World(t.door.programme)
    for data, day in lived(seed).steps:
        before = (await reads.wallet(t.pool, M, day)).wallets
        await t.door.transact([Item(world.event(data, day))])
        if isinstance(data, DayReached):
            assert (await reads.wallet(t.pool, M, day)).wallets == before, day
