"""Caps, campaigns and budgets: never exceeded, exact to the point, counted by the dates of the facts, and explained."""

import asyncio
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from points_ledger.budgets import allot
from points_ledger.rules.account import BudgetClaim, BudgetNews, Lot
from points_ledger.service import SERVICE
from tenure.contracts.policy import CustomerMerged
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Campaign, Cap, Window
from tenure.programme import load
from tenure.settings import Settings
from tenure.testing import PROGRAMME_DIR, Under, under_test

from .world import D, M, World, cancelled, did, paid, refunded, term, uncancelled, under_rules

MAY = Window(start=D("2026-05-01"), end=D("2026-06-01"))
HEALTH = frozenset({"steps", "quiz", "article"})


def cap(points_max: int, per: str = "month", rules: frozenset[str] = HEALTH) -> Cap:
    return Cap(code="health", rules=rules, per=per, points_max=points_max)  # type: ignore[arg-type]


def campaign(**more: Any) -> Campaign:
    return Campaign(code="may", window=MAY, percent=300, **more)


def earned(world: World) -> int:
    return world.balance("points_available")


# --- caps of a member and a period ---


@pytest.mark.parametrize(
    ("what", "per", "days", "points"),
    [
        ("25 a day: two quizzes' worth and half a third", "day", ["2026-05-01"], 25),
        ("25 a day, each day anew", "day", ["2026-05-01", "2026-05-02"], 50),
        ("25 a month, whatever the days", "month", ["2026-05-01", "2026-05-02", "2026-05-31"], 25),
        ("the next month anew", "month", ["2026-05-31", "2026-06-01"], 50),
        ("25 a year", "year", ["2026-05-01", "2026-12-31"], 25),
        ("the next year anew", "year", ["2026-12-31", "2027-01-01"], 50),
        ("25 in a life", "once", ["2026-05-01", "2028-05-01"], 25),
    ],
)
def test_a_cap_bounds_rules_together(rules: Programme, what: str, per: str, days: list[str], points: int) -> None:
    world = World(under_rules(rules, caps=(cap(25, per),)))
    for day in days:
        for activity in (did("quiz", day), did("steps", day, 10_000), did("article", day), did("article", day)):
            world.hear(activity)
    assert earned(world) == points, what


def test_a_cap_says_so_and_gives_what_is_left(rules: Programme) -> None:
    world = World(under_rules(rules, caps=(cap(12),)))
    first = world.hear(did("quiz", "2026-05-01"))
    second = world.hear(did("steps", "2026-05-01", 10_000))
    third = world.hear(did("article", "2026-05-02"))
    assert [(r.points, r.limited_by) for r in (first, second, third)] == [
        (10, ""),
        (2, "cap health"),
        (0, "cap health"),
    ]
    limited = [world.hear(did("quiz", "2026-05-01")).limited_by for _ in range(2)]
    assert limited == ["1 a day", "1 a day"]


def test_a_late_activity_counts_in_the_month_it_was_done(rules: Programme) -> None:
    world = World(under_rules(rules, caps=(cap(10),)))
    world.hear(did("quiz", "2026-06-01"))
    world.hear(did("quiz", "2026-05-31"), at="2026-06-02")
    world.hear(did("quiz", "2026-05-30"), at="2026-06-03")
    assert earned(world) == 20, "10 of May and 10 of June"


def test_however_late_an_activity_comes_its_months_cap_is_remembered(rules: Programme) -> None:
    """The lots of May are long spent and forgotten but for the cap: a quiz that may come 100 days late still meets it."""
    late = tuple(
        replace(rule, late_days_max=100) if rule.code == "quiz" else rule for rule in rules.earning.newest.rules
    )
    world = World(under_rules(rules, rules=late, caps=(cap(10),)))
    world.hear(did("quiz", "2026-05-01"))
    assert world.accounts[M].lots[1].remembered_until == D("2026-05-31") + timedelta(107)
    world.hear(did("quiz", "2026-05-02"), at="2026-08-09")
    assert earned(world) == 10
    unbounded = World(under_rules(rules, caps=(cap(600, "year", frozenset({"premium"})),)))
    unbounded.hear(paid(term()))
    assert unbounded.accounts[M].lots[1].remembered_until == date.max, "a premium may be told years later"


