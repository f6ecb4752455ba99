"""A person with several numbers: what they say of themselves under one of them is said of the person (DOMAIN 22, 28)."""

from collections.abc import AsyncIterator, Iterator
from datetime import date
from itertools import combinations, pairwise, permutations
from typing import Any

import pytest
from policy_sync.service import SERVICE
from pydantic import SecretStr
from tenure.calendar import local_date
from tenure.contracts import core, policy
from tenure.contracts.event import Data
from tenure.settings import Settings
from tenure.testing import Under, under_test

ON = date(2026, 1, 5)


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    """M-0 was merged into M-1, which was merged into M-9; M-7 into M-9, and parted again."""
    async with under_test(SERVICE, settings.model_copy(update={"contact_key": SecretStr("k" * 32)})) as under:
        for survivor, merged in (("M-1", "M-0"), ("M-9", "M-1"), ("M-9", "M-7")):
            await under.feed(core.CustomerMerged(member_id=survivor, merged_id=merged, on=ON))
        await under.feed(core.CustomerUnmerged(member_id="M-9", merged_id="M-7", on=date(2026, 1, 6)))
        await under.emitted()
        yield under


async def put(t: Under, member_id: str, phone: str) -> int:
    answer = await t.http.put(f"/v1/members/{member_id}/contact", headers=t.auth("core"), json={"phone": phone})
    return answer.status_code


async def phone(t: Under, member_id: str) -> Any:
    answer = await t.http.get(f"/v1/members/{member_id}/contact", headers=t.auth("service"))
    return answer.json()["phone"] if answer.status_code == 200 else answer.status_code


@pytest.mark.parametrize("named", ["M-0", "M-1", "M-9"])
async def test_whoever_is_erased_is_erased_under_all_their_numbers(t: Under, named: str) -> None:
    for n, member in enumerate(("M-0", "M-1", "M-9", "M-7")):
        assert await put(t, member, f"1380013800{n}") == 200
    await t.feed(core.CustomerErased(member_id=named, on=ON))
    told = [e.member_id for e in await t.emitted(policy.CustomerErased)]
    assert (told[0], sorted(told)) == (named, ["M-0", "M-1", "M-9"])
    assert [r["member_id"] for r in await t.pool.fetch("SELECT member_id FROM contacts")] == ["M-7"]
    assert [await phone(t, m) for m in ("M-0", "M-1", "M-9")] == [404, 404, 404]
    assert [await put(t, m, "13800138000") for m in ("M-0", "M-1", "M-9", "M-7")] == [409, 409, 409, 200]


async def test_a_merger_and_an_erasure_heard_together_erase_both_numbers(t: Under) -> None:
    await put(t, "M-5", "13800138000")
    await t.feed(
        core.CustomerMerged(member_id="M-6", merged_id="M-5", on=ON), core.CustomerErased(member_id="M-6", on=ON)
    )
    assert [e.member_id for e in await t.emitted(policy.CustomerErased)] == ["M-6", "M-5"]
    assert await phone(t, "M-5") == 404


async def test_a_person_is_reached_where_they_said_last_under_whichever_number(t: Under) -> None:
    await put(t, "M-1", "13800138001")
    await put(t, "M-7", "13800138007")
    assert [await phone(t, m) for m in ("M-0", "M-1", "M-9")] == ["+8613800138001"] * 3
    await put(t, "M-9", "13800138009")
    assert [await phone(t, m) for m in ("M-0", "M-1", "M-9", "M-7")] == ["+8613800138009"] * 3 + ["+8613800138007"]


async def test_consent_withdrawn_under_an_old_number_is_told_of_the_number_the_person_goes_by(t: Under) -> None:
    for member in ("M-9", "M-0", "M-7"):
        await t.feed(core.ConsentChanged(member_id=member, on=ON, marketing=False))
    told = [e.member_id for e in await t.emitted(policy.ConsentChanged)]
    assert told == ["M-9", "M-0", "M-9", "M-7"]


def said(member_id: str, day: int, *, yes: bool) -> Data:
    return core.ConsentChanged(member_id=member_id, on=date(2026, 2, day), marketing=yes)


def merged(into: str, old: str) -> Data:
    return core.CustomerMerged(member_id=into, merged_id=old, on=date(2026, 2, 10))


PARTED = core.CustomerUnmerged(member_id="M-4", merged_id="M-3", on=date(2026, 2, 20))


