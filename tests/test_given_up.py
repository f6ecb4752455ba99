"""Two numbers turn out to be one person, and then a third: nothing is left under a number that was given up, whatever was heard first."""

from datetime import date
from itertools import permutations
from typing import Any

import pytest
from benefits.service import SERVICE as BENEFITS
from mall.service import SERVICE as MALL
from member_view.service import SERVICE as MEMBER_VIEW
from msgspec.structs import replace
from notifier.service import SERVICE as NOTIFIER
from points_ledger.service import SERVICE as POINTS_LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts import core, policy
from tenure.settings import Settings
from tenure_local import given_up
from tier_engine.service import SERVICE as TIER_ENGINE

from .faults.tampering import TAMPERS, put_back, tamper
from .house import House, at, opened
from .test_handed_over import ISSUED, OWN, REPORTED
from .test_mergers_in_disorder import settled

SERVICES = (POLICY_SYNC, TIER_ENGINE, POINTS_LEDGER, BENEFITS, NOTIFIER, MEMBER_VIEW, MALL)
PAID = core.PremiumPaid(policy_no="P-1", term_no=1, amount_fen=900_00, paid_on=date(2024, 3, 1))
THIRD = replace(ISSUED, policy_no="P-3", member_id="M-3")
WRONG = core.CustomerMerged(member_id="M-2", merged_id="M-1", on=date(2024, 6, 1))
UNDONE = core.CustomerUnmerged(member_id="M-2", merged_id="M-1", on=date(2024, 6, 2))
ON = core.CustomerMerged(member_id="M-3", merged_id="M-2", on=date(2024, 6, 2))
BACK = core.CustomerMerged(member_id="M-1", merged_id="M-2", on=date(2024, 6, 3))
ROUND = core.CustomerMerged(member_id="M-1", merged_id="M-3", on=date(2024, 6, 3))
RIGHT = core.CustomerMerged(member_id="M-3", merged_id="M-1", on=date(2024, 6, 3))


async def lived(house: House, facts: Any) -> None:
    """A policy paid for, a claim, a benefit used and messages, and then these, heard one after the other."""
    await house.say(ISSUED, OWN, THIRD, PAID, at=at("2024-03-01"))
    await house.say(REPORTED, at=at("2024-04-06"))
    await house.day(date(2024, 5, 1))
    await house.messages()
    await used(house)
    for fact in facts:
        await house.say(fact, at=at(fact.on.isoformat()))
    for day in (date(2024, 6, 10), date(2024, 7, 2)):
        await settled(house, day)


async def used(house: House) -> None:
    t = house["benefits"]
    shown = (await t.http.get("/v1/benefits/M-1", headers=t.auth("operator"))).json()
    grant = next(b["grant_id"] for b in shown["benefits"] if b["quota"] and b["usable"] and b["kind"] == "service")
    answer = await t.http.post(f"/v1/benefits/{grant}/use", json={"reference": "W-1"}, headers=t.auth("operator"))
    assert answer.status_code == 200
    await house.day(date(2024, 5, 2))


async def left(house: House, person: str) -> list[str]:
    """What the sentences would complain of; that the person has the points, the use and the claim is asked, too."""
    pools: dict[str, Any] = {name: t.pool for name, t in house.services.items()}
    found = [x async for persons in given_up._given_up(pools["policy-sync"]) for x in await of(pools, persons)]
    purse = (await shown(house, "points-ledger", f"/v1/wallets/{person}"))["wallets"]["points"]
    found += [] if purse["available"] + purse["pending"] == 900 else [f"{person} has {purse}"]
    claim = await shown(house, "benefits", "/v1/claims/C-1/entitlements")
    found += [] if claim["member_id"] == person else [f"the claim is {claim['member_id']}'s"]
    return found + await otherwise_on_the_page(house, person)


