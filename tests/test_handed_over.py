"""A policy changes hands, and its claims with it: whoever's they are has them in every service, whatever was known first."""

from collections.abc import AsyncIterator
from datetime import date
from itertools import permutations
from typing import Any

import httpx
import msgspec
import pytest
from benefits.service import SERVICE as BENEFITS
from member_view.handing_over import TIMER as OF_PAGES
from member_view.service import SERVICE as MEMBER_VIEW
from notifier.service import SERVICE as NOTIFIER
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
OWN = msgspec.structs.replace(ISSUED, policy_no="P-2", member_id="M-2")
DAY_OF = {ISSUED: "2024-03-01", HANDED_OVER: "2025-01-10", RENEWED: "2025-02-10"}
"""The new holder is announced before the renewal."""


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    async with opened(settings, (POLICY_SYNC, TIER_ENGINE, BENEFITS)) as house:
        yield house


@pytest.fixture
async def whole_house(settings: Settings) -> AsyncIterator[House]:
    """With whoever shows claims, or speaks of them."""
    async with opened(settings, (POLICY_SYNC, TIER_ENGINE, BENEFITS, NOTIFIER, MEMBER_VIEW)) as house:
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


async def test_what_a_merger_brought_and_then_turns_out_to_be_a_third_s_is_theirs_alone(house: House) -> None:
    await house.say(ISSUED, OWN, at=at("2024-03-01"))
    await come_to_be_another_s(house, [MERGED])
    assert await agrees(house)
    await house.say(
        core.PolicyHolderChanged(policy_no="P-1", member_id="M-3", effective=ISSUED.start), at=at("2024-07-01")
    )
    assert await agrees(house)
    premium = {m: (await asked(house["tier-engine"], f"/v1/tiers/{m}"))["annual_premium_fen"] for m in ("M-2", "M-3")}
    assert premium == {"M-2": 900_00, "M-3": 900_00}


@pytest.mark.parametrize("service", ["tier-engine", "benefits"])
async def test_a_holder_of_whom_a_service_did_not_hear_is_found(house: House, service: str) -> None:
    for fact, day in DAY_OF.items():
        await house.say(fact, at=at(day))
    assert await agrees(house)
    await house[service].pool.execute("DELETE FROM members WHERE member_id = 'M-2'")
    assert not await agrees(house)


def claim(step: type[Any], on: str, **more: Any) -> Data:
    made: Data = step(policy_no="P-1", claim_no="C-1", on=date.fromisoformat(on), **more)
    return made


REPORTED = core.ClaimReported(
    policy_no="P-1",
    claim_no="C-1",
    loss_date=date(2024, 4, 5),
    reported_on=date(2024, 4, 6),
    estimate_fen=900_00,
)
BACKDATED = core.PolicyHolderChanged(policy_no="P-1", member_id="M-2", effective=date(2024, 4, 1))
MERGED = core.CustomerMerged(member_id="M-2", merged_id="M-1", on=date(2024, 6, 1))
PARTED = core.CustomerUnmerged(member_id="M-2", merged_id="M-1", on=date(2024, 7, 1))
OF_ANOTHER = [
    # how the claim becomes another's, and whose it is then
    ("held by another since before the loss", [BACKDATED], "M-2"),
    ("merged", [MERGED], "M-2"),
    ("merged and parted again", [MERGED, PARTED], "M-1"),
]


async def come_to_be_another_s(house: House, facts: list[Data]) -> None:
    for n, fact in enumerate(facts):
        await house.say(fact, at=at(f"2024-0{6 + n}-01"))
        await house.day(date(2024, 6 + n, 2))
    if "member-view" in house.services:
        await OF_PAGES.once(house["member-view"].door, house["member-view"].settings)


@pytest.mark.parametrize(("how", "facts", "owner"), OF_ANOTHER, ids=[row[0] for row in OF_ANOTHER])
async def test_a_claim_is_with_whose_it_is_and_open_nowhere_else(
    whole_house: House, how: str, facts: list[Data], owner: str
) -> None:
    house = whole_house
    await house.say(ISSUED, OWN, at=at("2024-03-01"))
    await house.say(REPORTED, at=at("2024-04-06"))
    assert await open_claims(house) == {"M-1": ["C-1 no survey"], "M-2": []}
    await come_to_be_another_s(house, facts)
    assert await agrees(house)
    assert await open_claims(house) == {"M-1": [], "M-2": [], owner: ["C-1 no survey"]}
    entitled = await asked(house["benefits"], "/v1/claims/C-1/entitlements")
    assert (entitled["member_id"], entitled["tier_as_of"]) == (owner, "2024-04-06")
    await house.say(claim(core.ClaimClosed, "2024-08-03"), at=at("2024-08-03"))
    assert await open_claims(house) == {"M-1": [], "M-2": []}


async def test_a_merger_undone_before_its_policies_were_looked_at_leaves_nothing_behind(whole_house: House) -> None:
    house = whole_house
    await house.say(ISSUED, OWN, at=at("2024-03-01"))
    await house.say(REPORTED, at=at("2024-04-06"))
    await house.say(MERGED, at=at("2024-06-01"))
    await house.say(PARTED, at=at("2024-07-01"))
    await house.day(date(2024, 7, 2))
    await OF_PAGES.once(house["member-view"].door, house["member-view"].settings)
    assert await agrees(house)
    assert await open_claims(house) == {"M-1": ["C-1 no survey"], "M-2": []}
    assert (await asked(house["benefits"], "/v1/claims/C-1/entitlements"))["member_id"] == "M-1"


@pytest.mark.parametrize(("how", "facts", "owner"), OF_ANOTHER, ids=[row[0] for row in OF_ANOTHER])
@pytest.mark.parametrize("paid", [[], [claim(core.ClaimPaid, "2024-04-20", amount_fen=900_00)]], ids=["open", "paid"])
async def test_history_is_no_news_when_it_turns_out_to_be_another_s(
    whole_house: House, paid: list[Data], how: str, facts: list[Data], owner: str
) -> None:
    """A claim that was imported with its policy; what happens to it from then on is news to whose it is.

    One that was paid is open again only then, and what their tier grants for it is news as well.
    """
    house = whole_house
    await house.say(ISSUED, REPORTED, *paid, at=at("2024-04-20"), backfill=True)
    await house.say(OWN, at=at("2024-05-01"))
    await come_to_be_another_s(house, facts)
    assert not [name for name in await house.messages() if name.startswith("claim_")]
    assert await agrees(house)
    await house.say(claim(core.ClaimReopened, "2024-08-03"), at=at("2024-08-03"))
    news = ["claim_advised", "claim_progress"] if paid else ["claim_progress"]
    assert [name for name in await house.messages() if name.startswith("claim_")] == news
    to = await house["notifier"].pool.fetch("SELECT member_id FROM message WHERE template LIKE 'claim_%'")
    assert {row["member_id"] for row in to} == {owner}


async def open_claims(house: House) -> dict[str, list[str]]:
    """As the members' pages show them."""
    found = {}
    for member in ("M-1", "M-2"):
        answer = await house["member-view"].http.get(
            f"/v1/members/{member}/status", headers=house["member-view"].auth("operator")
        )
        shown = answer.json()["claims"] if answer.status_code == httpx.codes.OK else []
        found[member] = [c["claim_no"] + " no survey" * c["on_site_survey_waived"] for c in shown]
    return found


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
        found = await whose_cover.hold({"policy-sync": policies, "tier-engine": tiers, "benefits": benefits})
    return all(found.values())
