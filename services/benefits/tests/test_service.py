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


async def test_erasure_takes_free_text_and_region_and_keeps_the_count(t):
    await t.feed(cast.issued(), cast.registered(), cast.tiers(("2020-01-01", "basic")))
    await t.day(D("2020-05-01"))
    await t.http.post(
        "/v1/benefits/M-1.home_safety.20200101/use",
        json={"reference": "secret", "on": "2020-05-01"},
        headers=t.auth("operator"),
    )
    await t.feed(policy.CustomerErased(member_id="M-1", effective=D("2020-08-01")))
    row = await t.pool.fetchrow("SELECT * FROM members WHERE member_id = 'M-1'")
    assert b"secret" not in row["state"]
    assert b"420100" not in row["state"]
    assert row["used"] == 1


async def test_types_that_mean_nothing_here_pass_without_a_trace(t):
    await t.feed(policy.MemberEnrolled(member_id="M-1", effective=D("2020-01-01")))
    assert await t.pool.fetchval("SELECT count(*) FROM members") == 0
