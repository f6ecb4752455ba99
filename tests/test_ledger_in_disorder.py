"""Points of a person with several numbers, where the log brings mergers and facts in another order than they happened."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date

import pytest
from msgspec.structs import replace
from points_ledger.proof import check
from points_ledger.service import SERVICE as LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts import core
from tenure.contracts.event import Event
from tenure.contracts.policy import CustomerUnmerged, PremiumPaid
from tenure.settings import Settings
from tier_engine.service import SERVICE as TIER_ENGINE
from tier_engine.verify import verify

from .house import House, at, opened
from .test_handed_over import ISSUED, OWN

THIRD = replace(ISSUED, policy_no="P-3", member_id="M-3")
PAID = core.PremiumPaid(policy_no="P-1", term_no=1, amount_fen=90_000, paid_on=date(2024, 3, 1))
FIRST = core.CustomerMerged(member_id="M-2", merged_id="M-1", on=date(2024, 6, 1))
SECOND = core.CustomerMerged(member_id="M-3", merged_id="M-2", on=date(2024, 6, 2))


async def points(house: House) -> dict[str, int]:
    """What each number has, and that the books hold."""
    rows = await house["points-ledger"].pool.fetch(
        "SELECT member_id, points_pending + points_available FROM accounts ORDER BY 1"
    )
    assert (await check.examine(house["points-ledger"].pool)).wrong == []
    assert await house["points-ledger"].pool.fetchval("SELECT count(*) FROM hand_overs") == 0
    return {row[0]: row[1] for row in rows if row[1]}


@pytest.mark.parametrize("order", [(FIRST, SECOND), (SECOND, FIRST)], ids=["as it happened", "the last one first"])
async def test_two_mergers_in_either_order_leave_everything_with_who_remains(
    settings: Settings, order: tuple[core.CustomerMerged, ...]
) -> None:
    async with opened(settings, (POLICY_SYNC, LEDGER, TIER_ENGINE)) as house:
        await house.say(ISSUED, OWN, THIRD, PAID, at=at("2024-03-01"))
        for told in order:
            await house.say(told, at=at(told.on.isoformat()))
        await house.day(date(2024, 6, 10))
        assert await points(house) == {"M-3": 900}
        await house.say(
            core.CustomerUnmerged(member_id="M-3", merged_id="M-2", on=date(2024, 6, 11)), at=at("2024-06-11")
        )
        await house.day(date(2024, 6, 12))
        assert await points(house) == {"M-2": 900}
        await house.say(
            core.CustomerUnmerged(member_id="M-2", merged_id="M-1", on=date(2024, 6, 13)), at=at("2024-06-13")
        )
        await house.day(date(2024, 6, 14))
        assert await points(house) == {"M-1": 900}


def hold_back(house: House, which: Callable[[Event], bool]) -> Callable[[], Awaitable[None]]:
    """Deliver all but these. What is returned lets them go."""
    held, deliver = list[Event](), house._deliver

    async def all_but_these(events: Sequence[Event]) -> None:
        held.extend(event for event in events if which(event))
        await deliver([event for event in events if not which(event)])

    async def let_go() -> None:
        house._deliver = deliver  # type: ignore[method-assign]
        await deliver(held)

    house._deliver = all_but_these  # type: ignore[method-assign]
    return let_go


async def test_a_premium_paid_before_the_merger_and_read_after_it_is_the_survivors(settings: Settings) -> None:
    async with opened(settings, (POLICY_SYNC, LEDGER, TIER_ENGINE)) as house:
        await house.say(ISSUED, OWN, at=at("2024-03-01"))
        let_go = hold_back(house, lambda event: isinstance(event.data, PremiumPaid))
        await house.say(PAID, at=at("2024-03-02"))
        await house.say(FIRST, at=at("2024-06-01"))
        await let_go()
        await house.day(date(2024, 6, 10))
        assert await points(house) == {"M-2": 900}


LATE: dict[str, Callable[[Event], bool]] = {
    "in order": lambda _: False,
    "the undoing last": lambda event: isinstance(event.data, CustomerUnmerged),
    "the first merger and its undoing last": lambda event: event.key == "M-2" and event.type.startswith("customer."),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
async def test_merged_into_the_wrong_person_parted_and_merged_into_the_right_one(
    settings: Settings, late: Callable[[Event], bool]
) -> None:
    right = core.CustomerMerged(member_id="M-3", merged_id="M-1", on=date(2024, 6, 20))
    undone = core.CustomerUnmerged(member_id="M-2", merged_id="M-1", on=date(2024, 6, 10))
    async with opened(settings, (POLICY_SYNC, LEDGER, TIER_ENGINE)) as house:
        await house.say(ISSUED, OWN, THIRD, PAID, at=at("2024-03-01"))
        let_go = hold_back(house, late)
        for told in (FIRST, undone, right):
            await house.say(told, at=at(told.on.isoformat()))
            await house.day(told.on)
        await let_go()
        await house.day(date(2024, 7, 2))
        assert await points(house) == {"M-3": 900}
        tiers = house["tier-engine"]
        rows = await tiers.pool.fetch("SELECT member_id, merged_into, tier IS NOT NULL AS has FROM members ORDER BY 1")
        assert [tuple(row) for row in rows] == [("M-1", "M-3", False), ("M-2", None, True), ("M-3", None, True)]
        assert set((await verify(tiers.pool, tiers.door.programme)).values()) == {True}
