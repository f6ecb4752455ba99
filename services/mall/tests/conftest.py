"""A mall under test with a bank in place of points-ledger: honest double entry, idempotent, and able to lose words on the wire."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Literal

import pytest
from mall.api import counter, shop
from mall.saga import Saga
from mall.service import SERVICE
from mall.states import Answer, Order, Quote
from mall.worker import open_shelves
from tenure.contracts.tier import Step, TierChanged
from tenure.settings import Settings
from tenure.spine.gather import Gatherer
from tenure.testing import Under, under_test

TODAY = date(2026, 3, 9)
Trouble = Literal["question_lost", "answer_lost", ""]


@dataclass
class Bank:
    """Every movement is a transfer between accounts; what a member can spend, what is held, what the mall took."""

    accounts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    holds: dict[str, list[Any]] = field(default_factory=dict)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    troubles: deque[Trouble] = field(default_factory=deque)
    asked: list[tuple[str, str]] = field(default_factory=list)
    merged: set[str] = field(default_factory=set)

    def give(self, member: str, points: int) -> None:
        self._transfer("world", member, points)

    async def ask(self, step: str, order: Order) -> Answer:
        await asyncio.sleep(0)
        trouble = self.troubles.popleft() if self.troubles else ""
        if trouble == "question_lost":
            return Answer("unknown", "ConnectTimeout")
        self.asked.append((step, order.order_id))
        key = (order.order_id, step)
        if key not in self.answers:
            self.answers[key] = getattr(self, f"_{step}")(order)
        return Answer("unknown", "ReadTimeout") if trouble == "answer_lost" else self.answers[key]

    def time_out(self, order_id: str) -> None:
        """The ledger's own timer ends a hold."""
        member, points, state = self.holds[order_id]
        assert state == "held"
        self._transfer("held", member, points)
        self.holds[order_id][2] = "released"

    def merge(self, kept: str, given_up: str) -> None:
        """As the ledger does: points and holds move to the survivor, and nothing more is held for the other number."""
        self.merged.add(given_up)
        for hold in self.holds.values():
            hold[0] = kept if hold[0] == given_up else hold[0]
        if points := self.accounts[given_up]:
            self._transfer(given_up, kept, points)

    def part(self, number: str, points: int) -> None:
        """The merger is undone: the number is a member's again, with so many points."""
        self.merged.discard(number)
        self.give(number, points)

    def captured(self) -> dict[str, int]:
        """Points taken, by order."""
        return {order_id: points for order_id, (_, points, state) in self.holds.items() if state == "captured"}

    def _hold(self, order: Order) -> Answer:
        if order.member_id in self.merged:
            return Answer("refused", "member_merged")
        if self.accounts[order.member_id] < order.points:
            return Answer("refused", "insufficient_points")
        self._transfer(order.member_id, "held", order.points)
        self.holds[order.order_id] = [order.member_id, order.points, "held"]
        return Answer("done")

    def _capture(self, order: Order) -> Answer:
        return self._resolve(order, "captured", "held", "mall")

    def _release(self, order: Order) -> Answer:
        return self._resolve(order, "released", "held")

    def _refund(self, order: Order) -> Answer:
        return self._resolve(order, "refunded", "mall", was="captured")

    def _resolve(self, order: Order, to: str, debit: str, credit: str = "", *, was: str = "held") -> Answer:
        """What is credited to nobody else is to whoever the hold is of."""
        hold = self.holds.get(order.order_id)
        if hold is None:
            return Answer("refused", "not_found")
        if hold[2] != was:
            return Answer("refused", "hold_resolved")
        hold[2] = to
        self._transfer(debit, credit or hold[0], hold[1])
        return Answer("done")

    def _transfer(self, debit: str, credit: str, points: int) -> None:
        assert points > 0
        self.accounts[debit] -= points
        self.accounts[credit] += points
        assert sum(self.accounts.values()) == 0
        assert min((n for name, n in self.accounts.items() if name != "world"), default=0) >= 0


