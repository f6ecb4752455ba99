"""A replay and `tenure tick` bring many days at once; what is history alone lives from the first of them, as it would have."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tenure.contracts import core
from tenure.contracts.event import Event
from tenure.contracts.policy import PolicyAnniversary
from tenure.settings import Settings
from tenure.spine.codec import event_of
from tenure.testing import under_test
from tenure_local import drained
from tenure_local.drained import Targets, Watch
from tenure_local.playback import publish_days, publish_history, replay

from .house import at
from .running import BY_NAME, Running, eventually, running

SINCE, UNTIL = date(2017, 1, 1), date(2017, 3, 31)
POLICIES = 400
"""More than live through a day in one transaction."""


def issued(number: int, *, since: date = date(2016, 1, 11)) -> Event:
    """A policy of the year before, whose only year is complete soon after the replay begins; or its last of more."""
    start, end = since, date(2017, 1, 11)
    data = core.PolicyIssued(
        policy_no=f"P-{number}", member_id=f"M-{number}", product_line="motor", start=start, end=end, premium_fen=50_000
    )
    return event_of(data, id=str(number), source="/core/test", time=at("2016-01-11"))


Days = Callable[[Settings, list[Event], Targets, Watch], Awaitable[Any]]


async def replayed(settings: Settings, history: list[Event], targets: Targets, watch: Watch) -> None:
    await replay(settings, history, targets, watch, since=SINCE, until=UNTIL, told=lambda _: None)


async def imported_and_ticked(settings: Settings, history: list[Event], targets: Targets, watch: Watch) -> None:
    await publish_history(settings, history, targets, told=lambda _: None)
    await watch.until_facts_read(targets.positions())
    await publish_days(settings, SINCE, UNTIL, targets, watch)


@pytest.mark.parametrize("come", [replayed, imported_and_ticked])
async def test_the_years_of_policies_of_history_are_told_whose_day_comes_with_the_others(
    settings: Settings, tmp_path: Path, come: Days
) -> None:
    settings = settings.model_copy(update={"clock": "events"})
    async with running(["policy-sync"], settings) as here:
        sync: Any = here.services["policy-sync"].pool
        await come(
            settings,
            [issued(n) for n in range(POLICIES)],
            Targets(tmp_path / "published.json"),
            Watch({"policy-sync": sync}, ""),
        )
        await eventually(lambda: came(here, UNTIL), "the last day has come")
        told = [e.data for e in await here.services["policy-sync"].emitted_events()]
    years = [(d.policy_no, d.years) for d in told if isinstance(d, PolicyAnniversary)]
    assert sorted(years) == sorted((f"P-{n}", 1) for n in range(POLICIES))


@pytest.mark.parametrize("come", [replayed, imported_and_ticked])
async def test_tiers_of_members_of_history_that_come_after_the_first_day_are_news(
    settings: Settings, tmp_path: Path, come: Days
) -> None:
    settings = settings.model_copy(update={"clock": "events"})
    async with running(["policy-sync", "tier-engine"], settings) as here:
        pools: Any = {name: service.pool for name, service in here.services.items()}
        watch, targets = Watch(pools, ""), Targets(tmp_path / "published.json")
        await come(settings, [issued(n, since=date(2015, 1, 11)) for n in range(POLICIES)], targets, watch)
        await watch.until_drained(targets.positions())
        upgrades = "SELECT backfill, count(*) FROM decisions WHERE to_tier = 'silver' GROUP BY 1"
        assert [tuple(row) for row in await pools["tier-engine"].fetch(upgrades)] == [(False, POLICIES)]


async def test_who_can_never_live_a_day_does_not_hold_up_the_others(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that a rule refuses, or whose turn waits for what is not read yet, stays due."""
    monkeypatch.setattr(drained, "LIVES_WITHIN_S", 0.5)
    async with under_test(BY_NAME["tier-engine"], settings) as tiers:
        pool: Any = tiers.pool
        await pool.execute("INSERT INTO members (member_id, due_on) VALUES ('M-1', $1)", SINCE)
        watch, begun = Watch({"tier-engine": pool}, ""), time.monotonic()
        await asyncio.wait_for(watch.until_lived(SINCE, []), 10)
        assert time.monotonic() - begun > drained.LIVES_WITHIN_S


async def came(here: Running, day: date) -> bool:
    """And nothing is left to live through."""
    asked = "SELECT day = $1 AND NOT EXISTS (SELECT FROM policies WHERE due_on <= $1) FROM calendar"
    return bool(await here.services["policy-sync"].pool.fetchval(asked, day))
