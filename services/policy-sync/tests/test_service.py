"""policy-sync on its database: twice is once, order does not matter, what is wrong stands alone."""

import json
import runpy
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tenure.contracts
from policy_sync.service import SERVICE
from tenure.contracts import core, policy
from tenure.contracts.topics import TOPICS, TYPE_OF, read_by
from tenure.settings import Settings
from tenure.spine.codec import StructuredEvent, decode_structured, encode, utc_now
from tenure.spine.log import Record
from tenure.testing import Under, under_test

from .world import cancelled, claim, day, issued, names, paid, renewed

EXAMPLES = Path(tenure.contracts.__file__).parent / "examples"
TABLES = {
    "policies": "policy_no, product_line, member_ids, inception, version, waiting, live_from, lived_to, due_on",
    "terms": '*, "end"',
    "claims": "*",
    "members": "*",
    "milestones": "policy_no, day, kind, number, stands",
    "facts": "key, type, source, id, time, effective, backfill, data::text AS data",
}


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


def examples(t: Under) -> list[Record]:
    """Every example of every topic that policy-sync reads, as it would lie in the log, by time."""
    types = [name for topic in read_by("policy-sync") for name in topic.types if name != "day.started"]
    bodies = [(EXAMPLES / f"{name}.json").read_bytes() for name in types]
    events = [decode_structured(msgspec.json.decode(b, type=StructuredEvent), received=utc_now()) for b in bodies]
    return [t.as_record(encode(e)) for e in sorted(events, key=lambda e: e.time)]


async def contents(t: Under) -> dict[str, list[str]]:
    """All rows, without what depends on the wall's clock."""
    found: dict[str, list[str]] = {}
    for table, columns in TABLES.items():
        rows = await t.pool.fetch(f"SELECT {columns} FROM {table}")
        found[table] = sorted(str({k: v for k, v in row.items() if k not in ("seq", "told_at")}) for row in rows)
    return found


def as_told(told: list[Any]) -> list[str]:
    return [f"{TYPE_OF[type(d)]} {msgspec.json.encode(d).decode()}" for d in told]


async def test_every_example_is_taken_and_twice_is_once(t: Under) -> None:
    records = examples(t)
    await t.deliver(records)
    rows, told = await contents(t), await t.emitted()
    assert await t.parked() == []
    assert len(rows["facts"]) == len(records) == 29
    await t.deliver(records)
    assert await contents(t) == rows
    assert await t.emitted() == []
    assert await t.pool.fetchval("SELECT sum(waiting) FROM policies") == 0
    assert len(told) > 30


async def test_in_overlapping_halves_it_is_the_same(t: Under, settings: Settings) -> None:
    records = examples(t)
    await t.deliver(records)
    rows, told = await contents(t), as_told(await t.emitted())
    async with under_test(SERVICE, settings) as other:
        await other.deliver(records[:15])
        await other.deliver(records[10:])
        assert await contents(other) == rows
        assert as_told(await other.emitted()) == told


async def test_in_reverse_the_facts_come_to_the_same_state(t: Under, settings: Settings) -> None:
    records = examples(t)
    await t.deliver(records)
    await t.day(date(2027, 1, 1))
    async with under_test(SERVICE, settings) as other:
        for record in reversed(records):
            await other.deliver([record])
        await other.day(date(2027, 1, 1))
        mine, theirs = await contents(t), await contents(other)
        assert theirs["terms"] == mine["terms"]
        assert theirs["claims"] == mine["claims"]
        assert [m for m in theirs["milestones"] if "True" in m] == [m for m in mine["milestones"] if "True" in m]


def test_every_canonical_example_can_be_read() -> None:
    canonical = next(topic for topic in TOPICS if topic.name == "policy.v1")
    for name in canonical.types:
        body = (EXAMPLES / f"{name}.json").read_bytes()
        event = decode_structured(msgspec.json.decode(body, type=StructuredEvent), received=utc_now())
        assert (event.type, event.key) == (name, json.loads(body)["subject"])


async def test_a_wrong_fact_is_parked_with_those_behind_it_and_other_policies_flow(t: Under) -> None:
    await t.feed(issued())
    await t.feed(
        renewed("2025-02-01", "2026-02-01"), paid("2025-02-01", term_no=2), issued(policy_no="P-2", member_id="M-2")
    )
    assert await t.parked() == [("P-1", "term_overlaps"), ("P-1", "behind")]
    assert await t.pool.fetchval("SELECT count(*) FROM facts WHERE key = 'P-2'") == 1


async def test_the_same_business_fact_under_a_new_id_is_counted_and_nothing_else(t: Under) -> None:
    await t.feed(issued(), paid("2024-03-01"), cancelled("2024-09-01"))
    await t.emitted()
    before = await contents(t)
    await t.feed(issued(), paid("2024-03-01"), cancelled("2024-09-01"))
    assert await t.emitted() == []
    assert await t.parked() == []
    assert await contents(t) == before
    assert await t.pool.fetchval("SELECT count(*) FROM duplicates") == 3


async def test_a_cancellation_before_its_policy_waits_and_is_not_parked(t: Under) -> None:
    await t.feed(cancelled("2024-03-10", "cooling_off"))
    assert await t.pool.fetchval("SELECT waiting FROM policies") == 1
    assert (await t.parked(), await t.emitted()) == ([], [])
    await t.feed(issued())
    assert names(await t.emitted()) == ["member.enrolled", "policy.issued", "policy.cancelled"]
    assert await t.pool.fetchval("SELECT waiting FROM policies") == 0


