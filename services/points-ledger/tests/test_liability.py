"""The liability by vintage: added up from the journal, reproducible, and its breakage against a reading of the method by hand."""

import csv
import io
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger.liability import Moves, curve, expected_to_stay, report, seen, table
from points_ledger.service import SERVICE
from tenure.contracts.policy import CustomerMerged
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .world import D, M, cancelled, did, paid, served, term, uncancelled

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


def test_what_expired_is_there_to_redeem_no_more() -> None:
    assert seen(RUN, D("2026-06-15"))["points", 4] == (0, 0), "January's, and none of February's yet"


def test_what_is_expected_to_stay_is_the_product_of_the_months_before_it() -> None:
    found = seen(RUN, D("2026-05-15"))
    assert expected_to_stay(found, "points", range(4), exposed_min=1) == Fraction(3, 4) * Fraction(94, 100)
    assert expected_to_stay(found, "points", range(1, 4), exposed_min=1) == Fraction(94, 100)
    assert expected_to_stay(found, "points", range(4, 4), exposed_min=1) == 0, (
        "what is there beyond its last month is held"
    )


def test_where_too_little_was_seen_no_breakage_is_expected() -> None:
    found = seen(RUN, D("2026-05-15"))
    assert expected_to_stay(found, "points", range(5), exposed_min=1) == 0, "nobody was seen at age 4"
    assert expected_to_stay(found, "points", range(4), exposed_min=721) == 0, "720 points at age 3 are too few"
    assert expected_to_stay(found, "points", range(3, 4), exposed_min=720) == 1, "720 are just enough"
    assert expected_to_stay(found, "agent", range(4), exposed_min=1) == 0


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
    pending = await get(t, "as_of=2026-02-10")
    assert (pending["outstanding"], pending["pending"], pending["cost_fen"]) == (1_000, 500, 1_500)
    assert [vintage["cost_fen"] for vintage in pending["vintages"]] == [1_000, 500]
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
    known_at = await t.pool.fetchval("SELECT now()")
    found = await report(t.pool, D("2027-12-15"), known_at, points_per_cny=100, exposed_min=1)
    # January: of 1,000 there in March 300 were redeemed; of February's nothing. Ages 22 to 25 were never seen, so nothing stays.
    assert [(v.month, v.expected_breakage) for v in found.vintages] == [(JAN, 0), (FEB, 0)]
    late = await report(t.pool, D("2028-02-15"), known_at, points_per_cny=100, exposed_min=1)
    # The last lot of January, pending until 16 February, lasts to the end of February 2028: nobody was ever seen at age 25. February's
    # last month is its age 24, at which January's were seen to redeem nothing.
    assert [(v.month, v.outstanding, v.expected_breakage) for v in late.vintages] == [(JAN, 500, 0), (FEB, 500, 500)]


async def test_the_run_off_counts_each_way_in_which_points_come_and_go(t: Under) -> None:
    """In April M-3 earns 500 (and growth, which is no liability) and is given 100 by hand, M-4 earns 300 and M-5 400, spent at once.

    In May M-3 takes an order of 200, of which 50 come back, M-4's policy never was, and nor was M-5's, who owes 400 and repays
    them by 500 of May. In June M-4's policy is one after all, and M-3 is corrected by 30.
    """
    theirs = {n: replace(term(policy_no=f"P-{n}"), member_id=f"M-{n}") for n in (4, 5)}
    await t.day(D("2026-04-01"))
    await t.feed(
        *(
            replace(done, member_id="M-3")
            for done in (did("check_up", "2026-04-01"), did("class", "2026-04-01", session_id="S-1"))
        )
    )
    await t.feed(paid(theirs[4], 30_000, "2026-04-01"), paid(theirs[5], 40_000, "2026-04-01"))
    await by_hand(t, 100)
    await order(t, "M-5", 400)
    await t.feed(*(cancelled(theirs[n], "2026-05-01", "flat") for n in (4, 5)))
    await t.feed(replace(did("check_up", "2026-05-05"), member_id="M-5"))
    await t.day(D("2026-05-05"))
    await order(t, "M-3", 200, refunded=50)
    await t.feed(uncancelled(theirs[4], "2026-06-01"))
    await t.day(D("2026-06-02"))
    await by_hand(t, -30)
    await t.day(D("2026-07-15"))
    found = await report(t.pool, D("2026-07-15"), await t.pool.fetchval("SELECT now()"), points_per_cny=100)
    assert [(age.age_months, age.exposed, age.redeemed) for age in found.redemption_curve] == [
        (0, 1_000 + 500 + 1_350 + 100, 400),
        (1, 1_000 + 500 + 1_350 - 400 - 300 + 100, 150),
        (2, 1_000 + 500 + 500 + 300 - 30, 300),
        (3, 700 + 500, 0),
        (4, 700 + 500, 0),
        (5, 700, 0),
    ]
    april, may = found.vintages[2:]
    assert (april.granted, april.redeemed, april.reversed, april.deducted, april.outstanding) == (
        1_350,
        550,
        0,
        30,
        770,
    )
    assert (may.granted, may.repaid, may.outstanding) == (500, 400, 100)


