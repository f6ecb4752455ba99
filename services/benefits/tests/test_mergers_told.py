"""What mergers and their undoing do to grants, as a member's page adds it up from what is told, and whichever topic is read first."""

from datetime import date

import benefits_cast as cast
import pytest
from benefits.service import SERVICE
from benefits_cast import parting
from tenure.contracts import policy
from tenure.contracts.benefit import (
    BenefitExpired,
    BenefitGranted,
    BenefitRecounted,
    BenefitReleased,
    BenefitRevoked,
    BenefitUsed,
)
from tenure.testing import under_test

D = date.fromisoformat


@pytest.fixture
async def t(settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


async def as_told(t, grants):
    """What is left of each grant by what is told of it, on from what was known; as a member's page adds it up."""
    for event in await t.emitted():
        for granted in getattr(event, "grants", (event,) if isinstance(event, BenefitGranted) else ()):
            grants[granted.grant_id] = None if granted.quota is None else granted.quota - granted.used
        if isinstance(event, BenefitUsed | BenefitReleased | BenefitRecounted) and event.grant_id in grants:
            grants[event.grant_id] = event.remaining
        if isinstance(event, BenefitRevoked | BenefitExpired):
            grants.pop(event.grant_id, None)
    return grants


async def as_answered(t, *members):
    pages = [(await t.http.get(f"/v1/benefits/{m}", headers=t.auth("operator"))).json() for m in members]
    return {b["grant_id"]: b["remaining"] for page in pages for b in page["benefits"] if b["grant_id"]}


async def left(t):
    """Of M-1's home-safety services, by the answer."""
    return (await as_answered(t, "M-1"))["M-1.home_safety.20200101"]


async def test_what_is_left_of_a_grant_is_told_when_another_numbers_uses_come_to_count_and_when_they_go(t):
    """A basic member's one home-safety service was used under the other number; it is given back there, too."""
    page = {}
    for member, no in (("M-1", "P-1"), ("M-2", "P-2")):
        await t.feed(cast.issued(member, no=no, end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member=member))
    await t.day(D("2020-05-01"))
    visit = await t.http.post(
        "/v1/benefits/M-2.home_safety.20200101/use", json={"on": "2020-05-01"}, headers=t.auth("operator")
    )
    await as_told(t, page)
    await t.feed(policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-07-01")))
    assert (await as_told(t, page))["M-1.home_safety.20200101"] == await left(t) == 0
    await t.feed(*parting("M-1", "M-2", "2020-08-01"), cast.tiers(("2020-01-01", "basic"), member="M-2"))
    assert (await as_told(t, page))["M-1.home_safety.20200101"] == await left(t) == 1
    await t.feed(policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-09-01")))
    release = f"/v1/benefits/M-2.home_safety.20200101/uses/{visit.json()['use_id']}/release"
    assert (await t.http.post(release, headers=t.auth("operator"))).status_code == 200
    assert (await as_told(t, page))["M-1.home_safety.20200101"] == 1
    assert {i: left for i, left in page.items() if i.startswith("M-1.")} == await as_answered(t, "M-1")


async def test_a_tier_told_after_a_parting_and_read_before_its_merger_brings_its_benefits(t):
    await t.feed(cast.issued("M-2", no="P-2", end="2022-01-01"), cast.tiers(("2020-01-01", "basic"), member="M-2"))
    await t.feed(cast.tiers(member="M-2"), at=D("2020-07-01"))
    await t.feed(cast.tiers(("2020-01-01", "silver"), member="M-2"), at=D("2020-08-01"))
    await t.feed(policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-07-01")), at=D("2020-07-01"))
    assert await as_answered(t, "M-2") == {}
    await t.feed(*parting("M-1", "M-2", "2020-08-01"), cast.issued("M-2", no="P-2", end="2022-01-01", version=2))
    await t.day(D("2020-08-02"))
    assert "M-2.water_leak_inspection.20200101" in await as_answered(t, "M-2")


async def test_a_number_merged_and_parted_has_its_benefits_again_though_no_tier_is_told_of_it(t):
    """tier-engine may hear of the parting before the merger, and then has nothing to tell: the tier was never another."""
    await t.feed(cast.issued("M-2", no="P-2", end="2022-01-01"), cast.tiers(("2020-01-01", "silver"), member="M-2"))
    await t.day(D("2020-06-01"))
    before = await as_answered(t, "M-2")
    await t.feed(policy.CustomerMerged(member_id="M-1", merged_id="M-2", effective=D("2020-07-01")))
    assert await as_answered(t, "M-2") == {}
    await t.feed(*parting("M-1", "M-2", "2020-08-01"), cast.issued("M-2", no="P-2", end="2022-01-01", version=2))
    await t.day(D("2020-08-02"))
    assert await as_answered(t, "M-2") == before
    assert "M-2.water_leak_inspection.20200101" in before
