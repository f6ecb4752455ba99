"""What-if: draft rules over real histories; who moves, who gains and loses, what it costs, and that nothing live is touched."""

import asyncio
import os
import resource
import sys
import time
from datetime import date, timedelta

import msgspec
import pytest
from tenure.calendar import add_months
from tenure.contracts.policy import PolicyIssued
from tenure.contracts.programme import Versions
from tenure.testing import under_test
from tier_engine import store
from tier_engine.rules import Member
from tier_engine.rules.compare import Question, Scales, carried_on
from tier_engine.rules.value import YearlyPoints, yearly_fen
from tier_engine.service import SERVICE
from tier_engine.whatif import process, work
from tier_engine.whatif import store as jobs

from .cases import RULES, continuous, day, insured, stricter, term
from .model import tiers_by_day

TODAY = "2018-06-15"
AT = "/v1/simulations"


def issued(t):
    return PolicyIssued(member_id=t.member_id, term=t, effective=t.start)


def document(**tiers):
    """The house's rules with other thresholds: (insured years, over so many yuan)."""
    found = msgspec.to_builtins(stricter("2018-07-01", **tiers))
    return {k: v for k, v in found.items() if k not in ("version", "effective")}


DEARER = document(silver=(2, 400), gold=(5, 800), diamond=(8, 1500))
MILDER = document(silver=(2, 300), gold=(5, 400), diamond=(8, 1500))


def question(rules, draft, **more):
    given = {
        "as_of": day("2018-01-01"),
        "months": 12,
        "renewals": True,
        "points": YearlyPoints.by(rules.earning.newest),
    }
    return Question(current=(RULES,), draft=(draft,), **{**given, **more})


@pytest.fixture
async def t(settings):
    """M-1 has been insured for two years; M-2 pays CNY 350, M-3 CNY 500, M-4 CNY 100 and nothing after June 2018."""
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        await t.feed(*map(issued, continuous("2016-01-01", 3)))
        for n, premium in ((2, 350), (3, 500)):
            await t.feed(issued(term("2018-01-01", premium=premium, member=f"M-{n}", policy=f"P-{n}")))
        await t.feed(issued(term("2017-06-01", premium=100, member="M-4", policy="P-4")))
        await t.day(day(TODAY))
        await t.emitted()
        yield t


async def ask(t, *, role="operator", **body):
    return await t.http.post(AT, json=body, headers=t.auth(role))


