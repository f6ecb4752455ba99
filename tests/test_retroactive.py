"""A past that changes, through five services: the difference is told once, unused benefits and points follow, and so does one message."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import date

import pytest
from benefits.service import SERVICE as BENEFITS
from notifier.service import SERVICE as NOTIFIER
from points_ledger.service import SERVICE as POINTS_LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts import core
from tenure.contracts.event import Event
from tenure.contracts.tier import TierChanged
from tenure.settings import Settings
from tier_engine.service import SERVICE as TIER_ENGINE

from .house import House, at, opened

SERVICES = (POLICY_SYNC, TIER_ENGINE, POINTS_LEDGER, BENEFITS, NOTIFIER)


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    async with opened(settings, SERVICES) as house:
        yield house


async def of_tiers(house: House) -> list[str]:
    """All that was ever told about the tier."""
    return [name for name in await house.messages() if name.startswith(("tier_", "benefit_revoked"))]


def issued(policy_no: str, start: str, premium: int) -> core.PolicyIssued:
    begins = date.fromisoformat(start)
    return core.PolicyIssued(
        policy_no=policy_no,
        member_id="M-1",
        product_line="home",
        start=begins,
        end=begins.replace(year=begins.year + 1),
        premium_fen=premium * 100,
    )


def paid(policy_no: str, day: str, premium: int, *, term_no: int = 1) -> core.PremiumPaid:
    return core.PremiumPaid(
        policy_no=policy_no,
        term_no=term_no,
        paid_on=date.fromisoformat(day),
        amount_fen=premium * 100,
        instalment_no=1,
    )


def never_was(policy_no: str, day: str) -> core.PolicyCancelled:
    return core.PolicyCancelled(policy_no=policy_no, effective=date.fromisoformat(day), kind="flat")


def changes(events: Sequence[Event]) -> list[tuple[str, str, str, bool]]:
    found = [e.data for e in events if isinstance(e.data, TierChanged)]
    return [(str(c.effective), c.from_tier, c.to_tier, c.retroactive) for c in found]


async def available(house: House) -> int:
    answer = await house["points-ledger"].http.get("/v1/wallets/M-1", headers=house["points-ledger"].auth("operator"))
    points: dict[str, int] = answer.json()["wallets"]["points"]
    return points["available"] + points["pending"] - points["debt"]


async def open_benefits(house: House) -> Counter[str]:
    answer = await house["benefits"].http.get("/v1/benefits/M-1", headers=house["benefits"].auth("operator"))
    return Counter(b["benefit"] for b in answer.json()["benefits"])


async def test_a_policy_that_never_was_takes_its_tier_points_and_benefits_with_it_once(house: House) -> None:
    await house.say(issued("P-1", "2018-01-01", 100), paid("P-1", "2018-01-01", 100), at=at("2018-01-01"))
    await house.day(date(2018, 2, 28))
    as_basic, points_before = await open_benefits(house), await available(house)

    up = await house.say(issued("P-2", "2018-03-01", 900), paid("P-2", "2018-03-01", 900), at=at("2018-03-01"))
    assert changes(up) == [("2018-03-01", "basic", "gold", False)]
    assert await of_tiers(house) == ["tier_upgraded"]
    await house.day(date(2018, 8, 31))
    assert await available(house) == points_before + 900
    assert await open_benefits(house) > as_basic

    gone = await house.say(never_was("P-2", "2018-03-01"), at=at("2018-09-01"))
    assert changes(gone) == [("2018-03-01", "gold", "basic", True)]
    assert await available(house) == points_before
    assert await open_benefits(house) == as_basic
    told = await of_tiers(house)
    assert told.count("tier_upgraded") == 1
    assert told.count("tier_dropped") == 1
    assert "benefit_revoked" not in told, "the loss of the tier already says what went with it"

    again = await house.say(never_was("P-2", "2018-03-01"), at=at("2018-09-02"))
    assert changes(again) == []
    await house.day(date(2018, 9, 30))
    assert await of_tiers(house) == told
    assert await available(house) == points_before


async def test_an_upgrade_that_is_taken_back_within_minutes_is_no_message(house: House) -> None:
    await house.say(issued("P-1", "2018-01-01", 100), at=at("2018-01-01"))
    before = await of_tiers(house)
    up = await house.say(issued("P-2", "2018-03-01", 1_600), at=at("2018-03-01", 12, 0))
    down = await house.say(never_was("P-2", "2018-03-01"), at=at("2018-03-01", 12, 5))
    assert (changes(up)[0][2], changes(down)[0][1:]) == ("diamond", ("diamond", "basic", True))
    assert await of_tiers(house) == before
    assert (await house["tier-engine"].http.get("/v1/tiers/M-1", headers=house["tier-engine"].auth("operator"))).json()[
        "tier"
    ] == "basic"


async def test_history_that_comes_late_lifts_once_and_kindly(house: House) -> None:
    """Cover of years ago is imported at the counter: silver since its anniversary, one message, today."""
    await house.say(issued("P-1", "2018-01-01", 100), at=at("2018-01-01"))
    before = await of_tiers(house)
    late = [issued(f"P-{year}", f"{year}-01-01", 100) for year in (2015, 2016, 2017)]
    told = await house.say(*late, at=at("2018-06-01"))
    assert changes(told)[-1][2] == "silver"
    assert (await of_tiers(house))[len(before) :] == ["tier_upgraded"]
