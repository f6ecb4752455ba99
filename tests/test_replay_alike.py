"""The same portfolio as history and as live traffic: policy-sync and tier-engine come to the same tiers, whichever way it came in.

An import is told at once, as backfill. A replay brings each month's facts and then lets its days come, so that milestones, protections
and soft landings happen one after the other. The whole file is compared by hand:
`TENURE_WHOLE_PORTFOLIO=1 .venv/bin/pytest -n 0 -s tests/test_replay_alike.py`
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from policy_sync.service import SERVICE as POLICY_SYNC
from policy_sync.sources import motor_portfolio, motor_rows
from tenure.calendar import add_months
from tenure.contracts.event import Event
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import Under, under_test
from tier_engine import store
from tier_engine.service import SERVICE as TIER_ENGINE

EXCERPT = Path(__file__).parents[1] / "examples/motor-portfolio/policies.csv.gz"
WHOLE = Path(__file__).parents[2] / "shared/data/motor-portfolio/policies.csv.gz"
LAST_DAY = date(2018, 12, 31)
POLICIES = 60
FACTS_AT_ONCE = 2_000

Lives = dict[str, tuple[Any, ...]]


def facts_of(path: Path, policies: int | None = None) -> list[Event]:
    events = motor_portfolio.in_order(motor_portfolio.facts(motor_rows.read(path)))
    known = [e for e in events if e.day <= LAST_DAY]
    if policies is None:
        return known
    kept = set(islice(dict.fromkeys(e.key for e in known), policies))
    return [e for e in known if e.key in kept]


def by_month(events: Iterable[Event]) -> Iterator[tuple[date, list[Event]]]:
    """Each month's facts, and its last day."""
    for first, of_month in groupby(events, key=lambda e: e.day.replace(day=1)):
        yield min(LAST_DAY, date.fromordinal(add_months(first, 1).toordinal() - 1)), list(of_month)


async def heard(sync: Under, tiers: Under, events: list[Event]) -> None:
    for at in range(0, len(events), FACTS_AT_ONCE):
        await sync.deliver([sync.as_record(encode(e)) for e in events[at : at + FACTS_AT_ONCE]])
        await told_on(sync, tiers)


async def told_on(sync: Under, tiers: Under) -> None:
    told = await sync.emitted_events()
    for at in range(0, len(told), FACTS_AT_ONCE):
        await tiers.deliver([tiers.as_record(encode(e)) for e in told[at : at + FACTS_AT_ONCE]])


async def came(sync: Under, tiers: Under, day: date) -> None:
    await sync.day(day)
    await told_on(sync, tiers)
    await tiers.day(day)


async def lives(tiers: Under) -> Lives:
    """Every member's terms (but for how often each was told) and timeline, as tier-engine holds and told them."""
    found: Lives = {}
    after = ""
    while members := await store.members(tiers.pool, after, 1_000):
        found |= {m.member_id: (tuple(replace(t, version=0) for t in m.terms), m.timeline, m.due_on) for m in members}
        after = members[-1].member_id
    return found


async def imported(settings: Settings, events: list[Event]) -> Lives:
    async with under_test(POLICY_SYNC, settings) as sync, under_test(TIER_ENGINE, settings) as tiers:
        await heard(sync, tiers, [replace(e, backfill=True) for e in events])
        await came(sync, tiers, LAST_DAY)
        return await lives(tiers)


async def replayed(settings: Settings, events: list[Event]) -> Lives:
    async with under_test(POLICY_SYNC, settings) as sync, under_test(TIER_ENGINE, settings) as tiers:
        for last, of_month in by_month(events):
            await heard(sync, tiers, of_month)
            await came(sync, tiers, last)
        await came(sync, tiers, LAST_DAY)
        return await lives(tiers)


async def test_a_replay_gives_the_same_tiers_as_an_import(settings: Settings) -> None:
    events = facts_of(EXCERPT, POLICIES)
    one, other = await imported(settings, events), await replayed(settings, events)
    assert len(one) >= POLICIES // 2
    assert [(one[m], other[m]) for m in one if one[m] != other[m]] == []
    assert one.keys() == other.keys()


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.skipif("TENURE_WHOLE_PORTFOLIO" not in os.environ, reason="run by hand: it takes minutes")
@pytest.mark.skipif(not WHOLE.exists(), reason="the whole portfolio does not lie beside the checkout")
async def test_the_whole_portfolio_replayed_gives_the_same_tiers_as_imported(settings: Settings) -> None:
    events, began = facts_of(WHOLE), time.monotonic()
    one = await imported(settings, events)
    took, began = time.monotonic() - began, time.monotonic()
    other = await replayed(settings, events)
    sys.stdout.write(
        f"\n{len(events):,} facts, {len(one):,} members: imported in {took:.0f} s, "
        f"replayed in {time.monotonic() - began:.0f} s\n"
    )
    differ = [m for m in one.keys() | other.keys() if one.get(m) != other.get(m)]
    assert not differ, f"{len(differ)} of {len(one)} differ: {[(one.get(m), other.get(m)) for m in differ[:2]]}"
