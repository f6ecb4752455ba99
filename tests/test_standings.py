"""Who is covered is covered everywhere: tier-engine, benefits and member-view count the same policies, and `tenure verify` sees it.

The services stand on their databases; their outboxes are carried to whoever reads them until nothing more is told.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import date
from typing import Any

import pytest
from benefits import store as grants
from benefits.service import SERVICE as BENEFITS
from member_view.service import SERVICE as MEMBER_VIEW
from msgspec import json
from msgspec.structs import replace
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.contracts import core
from tenure.contracts.programme import Programme, Versions
from tenure.settings import Settings
from tenure.testing import under_test
from tenure_local.standings import standings_hold
from tier_engine.service import SERVICE as TIER_ENGINE

from .faults.tampering import TAMPERS, put_back, tamper
from .house import House, at
from .test_retroactive import issued

SERVICES = (POLICY_SYNC, TIER_ENGINE, BENEFITS, MEMBER_VIEW)


@pytest.fixture
def home_only(rules: Programme) -> Programme:
    """From 1 July 2025 on home policies alone count."""
    first = rules.tiers.newest
    later = replace(first, version=2, effective=date(2025, 7, 1), eligible_product_lines=frozenset({"home"}))
    return Programme(**{**vars(rules), "tiers": Versions([first, later])})


@pytest.fixture
async def house(settings: Settings, home_only: Programme) -> AsyncIterator[House]:
    events = settings.model_copy(update={"clock": "events"})
    async with AsyncExitStack() as stack:
        yield House({s.name: await stack.enter_async_context(under_test(s, events, home_only)) for s in SERVICES})


async def seen(house: House) -> tuple[bool, bool, bool, int]:
    """As each service has it: lapsed, lapsed, lapsed, and what the use of a benefit answers."""

    async def ask(service: str, path: str) -> Any:
        return (await house[service].http.get(path, headers=house[service].auth("operator"))).json()

    tier, view = await ask("tier-engine", "/v1/tiers/M-1"), await ask("member-view", "/v1/members/M-1/status")
    benefits = await ask("benefits", "/v1/benefits/M-1")
    grant = next(b["grant_id"] for b in benefits["benefits"] if b["benefit"] == "home_safety")
    t = house["benefits"]
    use = await t.http.post(f"/v1/benefits/{grant}/use", json={}, headers=t.auth("operator"))
    return tier["lapsed"], not benefits["in_force"], view["tier"]["lapsed"], use.status_code


async def agreed(house: House, programme: Programme) -> dict[str, bool]:
    return await standings_hold({name: t.pool for name, t in house.services.items()}, programme)


async def each_sentence_can_be_broken(house: House, programme: Programme) -> None:
    for sentence in await agreed(house, programme):
        broken = TAMPERS[sentence]
        pool: Any = house[broken.service].pool
        await tamper(pool, broken)
        assert not (await agreed(house, programme))[sentence]
        await put_back(pool, broken)
    assert all((await agreed(house, programme)).values())


async def test_only_policies_that_count_keep_a_member_from_lapsing(house: House, home_only: Programme) -> None:
    """A home policy of the member's own for 2024, a motor policy for 2024 and 2025, and one of the firm's for both years."""
    own = issued("P-1", "2024-01-01", 400)
    two_years = {"end": date(2026, 1, 1)}
    motor = replace(issued("P-2", "2024-01-01", 400), product_line="motor", **two_years)
    firm = replace(issued("P-3", "2024-01-01", 400), holder_kind="organisation", **two_years)
    await house.say(own, motor, firm, at=at("2024-01-01"))
    await house.day(date(2025, 3, 1))
    assert await seen(house) == (False, False, False, 200)
    await each_sentence_can_be_broken(house, home_only)

    await house.day(date(2025, 7, 1))
    assert await seen(house) == (True, True, True, 409)
    assert all((await agreed(house, home_only)).values())


async def test_an_organisation_s_policy_is_no_cover_of_the_member_s(house: House, home_only: Programme) -> None:
    firm = replace(issued("P-3", "2024-01-01", 400), holder_kind="organisation", end=date(2026, 1, 1))
    await house.say(issued("P-1", "2024-01-01", 400), firm, at=at("2024-01-01"))
    await house.day(date(2025, 3, 1))
    assert await seen(house) == (True, True, True, 409)
    assert all((await agreed(house, home_only)).values())

    pool = house["benefits"].pool
    state = grants.decode(await pool.fetchval("SELECT state FROM members"))
    whoever = {i: replace(term, natural_person=True) for i, term in state.terms.items()}
    await pool.execute("UPDATE members SET state = $1", json.encode(replace(state, terms=whoever)))
    assert [sentence for sentence, holds in (await agreed(house, home_only)).items() if not holds] == [
        "benefits_know_who_is_covered"
    ]


async def test_a_policy_bought_for_later_is_not_cover_yet_but_no_lapse_to_show(
    house: House, home_only: Programme
) -> None:
    later = core.PolicyRenewed(
        policy_no="P-1", term_no=2, start=date(2025, 6, 1), end=date(2026, 6, 1), premium_fen=40_000
    )
    await house.say(issued("P-1", "2024-01-01", 400), later, at=at("2024-01-01"))
    await house.day(date(2025, 3, 1))
    assert await seen(house) == (True, True, False, 409)
    assert all((await agreed(house, home_only)).values())


async def test_a_tier_about_to_drop_is_shown_so_after_a_fact_about_its_past(house: House, home_only: Programme) -> None:
    """Gold for a policy of 1,800 that ended; an older policy, heard late, moves the day on which gold began and nothing else."""
    gold = replace(issued("P-1", "2022-01-01", 1_800), end=date(2024, 1, 1))
    silver = replace(issued("P-2", "2022-01-01", 300), end=date(2025, 1, 1))
    await house.say(gold, silver, at=at("2022-01-01"))
    await house.day(date(2024, 2, 1))
    assert await drop(house) == ("2024-12-31", "2024-12-31")
    await house.say(replace(issued("P-0", "2021-12-01", 10), end=date(2022, 1, 1)), at=at("2024-02-10"))
    assert await drop(house) == ("2024-12-31", "2024-12-31")
    assert all((await agreed(house, home_only)).values())


async def test_a_risk_that_is_over_by_time_alone_is_shown_no_longer(house: House, home_only: Programme) -> None:
    """Silver for its premium until the end of 2023; on 1 June 2024 two years are insured, and silver is confirmed by them."""
    dear = replace(issued("P-1", "2023-01-01", 400), end=date(2024, 1, 1))
    cheap = replace(issued("P-2", "2022-06-01", 200), end=date(2025, 6, 1))
    await house.say(cheap, dear, at=at("2023-01-01"))
    await house.day(date(2024, 2, 1))
    assert await drop(house) == ("2024-12-31", "2024-12-31")
    await house.day(date(2024, 6, 1))
    assert await drop(house) == (None, None)
    assert all((await agreed(house, home_only)).values())


async def drop(house: House) -> tuple[str | None, str | None]:
    """The day on which the tier drops, as tier-engine and member-view have it."""

    async def ask(service: str, path: str) -> Any:
        return (await house[service].http.get(path, headers=house[service].auth("operator"))).json()

    tier, view = await ask("tier-engine", "/v1/tiers/M-1"), await ask("member-view", "/v1/members/M-1/status")
    return tier["at_risk"] and tier["at_risk"]["drops_on"], view["tier"]["drops_on"]
