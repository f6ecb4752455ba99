"""Facts that came too early are listed with what they wait for and for how long; and what was believed on any day stays known."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from policy_sync import gap_reads
from policy_sync.rules.gaps import gaps
from policy_sync.service import SERVICE
from tenure.calendar import local_date
from tenure.contracts import core
from tenure.contracts.event import Data
from tenure.settings import Settings
from tenure.spine.codec import encode, utc_now
from tenure.spine.log import open_log
from tenure.spine.runtime import Runtime
from tenure.telemetry import metrics
from tenure.testing import Under, under_test

from .world import Said, cancelled, claim, issued, lapsed, paid, reinstated, reversed_


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


async def say(t: Under, *facts: Data | Said) -> None:
    said = [f if isinstance(f, Said) else Said(f) for f in facts]
    await t.deliver([t.as_record(encode(f.event())) for f in said])


@pytest.mark.parametrize(
    ("early", "missing"),
    [
        ([cancelled("2024-10-01")], "issue"),
        ([issued(), paid("2024-10-01", term_no=2)], "term"),
        ([issued(), claim(core.ClaimAssessed, "2024-10-01", amount_fen=1)], "claim_report"),
        ([issued(), reversed_("2024-10-01")], "cancellation"),
        ([issued(), reinstated("2024-10-01", bridged=True)], "lapse"),
        (
            [issued(), Said(reversed_("2024-10-01"), "2024-10-01"), Said(cancelled("2024-10-01"), "2024-10-05")],
            "cancellation",
        ),
    ],
)
def test_what_a_fact_waits_for(early: list[Any], missing: str) -> None:
    facts = [(f if isinstance(f, Said) else Said(f)).fact() for f in early]
    assert [gap.missing for gap in gaps(facts)] == [missing]


def test_what_has_its_ground_waits_for_nothing() -> None:
    whole = [issued(), paid("2024-02-20"), lapsed("2024-05-01"), reinstated("2024-06-01", bridged=False)]
    assert list(gaps([Said(f).fact() for f in whole])) == []


async def listed(t: Under) -> list[tuple[str, list[str]]]:
    answer = await t.http.get("/v1/reconciliation/gaps", headers=t.auth("sre"))
    return [(one["policy_no"], [f["missing"] for f in one["facts"]]) for one in answer.json()["items"]]


async def test_gaps_are_listed_oldest_first_and_end_when_they_close(t: Under, settings: Settings) -> None:
    await say(t, Said(cancelled("2024-10-01"), id_="early"))
    await t.pool.execute("UPDATE facts SET recorded_at = recorded_at - interval '3 days'")
    await say(t, paid("2024-03-01"))
    await say(
        t,
        issued(policy_no="P-2"),
        core.PremiumPaid(policy_no="P-2", term_no=2, amount_fen=1, paid_on=local_date(utc_now())),
    )
    assert await listed(t) == [("P-1", ["issue", "issue"]), ("P-2", ["term"])]
    age_s = await t.pool.fetchval(gap_reads.OLDEST_AGE)
    assert timedelta(days=3).total_seconds() <= age_s < timedelta(days=3, hours=1).total_seconds()
    assert await told_age(t, settings) >= timedelta(days=3).total_seconds()
    await say(t, issued())
    assert await listed(t) == [("P-2", ["term"])]
    assert await t.pool.fetchval(gap_reads.OLDEST_AGE) < 3_600


async def told_age(t: Under, settings: Settings) -> float:
    """The gauge as Prometheus would scrape it."""
    log = open_log(settings.kafka)
    try:
        await Runtime(t.door, log, settings).vitals.look()
    finally:
        await log.close()
    (family,) = metrics.gap_oldest_age_seconds.collect()
    return float(family.samples[0].value)


async def test_the_oldest_gap_is_found_by_an_index(t: Under) -> None:
    async with t.pool.acquire() as conn:
        await conn.execute("SET enable_seqscan = off")
        plan = await conn.fetch("EXPLAIN " + gap_reads.OLDEST_AGE)
    assert "policies_waiting" in str(plan)


async def belief(t: Under, **asked: str) -> Any:
    answer = await t.http.get("/v1/policies/P-1/belief", headers=t.auth("operator"), params=asked)
    return answer.json() if answer.status_code == 200 else answer.status_code


async def test_what_was_believed_then_about_then(t: Under) -> None:
    """Sold, then paid, then cancelled in the past: each belief stands as it was."""
    before = utc_now()
    await say(t, issued("2024-03-01", "2025-03-01"))
    sold = utc_now()
    await say(t, Said(cancelled("2024-06-01"), "2024-09-01"), claim(core.ClaimReported, "2024-05-01"))
    assert await belief(t, recorded=before.isoformat()) == 404
    then = await belief(t, effective="2024-07-01", recorded=sold.isoformat())
    assert (then["covered"], then["premium_fen"], then["facts"], then["claims"]) == (True, 365_00, 1, [])
    now = await belief(t, effective="2024-07-01")
    assert (now["covered"], now["premium_fen"], now["facts"]) == (False, 0, 3)
    assert [term["end"] for term in now["terms"]] == ["2024-06-01"]
    earlier_day = await belief(t, effective="2024-05-31")
    assert (earlier_day["covered"], earlier_day["claims"][0]["claim_no"]) == (True, "C-1")
    assert (await belief(t, effective="2024-07-01", recorded=local_date(utc_now()).isoformat()))["facts"] == 3
    assert await belief(t, recorded="yesterday") == 422
    assert await belief(t, recorded="2026-03-01T09:00:00") == 422


async def test_mergers_and_predecessors_are_believed_from_when_they_were_heard(t: Under) -> None:
    await say(t, issued("2025-03-01", "2026-03-01", previous_policy_no="P-0"))
    alone = utc_now()
    merged = core.CustomerMerged(member_id="M-9", merged_id="M-1", on=local_date(utc_now()))
    await say(t, merged, issued("2024-03-01", "2025-03-01", policy_no="P-0"))
    was, is_now = await belief(t, recorded=alone.isoformat()), await belief(t)
    assert (was["member_id"], was["inception"]) == ("M-1", "2025-03-01")
    assert (is_now["member_id"], is_now["inception"]) == ("M-9", "2024-03-01")


async def test_only_who_sees_a_holder_sees_what_was_believed(t: Under) -> None:
    await say(t, issued())
    for role, subject, status in (("member", "M-1", 200), ("member", "M-2", 404), ("sre", "x", 403)):
        answer = await t.http.get("/v1/policies/P-1/belief", headers=t.auth(role, subject=subject))
        assert answer.status_code == status
