"""Days of outage are caught up in order: what falls due meanwhile is told as if each day had come in its time."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from points_ledger.service import SERVICE as POINTS_LEDGER
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.calendar import local_date, start_of
from tenure.contracts import core
from tenure.contracts.event import Data, Event
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine.codec import encode, event_of
from tenure.testing import under_test
from tier_engine.service import SERVICE as TIER_ENGINE

DAYS = [date(2025, 3, 1) + timedelta(days=19 * n) for n in range(26)]


async def lived(service: Service[Any], settings: Settings, facts: list[Event], days: list[date]) -> list[Event]:
    """What the service tells while these days come, after these facts."""
    async with under_test(service, settings) as t:
        await t.deliver(t.as_record(encode(fact)) for fact in facts)
        told = await t.emitted_events()
        for day in days:
            await t.day(day)
        return told + await t.emitted_events()


def issued(n: int) -> Event:
    data = core.PolicyIssued(
        policy_no=f"P-{n}",
        term_no=1,
        member_id=f"M-{n}",
        product_line="home",
        start=date(2025, 1, 1) + timedelta(days=9 * n),
        end=date(2026, 1, 1) + timedelta(days=9 * n),
        premium_fen=40_000 + 10_000 * n,
    )
    return event_of(data, id=f"issued-{n}", source="/core/test", time=start_of(data.start))


def per_key(told: list[Event]) -> dict[str, list[tuple[Data, date]]]:
    """In order, and with the day each happened on: it is its own, however late it was noticed."""
    keys: dict[str, list[tuple[Data, date]]] = defaultdict(list)
    for event in told:
        keys[event.key].append((event.data, local_date(event.time)))
    return keys


async def test_an_outage_of_a_year_tells_the_same_in_the_same_order_as_the_days_would_have(settings: Settings) -> None:
    """The days come every nineteen, or only the last of them: milestones, points and tiers fall due for the same days."""
    facts = [issued(n) for n in range(4)]
    canonical = [e for e in await lived(POLICY_SYNC, settings, facts, DAYS) if e.type != "message.requested"]
    for service, heard in ((POLICY_SYNC, facts), (POINTS_LEDGER, canonical), (TIER_ENGINE, canonical)):
        in_turn = per_key(await lived(service, settings, heard, DAYS))
        at_once = per_key(await lived(service, settings, heard, DAYS[-1:]))
        assert sum(map(len, in_turn.values())) >= 12, service.name
        assert at_once == in_turn, service.name
