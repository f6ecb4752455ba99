"""Mergers and undoings read in another order than they were told: uses, visits, reports and claims are with whom they belong to."""

from datetime import date
from itertools import permutations

import benefits_cast as cast
import pytest
from benefits.gathering import TIMER
from benefits.service import SERVICE
from benefits.store import decode
from msgspec.structs import replace
from tenure.contracts import policy
from tenure.testing import under_test

D = date.fromisoformat
PEOPLE = ("M-1", "M-2", "M-3")
GRANT = "M-1.home_safety.20210101"


def merged(survivor, gone, no):
    return policy.CustomerMerged(member_id=survivor, merged_id=gone, effective=D("2021-02-01"), ties_no=no)


def parted(survivor, gone, no):
    """The survivor's copy: the other one alone changes nothing."""
    return policy.CustomerUnmerged(
        member_id=survivor, survivor_id=survivor, merged_id=gone, effective=D("2021-02-02"), ties_no=no
    )


WRONG, UNDONE, RIGHT = merged("M-2", "M-1", 1), parted("M-2", "M-1", 2), merged("M-3", "M-1", 3)
ON, BACK = merged("M-3", "M-2", 1), parted("M-3", "M-2", 2)
TOLD = [
    # what was told, and whose the first one's things are then
    ((WRONG, ON), "M-3"),
    ((WRONG, UNDONE, RIGHT), "M-3"),
    ((WRONG, RIGHT), "M-3"),
    ((WRONG, ON, RIGHT), "M-3"),
    ((WRONG, ON, BACK, UNDONE), "M-1"),
    ((WRONG, UNDONE, merged("M-2", "M-1", 3)), "M-2"),
    ((WRONG, ON, BACK), "M-2"),
    ((WRONG, UNDONE, merged("M-1", "M-2", 1)), "M-1"),
    # a ring, of which the newest merger keeps the first
    ((WRONG, ON, parted("M-2", "M-1", 3), merged("M-1", "M-3", 3)), "M-1"),
]


def readings(told):
    """Every order of what was told that keeps the order of each key."""
    for order in permutations(told):
        if all(
            order.index(a) < order.index(b)
            for n, a in enumerate(told)
            for b in told[n + 1 :]
            if a.member_id == b.member_id
        ):
            yield order


CASES = [
    pytest.param(order, person, id="-".join(f"{type(f).__name__[8]}{f.merged_id[2]}{f.member_id[2]}" for f in order))
    for told, person in TOLD
    for order in readings(told)
]


@pytest.fixture
async def t(settings):
    """Three people with a policy each; the first has used a service, has a visit to come, a report and a claim."""
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as t:
        for member, no in zip(PEOPLE, ("P-1", "P-2", "P-3"), strict=True):
            await t.feed(cast.issued(member, no=no, end="2022-01-01"))
            await t.feed(cast.tiers(("2020-01-01", "silver"), member=member))
        await t.feed(cast.anniversary(), cast.claim(100))
        await t.day(D("2021-01-02"))
        used = await t.http.post(f"/v1/benefits/{GRANT}/use", json={"on": "2021-01-02"}, headers=t.auth("operator"))
        visit = {"grant_id": GRANT, "slot_date": "2021-09-01", "region": "440305"}
        booked = await t.http.post("/v1/appointments", json=visit, headers=t.auth("operator"))
        assert (used.status_code, booked.status_code) == (200, 201)
        yield t


async def gathered(t):
    while await TIMER.once(t.door, t.settings):
        pass


async def all_is_with(t, person):
    rows = await t.pool.fetch(
        "SELECT member_id FROM appointments UNION SELECT member_id FROM reports UNION SELECT member_id FROM claims"
    )
    assert [row["member_id"] for row in rows] == [person]
    states = {r["member_id"]: decode(r["state"]) for r in await t.pool.fetch("SELECT member_id, state FROM members")}
    uses = {member: len(state.uses) for member, state in states.items()}
    assert uses == {**dict.fromkeys(PEOPLE, 0), person: 2}
    assert await t.pool.fetchval("SELECT count(*) FROM members WHERE astray") == 0
    verified = await t.http.get("/v1/benefits/verify", headers=t.auth("operator"))
    assert set(verified.json().values()) == {True}