async def test_ages_are_months_also_over_the_year(t: Under) -> None:
    """Of January's points 100 are redeemed a year and a month later."""
    await t.day(D("2027-02-10"))
    await order(t, M, 100)
    await t.day(D("2027-03-15"))
    found = await report(t.pool, D("2027-03-15"), await t.pool.fetchval("SELECT now()"), points_per_cny=100)
    assert [(age.age_months, age.redeemed) for age in found.redemption_curve if age.redeemed] == [(2, 300), (13, 100)]


async def by_hand(t: Under, points: int) -> None:
    body = {"member_id": "M-3", "points": points, "reason": "goodwill", "ticket": "T-1"}
    made = await t.http.post("/v1/adjustments", json=body, headers=t.auth("operator", subject="op-1"))
    approve = f"/v1/adjustments/{made.json()['adjustment_id']}/approve"
    assert (await t.http.post(approve, headers=t.auth("operator", subject="op-2"))).status_code == 200


async def order(t: Under, member: str, points: int, *, refunded: int = 0) -> None:
    placed = {"member_id": member, "points": points, "hold_id": f"H-{member}"}
    assert (await t.http.post("/v1/holds", json=placed, headers=t.auth("service"))).status_code == 201
    await t.http.post(f"/v1/holds/H-{member}/capture", headers=t.auth("service"))
    if refunded:
        await t.http.post(f"/v1/holds/H-{member}/refund", json={"points": refunded}, headers=t.auth("service"))


async def test_a_vintage_lasts_as_long_as_the_last_lot_that_has_anything(t: Under) -> None:
    """January's premium, which would have lasted until March 2028, was for a policy that never was; 200 of its check-up are left.
    Of the December before, of which nothing was redeemed, all is expected to expire at that age.
    """
    await t.feed(
        cancelled(term(), "2026-03-15", "flat"), paid(term(policy_no="P-9", member_id="M-9"), 10_000, "2025-12-01")
    )
    found = await report(
        t.pool, D("2028-01-15"), await t.pool.fetchval("SELECT now()"), points_per_cny=100, exposed_min=1
    )
    assert [(v.month, v.outstanding, v.expected_breakage) for v in found.vintages][1] == (JAN, 200, 200)
    assert table(found)[-1][-2:] == [found.cost_fen, found.expected_cost_fen] == [700, 0], "the file's last row"
    assert [v.expected_cost_fen for v in found.vintages] == [0, 0, 0]


async def test_the_breakage_by_what_was_known_then_is_the_same_for_ever(t: Under) -> None:
    """An order taken in March counts in the run-off that is known today, and not in the one that was known before."""
    known_at = await t.pool.fetchval("SELECT now()")
    by = {"points_per_cny": 100, "exposed_min": 1}
    first = await report(t.pool, D("2026-05-15"), known_at, **by)
    order = {"member_id": M, "points": 200, "hold_id": "H-9"}
    assert (await t.http.post("/v1/holds", json=order, headers=t.auth("service"))).status_code == 201
    assert (await t.http.post("/v1/holds/H-9/capture", headers=t.auth("service"))).status_code == 200
    assert await report(t.pool, D("2026-05-15"), known_at, **by) == first
    now = await report(t.pool, D("2026-05-15"), await t.pool.fetchval("SELECT now()"), **by)
    assert now.redemption_curve != first.redemption_curve


async def test_what_began_late_may_still_be_redeemed_in_its_last_month(t: Under) -> None:
    """Earned in January, active in mid-February: it expires a month after what was active at once."""
    found = await get(t, "as_of=2028-02-10")
    assert [(v["month"], v["outstanding"], v["expected_breakage"]) for v in found["vintages"]] == [
        ("2026-01-01", 500, 0), ("2026-02-01", 500, 0),
    ]  # fmt: skip


