"""An order survives whatever happens between its steps: crashes, lost words on the wire, holds that time out, many workers."""

import asyncio
import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from mall.limits import GIVE_UP_S, LEASE_S
from mall.states import Answer, Order
from mall.worker import continue_orders, sweep_quotes
from tenure.contracts import mall as told
from tenure.contracts.points import PointsReleased
from tenure.edge.idempotency import REPLAYED_HEADER
from tenure.spine.transact import Item, Outcome


class CrashError(Exception):
    """The process is gone."""


class Fuse:
    """Burns at the n-th point it passes, and from then on at every one: a dead process does nothing more."""

    def __init__(self, burns_at: int) -> None:
        self.left = burns_at

    def pass_by(self) -> None:
        if self.left <= 0:
            raise CrashError
        self.left -= 1


class CrashingLedger:
    def __init__(self, bank: Any, fuse: Fuse) -> None:
        self.bank, self.fuse = bank, fuse

    async def ask(self, step: Any, order: Order) -> Answer:
        self.fuse.pass_by()
        answer: Answer = await self.bank.ask(step, order)
        self.fuse.pass_by()
        return answer


class CrashingWarehouse:
    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse

    async def supply(self, order: Order) -> Answer:  # noqa: ARG002
        self.fuse.pass_by()
        return Answer("done")


def crashing_saga(mall: Any, fuse: Fuse) -> Any:
    saga = mall.saga(ledger=CrashingLedger(mall.bank, fuse), supplier=CrashingWarehouse(fuse))
    submit = saga.submit

    async def crashing_submit(items: Sequence[Item]) -> list[Outcome]:
        fuse.pass_by()
        outcomes: list[Outcome] = await submit(items)
        fuse.pass_by()
        return outcomes

    saga.submit = crashing_submit
    return saga


async def place_and_drive(saga: Any, quote: Any) -> None:
    outcome = await saga.place(quote)
    await saga.drive(msgspec.json.decode(outcome.body, type=Order))


async def finish(mall: Any) -> None:
    """A new worker, after all leases ended, until nothing is left to do."""
    for _ in range(50):
        mall.late_s += 90
        if not await continue_orders(mall.saga(), mall.t.pool):
            return
    pytest.fail("orders do not come to an end")


CRASHES = [(kind, n) for kind, points in {"code": 13, "goods": 15, "refused": 9}.items() for n in range(points)]


@pytest.mark.parametrize(("case", "burns_at"), CRASHES)
async def test_a_crash_at_any_point_is_finished_by_a_new_worker(
    mall: Any, new_quote: Any, case: str, burns_at: int
) -> None:
    mall.bank.give("M-1", 2799 if case == "refused" else 2800)
    sku, kind = ("smoke-alarm", "goods") if case == "goods" else ("coffee-voucher-30", "code")
    stock = await mall.available(sku)
    try:
        await place_and_drive(crashing_saga(mall, Fuse(burns_at)), new_quote(sku=sku, kind=kind))
        crashed = False
    except CrashError:
        crashed = True
    await finish(mall)
    placed = burns_at > 0
    wanted = {} if not placed else {"failed": 1} if case == "refused" else {"fulfilled": 1}
    assert await mall.statuses() == wanted
    assert mall.bank.accounts["mall"] == (2800 if wanted == {"fulfilled": 1} else 0)
    assert await mall.available(sku) == stock - (1 if wanted == {"fulfilled": 1} else 0)
    assert not await mall.broken()
    events = [type(e).__name__ for e in await mall.t.emitted(told.OrderEvent)]
    assert events == (["OrderPlaced", "OrderFailed" if case == "refused" else "OrderFulfilled"] if placed else [])
    assert crashed == (burns_at < {"code": 10, "goods": 13, "refused": 6}[case])


