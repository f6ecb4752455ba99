"""Mergers and their undoing, heard in another order than they happened: each person has the same, in every service, as heard in order."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from typing import Any, Final

import pytest
from benefits.gathering import TIMER as OF_BENEFITS
from benefits.service import SERVICE as BENEFITS
from member_view.handing_over import TIMER as OF_PAGES
from member_view.service import SERVICE as MEMBER_VIEW
from msgspec.structs import replace
from notifier.gathering import TIMER as OF_MESSAGES
from notifier.service import SERVICE as NOTIFIER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts import core, policy
from tenure.contracts.event import Data
from tenure.settings import Settings
from tier_engine.service import SERVICE as TIER_ENGINE

from .house import House, at, opened
from .test_handed_over import ISSUED, OWN, REPORTED, agrees

PEOPLE: Final = ("M-1", "M-2", "M-3")
THIRD: Final = replace(ISSUED, policy_no="P-3", member_id="M-3")
USED: Final = "M-1.home_safety.20240301"


def merged(survivor: str, gone: str, on: date) -> core.CustomerMerged:
    return core.CustomerMerged(member_id=survivor, merged_id=gone, on=on)


def parted(survivor: str, gone: str, on: date) -> core.CustomerUnmerged:
    return core.CustomerUnmerged(member_id=survivor, merged_id=gone, on=on)


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    """Three people, each with a policy; the first had a claim, a message about it and one use of a service."""
    async with opened(settings, (POLICY_SYNC, TIER_ENGINE, BENEFITS, NOTIFIER, MEMBER_VIEW)) as house:
        await house.say(ISSUED, OWN, THIRD, at=at("2024-03-01"))
        await house.say(REPORTED, at=at("2024-04-06"))
        await house.day(date(2024, 5, 1))
        await house.messages()
        benefits = house["benefits"]
        answer = await benefits.http.post(f"/v1/benefits/{USED}/use", json={}, headers=benefits.auth("operator"))
        assert answer.is_success
        yield house


async def lived(house: House, facts: Sequence[Data]) -> None:
    for fact in facts:
        await house.say(fact, at=at(str(fact.on)))
        await settled(house, fact.on + timedelta(days=1))


async def settled(house: House, day: date) -> None:
    """Each service's timers have their turn, and what they move is heard."""
    await house.day(day)
    for name, once in (("member-view", OF_PAGES.once), ("benefits", OF_BENEFITS.once), ("notifier", OF_MESSAGES.once)):
        while await once(house[name].door, house[name].settings):
            pass
    await house.carry()
    await house.messages()


async def all_is_with(house: House, person: str) -> None:
    """The use, the message, the claim and what is shown of it; nobody else has any of it, and every audit holds."""
    has = await has_of_the_first(house)
    assert has == {**dict.fromkeys(PEOPLE, (0, 0, 0)), person: (1, 1, 1)}
    entitled = await asked(house, "benefits", "/v1/claims/C-1/entitlements")
    assert entitled["member_id"] == person
    assert await agrees(house)
    for service in ("benefits", "messages"):
        name = "notifier" if service == "messages" else service
        assert set((await asked(house, name, f"/v1/{service}/verify")).values()) == {True}


async def has_of_the_first(house: House) -> dict[str, tuple[int, int, int]]:
    """Uses of services, messages about the claim, and the claim as shown."""
    inbox = await house["notifier"].pool.fetch("SELECT member_id FROM message WHERE template LIKE 'claim_progress%'")
    found = {}
    for person in PEOPLE:
        benefits = await asked(house, "benefits", f"/v1/benefits/{person}")
        is_own = benefits.get("member_id") == person
        shown = await asked(house, "member-view", f"/v1/members/{person}/status")
        found[person] = (
            sum(b["used"] for b in benefits["benefits"]) if is_own else 0,
            [row["member_id"] for row in inbox].count(person),
            len(shown.get("claims", ())),
        )
    return found


async def asked(house: House, name: str, path: str) -> dict[str, Any]:
    answer = await house[name].http.get(path, headers=house[name].auth("operator"))
    found: dict[str, Any] = answer.json()
    return found


WRONG: Final = merged("M-2", "M-1", date(2024, 6, 1))
UNDONE: Final = parted("M-2", "M-1", date(2024, 6, 10))
AGAIN: Final = merged("M-2", "M-1", date(2024, 6, 20))
RIGHT: Final = merged("M-3", "M-1", date(2024, 6, 20))
ON: Final = merged("M-3", "M-2", date(2024, 6, 20))
BACK: Final = merged("M-1", "M-2", date(2024, 6, 20))
RING: Final = merged("M-1", "M-3", date(2024, 6, 21))
LATE: Final = [
    # what happened, what of it is read last, and whose all is then
    pytest.param((WRONG, UNDONE, AGAIN), None, "M-2", id="in order"),
    pytest.param((WRONG, UNDONE, AGAIN), (policy.CustomerUnmerged, "M-1"), "M-2", id="the other copy of an undoing"),
    pytest.param((WRONG, ON), (policy.CustomerMerged, "M-2"), "M-3", id="the first merger of a chain"),
    pytest.param((WRONG, RIGHT), (policy.CustomerMerged, "M-2"), "M-3", id="a merger that another took the place of"),
    pytest.param((WRONG, BACK), None, "M-1", id="the other way round"),
    pytest.param(
        (WRONG, UNDONE, BACK),
        ((policy.CustomerMerged, policy.CustomerUnmerged), "M-2"),
        "M-1",
        id="the wrong way round first",
    ),
    pytest.param((WRONG, ON, RING), None, "M-1", id="a ring"),
]


@pytest.mark.parametrize(("facts", "last", "person"), LATE)
async def test_who_remains_has_all_of_it_whatever_is_read_last(
    house: House, facts: Sequence[core.CustomerMerged], last: tuple[Any, str] | None, person: str
) -> None:
    if last is not None:
        house.is_late = lambda e: isinstance(e.data, last[0]) and e.key == last[1]
    await lived(house, facts)
    await house.catch_up()
    await settled(house, date(2024, 7, 2))
    await all_is_with(house, person)


async def test_a_renewal_reminder_outlives_a_merger_in_the_night_before_it_is_told(house: House) -> None:
    await house.day(date(2025, 2, 1))
    await house.say(merged("M-2", "M-1", date(2025, 2, 1)), at=at("2025-02-01", 0, 30))
    await house.day(date(2025, 2, 1))
    await house.messages()
    told = await house["notifier"].pool.fetch(
        "SELECT text_en FROM message WHERE member_id = 'M-2' AND template = 'policy_expiring'"
    )
    assert any("P-1" in row["text_en"] for row in told)