async def otherwise_on_the_page(house: House, person: str) -> list[str]:
    """Usable benefits of which the member's page says otherwise than benefits how many uses are left."""
    said = (await shown(house, "member-view", f"/v1/members/{person}/status")).get("benefits", ())
    page = {b["grant_id"]: b["remaining"] for b in said}
    answered = (await shown(house, "benefits", f"/v1/benefits/{person}")).get("benefits", ())
    return [
        f"{b['grant_id']}: {b['remaining']} left, {page.get(b['grant_id'], 'nothing')} on the page"
        for b in answered
        if b["grant_id"] and b["usable"] and page.get(b["grant_id"], "") != b["remaining"]
    ]


async def of(pools: dict[str, Any], persons: dict[str, str]) -> list[str]:
    kept = [x async for x in given_up.left_under(pools, persons)]
    return kept + [x async for x in given_up.astray(pools, persons)]


async def shown(house: House, service: str, path: str) -> Any:
    t = house[service]
    return (await t.http.get(path, headers=t.auth("operator"))).json()


@pytest.mark.parametrize("facts", [*permutations([WRONG, ON])], ids=["in-order", "the-later-first"])
async def test_one_after_the_other(settings: Settings, facts: Any) -> None:
    async with opened(settings, SERVICES) as house:
        await lived(house, facts)
        assert await left(house, "M-3") == []


@pytest.mark.parametrize(
    "facts",
    [(WRONG, UNDONE, RIGHT), (WRONG, RIGHT, UNDONE), (RIGHT, UNDONE, WRONG)],
    ids=lambda facts: "-".join(("wrong", "undone", "right")[f.on.day - 1] for f in facts),
)
async def test_into_the_wrong_person_and_then_the_right_one(settings: Settings, facts: Any) -> None:
    async with opened(settings, SERVICES) as house:
        await lived(house, facts)
        assert await left(house, "M-3") == []


@pytest.mark.parametrize(
    ("facts", "late"),
    [
        *((facts, late) for facts in ((WRONG, BACK), (WRONG, UNDONE, BACK)) for late in (None, "M-2", "M-1")),
        *(((WRONG, ON, ROUND), late) for late in (None, "M-3", "M-2")),
    ],
    ids=lambda told: (
        "-".join(("wrong", "undone", "right")[f.on.day - 1] for f in told) if isinstance(told, tuple) else told
    ),
)
async def test_who_was_merged_and_is_merged_into_has_all_of_it(
    settings: Settings, facts: Any, late: str | None
) -> None:
    """Two, or three in a ring, whichever of them is told last."""
    async with opened(settings, SERVICES) as house:
        house.is_late = lambda e: e.key == late and isinstance(e.data, (policy.CustomerMerged, policy.CustomerUnmerged))
        await lived(house, facts)
        await house.catch_up()
        await settled(house, date(2024, 7, 3))
        assert await left(house, "M-1") == []


@pytest.mark.parametrize(("erased", "first"), [("M-1", True), ("M-2", True), ("M-1", False)])
async def test_of_who_is_erased_nothing_is_left_either(settings: Settings, erased: str, first: bool) -> None:
    gone = core.CustomerErased(member_id=erased, on=date(2024, 6, 1))
    async with opened(settings, SERVICES) as house:
        await lived(house, [gone, WRONG] if first else [WRONG, gone])
        pools: Any = {name: t.pool for name, t in house.services.items()}
        assert [x async for persons in given_up._given_up(pools["policy-sync"]) for x in await of(pools, persons)] == []


async def test_each_sentence_can_be_broken(settings: Settings) -> None:
    async with opened(settings, SERVICES) as house:
        await lived(house, [WRONG])
        pools: Any = {name: t.pool for name, t in house.services.items()}
        assert await given_up.hold(pools) == dict.fromkeys(await given_up.hold(pools), True)
        for sentence in await given_up.hold(pools):
            broken = TAMPERS[sentence]
            await tamper(pools[broken.service], broken)
            assert not (await given_up.hold(pools))[sentence]
            await put_back(pools[broken.service], broken)