def test_what_is_corrected_away_makes_room_and_takes_none_back(rules: Programme) -> None:
    world = World(under_rules(rules, caps=(cap(20),)))
    world.hear(did("steps", "2026-05-01", 10_000))
    world.hear(did("steps", "2026-05-02", 10_000))
    world.hear(did("steps", "2026-05-01", 9_000), at="2026-05-02")
    world.hear(did("steps", "2026-05-03", 10_000))
    assert earned(world) == 20
    world.hear(did("steps", "2026-05-01", 12_000), at="2026-05-04")
    assert earned(world) == 20, "the 3rd took its place"


def test_a_cancelled_policys_place_under_a_cap_is_kept_for_its_return(rules: Programme) -> None:
    world = World(under_rules(rules, caps=(cap(600, "year", frozenset({"premium"})),)))
    other = term(policy_no="P-2")
    world.hear(paid(term()))
    world.hear(cancelled(term(), "2026-02-01", "flat"))
    world.hear(paid(other, on="2026-02-02"))
    world.hear(uncancelled(term(), "2026-03-01"))
    assert earned(world) == 500 + 100


BOUNDS = [(None, None), (45, None), (30, None), (None, 70), (45, 1_000), (30, 70)]
"""What May may add at most for one member, and for all."""


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 50), st.sampled_from(["quiz", "article", "steps", "stumble", "budget"]), st.integers(0, 7)
        ),
        max_size=40,
    ),
    st.integers(0, 60),
    st.sampled_from(["day", "month"]),
    st.sampled_from(BOUNDS),
)
@example([(0, "quiz", 0), (1, "quiz", 0)], 60, "day", (30, 70))
def test_no_story_exceeds_a_cap(
    story: list[tuple[int, str, int]], points_max: int, per: str, bounds: tuple[int | None, int | None]
) -> None:
    """Nor does what a campaign adds exceed what it has for the member, or for all, whenever the budget is looked into."""
    member_max, budget = bounds
    may = campaign(member_points_max=member_max, budget_points_max=budget)
    world = World(under_rules(load(PROGRAMME_DIR), caps=(cap(points_max, per),), campaigns=(may,)))
    left = budget or 0
    for days, kind, late in [*sorted(story, key=lambda s: s[0] + s[2]), (60, "budget", 0)]:
        day = D("2026-05-10") + timedelta(days)
        value = {"steps": 10_000, "stumble": 10}.get(kind, 0)
        if kind == "budget":
            left -= look_into_the_budget(world, left, day + timedelta(late))
        else:
            world.hear(did("steps" if value else kind, day, value), at=day + timedelta(late))
        by_period: dict[Any, int] = {}
        for lot in lots_of(world):
            period = lot.earned_on if per == "day" else lot.earned_on.replace(day=1)
            by_period[period] = by_period.get(period, 0) + lot.standing
        assert max(by_period.values(), default=0) <= points_max
        assert added(world) <= min(most for most in (member_max, budget, 10**9) if most is not None)


def lots_of(world: World) -> list[Lot]:
    account = world.accounts.get(M)
    return [lot for lot in account.lots.values() if lot.rule in HEALTH] if account else []


def added(world: World) -> int:
    """What the campaign added: what facts brought beyond what they are worth without it."""
    by_fact: dict[str, int] = {}
    for lot in lots_of(world):
        by_fact[lot.fact] = by_fact.get(lot.fact, -lot.base) + lot.standing
    return sum(max(0, extra) for extra in by_fact.values())


def claims(world: World) -> list[BudgetClaim]:
    return [row for row in world.rows if isinstance(row, BudgetClaim)]


def look_into_the_budget(world: World, left: int, day: date) -> int:
    """Allot what waits, as the ledger does between two events. Returns how much."""
    asked = claims(world)
    got = allot([(one.points, left) for one in asked], 0)
    news = (BudgetNews(M, one.lot_id, n, one.points) for one, n in zip(asked, got, strict=True))
    world.rows = [row for row in world.rows if not isinstance(row, BudgetClaim)]
    if asked:
        world.accounts[M] = replace(world.accounts[M], allotted=tuple(news))
    world.day(day)
    return sum(got)


# --- campaigns: the member's part ---


def test_the_fact_that_meets_a_members_cap_gets_what_is_left(rules: Programme) -> None:
    world = World(under_rules(rules, campaigns=(campaign(member_points_max=45),)))
    results = [world.hear(did("quiz", date(2026, 5, day))) for day in range(1, 5)]
    assert [r.points for r in results] == [30, 30, 15, 10]
    assert [r.limited_by for r in results] == ["", "", "campaign may", "campaign may"]


