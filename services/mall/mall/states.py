"""What the mall knows of a member, a shelf, an order and a code; and the order's life as one table of statuses.

The invariant every state keeps: the units of a SKU that were ever stocked are those on the shelf plus those of every order
that has not ended in `failed` or `refunded`.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Final, Literal

import msgspec
from tenure.contracts.programme.catalogue import ItemKind
from tenure.contracts.tier import NO_TIER, Step

Status = Literal[
    "placed", "held", "supplied", "fulfilled", "shipped", "closed", "releasing", "failed", "refunding", "refunded"
]
SagaStep = Literal["hold", "supply", "capture", "release", "refund"]
Outcome = Literal["done", "refused", "unknown"]

STEP_OF: Final[Mapping[Status, SagaStep]] = MappingProxyType(
    {"placed": "hold", "held": "supply", "supplied": "capture", "releasing": "release", "refunding": "refund"}
)
"""What is to be done next for an order that is under way; a status that is not here waits for nobody."""

ENDING: Final[frozenset[tuple[SagaStep, Outcome]]] = frozenset(
    {("hold", "refused"), ("release", "done"), ("release", "refused"), ("refund", "done")}
)
"""Answers that end an order and put its units back on the shelf."""

AT_ONCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""A `next_try_at` that is due whatever the wall's clock says: for rules, which have no clock."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """`taken`: units of limited items that were ordered under this number and are kept, by "sku window".

    A window is a month; of before it was, the period of the limit: a year, or "ever".

    `merged_into` is the number this one was given up for, since `tied_at`; `ties_no` the newest that was told of it.
    """

    member_id: str
    timeline: tuple[Step, ...] = ()
    taken: Mapping[str, int] = {}
    merged_into: str | None = None
    tied_at: datetime | None = None
    ties_no: int = 0

    def tier_on(self, day: date) -> str:
        steps = [s for s in self.timeline if s.effective <= day]
        return max(steps, key=lambda s: s.effective).tier if steps else NO_TIER


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever has the number `member_id`, as the mergers stand: `numbers` are all of theirs, `goes_by` the one they go by now.

    `beside`: what was taken under the others.
    """

    member_id: str
    goes_by: str
    numbers: tuple[str, ...]
    beside: Mapping[str, int] = {}


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """The stock of one SKU: units ever stocked, and those an order may still take."""

    sku: str
    stocked: int = 0
    available: int = 0
    opened: bool = False


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """A redeemable code, as loaded. Which order has it is decided where it is stored (`suppliers.codes`)."""

    sku: str
    code: str


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A price promised to a member until `valid_until`; `points` and `cash_fen` are for the whole quantity."""

    quote_id: str
    member_id: str
    sku: str
    kind: ItemKind
    quantity: int
    points: int
    cash_fen: int
    catalogue_version: int
    quoted_on: date
    valid_until: datetime


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`next_try_at` is set exactly while there is a step to do; `taken_under` is the limit window it counts in, if any.

    `member_id` is the number it was placed under, which stays; `goes_by` the one that person goes by now, if it is another.
    """

    order_id: str
    member_id: str
    sku: str
    kind: ItemKind
    quantity: int
    points: int
    cash_fen: int
    catalogue_version: int
    status: Status
    reason: str = ""
    placed_on: date
    viewed_on: date | None = None
    taken_under: str | None = None
    attempts: int = 0
    next_try_at: datetime | None
    give_up_at: datetime
    codes: tuple[str, ...] = ()
    goes_by: str | None = None

    @property
    def owner(self) -> str:
        return self.goes_by or self.member_id

    @property
    def step(self) -> SagaStep | None:
        return STEP_OF.get(self.status)

    def unveiled(self) -> "Order":
        """The same without its codes: what may be kept in answers and handed about."""
        return msgspec.structs.replace(self, codes=()) if self.codes else self


State = Member | Person | Shelf | Order | Code


class Answer(msgspec.Struct, frozen=True):
    """What an outside system said: done, refused with its code, or unknown (it may or may not have happened: ask again)."""

    outcome: Outcome
    code: str = ""


class QuoteMade(msgspec.Struct, frozen=True):
    quote: Quote


class QuotesSwept(msgspec.Struct, frozen=True):
    """Quotes that ended before this instant are forgotten."""

    before: datetime


class CodesTaken(msgspec.Struct, frozen=True):
    """So many codes of a SKU become this order's."""

    order_id: str
    sku: str
    quantity: int


class CodesReturned(msgspec.Struct, frozen=True):
    """The order's codes, never seen by anyone, may go to another order."""

    order_id: str


class Stepped(msgspec.Struct, frozen=True):
    """One line of an order's history."""

    order_id: str
    status: Status
    reason: str
    on: date


class Restocked(msgspec.Struct, frozen=True):
    """Units that came onto a shelf or were taken off it by hand: why, and by whom."""

    sku: str
    units: int
    reason: str
    by: str


Row = Restocked | QuoteMade | QuotesSwept | CodesTaken | CodesReturned | Stepped
