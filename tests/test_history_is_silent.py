"""History that was imported brings tiers and benefits up to date, and nobody is told of years long past (DESIGN 4 and 5.5)."""

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from benefits.service import SERVICE as BENEFITS
from member_view.service import SERVICE as MEMBER_VIEW
from notifier.service import SERVICE as NOTIFIER
from points_ledger.service import SERVICE as POINTS_LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.calendar import start_of
from tenure.contracts import core
from tenure.contracts.event import Event
from tenure.settings import Settings
from tier_engine.service import SERVICE as TIER_ENGINE

from .house import House, at, opened

SINCE_2003 = core.PolicyIssued(
    policy_no="P-1",
    member_id="M-1",
    product_line="home",
    start=date(2003, 12, 1),
    end=date(2016, 12, 1),
    premium_fen=200_00,
)
CLAIM = core.ClaimReported(
    claim_no="C-1", policy_no="P-1", reported_on=date(2014, 5, 1), estimate_fen=900_00, loss_date=date(2014, 5, 1)
)
LIVES = date(2016, 11, 1)
"""A month before the policy ends: the first day is also that of its reminder."""


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    services = (POLICY_SYNC, TIER_ENGINE, POINTS_LEDGER, BENEFITS, NOTIFIER, MEMBER_VIEW)
    async with opened(settings, services) as house:
        yield house


def news(told: list[Event]) -> list[str]:
    """What was told as having happened before the first day that was lived, and not as history. What the core is asked to endorse
    bears the day since which it is owed.
    """
    of_the_past = [e for e in told if not e.backfill and e.time < start_of(LIVES)]
    return [f"{e.type} {e.time:%Y-%m-%d}" for e in of_the_past if e.type != "coverage_extension.requested"]


@pytest.mark.parametrize("first", ["policy-sync", "tier-engine", "benefits"])
async def test_the_first_day_tells_nothing_of_the_years_before_it(house: House, first: str) -> None:
    """Whoever lives it first: the reminder of policy-sync, or the steps that time brought."""
    await house.say(SINCE_2003, CLAIM, at=at("2003-12-01"), backfill=True)
    assert await house.messages() == []
    before = len(house.told)
    await house[first].day(LIVES)
    await house.carry()
    await house.day(LIVES)
    await house.day(LIVES + timedelta(1))
    assert news(house.told[before:]) == []
    assert await house.messages() == ["policy_expiring"]
    page = (
        await house["member-view"].http.get("/v1/me", headers=house["member-view"].auth("member", subject="M-1"))
    ).json()
    assert page["tier"]["code"] == "diamond"
