"""An order under way while its member's number is given up, before the real ledger: it ends whole, and what it bought is theirs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from mall import reads
from mall.ports.ledger import HttpLedger
from mall.saga import Saga
from mall.states import Answer, Order, SagaStep
from mall.worker import open_shelves
from tenure.contracts import core
from tenure.edge import create_app
from tenure.settings import Settings
from tenure.spine.gather import Gatherer
from tenure_local.between import hold_between
from tenure_local.services import SERVICES

from .house import House, at, opened

CODE: Final = "coffee-voucher-30"
DAY: Final = date(2024, 5, 1)
MERGED: Final = core.CustomerMerged(member_id="M-2", merged_id="M-1", on=DAY)
PARTED: Final = core.CustomerUnmerged(member_id="M-2", merged_id="M-1", on=DAY)


def insured(member: str) -> tuple[Any, ...]:
    """A home, paid for: 4,000 points."""
    start, end, policy = date(2024, 3, 1), date(2025, 3, 1), f"P-{member}"
    issued = core.PolicyIssued(
        policy_no=policy, member_id=member, product_line="home", start=start, end=end, premium_fen=400_000
    )
    return issued, core.PremiumPaid(policy_no=policy, amount_fen=400_000, paid_on=start)


class Interrupted:
    """The ledger over its own HTTP, and what happens in the world before it is asked for one step."""

    def __init__(self, house: House, token: Path, step: SagaStep, happens: Callable[[], Awaitable[object]]) -> None:
        ledger = house["points-ledger"]
        token.write_text(ledger.token("service"))
        app = create_app([(ledger.door.service, ledger.door)], ledger.settings)
        settings = ledger.settings.model_copy(update={"service_token_file": token})
        self.ledger = HttpLedger(settings, httpx.ASGITransport(app))
        self.step, self.happens = step, happens

    async def ask(self, step: SagaStep, order: Order) -> Answer:
        if step == self.step:
            await self.happens()
        return await self.ledger.ask(step, order)


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    async with opened(settings, SERVICES) as house:
        await house.say(*insured("M-1"), *insured("M-2"), at=at("2024-03-01"))
        await house.day(DAY)
        yield house


async def today() -> date:
    return DAY


async def ordered(house: House, ledger: Interrupted) -> str:
    """M-1 orders a voucher, as far as it goes."""
    t = house["mall"]
    saga = Saga(Gatherer(t.door).submit, ledger, today)
    await open_shelves(saga, t.pool, t.door.programme)
    asked = await t.http.post("/v1/quotes", json={"sku": CODE}, headers=t.auth("member", subject="M-1"))
    quote = await reads.quote(t.pool, asked.json()["quote_id"])
    assert quote is not None
    placed = await saga.place(quote)
    order = await saga.drive(msgspec.json.decode(placed.body, type=Order))
    await ledger.ledger.close()
    return order.order_id


async def books(house: House) -> list[str]:
    """The sentences that do not hold, between all services and of the mall's books."""
    async with AsyncExitStack() as stack:
        there = {name: await stack.enter_async_context(t.pool.acquire()) for name, t in house.services.items()}
        found = await hold_between(there, Path("no.sms"), house["mall"].door.programme)  # type: ignore[arg-type]
    mall = house["mall"]
    found |= (await mall.http.get("/v1/mall/verify", headers=mall.auth("operator"))).json()
    return [sentence for sentence, holds in found.items() if not holds]


async def seen(house: House, order_id: str, member: str) -> Any:
    t = house["mall"]
    answer = await t.http.get(f"/v1/orders/{order_id}", headers=t.auth("member", subject=member))
    return answer.json().get("status", answer.status_code)


async def spendable(house: House, member: str) -> int:
    t = house["points-ledger"]
    answer = await t.http.get(f"/v1/wallets/{member}", headers=t.auth("operator"))
    return int(answer.json()["wallets"]["points"]["available"])


@pytest.mark.parametrize(
    ("before", "then", "left"), [("hold", "failed", 8000), ("capture", "fulfilled", 5200)], ids=["hold", "capture"]
)
async def test_an_order_whose_number_is_given_up_meanwhile_ends_whole(
    house: House, tmp_path: Path, before: SagaStep, then: str, left: int
) -> None:
    async def merge() -> None:
        await house.say(MERGED, at=at("2024-05-01"))

    order_id = await ordered(house, Interrupted(house, tmp_path / "token", before, merge))
    await house.day(DAY)
    assert [await seen(house, order_id, member) for member in ("M-1", "M-2", "M-3")] == [then, then, 404]
    assert await spendable(house, "M-2") == left
    assert await books(house) == []
    await house.say(PARTED, at=at("2024-05-02"))
    await house.day(date(2024, 5, 2))
    assert [await seen(house, order_id, member) for member in ("M-1", "M-2")] == [then, 404]
    assert await spendable(house, "M-1") == left - 4000
    assert await books(house) == []
