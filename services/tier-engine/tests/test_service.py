"""The service on real PostgreSQL: twice is once, halves are the whole, one wrong event blocks its own member only."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from msgspec.structs import replace as amended
from tenure.contracts import topics
from tenure.contracts.event import WrongEventError
from tenure.contracts.policy import (
    CustomerMerged,
    PolicyCancelled,
    PolicyExpired,
    PolicyExpiring,
    PolicyIssued,
    PolicyRenewed,
    PremiumPaid,
)
from tenure.contracts.tier import TierAtRisk, TierChanged, TierProgressed
from tenure.spine.codec import StructuredEvent, decode, decode_structured, encode, utc_now
from tenure.spine.transact import Door, Item
from tenure.testing import under_test
from tier_engine import store
from tier_engine.review import review_all, review_some
from tier_engine.service import SERVICE

from .cases import RULES, day, growth, programme, stricter, term

EXAMPLES = Path(topics.__file__).parent / "examples"


def issued(t, **more):
    return PolicyIssued(member_id=t.member_id, term=t, effective=t.start, **more)


def a_life():
    """Two years with one policy, the third with a dearer one; another member's single policy; some growth."""
    first = term("2016-01-01", premium=100)
    second = term("2017-01-01", premium=100, no=2)
    third = term("2018-01-01", premium=900, no=3)
    other = term("2017-06-01", premium=301, member="M-2", policy="P-2")
    return [
        issued(first),
        PremiumPaid(
            member_id="M-1", term=amended(first, version=2), effective=first.start, amount_fen=100_00, instalment_no=1
        ),
        PolicyRenewed(
            member_id="M-1", term=second, effective=second.start, renewed_on=second.start, gap_days=0, days_early=0
        ),
        issued(other),
        PolicyRenewed(
            member_id="M-1", term=third, effective=third.start, renewed_on=third.start, gap_days=0, days_early=0
        ),
        growth(20, "2017-05-05").data,
    ]


async def facts(t):
    """What the database holds and what the world was told, but for the times of writing."""
    members = await t.pool.fetch("SELECT * FROM members ORDER BY member_id")
    decisions = await t.pool.fetch(
        "SELECT member_id, effective, from_tier, to_tier, retroactive, change FROM decisions ORDER BY member_id, seq"
    )
    return [tuple(r.values()) for r in members], [tuple(r.values()) for r in decisions]


async def test_a_life_from_facts_and_days(settings):
    async with under_test(SERVICE, settings) as t:
        await t.feed(*a_life())
        told = await t.emitted(TierChanged)
        assert [(c.member_id, str(c.effective), c.from_tier, c.to_tier) for c in told] == [
            ("M-1", "2016-01-01", "none", "basic"),
            ("M-2", "2017-06-01", "none", "silver"),
            ("M-1", "2018-01-01", "basic", "gold"),
        ]
        assert [r.measure for r in told[-1].reasons] == ["annual_premium_fen"]
        assert await t.day(day("2018-06-01")) == 1
        (risk,) = await t.emitted()
        assert isinstance(risk, TierAtRisk)
        assert (risk.member_id, str(risk.drops_on)) == ("M-2", "2019-05-31")
        await t.day(day("2019-12-31"))
        assert sorted((str(c.effective), c.member_id, c.to_tier) for c in await t.emitted(TierChanged)) == [
            ("2019-05-31", "M-2", "basic"),
            ("2019-12-31", "M-1", "silver"),
        ]


@pytest.mark.parametrize("halves", [False, True])
async def test_twice_is_once_and_halves_are_the_whole(settings, halves):
    async with under_test(SERVICE, settings) as once, under_test(SERVICE, settings) as twice:
        records = once.records(*a_life())
        await once.deliver(records)
        if halves:
            await twice.deliver(records[:3])
            await twice.deliver(records[2:])
        else:
            await twice.deliver(records)
        await twice.deliver(records)
        await twice.deliver(records[::-1])
        assert await facts(once) == await facts(twice)
        assert await once.emitted() == await twice.emitted()


async def test_the_same_facts_under_new_ids_have_no_second_effect(settings):
    async with under_test(SERVICE, settings) as t:
        await t.feed(*a_life()[:-1])
        before = await facts(t)
        await t.emitted()
        await t.feed(*a_life()[:-1])
        assert await facts(t) == before
        assert await t.emitted() == []
        assert await t.parked() == []


