"""A policy changes hands: whoever holds it hears of it in every service, whatever was known first."""

from collections.abc import AsyncIterator
from datetime import date
from itertools import permutations
from typing import Any

import httpx
import pytest
from benefits.service import SERVICE as BENEFITS
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts import core
from tenure.contracts.event import Data
from tenure.settings import Settings
from tenure.testing import Under
from tenure_local import whose_cover
from tier_engine.service import SERVICE as TIER_ENGINE

from .house import House, at, opened

ISSUED = core.PolicyIssued(
    policy_no="P-1",
    member_id="M-1",
    product_line="home",
    start=date(2024, 3, 1),
    end=date(2025, 3, 1),
    premium_fen=900_00,
)
RENEWED = core.PolicyRenewed(
    policy_no="P-1", term_no=2, start=date(2025, 3, 1), end=date(2026, 3, 1), premium_fen=900_00
)
HANDED_OVER = core.PolicyHolderChanged(policy_no="P-1", member_id="M-2", effective=date(2025, 6, 1))
DAY_OF = {ISSUED: "2024-03-01", HANDED_OVER: "2025-01-10", RENEWED: "2025-02-10"}
"""The new holder is announced before the renewal."""


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    async with opened(settings, (POLICY_SYNC, TIER_ENGINE, BENEFITS)) as house:
        yield house


@pytest.mark.parametrize("order", list(permutations(DAY_OF)), ids=lambda o: "-".join(type(f).__name__[6] for f in o))
async def test_who_takes_over_in_the_middle_of_a_term_has_it_everywhere(house: House, order: list[Data]) -> None:
    for fact in order:
        await house.say(fact, at=at(DAY_OF[fact]))
    await house.day(date(2025, 12, 1))
    assert await agrees(house)
    tier = await asked(house["tier-engine"], "/v1/tiers/M-2")
    assert (tier["tier"], tier["covered"]) == ("gold", True)
    in_force = {m: (await asked(house["benefits"], f"/v1/benefits/{m}"))["in_force"] for m in ("M-1", "M-2")}
    assert in_force == {"M-1": False, "M-2": True}


@pytest.mark.parametrize("service", ["tier-engine", "benefits"])
async def test_a_holder_of_whom_a_service_did_not_hear_is_found(house: House, service: str) -> None:
    for fact, day in DAY_OF.items():
        await house.say(fact, at=at(day))
    assert await agrees(house)
    await house[service].pool.execute("DELETE FROM members WHERE member_id = 'M-2'")
    assert not await agrees(house)


async def asked(service: Under, path: str) -> dict[str, Any]:
    answer = await service.http.get(path, headers=service.auth("operator"))
    assert answer.status_code == httpx.codes.OK
    found: dict[str, Any] = answer.json()
    return found


async def agrees(house: House) -> bool:
    async with (
        house["policy-sync"].pool.acquire() as policies,
        house["tier-engine"].pool.acquire() as tiers,
        house["benefits"].pool.acquire() as benefits,
    ):
        return await whose_cover.hold({"policy-sync": policies, "tier-engine": tiers, "benefits": benefits})