@pytest.mark.parametrize("seed", range(4))
async def test_words_lost_on_the_wire_lose_no_points_and_no_units(mall: Any, new_quote: Any, seed: int) -> None:
    chance = random.Random(seed)
    mall.bank.troubles.extend(chance.choices(["question_lost", "answer_lost", ""], weights=[2, 2, 3], k=150))
    for n in range(30):
        mall.bank.give(f"M-{n}", chance.choice([2000, 2800, 9000]))
    quotes = [new_quote(member_id=f"M-{n}") for n in range(30)]
    saga = mall.saga()
    await asyncio.gather(*(place_and_drive(saga, quote) for quote in quotes))
    await finish(mall)
    statuses = await mall.statuses()
    assert statuses.keys() <= {"fulfilled", "failed"}
    assert statuses["fulfilled"] == len(mall.bank.captured())
    assert not await mall.broken()


async def test_an_unknown_capture_stays_in_progress_and_is_asked_again_under_the_same_key(mall: Any) -> None:
    await mall.join("M-1", points=2800)
    mall.bank.troubles.extend(["", "answer_lost", "answer_lost", ""])
    answer = await mall.order("M-1", "coffee-voucher-30")
    assert (answer.status_code, answer.json()["status"], answer.json()["step"]) == (202, "processing", "capture")
    refund = {"kind": "refund", "reason": "other"}
    path = f"/v1/orders/{answer.json()['order_id']}"
    hasty = await mall.call("POST", f"{path}/after-sales", "member", "M-1", json=refund)
    assert hasty.json()["code"] == "order_in_progress"
    assert (await mall.call("GET", f"{path}/code", "member", "M-1")).json()["code"] == "code_not_ready"
    await finish(mall)
    assert (await mall.call("GET", path, "member", "M-1")).json()["status"] == "fulfilled"
    assert mall.bank.accounts["mall"] == 2800
    assert [step for step, _ in mall.bank.asked] == ["hold", "capture", "capture", "capture"]


async def test_an_unknown_refund_gives_the_points_back_once(mall: Any) -> None:
    await mall.join("M-1", points=2800)
    order_id = (await mall.order("M-1", "coffee-voucher-30")).json()["order_id"]
    mall.bank.troubles.append("answer_lost")
    refund = {"kind": "refund", "reason": "other"}
    answer = await mall.call("POST", f"/v1/orders/{order_id}/after-sales", "member", "M-1", json=refund)
    assert (answer.status_code, answer.json()["status"]) == (202, "refunding")
    await finish(mall)
    assert await mall.statuses() == {"refunded": 1}
    assert mall.bank.accounts["M-1"] == 2800
    assert not await mall.broken()


async def test_a_hold_that_timed_out_before_the_capture_ends_the_order(mall: Any) -> None:
    await mall.join("M-1", points=2800)
    mall.bank.troubles.extend(["", "question_lost"])
    order_id = (await mall.order("M-1", "coffee-voucher-30")).json()["order_id"]
    mall.bank.time_out(order_id)
    await finish(mall)
    order = (await mall.call("GET", f"/v1/orders/{order_id}", "member", "M-1")).json()
    assert (order["status"], order["reason"]) == ("failed", "hold_resolved")
    assert (mall.bank.accounts["M-1"], await mall.available("coffee-voucher-30")) == (2800, 200)
    assert not await mall.broken()


async def test_the_news_of_a_timed_out_hold_ends_the_order(mall: Any) -> None:
    await mall.join("M-1", points=2800)
    mall.bank.troubles.extend(["", "question_lost"])
    order_id = (await mall.order("M-1", "coffee-voucher-30")).json()["order_id"]
    mall.bank.time_out(order_id)
    news = PointsReleased(
        member_id="M-1",
        wallet="points",
        amount=2800,
        effective=date(2026, 3, 9),
        hold_id=order_id,
        reason="timed_out",
    )
    record = mall.t.records(news)
    await mall.t.deliver(record)
    await mall.t.deliver(record)
    assert await continue_orders(mall.saga(), mall.t.pool) == 1  # at once, without waiting for a lease
    assert await mall.statuses() == {"failed": 1}
    (failed,) = await mall.t.emitted(told.OrderFailed)
    assert failed.reason == "hold_timed_out"
    assert not await mall.broken()


