"""What a policy takes from elsewhere: mergers and their undoing, rewrites, whatever is heard first."""

import random
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
from policy_sync import verify
from policy_sync.rules.facts import Fact
from policy_sync.rules.mergers import survivor
from policy_sync.service import SERVICE
from tenure.contracts import core, policy
from tenure.contracts.event import Data
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import Under, under_test

from .world import (
    Said,
    cancelled,
    claim,
    day,
    endorsed,
    holder_changed,
    issued,
    lapsed,
    paid,
    refunded,
    reinstated,
    renewed,
    reversed_,
)

TODAY = day("2027-06-01")


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


def merged(into: str, old: str, on: str) -> core.CustomerMerged:
    return core.CustomerMerged(member_id=into, merged_id=old, on=day(on))


def parted(into: str, old: str, on: str) -> core.CustomerUnmerged:
    return core.CustomerUnmerged(member_id=into, merged_id=old, on=day(on))


async def say(t: Under, *facts: Data | Said) -> list[Any]:
    """What these facts tell, each heard alone."""
    for fact in facts:
        said = fact if isinstance(fact, Said) else Said(fact)
        outcomes = await t.deliver([t.as_record(encode(said.event()))])
        assert [o.wrong for o in outcomes] == [None]
    return await t.emitted()


def to_whom(told: list[Any], cls: type[Any]) -> list[tuple[str, list[str]]]:
    return sorted((e.member_id, [f"{s}..{u}" for s, u in e.term.covers]) for e in told if isinstance(e, cls))


async def holders(t: Under, policy_no: str = "P-1") -> tuple[str, list[str]]:
    row = await t.pool.fetchrow("SELECT member_id, member_ids FROM policies WHERE policy_no = $1", policy_no)
    assert row is not None
    return row["member_id"], row["member_ids"]


YEAR = ["2024-03-01..2025-03-01"]


async def test_later_facts_of_a_number_given_up_are_told_to_who_remains(t: Under) -> None:
    await say(t, issued(), merged("M-9", "M-1", "2024-05-01"))
    await t.day(day("2024-05-02"))
    assert to_whom(await t.emitted(), policy.PolicyHolderChanged) == [("M-9", YEAR)]
    told = await say(t, paid("2024-05-10"), issued("2024-06-01", "2025-06-01", policy_no="P-2"))
    assert {e.member_id for e in told} == {"M-9"}
    assert await holders(t) == ("M-9", ["M-9", "M-1"])
    assert all((await verify.verify(t.pool)).values())


async def test_parted_again_each_hears_of_their_own(t: Under) -> None:
    own = issued("2024-04-01", "2025-04-01", policy_no="P-2", member_id="M-9")
    await say(t, issued(), own, merged("M-9", "M-1", "2024-05-01"))
    await t.day(day("2024-05-02"))
    await t.emitted()
    told = await say(t, parted("M-9", "M-1", "2024-07-01"))
    assert [(e.member_id, e.survivor_id, e.merged_id) for e in told] == [("M-9", "M-9", "M-1"), ("M-1", "M-9", "M-1")]
    await t.day(day("2024-07-02"))
    told = await t.emitted()
    assert to_whom(told, policy.PolicyHolderChanged) == [("M-1", YEAR), ("M-9", [])]
    before, after = (await holders(t))[0], (await holders(t, "P-2"))[0]
    assert (before, after) == ("M-1", "M-9")
    versions = [e.term.version for e in told if isinstance(e, policy.PolicyHolderChanged)]
    assert min(versions) > 2, "higher than any version told before"
    assert to_whom(await say(t, paid("2024-07-10")), policy.PremiumPaid) == [("M-1", YEAR)]
    assert all((await verify.verify(t.pool)).values())


async def test_a_term_said_again_under_the_number_its_holder_has_since_is_the_same(t: Under) -> None:
    await say(t, issued(), merged("M-9", "M-1", "2024-05-01"))
    await say(t, issued(member_id="M-9"), issued())
    assert await t.pool.fetchval("SELECT count(*) FROM duplicates") == 2
    (outcome,) = await t.deliver([t.as_record(encode(Said(issued(member_id="M-2")).event()))])
    assert (outcome.wrong and outcome.wrong.code) == "contradicts_known_fact"


async def test_a_chain_of_mergers_is_followed_to_its_end_and_back(t: Under) -> None:
    await say(t, issued(), merged("M-2", "M-1", "2024-05-01"), merged("M-3", "M-2", "2024-06-01"))
    await t.day(day("2024-06-02"))
    assert (await holders(t))[0] == "M-3"
    await say(t, parted("M-3", "M-2", "2024-07-01"))
    await t.day(day("2024-07-02"))
    assert (await holders(t))[0] == "M-2"


