"""A campaign's budget that a later version raises or lowers: each fact has the budget of its own day, whoever is served with it."""

from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.budgets import allot, serve
from points_ledger.service import SERVICE
from points_ledger.whatif import Trial
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.programme.earning import Campaign
from tenure.settings import Settings
from tenure.spine.codec import decode
from tenure.testing import Under, under_test

from .test_caps import MAY
from .world import D, did

STORIES = {
    "raised when it had run out: who was late stays so": ([(20, 20), (20, 20), (20, 60), (20, 60)], [20, 0, 20, 20]),
    "a fact of before the raise is told after one of it": ([(20, 20), (20, 60), (20, 20)], [20, 20, 0]),
    "lowered below what is allotted": ([(40, 60), (20, 30), (20, 60)], [40, 0, 20]),
    "what is left of a lower one": ([(20, 60), (20, 30)], [20, 10]),
}


@pytest.mark.parametrize(("claims", "got"), STORIES.values(), ids=STORIES)
def test_each_claim_has_the_budget_of_its_day(claims: list[tuple[int, int]], got: list[int]) -> None:
    assert allot(claims, 0) == got
    one_by_one: list[int] = []
    for claim in claims:
        one_by_one += allot([claim], sum(one_by_one))
    assert one_by_one == got, "served alone or together"


FACTS = [
    ("M-1", "2026-05-01"),
    ("M-2", "2026-05-02"),
    ("M-3", "2026-05-11"),
    ("M-4", "2026-05-09"),
    ("M-5", "2026-05-12"),
]
"""20 points of May a quiz: the first takes the whole budget, until on 10 May there are 80 more. M-4's is told late."""


@pytest.fixture
def raised(rules: Programme) -> Programme:
    def version(n: int, on: str, budget: int) -> Any:
        may = Campaign(code="may", window=MAY, percent=300, budget_points_max=budget)
        return replace(rules.earning.newest, version=n, effective=D(on), campaigns=(may,))

    return Programme(
        **{**vars(rules), "earning": Versions([version(1, "2015-01-01", 20), version(2, "2026-05-10", 100)])}
    )


@pytest.fixture
async def t(settings: Settings, raised: Programme):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"}), raised) as under:
        yield under


@pytest.mark.parametrize("at_once", [1, 2, 5])
async def test_a_raised_budget_is_there_for_facts_from_its_day_on_and_a_simulation_has_it_so(
    t: Under, raised: Programme, at_once: int
) -> None:
    quizzes = [replace(did("quiz", on), member_id=member) for member, on in FACTS]
    records = t.records(*quizzes, at=D("2026-05-12"))
    for n in range(0, len(records), at_once):
        await t.deliver(records[n : n + at_once])
        await t.day(D("2026-05-12"))
    rows = await t.pool.fetch("SELECT member_id, points_available FROM accounts ORDER BY member_id")
    assert [row[1] for row in rows] == [30, 10, 30, 10, 30]
    assert [tuple(row) for row in await t.pool.fetch("SELECT points_max, allotted FROM budgets")] == [(100, 60)]
    trial = Trial(raised, replace(raised.earning.newest, version=3, effective=D("2027-01-01")))
    trial.hear(decode(record.headers, record.value) for record in records)
    assert sum(row.live for row in trial.compare().by_rule) == sum(row[1] for row in rows)


async def test_whose_claim_is_older_is_served_first_however_many_wait(t: Under) -> None:
    """Three claims of 20 points on 30, the oldest written last; two are served at a time."""
    claims = [(3, "M-3"), (2, "M-2"), (1, "M-1")]
    for no, member in claims:
        await t.pool.execute(
            "INSERT INTO budget_claims (claim_no, member_id, lot_id, campaign, points, budget_points_max) "
            "OVERRIDING SYSTEM VALUE VALUES ($1, $2, $2 || ':1', 'may', 20, 30)",
            no,
            member,
        )
    served = []
    for _ in range(2):
        async with t.pool.acquire() as conn, conn.transaction():
            await serve(conn, 2)
        rows = await t.pool.fetch("SELECT member_id, points FROM budget_news ORDER BY member_id")
        served.append([tuple(row) for row in rows])
    assert served == [[("M-1", 20), ("M-2", 10)], [("M-1", 20), ("M-2", 10), ("M-3", 0)]]
