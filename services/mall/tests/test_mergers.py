"""Two customer numbers are one person, and perhaps not after all: whose orders, codes and limits are (DOMAIN 22)."""

from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any, Final

import pytest
from mall.rules.members import Tie, goes_by, on_merged, on_unmerged
from mall.states import Answer, Member, Order
from mall.worker import continue_orders
from tenure.contracts import mall as told
from tenure.contracts.event import Data, Event
from tenure.contracts.points import PointsReleased
from tenure.contracts.policy import CustomerMerged, CustomerUnmerged
from tenure.contracts.programme import Programme

DAY: Final = date(2026, 3, 9)
NOON: Final = datetime(2026, 3, 9, 4, tzinfo=UTC)
CODE, LIMITED = "coffee-voucher-30", "car-wash"  # two car washes a month


def into(kept: str, given_up: str, no: int = 0) -> CustomerMerged:
    return CustomerMerged(member_id=kept, merged_id=given_up, effective=DAY, ties_no=no)


def parted(kept: str, given_up: str, no: int = 0, *, to: str = "") -> CustomerUnmerged:
    return CustomerUnmerged(member_id=to or kept, survivor_id=kept, merged_id=given_up, effective=DAY, ties_no=no)


def standing(rules: Programme, heard: list[tuple[int, Data]]) -> dict[str, Tie]:
    """What is known after these were heard, each with its minute: which number points where."""
    members: dict[str, Member] = {}
    for minute, data in heard:
        at = NOON + timedelta(minutes=minute)
        event = Event(id="e", source="test", type="", key=data.member_id, time=at, data=data)  # type: ignore[attr-defined]
        rule = on_merged if isinstance(data, CustomerMerged) else on_unmerged
        number = data.merged_id  # type: ignore[attr-defined]
        members[number] = rule(members.get(number), event, rules).state
    return {
        m.member_id: Tie(m.merged_into, m.tied_at)
        for m in members.values()
        if m.merged_into is not None and m.tied_at is not None
    }


LIVES = [
    # what happened, in this order                                                    -> who goes by which number
    ([into("B", "A", 1)], {"A": "B"}),
    ([into("B", "A", 1), into("C", "B", 1)], {"A": "C", "B": "C"}),
    ([into("B", "A", 1), parted("B", "A", 2), parted("B", "A", 2, to="A")], {}),
    ([into("B", "A", 1), parted("B", "A", 2), parted("B", "A", 2, to="A"), into("C", "A", 3)], {"A": "C"}),
    ([into("B", "A", 1), parted("B", "A", 2), into("B", "A", 3)], {"A": "B"}),
    ([into("B", "A", 1), into("C", "A", 2)], {"A": "C"}),  # the core has corrected whom it was merged into
    ([into("B", "A", 1), into("C", "B", 1), parted("C", "B", 2)], {"A": "B"}),
    ([into("B", "A", 1), into("A", "B", 1)], {"B": "A"}),  # a ring: the newest says who remains
]


@pytest.mark.parametrize(("life", "expected"), LIVES)
def test_in_whatever_order_it_is_heard_everyone_goes_by_the_same_number(
    rules: Programme, life: list[Data], expected: dict[str, str]
) -> None:
    everyone = {n: expected.get(n, n) for n in ("A", "B", "C")}
    for heard in permutations(list(enumerate(life))):
        ties = standing(rules, [*heard, *heard])
        assert {n: goes_by(n, ties) for n in everyone} == everyone, heard


def test_what_was_told_without_a_number_counts_as_it_comes(rules: Programme) -> None:
    merged, undone = (1, into("B", "A")), (2, parted("B", "A"))
    assert standing(rules, [merged, undone]) == {}
    assert standing(rules, [merged, undone, (3, into("C", "A")), (2, parted("B", "A", to="A"))])["A"].into == "C"
    assert standing(rules, [(1, into("B", "A", 1)), (0, into("C", "A"))])["A"].into == "B"


async def both(mall: Any, points: int = 20_000) -> None:
    for member in ("M-1", "M-2"):
        await mall.join(member, points=points)


async def merged(mall: Any, kept: str = "M-2", given_up: str = "M-1", no: int = 1) -> None:
    await mall.t.feed(into(kept, given_up, no))
    mall.bank.merge(kept, given_up)


async def get(mall: Any, path: str, member: str) -> Any:
    return await mall.call("GET", f"/v1/orders{path}", "member", member)


