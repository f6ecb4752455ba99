"""What the notifier knows of one member, and the queue of messages that are decided but not yet told.

The invariant: a message waits in the queue under its dedupe key at most once, and everything said about it is dated by the
events that caused it, never by when they arrived.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from tenure.contracts.message import Purpose, SuppressionReason
from tenure.contracts.programme.messages import Language
from tenure.contracts.tier import NO_TIER, Condition

ITEMS_MAX: Final = 100
PENDING_MAX: Final = 500
MOVES_MAX: Final = 60
UNSAID_MAX: Final = 10
EXTENSIONS_MAX: Final = 20
EXPIRING: Final = "policy_expiring"
OWED: Final = "owed"
Params = Mapping[str, str | int]


class Item(Struct, frozen=True, array_like=True):
    """One thing merged into a message: a lot, a policy, a benefit. `id` makes it count once; an amount adds up.

    `reference`: the fact that earned it.
    """

    id: str
    code: str
    amount: int = 0
    reference: str = ""


class Pending(Struct, frozen=True, kw_only=True):
    """A message decided and not yet told. `asked_at` is when its occasion happened, `send_at` the instant it is due.

    `traceparent` is the trace of what first asked for it. `handed_by`: by which numbers of the same person it came to this one.
    """

    template: str
    subject: str
    purpose: Purpose
    asked_at: datetime
    send_at: datetime
    params: dict[str, str | int] = {}
    items: tuple[Item, ...] = ()
    backfill: bool = False
    traceparent: str = ""
    handed_by: tuple[str, ...] = ()

    @property
    def dedupe(self) -> str:
        return f"{self.template}:{self.subject}"


class Move(Struct, frozen=True, array_like=True):
    """A benefit granted or revoked, remembered so that the message about the tier can name it."""

    effective: date
    tier: str
    benefit: str
    granted: bool


class Book(Struct, frozen=True, kw_only=True):
    """What only this service's rules read: kept as one value.

    `nearest_on` is the day on which `nearest` was measured. `unsaid` are the days of upgrades that were undone before they were
    told. `merged`: the person has another number now, `merged_into`, as told last (`ties_no`); `lies_with`: who still has what this
    one had brought, if that is somebody else by now. `took`: the numbers that were merged into this one, far or near; `left_over`:
    messages came here after this number was given up itself.
    """

    tier: str = NO_TIER
    merged: bool = False
    merged_into: str | None = None
    lies_with: str | None = None
    ties_no: int = 0
    took: tuple[str, ...] = ()
    left_over: bool = False
    nearest: Condition | None = None
    nearest_on: date | None = None
    moves: tuple[Move, ...] = ()
    extensions: tuple[tuple[str, str], ...] = ()
    pending: tuple[Pending, ...] = ()
    unsaid: tuple[str, ...] = ()


class Member(Struct, frozen=True, kw_only=True):
    """`taken` and `told` are what the store found for the queue's messages: dedupe keys used up, messages told per local day."""

    member_id: str
    language: Language = "zh"
    language_at: datetime | None = None
    marketing: bool = False
    marketing_at: datetime | None = None
    sms: bool = True
    erased: bool = False
    backfilled: int = 0
    book: Book = Book()
    taken: frozenset[str] = frozenset()
    told: Mapping[date, int] = MappingProxyType({})

    @property
    def with_whom(self) -> str | None:
        """Under which number what was told and is to be told to this one is; None: its own."""
        return self.book.lies_with or self.book.merged_into

    @property
    def is_astray(self) -> bool:
        """Whether anything of the person's lies under another number than the one they go by, here or elsewhere."""
        has_left = self.book.merged_into is not None and bool(self.book.pending or self.book.left_over)
        return has_left or self.book.lies_with is not None

    @property
    def send_at(self) -> datetime | None:
        """When the queue's first message is due; never under a number that was given up."""
        if self.book.merged_into is not None:
            return None
        return min((p.send_at for p in self.book.pending), default=None)


class Suppressed(Struct, frozen=True, kw_only=True):
    """Why a message was not told. `at` is the instant it would have been."""

    member_id: str
    pending: Pending
    reason: SuppressionReason
    at: datetime


def enqueue(member: Member, new: Pending) -> Member:
    """The message in the queue; what waits under the same dedupe key takes its items and newest params instead."""
    pending = member.book.pending
    for i, waiting in enumerate(pending):
        if waiting.dedupe == new.dedupe:
            merged = _merged(waiting, new)
            return member if merged == waiting else with_pending(member, (*pending[:i], merged, *pending[i + 1 :]))
    return with_pending(member, (*pending, new))


def _merged(waiting: Pending, new: Pending) -> Pending:
    items = {item.id: item for item in waiting.items}
    for item in new.items:
        known = items.get(item.id)
        items[item.id] = replace(known, amount=known.amount + item.amount) if known else item
    return replace(waiting, items=tuple(items.values())[:ITEMS_MAX], params={**waiting.params, **new.params})


def with_pending(member: Member, pending: Iterable[Pending]) -> Member:
    return replace(member, book=replace(member.book, pending=tuple(pending)))


def with_book(member: Member, **changes: object) -> Member:
    return replace(member, book=replace(member.book, **changes))


def waiting_at(member: Member, at: datetime, matches: Callable[[Pending], bool]) -> Pending | None:
    """The first such message that had not gone out yet at that instant of the members' world."""
    return next((p for p in member.book.pending if at < p.send_at and matches(p)), None)


def without(member: Member, gone: Pending) -> Member:
    return with_pending(member, (p for p in member.book.pending if p.dedupe != gone.dedupe))