async def get(t, path):
    answer = await t.http.get(AT + path, headers=t.auth("operator"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def simulated(t, **body):
    answer = await ask(t, **body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "waiting"
    assert await work.simulate_one(t.door, asyncio.Event())
    found = await get(t, "/" + answer.json()["simulation_id"])
    assert found["state"] == "done", found
    return found


def moves(result, which="moves_on_first_day"):
    return {(m["current"], m["draft"]): m["members"] for m in result[which]}


async def test_who_moves_where_and_who_is_helped_or_harmed(t):
    found = await simulated(t, rules=DEARER)
    assert (found["members_done"], found["members_total"]) == (4, 4)
    result = found["result"]
    assert moves(result) == {("silver", "silver"): 2, ("silver", "basic"): 1, ("basic", "basic"): 1}
    assert (result["members"], result["helped"], result["harmed"], result["listed"]) == (4, 0, 1, 1)
    (row,) = (await get(t, f"/{found['simulation_id']}/members?effect=harmed"))["items"]
    assert row == {
        "member_id": "M-2",
        "effect": "harmed",
        "differs_on": TODAY,
        "current": "silver",
        "draft": "basic",
    }
    assert (await get(t, f"/{found['simulation_id']}/members?effect=helped"))["items"] == []
    milder = await simulated(t, rules=MILDER)
    assert moves(milder["result"])["silver", "gold"] == 1
    assert milder["result"]["helped"] == 1


async def test_from_a_day_to_come_members_keep_their_tier_until_its_protection_ends(t):
    found = (await simulated(t, rules=DEARER, effective="2018-07-01", months=24))["result"]
    assert moves(found)["silver", "silver"] == 3, "on the day itself nobody loses anything"
    assert moves(found, "moves_on_last_day") == {
        ("silver", "silver"): 3,  # M-2 has two insured years by then, under either rules
        ("basic", "basic"): 1,
    }
    on = {d["day"]: (d["current"], d["draft"]) for d in found["by_month"]}
    assert on["2019-06-01"][0] == on["2019-06-01"][1]
    assert on["2019-07-01"] == ({"silver": 3, "basic": 1}, {"silver": 2, "basic": 2})
    assert len(on) == 25


async def test_policies_of_today_are_renewed_until_a_day_far_ahead_and_on_from_there(t):
    """Each ends before 1 July 2019; who renews for CNY 350 has silver on that day, and loses it to the draft a year later."""
    by_premium = document(silver=(9, 400), gold=(9, 800), diamond=(9, 1500))
    found = await simulated(t, rules=by_premium, effective="2019-07-01", months=24)
    harmed = (await get(t, f"/{found['simulation_id']}/members?effect=harmed"))["items"]
    assert ("M-2", "2020-06-30") in {(row["member_id"], row["differs_on"]) for row in harmed}
    assert found["result"]["costs"]["current"]["benefits_fen"] > 0
    assert f"in force on {TODAY} is taken to go on" in found["result"]["how"]
    ended = await simulated(t, rules=by_premium, effective="2019-07-01", months=24, renewals=False)
    assert ended["result"]["costs"]["current"]["benefits_fen"] == 0


async def test_nothing_live_is_touched(t):
    async def everything():
        tables = ("members", "decisions", "outbox", "inbox", "rule_drafts", "calendar")
        return [[tuple(r.values()) for r in await t.pool.fetch(f"SELECT * FROM {name} ORDER BY 1")] for name in tables]

    before = await everything()
    await simulated(t, rules=DEARER, months=36)
    assert await everything() == before
    assert await t.emitted() == []


async def test_interrupted_anywhere_it_goes_on_and_counts_nobody_twice(t, monkeypatch):
    whole = (await simulated(t, rules=DEARER))["result"]
    monkeypatch.setattr(work, "MEMBERS_MAX", 1)
    again = (await ask(t, rules=DEARER)).json()["simulation_id"]
    stopping, kept = asyncio.Event(), jobs.go_on

    async def stop_after_one(*args, **more):
        stopping.set()
        return await kept(*args, **more)

    monkeypatch.setattr(jobs, "go_on", stop_after_one)
    assert await work.simulate_one(t.door, stopping)
    assert ((await get(t, "/" + again))["state"], (await get(t, "/" + again))["members_done"]) == ("running", 1)

    async def die(*args, **more):
        raise ConnectionError("the database went away")

    monkeypatch.setattr(jobs, "go_on", die)
    with pytest.raises(ConnectionError):
        await work.simulate_one(t.door, asyncio.Event())
    assert not await work.simulate_one(t.door, asyncio.Event()), "its lease has not ended"
    await t.pool.execute("UPDATE simulations SET taken_until = now() - interval '1 second' WHERE state = 'running'")
    monkeypatch.setattr(jobs, "go_on", kept)
    assert await work.simulate_one(t.door, asyncio.Event())
    assert (await get(t, "/" + again))["result"] == whole


async def test_all_members_are_those_of_one_instant(t, monkeypatch):
    """Between two pages a member comes who is new, and one whose page is still to come is cancelled."""
    whole = (await simulated(t, rules=DEARER))["result"]
    monkeypatch.setattr(work, "MEMBERS_MAX", 1)
    kept = jobs.go_on

    async def meanwhile(conn, job, **more):
        if not job.after:
            await t.feed(issued(term("2018-01-01", premium=900, member="M-5", policy="P-5")))
            await t.feed(issued(term("2018-01-01", premium=500, member="M-3", policy="P-3", version=2, void=True)))
        return await kept(conn, job, **more)

    monkeypatch.setattr(jobs, "go_on", meanwhile)
    assert (await simulated(t, rules=DEARER))["result"] == whole
    assert await t.pool.fetchval("SELECT count(*) FROM simulation_snapshot") == 0
    monkeypatch.undo()
    assert (await simulated(t, rules=DEARER))["result"] != whole


async def test_who_was_overtaken_stops(t, monkeypatch):
    """A worker that was away for longer than its lease finds that another went on, and leaves it to that one."""
    monkeypatch.setattr(work, "MEMBERS_MAX", 2)
    simulation_id = (await ask(t, rules=DEARER)).json()["simulation_id"]
    slow = work._Run(t.door, await t.door.keep(jobs.take))
    await t.pool.execute("UPDATE simulations SET taken_until = NULL")
    assert await work.simulate_one(t.door, asyncio.Event())
    async with work.weighing(slow.job.question) as scales:
        await slow.all_pages(scales, asyncio.Event())
    await slow.finish()
    assert (await get(t, "/" + simulation_id))["result"]["members"] == 4


async def test_the_process_that_weighs_ends_when_nobody_speaks_to_it(rules):
    """A worker that is killed leaves nothing behind: the pipe ends with it, and so does the process."""
    async with process.weighing(question(rules, RULES)) as scales:
        assert (await scales.weigh([store._pack(someone(1))])).members == 1
        child = scales._process
        child.stdin.close()  # as the kernel does it for a parent that is gone
        async with asyncio.timeout(30):
            assert await child.wait() == 0
        with pytest.raises(process.WeighingFailedError):
            await scales.weigh([store._pack(someone(2))])


async def test_a_simulation_whose_process_dies_says_so_and_the_next_one_works(t, monkeypatch):
    async def dies(self, states):
        raise process.WeighingFailedError("the process that weighs gave no answer")

    simulation_id = (await ask(t, rules=DEARER)).json()["simulation_id"]
    with monkeypatch.context() as broken:
        broken.setattr(process.Weighing, "weigh", dies)
        assert await work.simulate_one(t.door, asyncio.Event())
    found = await get(t, "/" + simulation_id)
    assert (found["state"], found["result"]) == ("failed", None)
    assert "gave no answer" in found["error"]
    assert (await simulated(t, rules=DEARER))["state"] == "done"


async def test_the_list_is_paged(t):
    found = await simulated(t, rules=document(silver=(9, 9000), gold=(10, 10_000), diamond=(11, 11_000)))
    ids, cursor = [], ""
    while cursor is not None:
        page = await get(t, f"/{found['simulation_id']}/members?limit=1" + (f"&cursor={cursor}" if cursor else ""))
        ids, cursor = ids + [row["member_id"] for row in page["items"]], page["next_cursor"]
    assert ids == ["M-1", "M-2", "M-3"]
    assert [s["simulation_id"] for s in (await get(t, ""))["items"]] == [found["simulation_id"]]


async def test_what_cannot_be_simulated_is_refused(t):
    refused = [
        (dict(rules={}), 422, "rules_invalid"),
        (dict(rules={**DEARER, "colour": "red"}), 422, "rules_invalid"),
        (dict(rules=DEARER, months=61), 422, "validation_failed"),
        (dict(rules=DEARER, as_of="2099-01-01"), 422, "simulated_day_out_of_range"),
        (dict(rules=DEARER, as_of="1066-01-01"), 422, "simulated_day_out_of_range"),
        (dict(rules=DEARER, kind="earning"), 422, "validation_failed"),
    ]
    for body, status, code in refused:
        answer = await ask(t, **body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body
    for role in ("member", "agent", "core", "sre", "service"):
        assert (await ask(t, role=role, rules=DEARER)).status_code == 403
    assert (await t.http.get(AT + "/S-none", headers=t.auth("operator"))).status_code == 404
    assert [(await ask(t, rules=DEARER)).status_code for _ in range(6)] == [202] * 5 + [409]


async def test_those_that_ended_longest_ago_make_room(t, monkeypatch):
    monkeypatch.setattr(jobs, "KEPT_MAX", 2)
    made = [(await simulated(t, rules=DEARER))["simulation_id"] for _ in range(3)]
    assert [s["simulation_id"] for s in (await get(t, ""))["items"]] == made[:0:-1]
    assert await t.pool.fetchval("SELECT count(DISTINCT simulation_id) FROM simulation_members") == 2


def test_every_day_of_the_question_is_as_the_model_says(rules):
    """The slow day-by-day model counts the same members on the same days, under both sets of rules."""
    people = [
        Member(member_id=f"M-{n}", terms=insured(*terms))
        for n, terms in enumerate(
            [
                continuous("2012-03-01", 7, premium=290),
                [term("2017-02-28", premium=900)],
                [term("2016-01-01", years=2, premium=301), term("2018-05-01", premium=100, no=2)],
                [term("2017-07-01", premium=350, policy="P-9", line="motor")],
            ]
        )
    ]
    draft = stricter("2018-04-01", silver=(1, 320), gold=(6, 800), diamond=(8, 1500))
    asked = msgspec.structs.replace(
        question(rules, draft, renewals=False), draft=(RULES, draft), months=18, as_of=day("2018-01-31")
    )
    weighed = Scales(asked).weigh(people)
    for side, versions in ((weighed.current, asked.current), (weighed.draft, asked.draft)):
        for d, counted in zip(asked.days, side.members, strict=True):
            slow = [
                list(tiers_by_day(m.terms, (), Versions(list(versions)), day("2012-01-01"), d))[-1][4] for m in people
            ]
            assert counted == {tier: slow.count(tier) for tier in set(slow)}, d


def test_a_policy_in_force_goes_on_and_one_that_ended_does_not():
    held = insured(term("2017-01-01", no=1), term("2018-01-01", no=2), term("2015-01-01", policy="P-2"))
    day_ = day("2018-06-01")
    carried = carried_on(held, day_, day("2020-06-01"))
    assert [t.covers for t in carried[:1] + carried[2:]] == [t.covers for t in held[:1] + held[2:]]
    assert carried[1].covers == ((day("2018-01-01"), day("2020-07-01")),)


def test_cover_that_is_to_be_anothers_or_lapses_does_not_go_on():
    held = insured(
        term("2018-01-01", covers=[("2018-01-01", "2018-10-01")]),  # announced: from October on it is somebody else's
        term("2018-02-01", policy="P-2", covers=[("2018-02-01", "2018-03-01"), ("2018-05-01", "2019-02-01")]),
    )
    carried = carried_on(held, day("2018-06-01"), day("2020-06-01"))
    assert [t.covers[-1][1] for t in carried] == [day("2018-10-01"), day("2020-07-01")]


def test_a_year_costs_what_the_files_say(rules):
    """By hand: handbook 15.00, safety check 80.00; silver twice, and leak 120.00, repairs 20.00, pipes 18.00, cleaning 2 x 60.00."""
    benefits, tiers = rules.benefits.newest, rules.tiers.newest
    assert yearly_fen(benefits, tiers, "basic") == 15_00 + 80_00
    assert yearly_fen(benefits, tiers, "silver") == 15_00 + 2 * 80_00 + 120_00 + 20_00 + 18_00 + 2 * 60_00
    assert yearly_fen(benefits, tiers, "none") == 0
    points = YearlyPoints.by(rules.earning.newest)
    # CNY 350: renewal 200 + 20 % of 350, the second anniversary 200.
    assert points.of(insured(term("2017-01-01", premium=350)), day("2017-06-01")) == 200 + 70 + 100
    assert points.of(insured(term("2016-01-01", "2018-01-01", premium=700)), day("2017-06-01")) == 200 + 70 + 200
    assert points.of(insured(term("2016-01-01", premium=350)), day("2017-06-01")) == 0
    assert [points.percent_of(tier) for tier in ("basic", "silver", "diamond")] == [100, 110, 150]


async def test_the_cost_of_a_draft_is_the_sum_over_its_months(t, rules):
    result = (await simulated(t, rules=DEARER, months=12))["result"]
    silver, basic = (yearly_fen(rules.benefits.newest, rules.tiers.newest, tier) for tier in ("silver", "basic"))
    # M-1 and M-3 are silver on both sides; M-2 is by the draft basic; M-4 has no cover.
    assert result["costs"]["current"]["benefits_fen"] == 3 * silver
    assert result["costs"]["draft"]["benefits_fen"] == 2 * silver + basic
    assert result["costs"]["more"]["benefits_fen"] == basic - silver
    # M-2: (200 + 70 + 100) points a year, at 110 or at 100 percent; 100 points are CNY 1.
    assert result["costs"]["more"]["points_fen"] == -37
    assert "100 points for CNY 1" in result["how"]


async def test_what_is_granted_once_in_a_life_costs_for_each_who_comes_there_first(t):
    """Fire-safety kit, CNY 120.00, from gold. M-3 is gold by the draft at once; under either M-2 and M-4 never are."""
    costs = (await simulated(t, rules=MILDER, months=24))["result"]["costs"]
    assert (costs["current"]["once_fen"], costs["draft"]["once_fen"], costs["more"]["once_fen"]) == (0, 12_000, 12_000)
    # M-1 comes to gold by years on 1 January 2021 under either set: both pay, and neither pays for M-1 twice.
    costs = (await simulated(t, rules=MILDER, months=36))["result"]["costs"]
    assert (costs["current"]["once_fen"], costs["draft"]["once_fen"]) == (12_000, 24_000)


def test_who_had_it_is_not_given_it_again(rules):
    """Gold in 2015, basic by 2018: what came with gold was had, whatever the draft says of then."""
    held = insured(term("2014-01-01", premium=900), term("2018-01-01", premium=900, no=2))
    asked = question(rules, stricter("2015-01-01", silver=(1, 100), gold=(1, 100), diamond=(8, 1500)))
    weighed = Scales(asked).weigh([Member(member_id="M-1", terms=held)])
    assert weighed.current.reached == {}
    assert weighed.draft.reached == {}
    new = Scales(asked).weigh([Member(member_id="M-2", terms=held[1:])])
    assert new.current.reached == {"basic": 1, "silver": 1, "gold": 1}


def someone(n):
    """A life as the portfolio has them: eight terms over nine years, one of two policies, a gap for one in five."""
    start = date(2010, 1, 1) + timedelta(days=n * 37 % 1_000)
    held = []
    for year in range(8):
        begins = add_months(start, 12 * year + (n % 5 == 0 and year > 3) * 2)
        held.append(
            term(
                begins,
                premium=150 + n * 13 % 900 + 20 * year,
                no=year + 1,
                policy=f"P-{n}-{year % 2}",
                member=f"M-{n:07}",
            )
        )
    return Member(member_id=f"M-{n:07}", terms=insured(*held), lived_to=date(2018, 1, 1), judged_by=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif("TENURE_WHATIF_MEMBERS" not in os.environ, reason="run by hand: TENURE_WHATIF_MEMBERS=200000")
async def test_a_hundred_thousand_members_a_minute_on_one_core(settings):
    count = int(os.environ["TENURE_WHATIF_MEMBERS"])
    async with under_test(SERVICE, settings) as t:
        for at in range(0, count, 10_000):
            people = [someone(n) for n in range(at, min(count, at + 10_000))]
            await t.pool.copy_records_to_table(
                "members",
                records=[(m.member_id, store._pack(m), m.lived_to, 1) for m in people],
                columns=("member_id", "state", "lived_to", "judged_by"),
            )
        await t.pool.execute("VACUUM ANALYZE members")
        cpu = _cpu_s()
        began = time.monotonic()
        found = await simulated(t, rules=DEARER, as_of="2011-12-01", months=24)
        took, used = time.monotonic() - began, _cpu_s() - cpu
        sys.stdout.write(
            f"\n{count:,} members of 8 terms, 24 months: {took:.1f} s, {used:.1f} s of CPU, "
            f"{count / took * 60:,.0f} members a minute, {count / used * 60:,.0f} a minute of one core; "
            f"{found['result']['helped']:,} helped, {found['result']['harmed']:,} harmed\n"
        )
        assert found["result"]["members"] == count
        assert count / used * 60 >= 100_000


def _cpu_s():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