async def test_the_middle_of_a_chain_is_parted_from_its_end_first(t: Under) -> None:
    """M-1 went into M-2 and with it into M-3. Whoever wants M-1 out again undoes the mergers in turn, and does the true one again."""
    await say(t, issued(), merged("M-2", "M-1", "2024-05-01"), merged("M-3", "M-2", "2024-06-01"))
    await t.day(day("2024-06-02"))
    before = await t.pool.fetchval("SELECT count(*) FROM facts")
    for on in ("2024-07-01", "2024-05-15"):  # also one that the core had said before the second merger
        (outcome,) = await t.deliver([t.as_record(encode(Said(parted("M-2", "M-1", on)).event()))])
        assert outcome.wrong is not None
        assert (outcome.wrong.code, "M-2 was merged into M-3 since" in outcome.wrong.detail) == (
            "survivor_merged",
            True,
        )
        await t.pool.execute("DELETE FROM parked")
    assert await t.pool.fetchval("SELECT count(*) FROM facts") == before
    await t.emitted()
    parts = (parted("M-3", "M-2", "2024-07-01"), parted("M-2", "M-1", "2024-07-02"), merged("M-3", "M-2", "2024-07-03"))
    await say(t, *parts)
    await t.day(day("2024-07-04"))
    assert (await holders(t))[0] == "M-1"
    assert all((await verify.verify(t.pool)).values())


async def test_claims_go_with_whoever_had_the_policy(t: Under) -> None:
    await say(t, issued(), claim(core.ClaimReported, "2024-04-05"), merged("M-9", "M-1", "2024-05-01"))
    await t.day(day("2024-05-02"))
    assert [(e.member_id, e.handed_over) for e in await t.emitted(policy.ClaimChanged)] == [
        ("M-9", "to"),
    ]
    assert await t.pool.fetchval("SELECT member_id FROM claims") == "M-9"
    await say(t, parted("M-9", "M-1", "2024-07-01"))
    await t.day(day("2024-07-02"))
    told = [(e.member_id, e.handed_over) for e in await t.emitted(policy.ClaimChanged)]
    assert told == [("M-9", "from"), ("M-1", "to")]


async def test_who_remains_is_a_member_from_the_earlier_day(t: Under) -> None:
    told = await say(t, issued(), merged("M-9", "M-1", "2024-05-01"))
    assert [(e.member_id, e.effective) for e in told if isinstance(e, policy.MemberEnrolled)] == [
        ("M-1", day("2024-03-01")),
        ("M-9", day("2024-03-01")),
    ]


def tie(cls: type[Any], into: str, old: str, on: str) -> Fact:
    return Said(cls(member_id=into, merged_id=old, on=day(on))).fact()


@pytest.mark.parametrize(
    ("ties", "is_now"),
    [
        ([], "A"),
        ([("m", "B", "A", "2024-01-01")], "B"),
        ([("m", "B", "A", "2024-01-01"), ("u", "B", "A", "2024-01-02")], "A"),
        ([("u", "B", "A", "2024-01-02"), ("m", "B", "A", "2024-01-01")], "A"),
        ([("m", "B", "A", "2024-01-01"), ("u", "B", "A", "2024-01-02"), ("m", "C", "A", "2024-01-03")], "C"),
        ([("m", "C", "A", "2024-01-01"), ("u", "B", "A", "2024-01-02")], "C"),
        ([("m", "B", "A", "2024-01-01"), ("m", "A", "B", "2024-01-02")], "A"),
        ([("m", "B", "A", "2024-01-02"), ("m", "A", "B", "2024-01-01")], "B"),
        ([("m", "B", "A", "2024-01-01"), ("m", "C", "B", "2024-01-02"), ("m", "B", "C", "2024-01-03")], "B"),
    ],
)
def test_whose_a_number_is(ties: list[tuple[str, str, str, str]], is_now: str) -> None:
    known: dict[str, list[Fact]] = {}
    for kind, into, old, on in ties:
        cls = core.CustomerMerged if kind == "m" else core.CustomerUnmerged
        known.setdefault(old, []).append(tie(cls, into, old, on))
    assert survivor("A", known) == is_now


def rewritten(no: str, previous: str, start: str, end: str) -> core.PolicyIssued:
    return issued(start, end, policy_no=no, previous_policy_no=previous)


async def test_a_rewrite_heard_before_what_it_continues_continues_it(t: Under) -> None:
    await say(
        t, rewritten("P-3", "P-2", "2026-03-01", "2027-03-01"), rewritten("P-2", "P-1", "2025-03-01", "2026-03-01")
    )
    await t.day(day("2026-06-01"))
    await say(t, Said(issued(), "2026-06-02"))
    while await t.day(day("2026-06-03")):
        pass
    rows = await t.pool.fetch("SELECT policy_no, inception FROM policies ORDER BY 1")
    assert [(r["policy_no"], r["inception"]) for r in rows] == [(f"P-{n}", day("2024-03-01")) for n in (1, 2, 3)]
    await t.day(day("2027-03-01"))
    third = [e.years for e in await t.emitted(policy.PolicyAnniversary) if e.policy_no == "P-3"]
    assert third[-1] == 3, "years count from where the chain began"
    assert all((await verify.verify(t.pool)).values())


