"""Rows on the database: twice is once, halves are the whole, in any order of topics, and old ids hand over what they hold."""

import random
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import msgspec
import pytest
from member_view.handing_over import TIMER
from member_view.service import SERVICE
from msgspec.structs import replace
from tenure.contracts import mall
from tenure.contracts.event import Data
from tenure.contracts.policy import CustomerErased, CustomerMerged, CustomerUnmerged
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .cast import STORY, D, M, grant, held, issued, order

ALL: Sequence[Data] = [one for topic in STORY for one in topic]


async def _row(t: Under, member_id: str = M) -> Any:
    row = await t.pool.fetchrow(
        "SELECT rendered, state, tier, available, pending, claims_open FROM member_view WHERE member_id = $1", member_id
    )
    return row and tuple(row)


async def _after(settings: Settings, batches: Sequence[Sequence[int]], *, repeat: int = 1) -> Any:
    async with under_test(SERVICE, settings) as t:
        records = t.records(*ALL)
        for _ in range(repeat):
            for batch in batches:
                await t.deliver([records[i] for i in batch])
        assert await t.parked() == []
        assert await t.emitted() == []
        return await _row(t)


async def test_twice_is_once_and_halves_are_the_whole(settings: Settings) -> None:
    n = len(ALL)
    whole = await _after(settings, [range(n)])
    assert whole[2:] == ("gold", 1_240, 0, 1)
    assert whole == await _after(settings, [range(n)], repeat=2)
    assert whole == await _after(settings, [range(n // 2), range(n // 2, n)])
    assert whole == await _after(settings, [[i] for i in range(n)])


async def test_topics_may_arrive_in_any_order(settings: Settings) -> None:
    whole = await _after(settings, [range(len(ALL))])
    starts, topics = 0, []
    for topic in STORY:
        topics.append(list(range(starts, starts + len(topic))))
        starts += len(topic)
    chance = random.Random(5)
    for _ in range(4):
        chance.shuffle(topics)
        assert await _after(settings, topics) == whole


async def test_members_of_one_batch_do_not_mix(settings: Settings) -> None:
    from msgspec.structs import replace

    async with under_test(SERVICE, settings) as t:
        await t.feed(*(replace(grant(n), member_id=f"M-{n}") for n in range(1, 51)))
        rows = await t.pool.fetch("SELECT member_id, available, version FROM member_view")
        assert {(r["member_id"], r["available"], r["version"]) for r in rows} == {
            (f"M-{n}", n, 1) for n in range(1, 51)
        }


async def test_what_arrives_under_an_old_id_is_handed_over(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(issued(), grant(100))
        await t.feed(CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await t.feed(held(40))
        assert [await TIMER.once(t.door, t.settings) for _ in range(2)] == [1, 0]
        assert (await _row(t, "M-9"))[3] == 60
        assert (await _row(t))[0] is None
        answers = [await t.http.get(f"/v1/members/{m}/status", headers=t.auth("operator")) for m in (M, "M-9")]
        assert [a.status_code for a in answers] == [404, 200]
        assert answers[1].json()["points"]["points"] == {"available": 60, "pending": 0, "held": 40, "debt": 0}


async def test_parted_again_the_old_id_is_a_member_s_own(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(issued(), CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        both = [CustomerUnmerged(member_id=m, survivor_id="M-9", merged_id=M, effective=D) for m in ("M-9", M)]
        await t.feed(*both, issued(), grant(100))
        assert await TIMER.once(t.door, t.settings) == 0
        answer = await t.http.get(f"/v1/members/{M}/status", headers=t.auth("operator"))
        assert answer.json()["points"]["points"]["available"] == 100


async def test_parted_again_each_number_has_the_orders_that_were_placed_under_it(settings: Settings) -> None:
    """Along a chain, also those that went on meanwhile, which the mall tells of whoever had them by then."""
    placed = [replace(order(order_id=no), member_id=m) for no, m in (("O-1", M), ("O-8", "M-8"), ("O-9", "M-9"))]
    async with under_test(SERVICE, settings) as t:
        await t.feed(*placed, CustomerMerged(member_id="M-8", merged_id=M, effective=D, ties_no=1))
        await t.feed(replace(order(mall.OrderFulfilled), member_id="M-8"))
        await t.feed(CustomerMerged(member_id="M-9", merged_id="M-8", effective=D, ties_no=2))
        await t.feed(replace(order(mall.OrderClosed, "O-8"), member_id="M-9"))
        assert await _orders(t) == {"M-9": {"O-1": "fulfilled", "O-8": "closed", "O-9": "placed"}}
        for no, (kept, merged) in enumerate((("M-9", "M-8"), ("M-8", M)), 3):
            told = CustomerUnmerged(member_id=kept, survivor_id=kept, merged_id=merged, effective=D, ties_no=no)
            await t.feed(told, replace(told, member_id=merged))
            if no == 3:
                assert await _orders(t) == {"M-8": {"O-1": "fulfilled", "O-8": "closed"}, "M-9": {"O-9": "placed"}}
        assert await _orders(t) == {M: {"O-1": "fulfilled"}, "M-8": {"O-8": "closed"}, "M-9": {"O-9": "placed"}}


async def test_what_came_back_by_a_second_merger_stays_when_that_is_undone(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(order(), CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await t.feed(CustomerMerged(member_id=M, merged_id="M-9", effective=D))
        await t.feed(CustomerUnmerged(member_id=M, survivor_id=M, merged_id="M-9", effective=D))
        assert await _orders(t) == {M: {"O-1": "placed"}, "M-9": {}}


async def _orders(t: Under) -> dict[str, dict[str, str]]:
    """What stands on whose page."""
    rows = await t.pool.fetch("SELECT member_id, rendered FROM member_view WHERE rendered IS NOT NULL")
    pages = {row["member_id"]: msgspec.json.decode(row["rendered"]) for row in rows}
    return {member: {o["order_id"]: o["status"] for o in page["orders"]} for member, page in pages.items()}


async def test_the_other_copy_of_an_undoing_does_not_undo_the_merger_that_followed(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        merged = CustomerMerged(member_id="M-9", merged_id=M, effective=D)
        first, late = (CustomerUnmerged(member_id=m, survivor_id="M-9", merged_id=M, effective=D) for m in ("M-9", M))
        await t.feed(issued(), grant(100), merged, first, merged, late, grant(5, lot="L-2"))
        assert await TIMER.once(t.door, t.settings) == 1
        assert (await _row(t, "M-9"))[3] == 105
        assert (await _row(t))[0] is None


NAMED = [
    CustomerMerged(member_id="M-8", merged_id=M, effective=D, ties_no=1),
    CustomerUnmerged(member_id="M-8", survivor_id="M-8", merged_id=M, effective=D, ties_no=2),
    CustomerMerged(member_id="M-9", merged_id=M, effective=D, ties_no=3),
]


@pytest.mark.parametrize("order", list(permutations(NAMED)), ids=lambda o: "".join(str(told.ties_no) for told in o))
async def test_whose_a_number_is_is_what_was_told_last_whenever_it_is_read(settings: Settings, order: Any) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(*order, issued(), grant(100))
        await TIMER.once(t.door, t.settings)
        found = {
            m: await t.pool.fetchval("SELECT available FROM member_view WHERE member_id = $1", m) for m in (M, "M-9")
        }
        assert found == {M: 0, "M-9": 100}


async def test_of_two_that_were_merged_into_one_another_the_newest_keeps(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(grant(100), CustomerMerged(member_id="M-9", merged_id=M, effective=D))
        await t.feed(CustomerMerged(member_id=M, merged_id="M-9", effective=D))
        await TIMER.once(t.door, t.settings)
        assert (await _row(t))[3] == 100


async def test_an_erased_member_is_not_to_be_seen(settings: Settings) -> None:
    async with under_test(SERVICE, settings) as t:
        await t.feed(*ALL)
        await t.feed(CustomerErased(member_id=M, effective=D), grant(5))
        answer = await t.http.get(f"/v1/members/{M}/status", headers=t.auth("operator"))
        assert answer.status_code == 404
        assert (await _row(t))[2:] == ("none", 0, 0, 0)
