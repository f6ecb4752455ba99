"""Drives an order from step to step: ask the outside world, tell the rules what it said, look what is next.

The invariants: nothing is asked inside a transaction and nothing is decided outside one; whoever stops anywhere, by a crash or a
deadline, leaves an order that the next driver can carry on, because each question is repeatable and `next_try_at` says when.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import msgspec
from tenure.calendar import SHANGHAI
from tenure.contracts.event import Data, Event
from tenure.spine.codec import utc_now
from tenure.spine.faults import reach
from tenure.spine.transact import Idempotency, Item, Outcome
from uuid_utils import uuid7

from mall.commands import ClaimOrder, LastStepAnswered, PlaceOrder, StepAnswered
from mall.limits import GIVE_UP_S, LEASE_S, RETRY_FIRST_S, RETRY_MAX_S
from mall.ports.ledger import Ledger
from mall.states import ENDING, Answer, Order, Quote, SagaStep
from mall.suppliers import Supplier
from mall.suppliers.goods import OwnWarehouse

SOURCE: Final = "/tenure/mall/saga"
_order: Final = msgspec.json.Decoder(Order | None)


def order_id_of(quote_id: str) -> str:
    """One quote, one order."""
    return "O-" + quote_id.removeprefix("Q-")


def new_quote_id() -> str:
    return f"Q-{uuid7().hex}"


class WrongWayError(RuntimeError):
    """A rule refused what the saga itself told it: a fault of ours; the order stays where it is and is tried again."""


@dataclass(slots=True)
class Saga:
    """`submit` is a Gatherer's: orders that move at the same time move in one transaction."""

    submit: Callable[[Sequence[Item]], Awaitable[list[Outcome]]]
    ledger: Ledger
    today: Callable[[], Awaitable[date]]
    now: Callable[[], datetime] = utc_now
    supplier: Supplier = field(default_factory=OwnWarehouse)

    async def place(self, quote: Quote, idempotency: Idempotency | None = None) -> Outcome:
        """Reserve the units; the reply is the order. Its next step is this caller's for LEASE_S."""
        now, day = self.now(), await self.today()
        command = PlaceOrder(
            order_id=order_id_of(quote.quote_id),
            quote=quote,
            on=day,
            at=now,
            next_try_at=self._lease(now),
            give_up_at=now + timedelta(seconds=GIVE_UP_S),
        )
        event = self.event(command, key=quote.member_id, day=day)
        reach("saga.placing")
        (outcome,) = await self.submit([Item(event, idempotency=idempotency)])
        reach("saga.placed")
        return outcome

    async def drive(self, order: Order) -> Order:
        """As far as it goes now: to a status that waits for nobody, or to an answer that is not known yet."""
        day = await self.today()
        while (step := order.step) is not None:
            reach(f"saga.{step}.asking")
            answer = await self._ask(step, order)
            reach(f"saga.{step}.asked")
            order = await self._tell(order, step, answer, day=day)
            reach(f"saga.{step}.told")
            if answer.outcome == "unknown":
                break
        return order

    async def drive_within(self, order: Order, seconds: float) -> None:
        """Drive at most so long; a question that is cut off is one with an unknown answer, and will be asked again."""
        try:
            async with asyncio.timeout(seconds):
                await self.drive(order)
        except TimeoutError:
            return

    async def claim(self, due: Sequence[tuple[str, str, datetime]]) -> list[Order]:
        """Of these (order, member, next_try_at), those nobody else took since they were read."""
        if not due:
            return []
        day, until = await self.today(), self._lease(self.now())
        commands = [(member, ClaimOrder(order_id=o, seen=seen, next_try_at=until)) for o, member, seen in due]
        reach("saga.claiming")
        outcomes = await self.submit([Item(self.event(c, key=member, day=day)) for member, c in commands])
        reach("saga.claimed")
        return [order for outcome in outcomes if (order := _order.decode(outcome.body)) is not None]

    async def _ask(self, step: SagaStep, order: Order) -> Answer:
        if step == "supply":
            return await self.supplier.supply(order)
        return await self.ledger.ask(step, order)

    async def _tell(self, order: Order, step: SagaStep, answer: Answer, *, day: date) -> Order:
        command = self._answered(order, step, answer, day=day)
        (outcome,) = await self.submit([Item(self.event(command, key=order.member_id, day=day))])
        moved: Order | None = None if outcome.wrong else _order.decode(outcome.body)
        if moved is None:
            raise WrongWayError(f"{step} {answer.outcome}: {outcome.wrong}")
        return moved

    def _answered(self, order: Order, step: SagaStep, answer: Answer, *, day: date) -> StepAnswered:
        now = self.now()
        again = now + _backoff(order.attempts) if answer.outcome == "unknown" else self._lease(now)
        told = StepAnswered(
            order_id=order.order_id,
            step=step,
            outcome=answer.outcome,
            code=answer.code,
            on=day,
            at=now,
            next_try_at=again,
        )
        if (step, answer.outcome) not in ENDING:
            return told
        return LastStepAnswered(**msgspec.structs.asdict(told), member_id=order.member_id, sku=order.sku)

    def event(self, command: Data, *, key: str, day: date) -> Event:
        """A command happens on the business date, at the wall's time of day."""
        return Event(
            id=str(uuid7()),
            source=SOURCE,
            type=type(command).__name__,
            key=key,
            time=datetime.combine(day, self.now().astimezone(SHANGHAI).timetz()),
            data=command,
        )

    def _lease(self, now: datetime) -> datetime:
        return now + timedelta(seconds=LEASE_S)


def _backoff(attempts: int) -> timedelta:
    longest = min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(attempts, 10))
    return timedelta(seconds=random.uniform(longest / 2, longest))