async def test_what_is_held_beyond_its_last_month_is_owed(t: Under) -> None:
    await t.day(D("2028-02-29"))
    hold = {"member_id": M, "points": 200, "hold_id": "H-2", "ttl_s": 3_600}
    assert (await t.http.post("/v1/holds", json=hold, headers=t.auth("service"))).status_code == 201
    found = await get(t, "as_of=2028-03-01")
    assert [(v["outstanding"], v["expected_breakage"]) for v in found["vintages"]] == [(200, 0), (0, 0)]


async def test_a_leaving_heard_of_later_changes_no_earlier_report(t: Under) -> None:
    await t.feed(served("mentoring", "2026-03-10"), served("mentoring", "2026-03-11"))
    first = await get(t, "as_of=2026-12-30")
    query = f"as_of=2026-12-30&known_at={first['known_at'].replace('+', '%2B')}"
    agent = f"/v1/agents/{served('mentoring', '2026-03-10').agent_id}"
    assert (
        await t.http.post(f"{agent}/leave", json={"on": "2026-06-01"}, headers=t.auth("operator"))
    ).status_code == 200
    assert await get(t, query) == first
    left = await get(t, "as_of=2026-12-30")
    assert left["outstanding"] == first["outstanding"] - 200, "his points end 90 days after he left"
    assert (
        await t.http.post(f"{agent}/return", json={"on": "2026-06-02"}, headers=t.auth("operator"))
    ).status_code == 200
    again = f"as_of=2026-12-30&known_at={left['known_at'].replace('+', '%2B')}"
    assert await get(t, again) == left, "by what was known then"
    assert (await get(t, "as_of=2026-12-30"))["outstanding"] == first["outstanding"]


async def test_every_vintage_adds_up(t: Under) -> None:
    body = {"member_id": M, "points": -100, "reason": "goodwill", "ticket": "T-1"}
    made = await t.http.post("/v1/adjustments", json=body, headers=t.auth("operator", subject="op-1"))
    approve = f"/v1/adjustments/{made.json()['adjustment_id']}/approve"
    assert (await t.http.post(approve, headers=t.auth("operator", subject="op-2"))).status_code == 200
    await t.feed(cancelled(term(), "2026-03-15", "flat"), did("check_up", "2026-03-15"))
    await t.day(D("2026-03-16"))
    found = (await get(t))["vintages"]
    gone = ("redeemed", "expired", "reversed", "repaid", "deducted")
    assert {name for v in found for name in gone if v[name]} >= {"redeemed", "reversed", "deducted"}
    for v in found:
        assert v["granted"] - sum(v[name] for name in gone) == v["outstanding"] + v["pending"], v["month"]


async def test_a_vintage_adds_up_after_a_debt_and_after_what_was_over_is_taken_back(t: Under) -> None:
    """A policy is void of which all is spent; another after its points are over, and stands again after that."""
    other, third = replace(term(policy_no="P-2"), member_id="M-2"), replace(term(policy_no="P-3"), member_id="M-3")
    await t.feed(paid(other, 50_000, "2026-03-15"), paid(third, 50_000, "2026-03-15"))
    hold = {"member_id": "M-2", "points": 900, "hold_id": "H-3"}
    assert (await t.http.post("/v1/holds", json=hold, headers=t.auth("service"))).status_code == 201
    assert (await t.http.post("/v1/holds/H-3/capture", headers=t.auth("service"))).status_code == 200
    await t.feed(cancelled(other, "2026-03-16", "flat"))
    assert await t.pool.fetchval("SELECT points_debt FROM accounts WHERE member_id = 'M-2'") == 400
    await t.day(D("2026-03-16"))
    await must_add_up(t)
    await t.feed(uncancelled(other, "2026-03-17"))
    await t.day(D("2026-03-17"))
    await must_add_up(t)
    await t.day(D("2028-04-02"))
    await t.feed(cancelled(third, "2028-04-02", "flat"))
    assert await must_add_up(t) == {"2026-01-01": 700, "2026-02-01": 0, "2026-03-01": 100}
    await t.feed(uncancelled(third, "2028-04-03"))
    await t.day(D("2028-04-03"))
    assert await must_add_up(t) == {"2026-01-01": 700, "2026-02-01": 0, "2026-03-01": 600}


async def must_add_up(t: Under) -> dict[str, int]:
    """What of each vintage expired."""
    found = (await get(t))["vintages"]
    gone = ("redeemed", "expired", "reversed", "repaid", "deducted")
    for v in found:
        assert v["granted"] - sum(v[name] for name in gone) == v["outstanding"] + v["pending"], v
    return {v["month"]: v["expired"] for v in found}