def test_a_refund_takes_its_share_of_what_the_campaign_added(rules: Programme) -> None:
    world = World(under_rules(rules, campaigns=(campaign(member_points_max=100),)))
    world.hear(paid(term(), 50_000, "2026-05-10"))
    assert earned(world) == 600
    world.hear(refunded(term(), 25_000, "2026-06-10"))
    assert earned(world) == 300


# --- budgets: shared by all members ---


@given(st.lists(st.integers(1, 1_000)), st.integers(0, 20_000))
def test_a_budget_is_allotted_in_order_and_to_the_point(asked: list[int], budget: int) -> None:
    got = allot([(points, budget) for points in asked], 0)
    assert sum(got) == min(budget, sum(asked))
    short = [n for n, (g, a) in enumerate(zip(got, asked, strict=True)) if g < a]
    assert not short or all(g == 0 for g in got[short[0] + 1 :]), "after the first that is short nobody gets anything"


def test_a_claim_waits_outside_the_account(rules: Programme) -> None:
    world = World(under_rules(rules, campaigns=(campaign(budget_points_max=1_000),)))
    result = world.hear(did("quiz", "2026-05-01"))
    assert (result.points, result.limited_by) == (10, "waits for the budget of campaign may")
    assert claims(world) == [BudgetClaim(M, f"{M}:1", "may", 20, 1_000)]
    assert world.hear(did("quiz", "2026-05-01", activity_id="again")).limited_by == "1 a day"


def test_what_waits_for_a_budget_counts_under_the_members_cap(rules: Programme) -> None:
    """A quiz is worth 10 and 20 more in May, of which a member has 45 at most: the third asks for the last 5, the fourth for none."""
    world = World(under_rules(rules, campaigns=(campaign(member_points_max=45, budget_points_max=1_000),)))
    for day in range(1, 5):
        world.hear(did("quiz", date(2026, 5, day)))
    assert [one.points for one in claims(world)] == [20, 20, 5]


def test_a_budget_adds_no_more_and_no_less_than_a_cap_leaves(rules: Programme) -> None:
    """25 points a month: a quiz brings 10 at once, and May may add 15 of its 20; the next day's brings nothing."""
    world = World(under_rules(rules, caps=(cap(25),), campaigns=(campaign(budget_points_max=1_000),)))
    world.hear(did("quiz", "2026-05-01"))
    assert [one.points for one in claims(world)] == [15]
    world.hear(did("quiz", "2026-05-02"))
    assert earned(world) == 10, "the 15 that wait have their place"
    assert look_into_the_budget(world, 1_000, D("2026-05-03")) == 15
    assert earned(world) == 25
    assert next(lot.capped_by for lot in lots_of(world)) == "cap health", "the budget gave all that was asked of it"


def test_what_a_cap_leaves_of_what_waits_counts_under_the_members_cap(rules: Programme) -> None:
    """25 points a month for quizzes and the like: of a quiz's 30 in May 15 may still come. A member has 40 of May, so a class gets 25."""
    world = World(
        under_rules(rules, caps=(cap(25),), campaigns=(campaign(member_points_max=40, budget_points_max=1_000),))
    )
    world.hear(did("quiz", "2026-05-01"))
    world.hear(did("class", "2026-05-01", session_id="S-1"))
    assert [one.points for one in claims(world)] == [15, 25]
    assert look_into_the_budget(world, 1_000, D("2026-05-02")) == 40
    assert earned(world) == 10 + 50 + 40


async def feed_quizzes(t: Under, members: int) -> None:
    records = t.records(*(
        replace(did("quiz", "2026-05-01"), member_id=f"M-{n:03}")
        for n in range(members)
    ))  # fmt: skip
    await t.deliver(records)


@pytest.fixture
async def t(settings: Settings, rules: Programme):
    budgeted = under_rules(rules, campaigns=(campaign(budget_points_max=1_010),))
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"}), budgeted) as under:
        yield under


async def available(t: Under) -> list[int]:
    rows = await t.pool.fetch("SELECT points_available FROM accounts WHERE points_available > 0 ORDER BY member_id")
    return [row[0] for row in rows]


async def budgets(t: Under) -> Any:
    return (await t.http.get("/v1/budgets", headers=t.auth("operator"))).json()


