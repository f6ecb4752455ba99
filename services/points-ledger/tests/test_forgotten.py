"""What an account forgets of facts long past, and what it must not, however much is spent by then. On a real database.

Points that are used up are not read with the account for ever, only as long as something may still be said about them.
"""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from points_ledger.service import SERVICE
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Campaign, Window
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import D, M, cancelled, did, paid, refunded, term, under_rules

MAY = Campaign(
    code="may", window=Window(start=D("2026-05-01"), end=D("2026-06-01")), percent=300, budget_points_max=1_000
)


@pytest.fixture
async def t(settings: Settings, rules: Programme) -> AsyncIterator[Under]:
    """A quiz may be told of years later, and a campaign with a budget in May."""
    told_late = tuple(
        replace(rule, late_days_max=None) if rule.code == "quiz" else rule for rule in rules.earning.newest.rules
    )
    changed = under_rules(rules, rules=told_late, campaigns=(MAY,))
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"}), changed) as under:
        yield under


async def use_up(t: Under) -> None:
    """Whatever is there is taken by hand; what an order took is known for as long as it may be refunded."""
    points = await t.pool.fetchval("SELECT points_available FROM accounts WHERE member_id = $1", M)
    body = {"member_id": M, "points": -points, "reason": "booked twice", "ticket": "T-1"}
    made = await t.http.post("/v1/adjustments", json=body, headers=t.auth("operator", subject="op-1"))
    approve = f"/v1/adjustments/{made.json()['adjustment_id']}/approve"
    assert (await t.http.post(approve, headers=t.auth("operator", subject="op-2"))).status_code == 200


async def brought(t: Under, rule: str) -> int:
    found: int = await t.pool.fetchval("SELECT sum(granted) FROM lots WHERE rule = $1 AND wallet = 'points'", rule)
    return found


async def test_a_quiz_told_again_under_a_new_id_when_it_is_forgotten_brings_nothing(t: Under) -> None:
    await t.feed(did("quiz", "2026-02-01", activity_id="a-1"))
    await t.day(D("2026-02-02"))
    await use_up(t)
    await t.feed(did("article", "2026-07-01"))
    await t.feed(did("quiz", "2026-02-01", activity_id="a-1"), at=D("2026-07-01"))
    assert await t.parked() == []
    assert await brought(t, "quiz") == 10


async def test_days_of_a_streak_count_though_their_points_are_spent(t: Under) -> None:
    """Thirty days of steps; on the 21st all is spent."""
    for n in range(30):
        day = D("2026-03-01") + timedelta(n)
        await t.feed(did("steps", day, 12_000))
        if n == 20:
            await t.day(day)
            await use_up(t)
    assert await brought(t, "steps_streak") == 500


async def test_a_share_of_a_budget_reaches_points_that_were_spent_and_forgotten(t: Under) -> None:
    """The budget is looked into seven months after the quiz: 10 points were spent in May, 20 more come now."""
    await t.feed(did("quiz", "2026-05-01"))
    await t.door.transact([], day=D("2026-05-02"))
    await use_up(t)
    await t.feed(did("article", "2026-12-01"))
    await t.day(D("2026-12-01"))
    await t.day(D("2026-12-02"))
    assert await brought(t, "quiz") == 30


TWO_YEARS = term(start=D("2026-01-05"), end=D("2028-02-05"), written_end=D("2028-02-05"), premium_fen=3_000)


@pytest.mark.parametrize(
    ("heard", "left", "owed"),
    [
        ("2028-02-20", 5, 0),
        ("2028-05-02", 5, 0),
        ("2028-05-03", 0, 25),
    ],
    ids=["within weeks", "on the last day that expired points are known", "when they are forgotten"],
)
async def test_a_cancellation_heard_late_takes_what_expired_since_its_day(
    t: Under, heard: str, left: int, owed: int
) -> None:
    """30 points of a premium are spent; 30 of quizzes expire unused on 1 February 2028; an article's 5 are there. Then it is heard that
    the policy ended on 15 January, with all of its premium back: on that day, the quizzes' points would have paid for it.
    """
    await t.feed(paid(TWO_YEARS, 3_000, "2026-01-05"))
    await t.day(D("2026-01-06"))
    await use_up(t)
    await t.feed(*(did("quiz", f"2026-01-{day}") for day in (10, 11, 12)))
    await t.day(D("2028-02-01"))
    await t.feed(did("article", "2028-02-10"))
    await t.day(D("2028-02-15"))
    ended = cancelled(TWO_YEARS, "2028-01-15", "mid_term")
    back = refunded(ended.term, 3_000, "2028-01-15", ended.term.version + 1)
    await t.feed(ended, back, at=D(heard))
    found = await t.pool.fetchrow("SELECT points_available, points_debt FROM accounts WHERE member_id = $1", M)
    assert tuple(found) == (left, owed)
