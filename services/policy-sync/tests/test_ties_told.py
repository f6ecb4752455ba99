"""What is told of whose a number is: in whatever order the core's words are heard, the last that is told is how it stands."""

from collections.abc import AsyncIterator
from itertools import permutations

import pytest
from policy_sync.rules.facts import Fact
from policy_sync.rules.mergers import standing, told
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
        events += told(known, fact)
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
