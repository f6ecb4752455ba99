"""A merger that was undone before the policies under it were looked at has moved them all the same: they are told back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from policy_sync import verify
from policy_sync.service import SERVICE
from tenure.contracts import core, policy
from tenure.contracts.event import Data
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import Under, under_test

from .world import Said, claim, day, issued, paid

YEAR = "2024-03-01..2025-03-01"


def merged(into: str, old: str, on: str) -> core.CustomerMerged:
    return core.CustomerMerged(member_id=into, merged_id=old, on=day(on))


def parted(into: str, old: str, on: str) -> core.CustomerUnmerged:
    return core.CustomerUnmerged(member_id=into, merged_id=old, on=day(on))


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    """P-1 is M-1's, with a claim. P-2 was M-1's, then M-5's; P-3 is M-9's own."""
    async with under_test(SERVICE, settings) as under:
        await under.feed(issued(), claim(core.ClaimReported, "2024-04-05"))
        await under.feed(issued(policy_no="P-3", member_id="M-9"), issued(policy_no="P-2", member_id="M-1"))
        await under.feed(core.PolicyHolderChanged(policy_no="P-2", effective=day("2024-04-01"), member_id="M-5"))
        await under.day(day("2024-04-30"))
        await under.emitted()
        yield under


async def hear(t: Under, *batches: list[Data]) -> None:
    for batch in batches:
        await t.deliver([t.as_record(encode(Said(fact).event())) for fact in batch])
    assert await t.parked() == []


async def told(t: Under, policy_no: str = "P-1") -> tuple[list[str], list[str]]:
    """Whose cover of the policy is told to be what, and whose claim no longer, or now, is theirs."""
    events: list[Any] = await t.emitted()
    terms = [e for e in events if isinstance(e, policy.PolicyHolderChanged) and e.term.policy_no == policy_no]
    claims = [e for e in events if isinstance(e, policy.ClaimChanged) and e.policy_no == policy_no]
    return (
        sorted(" ".join([e.member_id, *(f"{s}..{u}" for s, u in e.term.covers)]) for e in terms),
        [f"{e.handed_over} {e.member_id}" for e in claims],
    )


INTO, OUT = merged("M-9", "M-1", "2024-05-01"), parted("M-9", "M-1", "2024-05-02")
ON, OFF = merged("M-8", "M-9", "2024-05-03"), parted("M-8", "M-9", "2024-05-04")
RIGHT = merged("M-7", "M-1", "2024-05-06")


@pytest.mark.parametrize(
    ("heard", "covers", "claims"),
    [
        ([INTO], [f"M-9 {YEAR}"], ["to M-9"]),
        ([INTO, OUT], [f"M-1 {YEAR}", "M-9"], ["from M-9", "to M-1"]),
        ([INTO, OUT, RIGHT], [f"M-7 {YEAR}", "M-9"], ["from M-9", "to M-7"]),
        ([INTO, ON], [f"M-8 {YEAR}"], ["to M-8"]),
        (
            [INTO, ON, OFF, parted("M-9", "M-1", "2024-05-05")],
            [f"M-1 {YEAR}", "M-8", "M-9"],
            ["from M-8", "from M-9", "to M-1"],
        ),
        ([INTO, OUT, merged("M-9", "M-1", "2024-05-06")], [f"M-9 {YEAR}"], ["to M-9"]),
        ([OUT, INTO], [], []),  # the core had it over before it was heard of: no merger was told
        ([ON, OFF], [], []),  # not its holder's
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "one by one"])
async def test_whoever_may_have_it_hears_what_is_theirs(
    t: Under, heard: list[Data], covers: list[str], claims: list[str], at_once: bool
) -> None:
    await hear(t, *([heard] if at_once else [[one] for one in heard]))
    await t.emitted()
    await t.day(day("2024-05-07"))
    assert await told(t) == (covers, claims)
    await t.day(day("2024-05-08"))
    assert await told(t) == ([], []), "once"
    assert all((await verify.verify(t.pool)).values())


async def test_parted_from_where_it_was_last_told(t: Under) -> None:
    """The chain is known to its end; whoever is in the middle of it is told nothing, for their number is given up too."""
    await hear(t, [INTO])
    await t.day(day("2024-05-02"))
    await t.emitted()
    await hear(t, [ON])
    await t.day(day("2024-05-04"))
    assert await told(t) == ([f"M-8 {YEAR}"], ["to M-8"])
    await hear(t, [OFF, parted("M-9", "M-1", "2024-05-05"), merged("M-8", "M-9", "2024-05-06")])
    await t.day(day("2024-05-07"))
    assert await told(t) == ([f"M-1 {YEAR}", "M-8"], ["from M-8", "to M-1"])


async def test_who_took_the_policy_over_is_told_nothing_of_the_former_holder_s_mergers(t: Under) -> None:
    await hear(t, [INTO, OUT])
    await t.day(day("2024-05-07"))
    assert (await told(t, "P-2"))[0] == ["M-1 2024-03-01..2024-04-01", "M-9"]


async def test_a_fact_that_comes_before_the_due_work_finds_it_told_back(t: Under) -> None:
    await hear(t, [INTO, OUT], [paid("2024-05-03")])
    events = [e for e in await t.emitted() if isinstance(e, policy.TermEvent)]
    assert [(type(e).__name__, e.member_id) for e in events] == [
        ("PolicyHolderChanged", "M-1"),
        ("PolicyHolderChanged", "M-9"),
        ("PremiumPaid", "M-1"),
    ]
    versions = [e.term.version for e in events]
    assert versions == [3, 3, 4], "higher than what was told before: its two facts, and once more"
    assert {(e.former_member_id, e.new_member_id) for e in events[:2]} == {("M-9", "M-1")}
