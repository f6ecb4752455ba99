"""The books of tier-engine: all sentences hold after a life with everything in it, and each notices a row gone wrong."""

import msgspec
import pytest
from msgspec.structs import replace
from tenure.contracts.event import Data
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged, PolicyIssued
from tenure.testing import under_test
from tier_engine import store, verify
from tier_engine.service import SERVICE

from .cases import continuous, day, term


def issued(t) -> Data:
    return PolicyIssued(member_id=t.member_id, term=t, effective=t.start)


@pytest.fixture
async def t(settings, monkeypatch):
    """Three members and one merged away: upgrades, a soft landing, a risk ahead, a back-dated fact. Pages of two."""
    monkeypatch.setattr(verify, "PAGE_ROWS", 2)
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        await t.feed(*map(issued, continuous("2016-01-01", 2)))
        await t.feed(issued(term("2017-06-01", premium=900, member="M-2", policy="P-2")))
        await t.feed(issued(term("2018-01-01", premium=100, member="M-3", policy="P-3")))
        await t.feed(issued(term("2017-02-01", premium=100, member="M-4", policy="P-4")))
        await t.feed(CustomerMerged(member_id="M-3", merged_id="M-4", effective=day("2018-03-01")))
        await t.day(day("2019-07-01"))
        await t.feed(issued(term("2015-01-01", premium=100, policy="P-late")))
        yield t


async def broken(t):
    answer = await t.http.get("/v1/tiers/verify", headers=t.auth("sre"))
    assert answer.status_code == 200, answer.text
    return sorted(name for name, holds in answer.json().items() if not holds)


async def test_all_holds(t):
    answer = await t.http.get("/v1/tiers/verify", headers=t.auth("operator"))
    assert answer.json() == {
        "timelines_recompute_alike": True,
        "next_changes_are_due": True,
        "newest_decisions_are_the_timelines": True,
        "columns_say_the_state": True,
        "nothing_due_is_left": True,
    }


async def test_a_member_of_history_is_due_the_day_after(t):
    await t.feed(issued(term("2019-08-01", member="M-9", policy="P-9")), backfill=True)
    assert await broken(t) == []
    assert await t.pool.fetchval("SELECT due_on FROM members WHERE member_id = 'M-9'") == day("2019-08-02")


STATE_OF_M2 = "(SELECT state FROM members WHERE member_id = 'M-2')"


@pytest.mark.parametrize(
    ("gone_wrong", "notices"),
    [
        # M-3 stands where M-2 should: its own timeline, but columns and decisions of M-3 say otherwise.
        (
            f"UPDATE members SET state = {STATE_OF_M2} WHERE member_id = 'M-3'",
            ["columns_say_the_state", "newest_decisions_are_the_timelines"],
        ),
        ("UPDATE members SET tier = 'diamond' WHERE member_id = 'M-3'", ["columns_say_the_state"]),
        ("UPDATE members SET due_on = NULL WHERE member_id = 'M-2'", ["columns_say_the_state"]),
        (
            "UPDATE members SET due_on = '2019-07-01' WHERE member_id = 'M-2'",
            ["columns_say_the_state", "nothing_due_is_left"],
        ),
        (
            "DELETE FROM decisions WHERE seq = (SELECT max(seq) FROM decisions WHERE member_id = 'M-2')",
            ["newest_decisions_are_the_timelines"],
        ),
        ("DELETE FROM decisions WHERE member_id = 'M-1'", ["newest_decisions_are_the_timelines"]),
    ],
)
async def test_a_row_gone_wrong_is_noticed(t, gone_wrong, notices):
    await t.pool.execute(gone_wrong)
    assert await broken(t) == notices


@pytest.mark.parametrize(
    ("field", "value", "notices"),
    [
        ("timeline", (), {"timelines_recompute_alike", "newest_decisions_are_the_timelines", "columns_say_the_state"}),
        ("terms", (), {"timelines_recompute_alike", "next_changes_are_due"}),
        ("due_on", None, {"next_changes_are_due", "columns_say_the_state"}),
    ],
)
async def test_a_state_gone_wrong_is_noticed(t, field, value, notices):
    await tamper(t, "M-2", **{field: value})
    assert set(await broken(t)) == notices


async def test_all_holds_after_an_unmerge_told_to_both_and_twice(t):
    apart = CustomerUnmerged(member_id="M-3", survivor_id="M-3", merged_id="M-4", effective=day("2019-07-02"))
    await t.feed(apart, replace(apart, member_id="M-4"), apart)
    assert await broken(t) == []
    rows = await t.pool.fetch(
        "SELECT member_id, tier, merged_into FROM members WHERE member_id IN ('M-3', 'M-4') ORDER BY 1"
    )
    assert [tuple(r) for r in rows] == [("M-3", "basic", None), ("M-4", "basic", None)]


async def test_what_a_merged_id_still_holds_must_be_due(t):
    (held,) = (await state_of(t, "M-2")).terms
    await tamper(t, "M-4", terms=(held,))
    assert await broken(t) == ["next_changes_are_due"]


async def test_a_member_cannot_ask(t):
    answer = await t.http.get("/v1/tiers/verify", headers=t.auth("member", subject="verify"))
    assert answer.status_code == 403


async def state_of(t, member_id):
    return store.unpack(await t.pool.fetchval("SELECT state FROM members WHERE member_id = $1", member_id))


async def tamper(t, member_id, **changes):
    """The member's state with these fields changed, past every rule."""
    state = replace(await state_of(t, member_id), **changes)
    await t.pool.execute("UPDATE members SET state = $2 WHERE member_id = $1", member_id, msgspec.msgpack.encode(state))