@dataclass
class Mall:
    """The service, its bank, and a wall clock moved by hand for workers."""

    t: Under
    bank: Bank
    late_s: float = 0

    @property
    def http(self) -> Any:
        return self.t.http

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.late_s)

    def saga(self, **other: Any) -> Saga:
        """A new worker's saga, as after a restart."""
        gatherer = Gatherer(self.t.door)
        return Saga(**{"submit": gatherer.submit, "ledger": self.bank, "today": self._today, "now": self.now} | other)

    async def _today(self) -> date:
        return TODAY

    async def join(self, member: str, tier: str = "basic", *, points: int = 0) -> None:
        await self.t.feed(tier_changed(member, Step(effective=date(2020, 1, 1), tier=tier, cause="first_cover")))
        if points:
            self.bank.give(member, points)

    async def quote(self, member: str, sku: str, quantity: int = 1) -> Any:
        body = {"sku": sku, "quantity": quantity}
        return await self.http.post("/v1/quotes", json=body, headers=self.t.auth("member", subject=member))

    async def order(self, member: str, sku: str, quantity: int = 1, *, key: str | None = None) -> Any:
        quote = (await self.quote(member, sku, quantity)).json()
        return await self.order_quote(member, quote["quote_id"], key=key)

    async def order_quote(self, member: str, quote_id: str, *, key: str | None = None) -> Any:
        headers = self.t.auth("member", subject=member, key=key)
        return await self.http.post("/v1/orders", json={"quote_id": quote_id}, headers=headers)

    async def call(self, method: str, path: str, role: str = "operator", subject: str = "op-1", **more: Any) -> Any:
        return await self.http.request(method, path, headers=self.t.auth(role, subject=subject), **more)

    async def statuses(self) -> dict[str, int]:
        return dict(await self.t.pool.fetch("SELECT status, count(*) FROM orders GROUP BY status"))

    async def available(self, sku: str) -> int:
        units: int = await self.t.pool.fetchval("SELECT available FROM shelves WHERE sku = $1", sku)
        return units

    async def broken(self) -> list[str]:
        """The names of the books' invariants that do not hold, and of those the bank sees."""
        found = (await self.call("GET", "/v1/mall/verify")).json()
        rows = await self.t.pool.fetch("SELECT order_id, points, status FROM orders")
        paid = {r["order_id"]: r["points"] for r in rows if r["status"] in ("fulfilled", "shipped", "closed")}
        idle = all(r["status"] in ("fulfilled", "shipped", "closed", "failed", "refunded") for r in rows)
        found["points_captured_iff_fulfilled"] = not idle or paid == self.bank.captured()
        found["nothing_held_when_idle"] = not idle or self.bank.accounts["held"] == 0
        return [name for name, holds in found.items() if not holds]


def tier_changed(member: str, *timeline: Step) -> TierChanged:
    newest = timeline[-1]
    return TierChanged(
        member_id=member,
        from_tier="none",
        to_tier=newest.tier,
        effective=newest.effective,
        retroactive=False,
        reasons=(),
        nearest=None,
        policies=("P-1",),
        insured_days=0,
        annual_premium_fen=0,
        rules_version=1,
        timeline=timeline,
    )


@pytest.fixture
def bank() -> Bank:
    return Bank()


@asynccontextmanager
async def open_mall(settings: Settings, bank: Bank) -> AsyncIterator[Mall]:
    service = replace(SERVICE, routers=lambda: (partial(shop.router, ledger=lambda _: bank), counter.router))
    async with under_test(service, settings.model_copy(update={"clock": "events"})) as t:
        await t.day(TODAY)
        mall = Mall(t, bank)
        await open_shelves(mall.saga(), t.pool, t.door.programme)
        yield mall


@pytest.fixture
async def mall(settings: Settings, bank: Bank) -> AsyncIterator[Mall]:
    async with open_mall(settings, bank) as mall:
        yield mall


@pytest.fixture
def new_quote() -> Callable[..., Quote]:
    numbers: Iterator[int] = iter(range(1, 1_000_000))

    def make(**fields: Any) -> Quote:
        return Quote(
            **{
                "quote_id": f"Q-{next(numbers)}",
                "member_id": "M-1",
                "sku": "coffee-voucher-30",
                "kind": "code",
                "quantity": 1,
                "points": 2800,
                "cash_fen": 0,
                "catalogue_version": 1,
                "quoted_on": TODAY,
                "valid_until": datetime(2999, 1, 1, tzinfo=UTC),
            }
            | fields
        )

    return make