async def listed(mall: Any, member: str) -> list[tuple[str, str]]:
    return [(o["order_id"], o["member_id"]) for o in (await get(mall, "", member)).json()["items"]]


async def test_what_a_number_given_up_had_bought_is_its_survivors(mall: Any) -> None:
    await both(mall)
    old, seen = [(await mall.order("M-1", CODE)).json()["order_id"] for _ in range(2)]
    (code,) = (await get(mall, f"/{seen}/code", "M-1")).json()["codes"]
    await merged(mall)
    new = (await mall.order("M-2", CODE)).json()["order_id"]
    for number in ("M-2", "M-1"):  # who still has a token of the old number is the same person
        assert await listed(mall, number) == [(new, "M-2"), (seen, "M-2"), (old, "M-2")]
        assert (await get(mall, f"/{old}", number)).json()["member_id"] == "M-2"
        assert (await get(mall, f"/{seen}/code", number)).json()["codes"] == [code]
    assert [(await get(mall, path, "M-3")).status_code for path in (f"/{old}", f"/{old}/code")] == [404, 404]
    assert (await get(mall, "?member_id=M-1", "M-3")).status_code == 404
    await mall.t.emitted()
    refund = {"kind": "refund", "reason": "other"}
    path = f"/v1/orders/{old}/after-sales"
    given_back = await mall.call("POST", path, "member", "M-2", json=refund)
    assert (given_back.json()["status"], given_back.json()["member_id"]) == ("refunded", "M-2")
    assert mall.bank.accounts["M-2"] == 40_000 - 2 * 2800
    assert [e.member_id for e in await mall.t.emitted(told.OrderRefunded)] == ["M-2"]
    assert not await mall.broken()


async def test_a_number_given_up_buys_nothing_more(mall: Any) -> None:
    await both(mall)
    quote = (await mall.quote("M-1", CODE)).json()["quote_id"]
    bought = (await mall.quote("M-1", CODE)).json()["quote_id"]
    order = (await mall.order_quote("M-1", bought)).json()
    await merged(mall)
    assert (await mall.quote("M-1", CODE)).json()["code"] == "member_merged"
    assert (await mall.order_quote("M-1", quote)).json()["code"] == "member_merged"
    again = await mall.order_quote("M-1", bought)
    assert (again.status_code, again.json()["order_id"]) == (201, order["order_id"])
    assert (await mall.order("M-2", CODE)).json()["status"] == "fulfilled"
    assert not await mall.broken()


async def test_the_tier_of_the_survivor_opens_the_shop_to_either_token(mall: Any) -> None:
    await mall.join("M-1", "basic")
    await mall.join("M-2", "gold")
    await merged(mall)
    for number in ("M-1", "M-2"):
        items = (await mall.call("GET", "/v1/catalogue", "member", number)).json()["items"]
        assert "dental-cleaning" in {item["sku"] for item in items}


async def test_a_limit_counts_what_a_person_took_under_all_numbers_and_an_undoing_parts_it(mall: Any) -> None:
    await both(mall)
    await mall.join("M-3", points=20_000)
    first = (await mall.order("M-1", LIMITED)).json()
    assert (await mall.order("M-3", LIMITED)).json()["status"] == "fulfilled"
    promised = (await mall.quote("M-2", LIMITED)).json()["quote_id"]
    await merged(mall)
    await merged(mall, "M-3", "M-2")
    assert (await mall.quote("M-3", LIMITED)).json()["code"] == "limit_reached"  # one of M-1, one of M-3
    refund = {"kind": "refund", "reason": "other"}
    await mall.call("POST", f"/v1/orders/{first['order_id']}/after-sales", "member", "M-3", json=refund)
    assert (await mall.order("M-3", LIMITED)).json()["status"] == "fulfilled"  # what was given back counts no more
    assert (await mall.quote("M-3", LIMITED)).json()["code"] == "limit_reached"
    await mall.t.feed(parted("M-3", "M-2", 2), parted("M-3", "M-2", 2, to="M-2"))
    assert (await mall.quote("M-3", LIMITED)).json()["code"] == "limit_reached"
    mall.bank.part("M-2", 20_000)
    assert (await mall.order_quote("M-2", promised)).json()["status"] == "fulfilled"
    assert (await mall.quote("M-2", LIMITED)).status_code == 201
    assert not await mall.broken()


