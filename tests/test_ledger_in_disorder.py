"""Points of a person with several numbers, where the log brings mergers and facts in another order than they happened."""

from datetime import date

import pytest
from msgspec.structs import replace
from points_ledger.proof import check
from points_ledger.service import SERVICE as LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts import core
from tenure.contracts.event import Event
from tenure.contracts.policy import PremiumPaid
from tenure.settings import Settings
from tier_engine.service import SERVICE as TIER_ENGINE

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


async def test_a_premium_paid_before_the_merger_and_read_after_it_is_the_survivors(settings: Settings) -> None:
    async with opened(settings, (POLICY_SYNC, LEDGER, TIER_ENGINE)) as house:
        await house.say(ISSUED, OWN, at=at("2024-03-01"))
        held, deliver = list[Event](), house._deliver

        async def all_but_what_was_paid(events: list[Event]) -> None:
            held.extend(event for event in events if isinstance(event.data, PremiumPaid))
            await deliver([event for event in events if not isinstance(event.data, PremiumPaid)])

        house._deliver = all_but_what_was_paid  # type: ignore[assignment, method-assign]
        await house.say(PAID, at=at("2024-03-02"))
        await house.say(FIRST, at=at("2024-06-01"))
        house._deliver = deliver  # type: ignore[method-assign]
        await deliver(held)
        await house.day(date(2024, 6, 10))
        assert await points(house) == {"M-2": 900}