async def test_a_ledger_that_stays_silent_loses_the_order_but_nothing_else(mall: Any, new_quote: Any) -> None:
    mall.bank.give("M-1", 2800)
    mall.bank.troubles.extend(["answer_lost"] * 3)  # the hold was made, but nobody hears of it
    await place_and_drive(mall.saga(), new_quote())
    mall.late_s = GIVE_UP_S + LEASE_S
    await continue_orders(mall.saga(), mall.t.pool)
    await finish(mall)
    assert await mall.statuses() == {"failed": 1}
    assert (mall.bank.accounts["M-1"], await mall.available("coffee-voucher-30")) == (2800, 200)
    assert not await mall.broken()


async def test_of_many_workers_one_gets_each_order(mall: Any, new_quote: Any) -> None:
    for n in range(20):
        mall.bank.give(f"M-{n}", 2800)
        await mall.saga().place(new_quote(member_id=f"M-{n}"))
    mall.late_s = LEASE_S + 1
    counts = await asyncio.gather(*(continue_orders(mall.saga(), mall.t.pool) for _ in range(4)))
    assert sum(counts) == 20
    assert len(mall.bank.asked) == 40
    assert await mall.statuses() == {"fulfilled": 20}
    assert not await mall.broken()


async def test_an_order_seen_by_two_workers_is_claimed_by_one(mall: Any, new_quote: Any) -> None:
    for n in range(5):
        await mall.saga().place(new_quote(member_id=f"M-{n}"))
    seen = [tuple(row) for row in await mall.t.pool.fetch("SELECT order_id, member_id, next_try_at FROM orders")]
    mall.late_s = LEASE_S + 1
    claimed = await asyncio.gather(*(mall.saga().claim(seen) for _ in range(3)))
    assert sorted(len(orders) for orders in claimed) == [0, 0, 5]


async def test_an_order_under_lease_is_left_to_its_driver(mall: Any, new_quote: Any) -> None:
    await mall.saga().place(new_quote())
    assert await continue_orders(mall.saga(), mall.t.pool) == 0
    mall.late_s = LEASE_S + 1
    assert await continue_orders(mall.saga(), mall.t.pool) == 1


async def test_old_quotes_are_forgotten_and_their_orders_are_not(mall: Any) -> None:
    await mall.join("M-1", points=2800)
    quote_id = (await mall.quote("M-1", "coffee-voucher-30")).json()["quote_id"]
    first = await mall.order_quote("M-1", quote_id)
    mall.late_s = timedelta(days=2).total_seconds()
    await sweep_quotes(mall.saga())
    assert await mall.t.pool.fetchval("SELECT count(*) FROM quotes") == 0
    assert (await mall.order_quote("M-1", quote_id)).json() == first.json()


async def test_a_key_that_was_another_orders_is_refused_also_for_a_quote_that_is_forgotten(mall: Any) -> None:
    await mall.join("M-1", points=9000)
    quotes = [(await mall.quote("M-1", "coffee-voucher-30")).json()["quote_id"] for _ in range(2)]
    first, _ = [await mall.order_quote("M-1", quote, key=f"k-{n}") for n, quote in enumerate(quotes)]
    mall.late_s = timedelta(days=2).total_seconds()
    await sweep_quotes(mall.saga())
    asked = [("k-0", 0), ("k-0", 1), ("k-new", 0), ("k-new", 1)]
    answers = [await mall.order_quote("M-1", quotes[n], key=key) for key, n in asked]
    assert [a.status_code for a in answers] == [201, 422, 201, 422]
    assert answers[0].json() == answers[2].json() == first.json()
    assert answers[3].json()["code"] == "idempotency_key_reused"
    assert (answers[0].headers.get(REPLAYED_HEADER), answers[2].headers.get(REPLAYED_HEADER)) == ("true", None)