async def test_a_quote_made_before_the_merger_does_not_pass_the_limit_after_it(mall: Any) -> None:
    await both(mall)
    promised = (await mall.quote("M-2", LIMITED, 2)).json()["quote_id"]
    await mall.order("M-1", LIMITED, 2)
    await merged(mall)
    assert (await mall.order_quote("M-2", promised)).json()["code"] == "limit_reached"


async def test_an_undoing_gives_each_its_own_orders_back(mall: Any) -> None:
    await both(mall)
    of_one = (await mall.order("M-1", CODE)).json()["order_id"]
    await merged(mall)
    of_both = (await mall.order("M-2", CODE)).json()["order_id"]
    await mall.t.feed(parted("M-2", "M-1", 2), parted("M-2", "M-1", 2, to="M-1"))
    assert (await listed(mall, "M-1"), await listed(mall, "M-2")) == ([(of_one, "M-1")], [(of_both, "M-2")])
    assert (await get(mall, f"/{of_one}/code", "M-2")).status_code == 404
    assert (await get(mall, f"/{of_both}", "M-1")).status_code == 404


async def test_mergers_and_undoings_heard_again_or_late_change_nothing(mall: Any) -> None:
    await both(mall)
    order = (await mall.order("M-1", CODE)).json()["order_id"]
    await mall.t.feed(parted("M-2", "M-1", 2))  # the undoing overtook its merger
    await mall.t.feed(into("M-3", "M-1", 3), into("M-4", "M-3", 1), into("M-2", "M-1", 1))
    await mall.t.feed(parted("M-2", "M-1", 2, to="M-1"))
    assert await listed(mall, "M-4") == [(order, "M-4")]
    assert await listed(mall, "M-2") == []


class Merging:
    """A ledger in which the merger happens just before, or just after, it is asked for one step."""

    def __init__(self, mall: Any, step: str, *, before: bool, tells: bool) -> None:
        self.mall, self.step, self.before, self.tells = mall, step, before, tells

    async def ask(self, step: Any, order: Order) -> Answer:
        if step == self.step and self.before:
            await self.merge()
        answer: Answer = await self.mall.bank.ask(step, order)
        if step == self.step and not self.before:
            await self.merge()
        return answer

    async def merge(self) -> None:
        self.mall.bank.merge("M-2", "M-1")
        if self.tells:
            await self.mall.t.feed(into("M-2", "M-1", 1))


@pytest.mark.parametrize("tells", [True, False], ids=["the mall hears at once", "the mall hears at the end"])
@pytest.mark.parametrize(
    ("step", "before", "then", "points"),
    [
        ("hold", True, "failed", 5600),  # the ledger holds nothing for a number given up; nothing was taken
        ("hold", False, "fulfilled", 2800),
        ("capture", True, "fulfilled", 2800),
        ("capture", False, "fulfilled", 2800),
    ],
)
async def test_an_order_under_way_comes_to_its_end(
    mall: Any, new_quote: Any, step: str, before: bool, then: str, points: int, tells: bool
) -> None:
    await both(mall, points=2800)
    saga = mall.saga(ledger=Merging(mall, step, before=before, tells=tells))
    await saga.place(new_quote(member_id="M-1"))
    mall.late_s = 16
    await continue_orders(saga, mall.t.pool)
    await mall.t.feed(into("M-2", "M-1", 1))
    assert await mall.statuses() == {then: 1}
    assert (mall.bank.accounts["M-2"], mall.bank.accounts["M-1"]) == (points, 0)
    assert [order["status"] for order in (await get(mall, "", "M-2")).json()["items"]] == [then]
    ending = (await mall.t.emitted(told.OrderEvent))[-1]
    assert ending.member_id == ("M-2" if tells else "M-1")
    assert not await mall.broken()


async def test_the_news_that_a_hold_timed_out_at_the_survivor_ends_the_order(mall: Any, new_quote: Any) -> None:
    await both(mall, points=2800)
    await mall.saga().place(new_quote(member_id="M-1"))
    order_id = await mall.t.pool.fetchval("SELECT order_id FROM orders")
    await merged(mall)
    released = PointsReleased(
        member_id="M-2", wallet="points", amount=2800, effective=DAY, hold_id=order_id, reason="timed_out"
    )
    await mall.t.feed(released)
    assert await mall.statuses() == {"releasing": 1}
    await continue_orders(mall.saga(), mall.t.pool)
    assert await mall.statuses() == {"failed": 1}
    assert [e.member_id for e in await mall.t.emitted(told.OrderFailed)] == ["M-2"]
    assert not await mall.broken()
