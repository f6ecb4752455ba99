"""A service whose database is put back to an older state tells again what it had told: its readers know it, and nothing doubles.

The log outlives the database: what was told in the time that was lost stands there, and the facts it came of are read again.
"""

from collections.abc import Sequence

from member_view.service import SERVICE as MEMBER_VIEW
from notifier.service import SERVICE as NOTIFIER
from points_ledger.service import SERVICE as POINTS_LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts.event import Event
from tenure.settings import Settings
from tenure.spine.codec import encode
from tier_engine.service import SERVICE as TIER_ENGINE

from .faults.customers import generation
from .house import House, opened

READERS = (TIER_ENGINE, MEMBER_VIEW, NOTIFIER)


async def hear(house: House, facts: Sequence[Event]) -> list[Event]:
    before = len(house.told)
    core = house["policy-sync"]
    await core.deliver([core.as_record(encode(fact)) for fact in facts])
    await house.catch_up()
    return house.told[before:]


async def seen(house: House) -> dict[str, object]:
    """What a member is shown, was told, and which tier they have."""
    return {
        "pages": await house["member-view"].pool.fetch("SELECT member_id, rendered FROM member_view ORDER BY 1"),
        "messages": await house.messages(),
        "tiers": await house["tier-engine"].pool.fetch("SELECT member_id, state FROM members ORDER BY 1"),
    }


async def test_what_a_database_that_was_put_back_tells_again_is_known_to_its_readers(settings: Settings) -> None:
    facts = generation(0)
    async with opened(settings, (POLICY_SYNC, POINTS_LEDGER, *READERS)) as house:
        told = await hear(house, facts)
        before = await seen(house)
        async with opened(settings, (POLICY_SYNC, POINTS_LEDGER)) as older:
            put_back = House({**house.services, **older.services})
            again = await hear(put_back, facts)
            assert {(e.source, e.id) for e in again} <= {(e.source, e.id) for e in told}
            assert await seen(put_back) == before