async def test_history_is_told_as_history_and_earns_no_milestone(t: Under) -> None:
    await t.feed(issued("2020-03-01", "2024-03-01", term_no=0, yuan=0), at=day("2020-03-01"), backfill=True)
    assert {e.backfill for e in await t.emitted_events()} == {True}
    await t.feed(renewed("2024-03-01", "2025-03-01", term_no=1))
    live = await t.emitted_events()
    assert [(e.type, e.backfill) for e in live] == [
        ("policy.renewed", False),
        ("no_claim_year.completed", False),
        ("policy.anniversary", False),
    ]
    assert live[-1].data.years == 4


@pytest.mark.parametrize(
    ("stood", "told"),
    [
        (None, []),  # no day had come: a replay's import, which comes before its calendar
        ("2024-06-14", ["policy.anniversary 2024-06-15", "policy.expired 2024-06-15", "no_claim_year.completed 2024-06-15"]),
        ("2024-06-15", ["policy.anniversary 2024-06-15", "policy.expired 2024-06-15", "no_claim_year.completed 2024-06-15"]),
        ("2024-06-16", []),
    ],
)  # fmt: skip
async def test_an_imported_policy_lives_through_all_days_that_come_together_after_the_import(
    t: Under, stood: str | None, told: list[str]
) -> None:
    if stood is not None:
        await t.day(day(stood))
    await t.feed(issued("2023-06-15", "2024-06-15"), at=day("2023-06-15"), backfill=True)
    await t.emitted()
    await t.day(day("2024-06-18"))
    live = [e for e in await t.emitted_events() if not e.backfill]
    assert sorted(f"{e.type} {e.data.effective}" for e in live) == sorted(told)


async def test_the_end_of_a_policy_of_history_is_told_also_where_it_was_imported_by_an_earlier_release(
    t: Under,
) -> None:
    await t.feed(issued("2020-03-01", "2024-03-01"), at=day("2020-03-01"), backfill=True)
    await t.emitted()
    await t.pool.execute("UPDATE policies SET due_on = NULL")
    due = runpy.run_path(str(Path(__file__).parents[1] / "migrations/0011_ended_in_history.py"))["DUE"]
    assert await t.pool.execute(due) == "UPDATE 1"
    await t.day(day("2024-06-01"))
    told = await t.emitted_events()
    assert [(e.type, str(e.data.effective), str(e.day), e.backfill) for e in told] == [
        ("policy.expired", "2024-03-01", "2024-03-01", True)
    ]
    assert await t.pool.execute(due) == "UPDATE 0"


async def test_a_day_that_comes_tells_all_that_fell_due_with_its_own_dates(t: Under) -> None:
    await t.feed(*[issued(policy_no=f"P-{n}", member_id=f"M-{n}") for n in range(5)])
    await t.emitted()
    assert await t.day(day("2024-12-31")) == 0
    await t.day(day("2026-01-01"))
    told = await t.emitted()
    assert sorted(names(told)) == sorted(
        ["policy.expiring", "no_claim_year.completed", "policy.anniversary", "policy.expired"] * 5
    )
    assert {str(e.effective) for e in told} == {"2025-02-01", "2025-03-01"}
    assert await t.day(day("2026-01-02")) == 0


async def test_a_claim_is_told_to_whoever_held_the_policy_on_the_day_of_the_loss(t: Under) -> None:
    await t.feed(
        issued(), core.PolicyHolderChanged(policy_no="P-1", term_no=1, effective=day("2024-06-01"), member_id="M-2")
    )
    await t.feed(claim(core.ClaimReported, "2024-07-01", loss_date=day("2024-05-31"), estimate_fen=5_000_00))
    await t.feed(claim(core.ClaimReported, "2024-07-02", loss_date=day("2024-06-01"), no="C-2"))
    assert [(c.claim_no, c.member_id) for c in await t.emitted(policy.ClaimChanged)] == [("C-1", "M-1"), ("C-2", "M-2")]


async def test_customer_facts_become_canonical(t: Under) -> None:
    on = date(2026, 1, 5)
    await t.feed(
        core.CustomerRegistered(member_id="M-1", registered_on=on, region="440300", language="en"),
        core.ConsentChanged(member_id="M-1", on=on, marketing=True),
        core.CustomerMerged(member_id="M-1", merged_id="M-9", on=on),
        core.CoverageExtensionConfirmed(
            member_id="M-1", request_id="R", endorsement_no="E", start=on, end=date(2027, 1, 5)
        ),
        core.CustomerErased(member_id="M-1", on=on),
    )
    await t.feed(core.CoverageExtensionRejected(member_id="M-1", request_id="R-2"), at=on)
    assert names(await t.emitted()) == [
        "customer.registered",
        "customer.consent_changed",
        "customer.merged",
        "coverage_extension.confirmed",
        "customer.erased",
        "customer.erased",
        "coverage_extension.rejected",
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("building_not_insurable", "building_not_insurable"),
        ("Zhang San, 13800000000, did not open", ""),
        ("房屋老旧", ""),
    ],
)
async def test_why_an_extension_was_rejected_is_told_as_a_code_or_not_at_all(t: Under, said: str, told: str) -> None:
    await t.feed(core.CoverageExtensionRejected(member_id="M-1", request_id="R-2", reason=said), at=date(2024, 3, 1))
    assert [e.reason for e in await t.emitted(policy.CoverageExtensionRejected)] == [told]
