"""A policy is cancelled and goes on under another number (DOMAIN 9): policy-sync and points-ledger lose nothing and reward nothing twice.

Sold for CNY 365.00 from 1 March 2024 and renewed for 2025, it is cancelled on 1 September 2025, CNY 182.00 are refunded, and it goes on
as P-2 for a year at 365.00. Whichever fact is heard first, and however many days lie between, the member has the same points.
"""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

import pytest
from points_ledger.service import SERVICE as POINTS_LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts import core
from tenure.contracts.event import Data
from tenure.settings import Settings

from .house import House, at, opened

Said = tuple[str, Data]
SPRING, AUTUMN = date(2025, 3, 1), date(2025, 9, 1)
PRICE: dict[str, Any] = {"premium_fen": 365_00}
ABOUT: dict[str, Any] = {"member_id": "M-1", "product_line": "home", **PRICE}
OLD: list[Said] = [
    ("2024-02-20", core.PolicyIssued(policy_no="P-1", start=date(2024, 3, 1), end=SPRING, **ABOUT)),
    ("2024-02-20", core.PremiumPaid(policy_no="P-1", amount_fen=365_00, paid_on=date(2024, 2, 20))),
    ("2025-02-10", core.PolicyRenewed(policy_no="P-1", term_no=2, start=SPRING, end=date(2026, 3, 1), **PRICE)),
    ("2025-02-10", core.PremiumPaid(policy_no="P-1", term_no=2, amount_fen=365_00, paid_on=date(2025, 2, 10))),
]
ENDING: list[Said] = [
    ("2025-08-28", core.PolicyCancelled(policy_no="P-1", term_no=2, effective=AUTUMN)),
    ("2025-09-03", core.PremiumRefunded(policy_no="P-1", term_no=2, amount_fen=182_00, refunded_on=date(2025, 9, 3))),
]
NEW: list[Said] = [
    (
        "2025-08-28",
        core.PolicyIssued(policy_no="P-2", start=AUTUMN, end=date(2026, 9, 1), previous_policy_no="P-1", **ABOUT),
    ),
    ("2025-08-28", core.PremiumPaid(policy_no="P-2", amount_fen=365_00, paid_on=date(2025, 8, 28))),
]
PREMIUM = 365 + (365 - 182) + 365
RENEWAL = 200 + 365 * 20 // 100 + 100


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    async with opened(settings, (POLICY_SYNC, POINTS_LEDGER)) as house:
        yield house


async def lived(house: House, order: Sequence[Said], rng: random.Random) -> dict[str, int]:
    """The facts in this order, with days between; what was earned by each rule and stands."""
    for on, fact in order:
        await house.say(fact, at=at(on))
        if rng.random() < 0.5:
            await house.day(date(2026, 3, rng.randint(1, 9)))
    for _ in range(4):
        await house.day(date(2026, 3, 10))
    ledger = house["points-ledger"]
    wallet = (await ledger.http.get("/v1/wallets/M-1", headers=ledger.auth("operator"))).json()["wallets"]["points"]
    assert wallet["debt"] == 0
    rows = await ledger.pool.fetch(
        "SELECT rule, sum(granted - reversed)::int AS points FROM lots WHERE wallet = 'points' GROUP BY rule"
    )
    return {r["rule"]: r["points"] for r in rows}


@pytest.mark.parametrize("seed", range(6))
async def test_a_rewrite_loses_no_points_and_doubles_none_in_any_order(house: House, seed: int) -> None:
    rng = random.Random(seed)
    said = [*OLD, *ENDING, *NEW] if seed != 1 else [*OLD, *NEW, *ENDING]
    order = said if seed < 2 else rng.sample(said, len(said))
    found = await lived(house, order, rng)
    assert found == {"premium": PREMIUM, "renewal": RENEWAL, "anniversary": 100 + 200, "no_claim_year": 2 * 300}


async def test_what_is_not_gone_on_with_goes_by_the_money(house: House) -> None:
    found = await lived(house, [*OLD, *ENDING], random.Random(0))
    assert found == {
        "premium": PREMIUM - 365,
        "renewal": RENEWAL - RENEWAL * 182 // 365,
        "anniversary": 100,
        "no_claim_year": 300,
    }
