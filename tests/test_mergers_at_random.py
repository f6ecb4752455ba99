"""Mergers and undoings at random, read by every service in an order of its own: each person ends with the same as read in order.

Between them policies are paid for, endorsed, refunded, ended and handed to others, and losses reported. Seeds say what happens and what
is read next. Both of these show benefits what follows a parting before the parting itself; one a tier before the merger that it follows.
Pages say how many uses are left. More orders of more lives stand beside the
rules of the two that hold points and terms (`test_told_in_disorder.py` there); what a page was told meanwhile is left out.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import pytest
from msgspec.structs import replace
from tenure.contracts import core
from tenure.contracts.event import Data, Event
from tenure.contracts.topics import TOPIC_OF
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure_local import given_up

from .house import House, at, opened
from .lives import day_of
from .test_given_up import PAID, SERVICES, of, otherwise_on_the_page, shown
from .test_handed_over import ISSUED
from .test_mergers_in_disorder import settled

NUMBERS: Final = ("M-1", "M-2", "M-3", "M-4")
FIRST: Final = date(2024, 6, 1)
WORDS: Final = 6
SEEDS: Final = (8, 10)


def life(seed: int) -> list[Data]:
    """What the core says of four numbers, day by day: nobody is parted from one who is merged, and no ring is closed."""
    dice, into, said = random.Random(seed), dict[str, str](), list[Data]()
    while len(said) < WORDS:
        old, new = dice.sample(NUMBERS, 2)
        day = FIRST + timedelta(len(said))
        if into.get(old) == new and new not in into:
            said.append(core.CustomerUnmerged(member_id=new, merged_id=old, on=day))
            del into[old]
        elif into.get(old) != new and old not in _way(new, into):
            said.append(core.CustomerMerged(member_id=new, merged_id=old, on=day))
            into[old] = new
        said += befallen(dice, day) if said else []
    return said[: 2 * WORDS]


def befallen(dice: random.Random, day: date) -> list[Data]:
    """What comes between: of one of the four policies, whoever's it is by then."""
    about: dict[str, Any] = {"policy_no": f"P-{dice.randint(1, 4)}", "term_no": 1}
    claim: dict[str, Any] = {"policy_no": about["policy_no"], "claim_no": f"C-{day.day}"}
    return dice.choice(
        [
            [],
            [core.PremiumPaid(**about, amount_fen=77_00, paid_on=day, instalment_no=2)],
            [core.PremiumRefunded(**about, amount_fen=50_00, refunded_on=day)],
            [core.PolicyEndorsed(**about, effective=day, premium_delta_fen=300_00, endorsement_no="E-1")],
            [core.ClaimReported(**claim, loss_date=day, reported_on=day, estimate_fen=500_00)],
            [core.PolicyCancelled(**about, effective=day, kind="mid_term")],
            [core.PolicyHolderChanged(**about, member_id=dice.choice(NUMBERS), effective=day)],
        ]
    )


def _way(number: str, into: dict[str, str]) -> list[str]:
    """The number, and those it was merged into, one after the other."""
    return [number, *(_way(into[number], into) if number in into else ())]


class Shuffled(House):
    """Each service reads what is told under one number in its order, and whose it reads next is up to the dice."""

    def __init__(self, house: House, seed: int) -> None:
        super().__init__(house.services)
        self.dice, self.queues = random.Random(seed), defaultdict[tuple[str, str, str], list[Event]](list)

    async def _deliver(self, events: Sequence[Event]) -> None:
        for name in self.services:
            for event in events:
                if name in TOPIC_OF[event.type].consumers:
                    self.queues[name, TOPIC_OF[event.type].name, event.key].append(event)

    async def drain(self) -> None:
        await self.carry()
        while waiting := sorted(key for key, events in self.queues.items() if events):
            key = self.dice.choice(waiting)
            reader, event = self.services[key[0]], self.queues[key].pop(0)
            await reader.deliver([reader.as_record(encode(event))])
            assert await reader.parked() == [], event
            await self.carry()


async def lived(house: House, facts: Sequence[Data]) -> House:
    for n, number in enumerate(NUMBERS, 1):
        issued = replace(ISSUED, policy_no=f"P-{n}", member_id=number)
        await house.say(issued, replace(PAID, policy_no=f"P-{n}", amount_fen=n * 100_00), at=at("2024-03-01"))
    await house.day(date(2024, 5, 1))
    await drained(house)
    await use(house, "M-1", "M-3", "M-3")
    await drained(house)
    for fact in facts:
        await house.say(fact, at=at(str(day_of(fact))))
        await house["policy-sync"].day(day_of(fact))
    for day in (date(2024, 6, 10), date(2024, 7, 2)):
        await drained(house)
        await settled(house, day)
    await drained(house)
    return house


async def use(house: House, *members: str) -> None:
    """Visits, before any two of them are one person."""
    t = house["benefits"]
    for member in members:
        grants = (await shown(house, "benefits", f"/v1/benefits/{member}"))["benefits"]
        grant = next(b for b in grants if b["kind"] == "service" and b["quota"] and b["usable"] and b["remaining"])
        answer = await t.http.post(f"/v1/benefits/{grant['grant_id']}/use", json={}, headers=t.auth("operator"))
        assert answer.status_code == 200, answer.text
    await house.day(date(2024, 5, 2))


async def drained(house: House) -> None:
    if isinstance(house, Shuffled):
        await house.drain()


async def what_each_has(house: House) -> dict[str, Any]:
    """Points, benefits and tier of each number; what is left under one that was given up, or taken for another's, is wrong."""
    pools: dict[str, Any] = {name: t.pool for name, t in house.services.items()}
    assert [x async for persons in given_up._given_up(pools["policy-sync"]) for x in await of(pools, persons)] == []
    found = {}
    for number in NUMBERS:
        purse = await shown(house, "points-ledger", f"/v1/wallets/{number}")
        tier = await shown(house, "tier-engine", f"/v1/tiers/{number}")
        page = await shown(house, "benefits", f"/v1/benefits/{number}")
        has = sorted((b["grant_id"], b["usable"], b["used"]) for b in page.get("benefits", ()) if b["grant_id"])
        assert await otherwise_on_the_page(house, number) == []
        found[number] = (
            purse.get("wallets"),
            has,
            *(tier.get(name) for name in ("tier", "insured_days", "annual_premium_fen")),
        )
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_is_read_first_each_ends_with_the_same(settings: Settings, seed: int) -> None:
    facts = life(seed)
    async with opened(settings, SERVICES) as house:
        ordered = await what_each_has(await lived(house, facts))
    async with opened(settings, SERVICES) as house:
        assert await what_each_has(await lived(Shuffled(house, seed), facts)) == ordered, facts