async def test_a_budget_that_runs_out_in_the_middle_of_a_batch_is_exact_and_explained(t: Under) -> None:
    await feed_quizzes(t, 100)
    assert await available(t) == [10] * 100, "everybody has the plain points at once"
    assert (await budgets(t)) == [
        {"campaign": "may", "points_max": 1_010, "allotted": 0, "waiting_claims": 100, "waiting_points": 2_000}
    ]
    await t.day(D("2026-05-02"))
    assert [(one["allotted"], one["waiting_claims"]) for one in await budgets(t)] == [(1_010, 0)]
    assert await available(t) == [30] * 50 + [20] + [10] * 49
    rows = await t.pool.fetch("SELECT capped_by, count(DISTINCT member_id) FROM lots GROUP BY 1 ORDER BY 1")
    assert {row[0]: row[1] for row in rows if row[0]} == {"budget of campaign may": 50}
    assert await t.pool.fetchval("SELECT allotted FROM budgets") == 1_010
    for table in ("budget_claims", "budget_news"):
        assert await t.pool.fetchval(f"SELECT count(*) FROM {table}") == 0
    answer = await t.http.get("/v1/entries/M-050:1/why", headers=t.auth("operator"))
    why = answer.json()
    assert (why["granted"], why["campaign"], why["capped_by"]) == (10, "may", "budget of campaign may")
    assert why["extra_max"] == 10, "the last ten of the budget"
    verified = await t.http.get("/v1/ledger/verify", headers=t.auth("operator"))
    assert set(verified.json().values()) == {True}


async def test_many_who_earn_and_several_who_allot_at_once_spend_exactly_the_budget(t: Under) -> None:
    day, earning = D("2026-05-02"), True

    async def allots() -> None:
        while earning:
            with suppress(asyncpg.LockNotAvailableError):  # a worker tries again, too
                await t.door.fall_due(day, keys_max=7)

    async def earns(chunk: int) -> None:
        for n in range(chunk * 50, chunk * 50 + 50, 10):
            facts = (replace(did("quiz", "2026-05-01"), member_id=f"M-{m:03}") for m in range(n, n + 10))
            await t.deliver(t.records(*facts))

    await t.door.transact([], day=day)
    allotters = [asyncio.create_task(allots()) for _ in range(3)]
    await asyncio.gather(*(earns(chunk) for chunk in range(4)))
    earning = False
    await asyncio.gather(*allotters)
    await t.day(day)
    assert sum(await available(t)) == 200 * 10 + 1_010
    assert await t.pool.fetchval("SELECT allotted FROM budgets") == 1_010
    assert max(await available(t)) == 30
    assert (await t.pool.fetchval("SELECT count(*) FROM budget_claims")) == 0


async def test_a_merged_customers_share_reaches_who_they_became(t: Under) -> None:
    await feed_quizzes(t, 1)
    await t.door.transact([], day=D("2026-05-02"))
    await t.feed(CustomerMerged(member_id="S-1", merged_id="M-000", effective=D("2026-05-02")))
    await t.day(D("2026-05-03"))
    assert await t.pool.fetchval("SELECT points_available FROM accounts WHERE member_id = 'S-1'") == 30


def test_what_was_allotted_is_settled_like_everything_else(rules: Programme) -> None:
    world = World(under_rules(rules, campaigns=(campaign(budget_points_max=1_000),)))
    world.hear(paid(term(), 50_000, "2026-05-10"))
    world.accounts[M] = replace(world.accounts[M], allotted=(BudgetNews(M, f"{M}:1", 700, 1_000),))
    world.day("2026-05-11")
    assert earned(world) == 1_200
    world.hear(refunded(term(), 25_000, "2026-06-10"))
    assert earned(world) == 600
    assert world.accounts[M].allotted == ()


def test_a_day_whose_points_a_cap_took_still_belongs_to_its_streak(rules: Programme) -> None:
    """Thirty days of steps are thirty days; the cap is about points."""
    world = World(under_rules(rules, caps=(cap(50),)))
    for day in range(30):
        world.hear(did("steps", D("2026-05-01") + timedelta(day), 12_000))
    streaks = [lot for lot in world.accounts[M].lots.values() if lot.rule == "steps_streak" and lot.wallet == "points"]
    assert [lot.granted for lot in streaks] == [500]
    assert earned(world) == 50 + 500
    world.hear(did("steps", "2026-05-28", 9_000), "2026-06-02")
    assert earned(world) == 50, "a corrected day still breaks it"
