"""The liability by vintage: added up from the journal, reproducible, and its breakage against a reading of the method by hand."""

import csv
import io
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.liability import Moves, curve, expected_to_stay, report, seen
from points_ledger.service import SERVICE
from tenure.contracts.policy import CustomerMerged
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import D, M, cancelled, did, paid, term

# --- the method, by hand ---

JAN, FEB = date(2026, 1, 1), date(2026, 2, 1)
RUN = [
    # January's 1,000: 100 redeemed at age 0, 180 of the 900 left at age 1, nothing at age 2, the rest expired at age 3.
    Moves("points", 0, JAN, 1_000, 100, 0), Moves("points", 1, JAN, 0, 180, 0), Moves("points", 3, JAN, 0, 0, 720),
    # February's 3,000: 900 at age 0, none at age 1.
    Moves("points", 0, FEB, 3_000, 900, 0),
]  # fmt: skip


def test_the_curve_counts_complete_months_of_all_vintages() -> None:
    found = seen(RUN, D("2026-05-15"))
    assert dict(found) == {
        ("points", 0): (4_000, 1_000), ("points", 1): (900 + 2_100, 180),
        ("points", 2): (720 + 2_100, 0), ("points", 3): (720, 0),
    }  # fmt: skip
    assert [(age.age_months, age.redeemed_ppm, age.left_ppm) for age in curve(found)] == [
        (0, 250_000, 750_000), (1, 60_000, 705_000), (2, 0, 705_000), (3, 0, 705_000),
    ]  # fmt: skip


def test_what_is_expected_to_stay_is_the_product_of_the_months_before_it() -> None:
    found = seen(RUN, D("2026-05-15"))
    assert expected_to_stay(found, "points", 0, months=3, exposed_min=1) == Fraction(3, 4) * Fraction(94, 100)
    assert expected_to_stay(found, "points", 1, months=3, exposed_min=1) == Fraction(94, 100)
    assert expected_to_stay(found, "points", 4, months=3, exposed_min=1) == 1, "no month is left to redeem in"


def test_where_too_little_was_seen_no_breakage_is_expected() -> None:
    found = seen(RUN, D("2026-05-15"))
    assert expected_to_stay(found, "points", 0, months=4, exposed_min=1) == 0, "nobody was seen at age 4"
    assert expected_to_stay(found, "points", 0, months=3, exposed_min=721) == 0, "720 points at age 3 are too few"
    assert expected_to_stay(found, "agent", 0, months=3, exposed_min=1) == 0


# --- from the journal ---


@pytest.fixture
async def t(settings: Settings):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        cooling = term(cooling_off_end=D("2026-02-16"))
        await under.feed(paid(cooling, 50_000, "2026-01-31"), did("check_up", "2026-01-10"))
        await under.feed(replace(did("check_up", "2026-02-10"), member_id="M-2"))
        await under.day(D("2026-03-01"))
        hold = {"member_id": M, "points": 300, "hold_id": "H-1"}
        await under.http.post("/v1/holds", json=hold, headers=under.auth("service"))
        await under.http.post("/v1/holds/H-1/capture", headers=under.auth("service"))
        await under.day(D("2026-03-15"))
        yield under


async def get(t: Under, query: str = "") -> Any:
    return (await t.http.get(f"/v1/liability?{query}", headers=t.auth("operator"))).json()


async def test_each_vintage_and_its_cost_at_the_reference_value(t: Under) -> None:
    found = await get(t)
    rows = [(v["month"], v["granted"], v["redeemed"], v["outstanding"], v["pending"]) for v in found["vintages"]]
    assert rows == [("2026-01-01", 1_000, 300, 700, 0), ("2026-02-01", 500, 0, 500, 0)]
    assert (found["outstanding"], found["cost_fen"], found["expected_breakage"]) == (1_200, 1_200, 0)
    assert (await get(t, "as_of=2026-02-10"))["pending"] == 500
    assert (await get(t, "as_of=2028-02-10"))["outstanding"] == 1_200 - 200, "January's check-up is over by its date"


async def test_a_day_by_what_was_known_then_is_the_same_for_ever(t: Under) -> None:
    first = await get(t, "as_of=2026-03-10")
    query = f"as_of=2026-03-10&known_at={first['known_at'].replace('+', '%2B')}"
    await t.feed(
        cancelled(term(), "2026-03-05", "flat"), CustomerMerged(member_id="M-2", merged_id=M, effective=D("2026-03-16"))
    )
    await t.day(D("2026-03-20"))
    assert await get(t, query) == first
    now = await get(t, "as_of=2026-03-10")
    assert now["outstanding"] < first["outstanding"], "today we know of the cancellation of 5 March"
    assert (await get(t))["outstanding"] == now["outstanding"], "a merger moves, and owes the same"


async def test_the_file_adds_up(t: Under) -> None:
    answer = await t.http.get("/v1/liability/file", headers=t.auth("operator"))
    head, *rows, total = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    for x in range(2, len(head)):
        assert sum(int(row[x]) for row in rows) == int(total[x]), head[x]
    assert (await t.http.get("/v1/liability/file", headers=t.auth("member"))).status_code == 403


async def test_breakage_from_the_journal_is_the_methods(t: Under) -> None:
    found = await report(
        t.pool, D("2026-03-15"), (await t.pool.fetchval("SELECT now()")), months=1, points_per_cny=100, exposed_min=1
    )
    # Age 0: 1,000 + 500 came, none redeemed; age 1 (complete for January only): none. January is at age 2: nothing is left to come.
    assert [(v.month, v.expected_breakage) for v in found.vintages] == [(JAN, 700), (FEB, 500)]