async def test_any_order_ends_in_the_same_timelines(settings):
    async with under_test(SERVICE, settings) as straight, under_test(SERVICE, settings) as turned:
        await straight.feed(*a_life())
        for fact in reversed(a_life()):
            await turned.feed(fact)
            await turned.day(day("2016-05-05"))
        for t in (straight, turned):
            await t.day(day("2020-01-01"))
        one, other = await store.members(straight.pool, "", 10), await store.members(turned.pool, "", 10)
        assert [(m.member_id, m.terms, m.timeline, m.due_on) for m in one] == [
            (m.member_id, m.terms, m.timeline, m.due_on) for m in other
        ]
        newest = {c.member_id: c.timeline for c in await turned.emitted(TierChanged)}
        assert newest == {m.member_id: m.timeline for m in one}


async def test_a_wrong_event_blocks_its_own_member_only(settings):
    async with under_test(SERVICE, settings) as t:
        wrong = amended(term("2016-01-01", premium=1), version="not a number")
        good = term("2016-01-01", member="M-2", policy="P-2")
        records = t.records(issued(term("2016-01-01", no=2)), issued(wrong), issued(term("2017-01-01")), issued(good))
        items = []
        for record in records:
            try:
                items.append(Item(decode(record.headers, record.value), record))
            except WrongEventError as error:
                items.append(Item(None, record, error))
        await t.door.transact(items)
        assert await t.parked() == [("M-1", "malformed"), ("M-1", "behind")]
        assert [m.member_id for m in await store.members(t.pool, "", 10)] == ["M-1", "M-2"]


@pytest.mark.parametrize(
    ("stood", "news"),
    [
        (None, []),  # no day had come: a replay's import
        ("2017-12-30", ["silver 2018-01-01"]),
        ("2018-01-01", ["silver 2018-01-01"]),
        ("2018-01-02", []),
    ],
)
async def test_of_days_that_come_together_after_an_import_each_is_lived(settings, stood, news):
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        if stood is not None:
            await t.day(day(stood))
        two_years = term("2016-01-01", years=3, premium=100)
        await t.feed(PolicyIssued(member_id="M-1", term=two_years, effective=day("2016-01-01")), backfill=True)
        await t.emitted()
        await t.day(day("2018-01-05"))
        told = [e for e in await t.emitted_events() if isinstance(e.data, TierChanged)]
        assert [f"{e.data.to_tier} {e.data.effective}" for e in told] == ["silver 2018-01-01"]
        assert [f"{e.data.to_tier} {e.data.effective}" for e in told if not e.backfill] == news


async def test_backfill_is_handed_on(settings):
    async with under_test(SERVICE, settings) as t:
        await t.feed(*a_life()[:1], backfill=True)
        assert {e.backfill for e in await t.emitted_events()} == {True}
        assert await t.pool.fetchval("SELECT bool_and(backfill) FROM decisions")


async def test_a_month_before_a_policy_ends_its_holder_is_measured_anew(settings):
    """Nothing was told of the member for a year: days went by, and by now they are nearest another condition of the next tier."""
    first, second = term("2018-03-20", premium=10), term("2019-03-20", premium=10, no=2)
    notice = PolicyExpiring(member_id="M-1", term=second, effective=day("2020-02-20"))
    async with under_test(SERVICE, settings) as t:
        await t.feed(issued(first), issued(second))
        (change, *_) = await t.emitted(TierChanged)
        assert (change.nearest.measure, change.nearest.missing) == ("annual_premium_fen", 290_01)
        for _ in range(2):
            await t.feed(notice)
            (told,) = await t.emitted(TierProgressed)
            assert (told.effective, told.insured_days) == (day("2020-02-20"), 702)
            assert (told.nearest.measure, told.nearest.missing) == ("insured_years", 28)


async def test_when_cover_has_ended_the_premium_is_over(settings):
    """The page said "now CNY 900.00" of a member who had no policy any more."""
    policy = term("2019-02-10", premium=900)
    async with under_test(SERVICE, settings) as t:
        await t.feed(issued(policy))
        await t.emitted()
        await t.feed(PolicyExpired(member_id="M-1", term=policy, effective=policy.end))
        (told,) = await t.emitted(TierProgressed)
        assert (told.tier, told.annual_premium_fen, told.covered, told.confirmed) == ("gold", 0, False, False)
        assert (told.nearest.tier, told.nearest.actual) == ("diamond", 1)


async def test_nobody_is_measured_by_the_notice_of_a_policy_that_never_made_a_member(settings):
    async with under_test(SERVICE, settings) as t:
        policy = amended(term("2018-03-20", premium=10), status="void", covers=())
        await t.feed(PolicyExpiring(member_id="M-1", term=policy, effective=day("2019-02-20")))
        assert await t.emitted() == []


