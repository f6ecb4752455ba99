"""What it costs: one member's recompute is as long as their terms, a day looks only at whom something is due for.

Counted in calls and rows, not in seconds, so that a busy machine says the same. The day of a million members is run by hand:
`TENURE_TICK_MEMBERS=1000000 .venv/bin/pytest -n 0 -s services/tier-engine/tests/test_scale.py -k million`.
"""

import os
import sys
import time
from datetime import date

import pytest
from msgspec.structs import replace
from tenure.calendar import add_years
from tenure.contracts.tier import TierChanged
from tenure.testing import under_test
from tier_engine import store
from tier_engine.rules import Member, live, on_term
from tier_engine.rules.evidence import evidence
from tier_engine.service import SERVICE

from .cases import STANDARD, continuous, day, insured, known, programme, stricter, term, with_growth_days

DUE_ON = day("2018-01-01")
TICK_S_MAX = 60.0


def calls(do):
    """How many calls of Python and C functions something takes: the same on every machine."""
    count = 0

    def see(_frame, event, _arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        do()
    finally:
        sys.setprofile(None)
    return count


def a_member_of(terms_count):
    """Short terms of ten policies, overlapping, two of three with another premium."""
    held = [
        term(f"{1900 + n // 4}-{n % 4 * 3 + 1:02}-01", premium=150 + n % 3 * 400, policy=f"P-{n % 10}", no=n)
        for n in range(terms_count)
    ]
    return Member(member_id="M-1", terms=insured(*held), growth=((day("1990-05-05"), 30),))


@pytest.mark.parametrize("rules", [STANDARD, programme(with_growth_days(), stricter("2018-02-28"))], ids=["one", "two"])
def test_a_life_costs_as_many_steps_as_it_has_terms(rules):
    few, many = (calls(lambda n=n: live(a_member_of(n).terms, (), rules.tiers)) for n in (50, 400))
    whole = [calls(lambda n=n: a_member_of(n)) for n in (50, 400)]
    assert (many - whole[1]) / (few - whole[0]) < 8 * 1.25


def test_a_fact_about_a_term_costs_as_many_steps_as_the_member_has_terms():
    found = []
    for n in (50, 400):
        member = replace(a_member_of(n), lived_to=day("2000-06-01"), judged_by=STANDARD.tiers.digest)
        fact = known(term("2000-07-01", premium=5_000, policy="P-new"))
        found.append(calls(lambda member=member, fact=fact: on_term(member, fact, STANDARD)))
    assert found[1] / found[0] < 8 * 1.25
    few, many = (
        calls(lambda m=m: evidence(m.terms, m.growth, STANDARD.tiers.newest, day("2018-01-01")))
        for m in (a_member_of(50), a_member_of(400))
    )
    assert many / few < 8 * 1.25


async def fill(t, members, due):
    """So many members, a few of whom complete their second year on the day; the others have nothing due for years."""
    rules = t.door.programme
    lived_to = day("2017-12-31")
    people = []
    for n in range(due):
        terms = insured(*continuous("2016-01-01", 3, policy=f"P-{n}", member=f"D-{n:06}"))
        life = live(terms, (), rules.tiers)
        assert life.next_change(lived_to) == DUE_ON
        people.append(
            Member(
                member_id=f"D-{n:06}",
                terms=terms,
                lived_to=lived_to,
                timeline=life.until(lived_to),
                due_on=DUE_ON,
                judged_by=rules.tiers.digest,
            )
        )
    columns = ("member_id", "state", "lived_to", "due_on", "judged_by")
    await t.pool.copy_records_to_table(
        "members",
        records=[(m.member_id, store._pack(m), m.lived_to, m.due_on, m.judged_by) for m in people],
        columns=columns,
    )
    quiet = Member(member_id="Q", terms=insured(*continuous("2016-06-01", 6)), lived_to=lived_to)
    await t.pool.execute(
        """INSERT INTO members (member_id, state, lived_to, due_on, judged_by)
           SELECT 'Q-' || n, $2, $3, $4::date + (n % 1500)::int, $5 FROM generate_series(1, $1) n""",
        members - due,
        store._pack(quiet),
        lived_to,
        add_years(DUE_ON, 1),
        rules.tiers.digest,
        timeout=600,
    )
    await t.pool.execute("ANALYZE members")


async def plan_of_due(t):
    """What PostgreSQL does for `store.due`, as it runs."""
    said = []

    class Explains:
        async def fetch(self, sql, *args):
            async with t.pool.acquire() as conn:
                said.extend(
                    r[0] for r in await conn.fetch("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) " + sql, *args)
                )
            return []

    await store.due(Explains(), DUE_ON, 1_000)
    return "\n".join(said)


async def test_a_day_reads_only_the_members_whom_something_is_due_for(settings):
    async with under_test(SERVICE, settings) as t:
        await fill(t, 20_000, 60)
        plan = await plan_of_due(t)
        assert "members_due" in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "Rows Removed by Filter" not in plan, plan
        assert "rows=60" in plan, plan
        assert await t.day(DUE_ON) == 60
        assert {c.to_tier for c in await t.emitted(TierChanged)} == {"silver"}
        assert await t.day(date(2018, 1, 2)) == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif("TENURE_TICK_MEMBERS" not in os.environ, reason="run by hand: TENURE_TICK_MEMBERS=1000000")
async def test_the_day_of_a_million_members(settings):
    """Wall time, Python and PostgreSQL taking turns on one connection: an upper bound of one core's seconds."""
    members = int(os.environ["TENURE_TICK_MEMBERS"])
    async with under_test(SERVICE, settings) as t:
        await fill(t, members, members * 3 // 1_000)
        began, cpu = time.monotonic(), time.process_time()
        done = await t.day(DUE_ON)
        took, used = time.monotonic() - began, time.process_time() - cpu
        began = time.monotonic()
        assert await t.day(date(2018, 1, 2)) == 0
        nothing = time.monotonic() - began
        sys.stdout.write(
            f"\n{members:,} members, {done:,} due: {took:.2f} s of wall ({used:.2f} s of Python's CPU); "
            f"a day with nothing due: {nothing * 1e3:.1f} ms\n"
        )
        assert done == members * 3 // 1_000
        assert took <= TICK_S_MAX