@pytest.mark.parametrize(
    ("erased", "at_once"),
    [("M-2", False), ("M-3", False), ("M-3", True), ("M-4", False), ("M-4", True), ("M-5", False)],
)
async def test_a_merger_heard_after_an_erasure_erases_all_numbers(t: Under, erased: str, at_once: bool) -> None:
    """M-2 into M-3 and M-4 into M-5 are known; M-3 into M-4 is heard of when one of the four is erased."""
    await t.feed(merged("M-3", "M-2"), merged("M-5", "M-4"))
    for number in ("M-2", "M-3", "M-4", "M-5"):
        await put(t, number, "13800138000")
    erasure, merger = core.CustomerErased(member_id=erased, on=date(2026, 2, 11)), merged("M-4", "M-3")
    for batch in [(erasure, merger)] if at_once else [(erasure,), (merger,)]:
        await t.feed(*batch)
    told = await t.emitted()
    last = [e.member_id for e in told[-4:] if isinstance(e, policy.CustomerErased)]
    assert sorted(last) == ["M-2", "M-3", "M-4", "M-5"], "after the merger was told"
    assert [await phone(t, number) for number in sorted(last)] == [404] * 4
    assert await put(t, "M-5", "13800138000") == 409


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        ([said("M-3", 5, yes=False), merged("M-4", "M-3")], ["M-3 no", "M-4 no"]),
        ([said("M-4", 1, yes=True), said("M-3", 5, yes=False), merged("M-4", "M-3")], ["M-4 yes", "M-3 no", "M-4 no"]),
        ([said("M-4", 6, yes=True), said("M-3", 5, yes=False), merged("M-4", "M-3")], ["M-4 yes", "M-3 no"]),
        ([merged("M-4", "M-3"), said("M-3", 15, yes=False)], ["M-3 no", "M-4 no"]),
        ([merged("M-4", "M-3"), said("M-4", 16, yes=True), said("M-3", 15, yes=False)], ["M-4 yes", "M-3 no"]),
        ([merged("M-4", "M-3"), said("M-3", 16, yes=False), said("M-4", 15, yes=True)], ["M-3 no", "M-4 no"]),
        # into one who is another's by now
        ([said("M-3", 5, yes=False), merged("M-5", "M-4"), merged("M-4", "M-3")], ["M-3 no", "M-5 no"]),
        # parted: a refusal that the other's consent had outdone is theirs again; no consent is given back
        (
            [said("M-4", 1, yes=False), said("M-3", 5, yes=True), merged("M-4", "M-3"), PARTED],
            ["M-4 no", "M-3 yes", "M-4 yes", "M-4 no"],
        ),
        (
            [said("M-4", 1, yes=True), said("M-3", 5, yes=False), merged("M-4", "M-3"), PARTED],
            ["M-4 yes", "M-3 no", "M-4 no", "M-3 no"],
        ),
    ],
)
async def test_a_person_s_newest_word_on_consent_is_told_of_the_number_they_go_by(
    t: Under, heard: list[Data], told: list[str]
) -> None:
    for one in heard:
        await t.feed(one)
    consents = await t.emitted(policy.ConsentChanged)
    assert [f"{e.member_id} {'yes' if e.marketing else 'no'}" for e in consents] == told
    assert all(e.said_at is None or local_date(e.said_at) == e.effective for e in consents)


def batches(facts: list[Data]) -> Iterator[list[list[Data]]]:
    """The same facts in one poll, in two, or in three."""
    cuts = range(1, len(facts))
    for n in range(len(facts)):
        for at in combinations(cuts, n):
            yield [facts[start:end] for start, end in pairwise((0, *at, len(facts)))]


@pytest.mark.parametrize("named", range(3))
@pytest.mark.parametrize("is_erasure", [False, True], ids=["consent", "erasure"])
async def test_what_a_person_says_is_said_of_all_numbers_that_one_poll_makes_known(
    t: Under, named: int, is_erasure: bool
) -> None:
    """Two mergers that make three numbers one person's, and a word of theirs: in each order, in each way cut into polls."""
    for order in permutations(range(3)):
        for n in range(4):
            a, b, c = numbers = [f"N-{''.join(map(str, order))}-{n}-{i}" for i in range(3)]
            who = numbers[named]
            word = core.CustomerErased(member_id=who, on=ON) if is_erasure else said(who, 1, yes=True)
            facts = [merged(b, a), merged(c, b), word]
            polls = list(batches([facts[i] for i in order]))[n]
            for poll in polls:
                await t.feed(*poll)
            told = [e.member_id for e in await t.emitted(policy.ConsentChanged, policy.CustomerErased)]
            assert set(told) == set(numbers) if is_erasure else told[-1] == c, polls
