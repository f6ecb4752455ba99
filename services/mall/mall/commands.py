"""What may be asked of the mall's rules beside the events it reads.

`at` and `next_try_at` are instants of the wall's clock, `on` is the business date.
"""

from datetime import date, datetime

from tenure.contracts.event import Data

from mall.states import Outcome, Quote, SagaStep


class MakeQuote(Data, frozen=True, kw_only=True):
    member_id: str
    quote_id: str
    sku: str
    quantity: int
    on: date
    valid_until: datetime


class SweepQuotes(Data, frozen=True, kw_only=True):
    before: datetime


class PlaceOrder(Data, frozen=True, kw_only=True):
    """`order_id` is derived from the quote's id, so that one quote is one order however often it is sent."""

    order_id: str
    quote: Quote
    on: date
    at: datetime
    next_try_at: datetime
    give_up_at: datetime


class OrderCommand(Data, frozen=True, kw_only=True):
    order_id: str


class FindOrder(OrderCommand, frozen=True, kw_only=True):
    """What became of an order: a question that is kept under its idempotency key as the order's placing was."""


class ClaimOrder(OrderCommand, frozen=True, kw_only=True):
    """Take an order whose step is due. Refused silently (a null reply) if someone moved it since it was `seen`."""

    seen: datetime
    next_try_at: datetime


class StepAnswered(OrderCommand, frozen=True, kw_only=True):
    """What the ledger or the supplier said to a step. `code` says why it refused, or why it is unknown."""

    step: SagaStep
    outcome: Outcome
    code: str = ""
    on: date
    at: datetime
    next_try_at: datetime


class LastStepAnswered(StepAnswered, frozen=True, kw_only=True):
    """An answer that ends the order (`states.ENDING`): its shelf and its member are decided upon with it."""

    member_id: str
    sku: str


class ViewCode(OrderCommand, frozen=True, kw_only=True):
    on: date


class AskRefund(OrderCommand, frozen=True, kw_only=True):
    reason: str
    on: date
    next_try_at: datetime


class Ship(OrderCommand, frozen=True, kw_only=True):
    on: date


class Deliver(OrderCommand, frozen=True, kw_only=True):
    on: date


class OpenShelf(Data, frozen=True, kw_only=True):
    """The first stock of a SKU whose units are counted, given once."""

    sku: str
    units: int
    by: str


class OpenCodeShelf(Data, frozen=True, kw_only=True):
    """The first stock of a SKU whose units are codes, given once; at least one code."""

    sku: str
    codes: tuple[str, ...]
    by: str


class LoadCodes(Data, frozen=True, kw_only=True):
    sku: str
    codes: tuple[str, ...]
    by: str


class AdjustStock(Data, frozen=True, kw_only=True):
    sku: str
    delta: int
    reason: str
    by: str