async def test_a_reversal_heard_before_its_cancellation_waits_for_it(t: Under) -> None:
    assert [type(e).__name__ for e in await say(t, issued(), Said(reversed_("2024-10-01"), "2024-10-09"))][
        -1
    ] != "CancellationReversed"
    assert await t.pool.fetchval("SELECT waiting FROM policies") == 1
    told = await say(t, Said(cancelled("2024-10-01"), "2024-09-28"))
    assert [type(e).__name__ for e in told] == ["PolicyCancelled", "CancellationReversed"]
    assert await t.pool.fetchval("SELECT waiting FROM policies") == 0


async def test_a_change_of_holder_that_had_to_wait_enrols_the_new_holder(t: Under) -> None:
    told = await say(t, holder_changed("2024-09-01", "M-2"), issued())
    assert {(e.member_id, e.effective) for e in told if isinstance(e, policy.MemberEnrolled)} == {
        ("M-1", day("2024-03-01")),
        ("M-2", day("2024-09-01")),
    }


async def test_a_household_is_the_newest_word_on_it(t: Under) -> None:
    link = core.HouseholdLinked
    await say(
        t,
        link(member_id="M-1", household_id="HH-2", on=day("2024-05-01")),
        core.CustomerRegistered(member_id="M-1", registered_on=day("2024-01-01"), household_id="HH-1"),
        link(member_id="M-2", household_id="HH-2", on=day("2024-05-01")),
        core.CustomerRegistered(member_id="M-2", registered_on=day("2024-06-01")),
        link(member_id="M-3", household_id="HH-2", on=day("2024-05-01")),
        link(member_id="M-3", on=day("2024-06-01")),
    )
    answer = await t.http.get("/v1/households/HH-2", headers=t.auth("service"))
    assert answer.json() == {"household_id": "HH-2", "member_ids": ["M-1", "M-2"]}
    assert (await t.http.get("/v1/households/HH-1", headers=t.auth("operator"))).status_code == 404


LIFE = [
    Said(issued(), "2024-02-20", id_="1"),
    Said(paid("2024-02-20"), id_="2"),
    Said(endorsed("2024-06-01", yuan=100), "2024-05-20", id_="3"),
    Said(lapsed("2024-08-01"), "2024-08-05", id_="4"),
    Said(reinstated("2024-08-20", bridged=True), id_="5"),
    Said(cancelled("2024-10-01"), "2024-09-28", id_="6"),
    Said(refunded("2024-10-01", 150), id_="7"),
    Said(reversed_("2024-10-01"), "2024-10-09", id_="8"),
    Said(renewed("2025-03-01", "2026-03-01", yuan=465), "2025-02-10", id_="9"),
    Said(holder_changed("2025-09-01", "M-2"), "2025-09-03", id_="10"),
    Said(claim(core.ClaimReported, "2025-05-05", no="C-2", estimate_fen=100_00), id_="11"),
    Said(claim(core.ClaimPaid, "2025-05-10", no="C-2", amount_fen=90_00), id_="12"),
    Said(rewritten("P-2", "P-1", "2026-03-01", "2027-03-01"), id_="13"),
    Said(rewritten("P-3", "P-2", "2027-03-01", "2028-03-01"), id_="14"),
    Said(merged("M-2", "M-1", "2024-07-01"), id_="15"),
    Said(parted("M-2", "M-1", "2024-09-01"), id_="16"),
    Said(merged("M-5", "M-1", "2025-01-10"), id_="17"),
    Said(merged("M-6", "M-5", "2025-02-10"), id_="18"),
    Said(core.HouseholdLinked(member_id="M-2", household_id="HH", on=day("2025-02-10")), id_="19"),
]
BELIEFS = {
    "policies": "policy_no, member_id, member_ids, inception, waiting, survivors::text AS survivors",
    "terms": '*, "end"',
    "claims": "*",
    "milestones": "policy_no, day, kind, number",
    "members": "*",
}


async def believed(t: Under) -> dict[str, list[str]]:
    stands = {"milestones": " WHERE stands"}
    found = {n: await t.pool.fetch(f"SELECT {c} FROM {n}{stands.get(n, '')}") for n, c in BELIEFS.items()}
    return {name: sorted(str(dict(row)) for row in rows) for name, rows in found.items()}


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_of_arrival_ends_in_the_same_books(t: Under, settings: Settings, seed: int) -> None:
    """Facts of three policies and five customers, alone and in batches, with days between them."""
    rng = random.Random(seed)
    shuffled = rng.sample(LIFE, len(LIFE))
    while shuffled:
        some, shuffled = shuffled[: (n := rng.randint(1, 5))], shuffled[n:]
        await t.deliver([t.as_record(encode(f.event())) for f in some])
        if rng.random() < 0.3:
            await t.day(date(2024, 1, 1) + timedelta(days=rng.randint(0, 1_200)))
    await t.day(TODAY)
    async with under_test(SERVICE, settings) as other:
        for fact in sorted(LIFE, key=lambda f: f.time):
            await other.deliver([other.as_record(encode(fact.event()))])
        await other.day(TODAY)
        assert await believed(t) == await believed(other)
    assert all((await verify.verify(t.pool)).values())
    assert await t.pool.fetchval("SELECT count(*) FROM stale") == 0