@pytest.mark.parametrize(("told", "person"), CASES)
async def test_each_has_what_is_theirs_in_whatever_order_it_is_read(t, told, person):
    await t.feed(*told)
    await gathered(t)
    states = {r["member_id"]: decode(r["state"]) for r in await t.pool.fetch("SELECT member_id, state FROM members")}
    for member, state in states.items():  # tier-engine and policy-sync tell each anew what is theirs
        timeline = () if state.merged_into else (("2020-01-01", "silver"),)
        way = "to" if member == person else "from"
        await t.feed(cast.tiers(*timeline, member=member), replace(cast.claim(100, member=member), handed_over=way))
    await gathered(t)
    await all_is_with(t, person)
    newest = {fact.merged_id: fact for fact in sorted(told, key=lambda fact: fact.ties_no)}
    into = {number: f.member_id for number, f in newest.items() if isinstance(f, policy.CustomerMerged)}
    states = {r["member_id"]: decode(r["state"]) for r in await t.pool.fetch("SELECT member_id, state FROM members")}
    assert {number: state.merged_into for number, state in states.items() if state.merged_into} == into


async def test_what_is_told_late_of_a_number_that_was_given_up_is_the_survivors(t):
    await t.feed(merged("M-2", "M-1", 1), cast.tiers(member="M-1"))
    await t.feed(cast.claim(200, on="2021-01-20", status="registered"), cast.claim(300, no="C-2", on="2021-01-20"))
    assert await t.pool.fetchval("SELECT count(*) FROM claims WHERE member_id = 'M-1'") == 0
    await gathered(t)
    state = decode(await t.pool.fetchval("SELECT state FROM members WHERE member_id = 'M-2'"))
    assert {no: claim.amount_fen for no, claim in state.claims.items()} == {"C-1": 200, "C-2": 300}
    await all_is_with(t, "M-2")


async def test_a_number_that_is_heard_of_only_after_it_was_given_up_is_the_survivors(t):
    await t.feed(merged("M-2", "M-9", 1))
    await t.feed(cast.claim(300, no="C-9", member="M-9"))
    await gathered(t)
    assert await t.pool.fetchval("SELECT member_id FROM claims WHERE claim_no = 'C-9'") == "M-2"


def owned(member, no, *, version, by):
    """What policy-sync says of a policy under a number: whether, by then, its cover is that number's."""
    told = cast.issued(member, no=no, end="2022-01-01", version=version)
    return told if by == member else replace(told, term=replace(told.term, covers=()))


HIS, NOT_HERS = owned("M-1", "P-1", version=2, by="M-1"), owned("M-2", "P-1", version=2, by="M-1")
COVERS = [
    # what is read of the first one's policy, and whose cover it is in the end
    pytest.param([WRONG, UNDONE, NOT_HERS, HIS], {"M-1"}, id="as-it-happened"),
    pytest.param([HIS, WRONG, UNDONE, NOT_HERS], {"M-1"}, id="the-parting-after-what-follows-it"),
    pytest.param([HIS, WRONG, NOT_HERS, UNDONE], {"M-1"}, id="the-parting-last"),
    pytest.param(  # sold to the third one while the two were one
        [WRONG, owned("M-2", "P-1", version=2, by="M-3"), owned("M-3", "P-1", version=2, by="M-3"), UNDONE],
        {"M-3"},
        id="sold-meanwhile",
    ),
    pytest.param(
        [WRONG, ON, owned("M-3", "P-1", version=2, by="M-3"), BACK, UNDONE], {"M-3"}, id="sold-to-who-took-over-last"
    ),
]


@pytest.mark.parametrize(("told", "whose"), COVERS)
async def test_cover_is_with_whom_policy_sync_says_last_in_whatever_order_it_is_read(t, told, whose):
    await t.feed(*told)
    await gathered(t)
    states = {r["member_id"]: decode(r["state"]) for r in await t.pool.fetch("SELECT member_id, state FROM members")}
    covered = {m for m, s in states.items() for term in s.terms.values() if term.policy_no == "P-1" and term.covers}
    assert covered == whose


OF_ANOTHER = [
    # a claim turned out to be the third one's, before the first was merged into the second
    replace(cast.claim(100, member="M-3"), handed_over="to"),
    replace(cast.claim(100, member="M-1"), handed_over="from"),
    merged("M-2", "M-1", 1),
]


@pytest.mark.parametrize("order", list(permutations(OF_ANOTHER)), ids=lambda o: "-".join(f.member_id for f in o))
async def test_a_claim_that_had_turned_out_to_be_another_s_does_not_come_along(t, order):
    await t.feed(*order)
    await gathered(t)
    states = {r["member_id"]: decode(r["state"]) for r in await t.pool.fetch("SELECT member_id, state FROM members")}
    assert {m: list(state.claims) for m, state in states.items()} == {"M-1": [], "M-2": [], "M-3": ["C-1"]}
    assert await t.pool.fetchval("SELECT member_id FROM claims WHERE claim_no = 'C-1'") == "M-3"
