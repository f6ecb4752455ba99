"""Mergers and undoings read in another order than they were told: each message is with whom it belongs to, told or about to be."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import permutations
from typing import Any

import pytest
from notifier import sending
from notifier.gathering import TIMER
from notifier.service import SERVICE
from notifier.store import book_of
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .cast import D, M, claim, fulfilled

Tie = CustomerMerged | CustomerUnmerged


def merged(survivor: str, gone: str, no: int) -> CustomerMerged:
    return CustomerMerged(member_id=survivor, merged_id=gone, effective=D, ties_no=no)


def parted(survivor: str, gone: str, no: int) -> CustomerUnmerged:
    """The survivor's copy: the other one alone changes nothing."""
    return CustomerUnmerged(member_id=survivor, survivor_id=survivor, merged_id=gone, effective=D, ties_no=no)


WRONG, UNDONE, RIGHT = merged("M-2", M, 1), parted("M-2", M, 2), merged("M-3", M, 3)
ON, BACK = merged("M-3", "M-2", 1), parted("M-3", "M-2", 2)
TOLD: Sequence[tuple[Sequence[Tie], str]] = [
    # what was told, and whose the first one's messages are then
    ((WRONG, ON), "M-3"),
    ((WRONG, UNDONE, RIGHT), "M-3"),
    ((WRONG, RIGHT), "M-3"),
    ((WRONG, ON, RIGHT), "M-3"),
    ((WRONG, ON, BACK, UNDONE), M),
    ((WRONG, UNDONE, merged("M-2", M, 3)), "M-2"),
    ((WRONG, ON, BACK), "M-2"),
    ((WRONG, UNDONE, merged(M, "M-2", 1)), M),
    # a ring, of which the newest merger keeps the first
    ((WRONG, ON, parted("M-2", M, 3), merged(M, "M-3", 3)), M),
]


def readings(told: Sequence[Tie]) -> Iterator[tuple[Tie, ...]]:
    """Every order of what was told that keeps the order of each key."""
    for order in permutations(told):
        pairs = [(a, b) for n, a in enumerate(told) for b in told[n + 1 :] if a.member_id == b.member_id]
        if all(order.index(a) < order.index(b) for a, b in pairs):
            yield order


CASES = [
    pytest.param(order, person, id="-".join(f"{type(f).__name__[8]}{f.merged_id[-1]}{f.member_id[-1]}" for f in order))
    for told, person in TOLD
    for order in readings(told)
]


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    """A message that was told, and one that waits."""
    async with under_test(SERVICE, settings) as t:
        await t.feed(claim())
        await sending.tell(t.door, None)
        await t.feed(fulfilled())
        yield t


async def _gathered(t: Under) -> None:
    while await TIMER.once(t.door, t.settings):
        pass


async def _inboxes(t: Under) -> dict[str, list[str]]:
    """Whatever waits is told first."""
    await sending.tell(t.door, None)
    rows: list[dict[str, Any]] = [
        dict(r) for r in await t.pool.fetch("SELECT * FROM message ORDER BY asked_at, dedupe")
    ]
    return {m: [r["template"] for r in rows if r["member_id"] == m] for m in {r["member_id"] for r in rows}}


@pytest.mark.parametrize(("told", "person"), CASES)
async def test_each_has_their_messages_in_whatever_order_it_is_read(t: Under, told: Sequence[Tie], person: str) -> None:
    await t.feed(*told)
    await _gathered(t)
    assert await _inboxes(t) == {person: ["claim_progress", "order_fulfilled"]}
    assert await t.pool.fetchval("SELECT count(*) FROM member WHERE astray") == 0
    newest = {fact.merged_id: fact for fact in sorted(told, key=lambda fact: fact.ties_no)}
    into = {number: f.member_id for number, f in newest.items() if isinstance(f, CustomerMerged)}
    books = {number: await book_of(t.pool, number) for number in (M, "M-2", "M-3")}
    assert {number: book.merged_into for number, book in books.items() if book.merged_into} == into


async def test_what_is_told_late_of_a_number_that_was_given_up_is_told_to_the_survivor(t: Under) -> None:
    await t.feed(merged("M-2", M, 1), claim("paid"))
    await sending.tell(t.door, None)
    await _gathered(t)
    assert await _inboxes(t) == {"M-2": ["claim_progress", "claim_progress", "order_fulfilled"]}


async def test_of_numbers_that_were_merged_into_one_another_the_newest_keeps(t: Under) -> None:
    await t.feed(merged("M-2", M, 0), merged("M-3", "M-2", 0), merged(M, "M-3", 0))
    await _gathered(t)
    assert await _inboxes(t) == {M: ["claim_progress", "order_fulfilled"]}
