"""The service on PostgreSQL: delivered twice or in halves, parked, merged, erased, with due days."""

from datetime import date

import benefits_cast as cast
import pytest
from benefits.service import SERVICE
from benefits_life import one_by_one
from tenure.contracts import policy
from tenure.contracts.benefit import (
    BenefitGranted,
    BenefitsGranted,
    ClaimAdvised,
    SafetyReportReady,
)
from tenure.testing import under_test

D = date.fromisoformat


@pytest.fixture
async def t(settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        yield under


def story(t):
    """A gold member's year: cover, tier, a small claim, an endorsement, an anniversary."""
    return t.records(
        cast.issued(end="2022-01-01"),
        cast.registered(),
        cast.tiers(("2020-01-01", "basic")),
        cast.tiers(("2020-01-01", "basic"), ("2020-03-01", "gold")),
        cast.claim(500_000),
        cast.anniversary(),
        cast.issued("M-2", no="P-2", end="2022-01-01"),
        cast.tiers(("2020-01-01", "basic"), member="M-2"),
    ) + t.records(cast.confirmed(request_id="M-1.burst_pipe_liability.20200301"), at=D("2020-03-05"))


async def everything(t):
    tables = ("members", "claims", "appointments", "reports")
    return {name: await t.pool.fetch(f"SELECT * FROM {name} ORDER BY 1") for name in tables}


async def test_twice_is_once(t):
    records = story(t)
    await t.deliver(records)
    rows, events = await everything(t), list(one_by_one(await t.emitted()))
    again = await t.deliver(records)
    assert all(outcome.seen for outcome in again)
    assert await everything(t) == rows
    assert await t.emitted() == []
    assert len(events) > 10
    assert await t.parked() == []


async def test_the_same_facts_under_new_ids_have_no_second_effect(t):
    await t.deliver(story(t))
    rows = await everything(t)
    await t.emitted()
    stale = 2  # the first timeline: tier-engine tells the newest one, never an older one again
    await t.deliver([record for n, record in enumerate(story(t)) if n != stale])
    assert await t.emitted() == []
    assert [r["member_id"] for r in rows["members"]] == ["M-1", "M-2"]
    assert (await everything(t))["reports"] == rows["reports"]


async def test_in_halves_is_whole(settings):
    async with under_test(SERVICE, settings) as whole, under_test(SERVICE, settings) as halves:
        await whole.deliver(story(whole))
        for record in story(halves):
            await halves.deliver([record])
        assert await everything(whole) == await everything(halves)
        assert await whole.emitted() == await halves.emitted()


async def test_days_renew_what_is_due_and_nothing_twice(t):
    await t.feed(cast.issued(end="2025-01-01"), cast.tiers(("2020-01-01", "basic")))
    await t.emitted()
    assert await t.day(D("2020-12-31")) == 0
    assert await t.day(D("2021-01-01")) == 1
    assert await t.day(D("2021-01-01")) == 0
    renewed = [e for e in one_by_one(await t.emitted()) if isinstance(e, BenefitGranted)]
    assert [(e.benefit, e.change) for e in renewed] == [("home_safety", "renewed"), ("safety_handbook", "renewed")]


async def test_history_tells_flagged_events_and_no_report_and_no_advice(t):
    await t.feed(
        cast.issued(), cast.tiers(("2020-01-01", "gold")), cast.claim(100_000), cast.anniversary(), backfill=True
    )
    events = await t.emitted_events()
    assert events
    assert all(event.backfill for event in events)
    assert not any(isinstance(e.data, ClaimAdvised | SafetyReportReady) for e in events)


async def test_an_event_that_cannot_be_decided_is_parked_and_its_member_waits_while_others_go_on(t, monkeypatch):
    broken = cast.tiers(("2020-01-01", "gold"))
    healthy = SERVICE.rules[type(broken)]

    def rule(state, event, programme):
        if event.data == broken:
            raise ArithmeticError("the rule is wrong")
        return healthy(state, event, programme)

    monkeypatch.setitem(SERVICE.rules, type(broken), rule)
    await t.feed(broken, cast.issued(), cast.tiers(("2020-01-01", "silver"), member="M-2"))
    assert await t.parked() == [("M-1", "rule_failed"), ("M-1", "behind")]
    assert {e.member_id for e in await t.emitted(BenefitsGranted)} == {"M-2"}


REGIONS = (b"420100", b"440300", b"440305")


async def test_erasure_takes_words_and_regions_and_keeps_the_count(t):
    await t.feed(cast.issued(end="2022-01-01"), cast.registered(), cast.tiers(("2020-01-01", "silver")))
    await t.feed(cast.rejected(request_id="M-1.burst_pipe_liability.20200101"), at=D("2020-01-02"))
    await t.feed(cast.anniversary())
    await t.day(D("2021-01-05"))
    grant = "M-1.home_safety.20210101"
    await t.http.post(f"/v1/benefits/{grant}/use", json={"reference": "secret"}, headers=t.auth("operator"))
    visit = {"grant_id": grant, "slot_date": "2021-02-01", "region": "440305"}
    booked = await t.http.post("/v1/appointments", json=visit, headers=t.auth("operator"))
    assert booked.status_code == 201, booked.text
    erased = policy.CustomerErased(member_id="M-1", effective=D("2021-01-10"))
    await t.feed(erased)
    assert not [secret for secret in (b"secret", b"no_cellar", *REGIONS) if secret in await stored(t)]
    await t.feed(cast.issued(end="2023-01-01", version=2), cast.registered(region="440305", on="2021-02-01"))
    await t.feed(cast.anniversary(years=2, on="2022-01-01"))
    assert not [region for region in REGIONS if region in await stored(t)]
    assert await t.pool.fetchval("SELECT used FROM members WHERE member_id = 'M-1'") == 2
    await t.emitted()
    await t.feed(erased)
    assert await t.emitted() == []
    assert set((await t.http.get("/v1/benefits/verify", headers=t.auth("operator"))).json().values()) == {True}


async def stored(t):
    """All that is stored of members, as bytes."""
    tables = await everything(t)
    return b"".join(v if isinstance(v, bytes) else str(v).encode() for rows in tables.values() for r in rows for v in r)


async def test_a_core_that_answers_in_words_is_heard_and_not_quoted(t):
    await t.feed(cast.issued(), cast.tiers(("2020-01-01", "silver")))
    request = "M-1.burst_pipe_liability.20200101"
    said = policy.CoverageExtensionRejected(member_id="M-1", request_id=request, reason="Zhang San 13800000000 said no")
    await t.feed(said, at=D("2020-01-02"))
    await t.day(D("2020-01-03"))
    shown = (await t.http.get("/v1/benefits/M-1", headers=t.auth("operator"))).json()["benefits"]
    assert [(b["status"], b["rejected_because"]) for b in shown if b["grant_id"] == request] == [("rejected", "")]


async def test_types_that_mean_nothing_here_pass_without_a_trace(t):
    await t.feed(policy.MemberEnrolled(member_id="M-1", effective=D("2020-01-01")))
    assert await t.pool.fetchval("SELECT count(*) FROM members") == 0
