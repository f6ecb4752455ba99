"""What is told of whose a number is: in whatever order the core's words are heard, the last that is told is how it stands."""

from collections.abc import AsyncIterator
from itertools import groupby, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from policy_sync.rules.facts import Fact
from policy_sync.rules.mergers import standing, survivor, told
from policy_sync.service import SERVICE
from tenure.contracts import core, policy
from tenure.contracts.event import Data
from tenure.settings import Settings
from tenure.spine.codec import encode
from tenure.testing import Under, under_test

from .world import Said, day


def merged(into: str, on: str) -> core.CustomerMerged:
    return core.CustomerMerged(member_id=into, merged_id="A", on=day(on))


def parted(into: str, on: str) -> core.CustomerUnmerged:
    return core.CustomerUnmerged(member_id=into, merged_id="A", on=day(on))


INTO_B, FROM_B = merged("B", "2024-05-01"), parted("B", "2024-05-02")
INTO_C, FROM_C = merged("C", "2024-05-03"), parted("C", "2024-05-04")
B_AGAIN = merged("B", "2024-05-05")


def in_words(events: list[Data]) -> list[str]:
    """`into B, 1`: merged into B, the first that is told of it; `from B, 2`: undone (to both, once here)."""
    words = [
        f"into {e.member_id}, {e.ties_no}"
        if isinstance(e, policy.CustomerMerged)
        else f"from {e.survivor_id}, {e.ties_no}"
        for e in events
        if isinstance(e, (policy.CustomerMerged, policy.CustomerUnmerged))
    ]
    return list(dict.fromkeys(words))


def all_told(heard: list[Data]) -> list[Data]:
    known, events = list[Fact](), list[Data]()
    for said in heard:
        fact = Said(said).fact()
        events += told({"A": known}, {"A": [*known, fact]}, fact)
        known.append(fact)
    return events


@pytest.mark.parametrize(
    ("heard", "is_told"),
    [
        ([INTO_B], ["into B, 1"]),
        ([INTO_B, FROM_B], ["into B, 1", "from B, 2"]),
        ([INTO_B, FROM_B, INTO_C], ["into B, 1", "from B, 2", "into C, 3"]),
        ([INTO_B, INTO_C], ["into B, 1", "into C, 2"]),
        ([FROM_B, INTO_B], []),  # it was over before it was heard of
        ([INTO_C, INTO_B], ["into C, 1"]),  # the core has said otherwise since
        ([INTO_B, INTO_C, FROM_B], ["into B, 1", "into C, 2"]),  # an undoing of what no longer held
        ([INTO_B, FROM_C, INTO_C], ["into B, 1", "from B, 3"]),  # it went from B into C, and from there
        ([INTO_B, B_AGAIN, FROM_B], ["into B, 1"]),  # merged, parted and merged again: it never looked apart
    ],
)
def test_only_what_changes_whose_the_number_is_is_told(heard: list[Data], is_told: list[str]) -> None:
    assert in_words(all_told(heard)) == is_told


def test_in_any_order_the_highest_number_told_says_how_it_stands() -> None:
    life: list[Data] = [INTO_B, FROM_B, INTO_C, FROM_C, B_AGAIN]
    for some in (life[:n] for n in range(1, len(life) + 1)):
        held = standing([Said(one).fact() for one in some])
        for heard in permutations(some):
            words = in_words(all_told(list(heard)))
            assert [int(w.split(", ")[1]) for w in words] == sorted({int(w.split(", ")[1]) for w in words})
            last = words[-1] if words else "from"
            assert last.startswith(f"into {held.data.member_id}," if held else "from"), heard


def joined(old: str, into: str, on: int) -> core.CustomerMerged:
    return core.CustomerMerged(member_id=into, merged_id=old, on=day(f"2024-05-{on:02}"))


A_B, B_A = joined("A", "B", 1), joined("B", "A", 2)
B_C, C_A = joined("B", "C", 2), joined("C", "A", 3)
C_PARTED = core.CustomerUnmerged(member_id="A", merged_id="C", on=day("2024-05-04"))


@pytest.mark.parametrize(
    ("life", "person"), [([A_B, B_A], "A"), ([A_B, B_C, C_A], "A"), ([A_B, B_C, C_A, C_PARTED], "C")]
)
async def test_a_ring_is_told_as_none_in_whatever_order_it_is_heard(t: Under, life: list[Data], person: str) -> None:
    """The newest merger counts most, so whom it keeps is told to be their own; what undoes it tells the older one again."""
    for n, order in enumerate(permutations(life)):
        if C_PARTED in order and order[-1] is not C_PARTED:
            continue
        renamed = {one: f"{one}-{n}" for one in "ABC"}
        for fact in order:
            changed = {name: renamed[getattr(fact, name)] for name in ("member_id", "merged_id")}
            await t.feed(replace(fact, **changed))
        newest: dict[str, policy.CustomerMerged | policy.CustomerUnmerged] = {}
        for one in await t.emitted(policy.CustomerMerged, policy.CustomerUnmerged):
            known = newest.get(one.merged_id)
            assert known is None or known.ties_no < one.ties_no or known.effective == one.effective, order
            newest[one.merged_id] = one
        ties = {old: one for old, one in newest.items() if isinstance(one, policy.CustomerMerged)}
        assert len(ties) == len({f.merged_id for f in life}) - 1, (order, newest)
        assert {_end(old, ties) for old in ties} == {renamed[person]}, order


ENDS = st.tuples(st.sampled_from("ABCDE"), st.sampled_from("ABCDE")).filter(lambda ends: ends[0] != ends[1])
WORDS = st.lists(
    st.tuples(st.sampled_from([core.CustomerMerged, core.CustomerUnmerged]), ENDS, st.integers(1, 28)), max_size=12
)


@given(WORDS)
def test_what_is_told_of_each_number_leads_to_its_person_whatever_is_heard(words: list[Any]) -> None:
    """Mergers and undoings among five numbers, on any days and in any order: the highest told of each says whose it is."""
    ties: dict[str, list[Fact]] = {}
    newest: dict[str, policy.CustomerMerged | policy.CustomerUnmerged] = {}
    for kind, (old, into), on in words:
        fact = Said(kind(member_id=into, merged_id=old, on=day(f"2024-05-{on:02}"))).fact()
        before = {number: list(facts) for number, facts in ties.items()}
        ties.setdefault(old, []).append(fact)
        events = told(before, ties, fact)
        for number, of_it in groupby(events, lambda one: one.merged_id):
            (told_no,) = {one.ties_no for one in of_it}
            assert number not in newest or newest[number].ties_no < told_no
            newest[number] = next(one for one in events if one.merged_id == number)
        merged = {number: one for number, one in newest.items() if isinstance(one, policy.CustomerMerged)}
        assert {number: _end(number, merged) for number in "ABCDE"} == {n: survivor(n, ties) for n in "ABCDE"}


def _end(number: str, ties: dict[str, policy.CustomerMerged]) -> str:
    return _end(ties[number].member_id, ties) if number in ties else number


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        yield under


async def test_both_copies_of_an_undoing_bear_one_number_and_numbers_go_on_from_batch_to_batch(t: Under) -> None:
    for batch in ([INTO_B, FROM_B], [INTO_C]):
        await t.deliver([t.as_record(encode(Said(one).event())) for one in batch])
    told = await t.emitted()
    assert in_words(told) == ["into B, 1", "from B, 2", "into C, 3"]
    parts = [(e.member_id, e.ties_no) for e in told if isinstance(e, policy.CustomerUnmerged)]
    assert parts == [("B", 2), ("A", 2)]
    assert await t.parked() == []