async def test_a_void_policy_leaves_no_tier_and_a_trace(settings):
    async with under_test(SERVICE, settings) as t:
        policy = term("2016-01-01", premium=900)
        void = amended(policy, version=2, status="void", covers=())
        await t.feed(issued(policy))
        await t.emitted()
        await t.feed(PolicyCancelled(member_id="M-1", term=void, effective=day("2016-01-05"), kind="cooling_off"))
        (change, progress) = await t.emitted()
        assert (change.from_tier, change.to_tier, change.retroactive, change.timeline) == ("gold", "none", True, ())
        assert isinstance(progress, TierProgressed)
        assert (progress.insured_days, progress.covered) == (0, False)
        rows = await t.pool.fetch("SELECT from_tier, to_tier, change FROM decisions ORDER BY seq")
        assert [(r["from_tier"], r["to_tier"]) for r in rows] == [("none", "gold"), ("gold", "none")]
        assert msgspec.json.decode(rows[1]["change"], type=TierChanged) == change


async def test_two_ids_become_one_member(settings):
    async with under_test(SERVICE, settings) as t:
        await t.feed(issued(term("2016-01-01", member="M-9", policy="P-9")), issued(term("2017-01-01", no=2)))
        await t.feed(CustomerMerged(member_id="M-1", merged_id="M-9", effective=day("2017-06-01")))
        await t.feed(issued(term("2015-01-01", member="M-9", policy="P-9", no=0)), at=day("2017-06-02"))
        await t.day(day("2017-06-02"))
        newest = {c.member_id: c for c in await t.emitted(TierChanged)}
        assert (newest["M-9"].to_tier, newest["M-9"].timeline) == ("none", ())
        assert [(str(s.effective), s.tier) for s in newest["M-1"].timeline] == [
            ("2015-01-01", "basic"),
            ("2017-01-01", "silver"),
        ]
        assert [m.member_id for m in await store.members(t.pool, "", 10)] == ["M-1"]


async def test_newly_published_rules_reach_everyone_once(settings, rules):
    async with under_test(SERVICE, settings, rules) as t:
        await t.feed(*(issued(term("2018-01-01", premium=200, member=f"M-{n}", policy=f"P-{n}")) for n in range(3)))
        await t.emitted()
        milder = programme(RULES, stricter("2018-07-01", silver=(1, 100), gold=(5, 800), diamond=(8, 1500)))
        door = Door(SERVICE, t.pool, milder)
        assert [w.member_id for w in await review_some(door)] == ["M-0", "M-1", "M-2"]
        assert await review_some(door) == []
        assert await t.emitted() == []
        t.door = door
        assert await t.day(day("2018-07-01")) == 3
        assert {(c.to_tier, c.rules_version) for c in await t.emitted(TierChanged)} == {("silver", 2)}


async def test_a_starting_worker_judges_by_the_newest_rules_and_ends(settings, rules):
    async with under_test(SERVICE, settings, rules) as t:
        await t.feed(issued(term("2018-01-01", premium=200)), issued(term("2018-01-01", member="M-2", policy="P-2")))
        await t.day(day("2018-08-01"))
        await t.emitted()
        milder = programme(RULES, stricter("2018-07-01", silver=(1, 100), gold=(5, 800), diamond=(8, 1500)))
        wake, stopping = asyncio.Event(), asyncio.Event()
        worker = SimpleNamespace(door=Door(SERVICE, t.pool, milder), stopping=stopping, wake_relay=wake)
        assert await review_all(worker) == 2
        (change,) = await t.emitted(TierChanged)
        assert (change.member_id, str(change.effective), change.to_tier, change.retroactive) == (
            "M-1",
            "2018-07-01",
            "silver",
            True,  # published a month late
        )
        assert wake.is_set()
        judged_by = await t.pool.fetch("SELECT DISTINCT judged_by FROM members")
        assert [row["judged_by"] for row in judged_by] == [milder.tiers.digest]
        assert await review_all(worker) == 0


async def test_every_example_of_every_topic_it_reads_is_understood(settings):
    examples = [
        decode_structured(msgspec.json.decode(path.read_bytes(), type=StructuredEvent), received=utc_now())
        for path in sorted(EXAMPLES.glob("*.json"))
        if any(path.stem in topic.types for topic in SERVICE.reads)
    ]
    async with under_test(SERVICE, settings) as t:
        records = [t.as_record(encode(e)) for e in examples if e.type != "day.started"]
        await t.deliver(records)
        once = await facts(t)
        await t.deliver(records)
        assert await t.parked() == []
        assert await facts(t) == once
        assert await t.pool.fetchval("SELECT count(*) FROM members WHERE tier IS NOT NULL") > 0


async def test_a_large_batch_costs_few_statements(settings):
    async with under_test(SERVICE, settings) as t:
        people = [issued(term("2018-01-01", member=f"M-{n:04}", policy=f"P-{n}")) for n in range(1_500)]
        await t.feed(*people)
        assert await t.pool.fetchval("SELECT count(*) FROM members WHERE tier = 'basic' AND due_on IS NULL") == 1_500
        assert await t.pool.fetchval("SELECT count(*) FROM outbox") == 1
