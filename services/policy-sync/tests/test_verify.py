"""The books of policy-sync: all sentences hold for policies with everything in them, and each notices a row gone wrong."""

from collections.abc import AsyncIterator

import pytest
from policy_sync import verify
from policy_sync.service import SERVICE
from tenure.contracts import core
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import cancelled, claim, day, endorsed, holder_changed, issued, lapsed, paid, reinstated, renewed

SENTENCES = [
    "claims_equal_the_facts",
    "every_fact_has_its_policy",
    "milestones_are_those_implied",
    "no_fact_is_recorded_twice",
    "nothing_due_is_left",
    "policies_equal_the_facts",
    "terms_equal_the_facts",
    "ties_are_as_known",
    "versions_count_the_facts",
]


@pytest.fixture
async def t(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Under]:
    """P-1: two terms, a claim, another holder, a gap in cover. P-2: cancelled. P-3 is history. P-4 waits.

    P-5 continues P-2, and its holder's number was given up. Pages of two.
    """
    monkeypatch.setattr(verify, "PAGE_ROWS", 2)
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await under.feed(issued("2020-03-01", policy_no="P-3", member_id="M-3"), at=day("2020-03-01"), backfill=True)
        await under.feed(issued(), paid("2024-03-01"), endorsed("2024-05-01", yuan=10), issued(policy_no="P-2"))
        await under.feed(claim(core.ClaimReported, "2024-07-01", loss_date=day("2024-06-30"), estimate_fen=5_000_00))
        await under.feed(
            holder_changed("2024-08-01", "M-2"), lapsed("2024-09-01"), reinstated("2024-10-01", bridged=False)
        )
        await under.feed(paid("2024-03-01"), renewed("2025-03-01", "2026-03-01"))
        rewrite = issued("2024-09-11", "2025-09-11", policy_no="P-5", member_id="M-6", previous_policy_no="P-2")
        await under.feed(rewrite, core.CustomerMerged(member_id="M-7", merged_id="M-6", on=day("2024-09-12")))
        cancel = core.PolicyCancelled(policy_no="P-2", effective=day("2024-09-10"), kind="mid_term")
        await under.feed(cancel, core.PremiumPaid(policy_no="P-4", amount_fen=100, paid_on=day("2024-09-10")))
        await under.day(day("2025-06-01"))
        await under.feed(claim(core.ClaimWithdrawn, "2025-06-02"), cancelled("2025-06-01", term_no=2))
        yield under


async def broken(t: Under) -> list[str]:
    answer = await t.http.get("/v1/facts/verify", headers=t.auth("sre"))
    assert answer.status_code == 200, answer.text
    assert sorted(answer.json()) == SENTENCES
    return sorted(name for name, holds in answer.json().items() if not holds)


async def test_all_holds_and_a_waiting_fact_is_in_order(t: Under) -> None:
    assert await t.parked() == []
    assert await t.pool.fetchval("SELECT waiting FROM policies WHERE policy_no = 'P-4'") == 1
    assert await t.pool.fetchval("SELECT count(*) FROM milestones WHERE stands") > 0
    assert await broken(t) == []


PAID_AGAIN = """INSERT INTO facts (key, type, source, id, time, effective, backfill, data)
SELECT key, type, source, {id}, time, effective, backfill, data FROM facts WHERE key = 'P-1' AND type = 'PremiumPaid'"""

ONE_ID_TWICE = """INSERT INTO facts (key, type, source, id, time, effective, backfill, data)
SELECT 'member M-9', 'CustomerErased', source, id, time, effective, backfill, data FROM facts LIMIT 1"""


@pytest.mark.parametrize(
    ("gone_wrong", "notices"),
    [
        ("UPDATE terms SET premium_fen = premium_fen + 1 WHERE policy_no = 'P-1'", ["terms_equal_the_facts"]),
        (
            "UPDATE terms SET covers = '{[2024-03-01,2025-03-01)}' WHERE term_no = 1 AND policy_no = 'P-1'",
            ["terms_equal_the_facts"],
        ),
        ("DELETE FROM terms WHERE policy_no = 'P-2'", ["terms_equal_the_facts", "ties_are_as_known"]),
        ("UPDATE claims SET counts = true", ["claims_equal_the_facts"]),
        ("UPDATE claims SET member_id = 'M-2'", ["claims_equal_the_facts"]),
        ("DELETE FROM claims", ["claims_equal_the_facts"]),
        ("UPDATE policies SET version = version - 1 WHERE policy_no = 'P-2'", ["versions_count_the_facts"]),
        ("UPDATE policies SET waiting = 0", ["versions_count_the_facts"]),
        ("UPDATE policies SET member_id = 'M-1' WHERE policy_no = 'P-1'", ["policies_equal_the_facts"]),
        ("UPDATE policies SET product_line = 'pet' WHERE policy_no = 'P-3'", ["policies_equal_the_facts"]),
        ("UPDATE milestones SET stands = NOT stands", ["milestones_are_those_implied"]),
        ("DELETE FROM milestones WHERE kind = 'expiring'", ["milestones_are_those_implied"]),
        (
            "UPDATE policies SET due_on = '2025-06-01' WHERE policy_no = 'P-2'",
            ["milestones_are_those_implied", "nothing_due_is_left"],
        ),
        (
            "UPDATE facts SET data = jsonb_set(data::jsonb, '{premium_fen}', '1') WHERE type = 'PolicyRenewed'",
            ["terms_equal_the_facts"],
        ),
        ("DELETE FROM policies WHERE policy_no = 'P-4'", ["every_fact_has_its_policy"]),
        (
            "DELETE FROM facts WHERE key = 'P-1' AND type = 'PremiumPaid'",
            ["versions_count_the_facts"],
        ),
        (PAID_AGAIN.format(id="id"), ["no_fact_is_recorded_twice", "versions_count_the_facts"]),
        (PAID_AGAIN.format(id="'another'"), ["no_fact_is_recorded_twice", "versions_count_the_facts"]),
        (ONE_ID_TWICE, ["no_fact_is_recorded_twice"]),
        (
            "UPDATE policies SET survivors = '{}' WHERE policy_no = 'P-5'",
            ["policies_equal_the_facts", "ties_are_as_known"],
        ),
        (
            "UPDATE policies SET survivors = '{}', member_id = 'M-6', member_ids = '{M-6}' WHERE policy_no = 'P-5'",
            ["ties_are_as_known"],
        ),
        ("DELETE FROM mergers", ["ties_are_as_known"]),
        (
            "UPDATE policies SET links = '[]', inception = '2024-09-11' WHERE policy_no = 'P-5'",
            ["milestones_are_those_implied", "ties_are_as_known"],
        ),
    ],
)
async def test_a_row_gone_wrong_is_noticed(t: Under, gone_wrong: str, notices: list[str]) -> None:
    await t.pool.execute(gone_wrong)
    assert await broken(t) == notices


async def test_the_core_cannot_ask(t: Under) -> None:
    assert (await t.http.get("/v1/facts/verify", headers=t.auth("core"))).status_code == 403


async def test_what_waits_to_be_looked_at_again_is_in_order(t: Under) -> None:
    await t.feed(core.CustomerUnmerged(member_id="M-7", merged_id="M-6", on=day("2025-06-02")))
    assert await t.pool.fetchval("SELECT count(*) FROM stale") == 1
    assert await broken(t) == []
    await t.pool.execute("DELETE FROM stale")
    assert await broken(t) == ["ties_are_as_known"]
