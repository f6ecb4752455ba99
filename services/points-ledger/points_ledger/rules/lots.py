"""How a lot lives: granted, pending, active, told before it expires, expired; and in which order lots are spent.

The invariant: what a lot is on a day follows from its dates alone. `live_through` only posts what the dates already imply, each
thing with its own date, so that ticks may come early, late, or several at once.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache

from msgspec.structs import replace
from tenure.calendar import add_months, end_of_month
from tenure.contracts.points import PointsActivated, PointsExpired, PointsExpiring, PointsGranted, Wallet

from points_ledger.rules.account import FOREVER, Bucket, Lot
from points_ledger.rules.book import Book
from points_ledger.rules.notices import Notice, changed, notices_of, told_on


@lru_cache(maxsize=4_096)
def expiry_of(wallet: Wallet, activates_on: date, months: int) -> date | None:
    """The day at whose start the lot expires: the end of the month, `months` after its activation. Growth never does."""
    return None if wallet == "growth" else end_of_month(add_months(activates_on, months))


def live_through(book: Book, day: date) -> None:
    """Post every activation, notice and expiry up to `day`, in order of date. To be called before anything else changes."""
    notices, since, due, revealed = notices_of(book.programme.earning), book.lived_to, book.before.due_on, set[date]()
    while due is not None and due <= day:
        book.lived_to, book.changed = due, True
        _reveal(book, notices, due)
        revealed.add(due)
        due = next_due(book)
    book.lived_to = max(book.lived_to, day)
    if changed(notices, since, day):
        book.changed = True  # it has lived to another notice, and is not told of it again
        missed = (lot for lot in book.lots.values() if since < _told_on(lot, notices) <= day)
        _announce(book, [lot for lot in missed if _told_on(lot, notices) not in revealed], day)


def next_due(book: Book) -> date | None:
    """The next day after `lived_to` that brings something."""
    notices, lived_to, first = notices_of(book.programme.earning), book.lived_to, None
    for lot in book.lots.values():
        if lot.remaining:
            day = _next_of(lot, notices, lived_to)
            if day is not None and (first is None or day < first):
                first = day
    return first


def _told_on(lot: Lot, notices: Sequence[Notice]) -> date:
    """When its expiry is told; what ends on no day, never."""
    ends_on = lot.ends_on
    return FOREVER if ends_on is None else told_on(notices, ends_on)


def _next_of(lot: Lot, notices: Sequence[Notice], lived_to: date) -> date | None:
    """The first of its activation, notice and expiry after `lived_to`. A notice before the activation would tell nothing."""
    if lot.activates_on > lived_to:
        return lot.activates_on
    ends_on = lot.ends_on
    if ends_on is None or ends_on <= lived_to:
        return None
    told = told_on(notices, ends_on)
    return told if told > lived_to else ends_on


def _reveal(book: Book, notices: Sequence[Notice], day: date) -> None:
    for lot in list(book.lots.values()):
        if lot.remaining and lot.activates_on == day:
            activate(book, lot)
    expire_all(book)
    _announce(book, [lot for lot in book.lots.values() if lot.remaining and _told_on(lot, notices) == day], day)


def _announce(book: Book, lots: Iterable[Lot], day: date) -> None:
    """Tell once for each wallet and expiry date what of these will expire."""
    amounts: dict[tuple[Wallet, date], int] = {}
    for lot in lots:
        ends_on = lot.ends_on
        if ends_on is not None and lot.is_spendable(day):
            amounts[lot.wallet, ends_on] = amounts.get((lot.wallet, ends_on), 0) + lot.remaining
    for (wallet, ends_on), amount in sorted(amounts.items()):
        book.tell(
            PointsExpiring(member_id=book.member_id, wallet=wallet, amount=amount, effective=day, expires_on=ends_on)
        )


def grant(book: Book, lot: Lot) -> None:
    """A new lot. Late ones live at once through what the days since would have brought."""
    book.put(lot)
    if not lot.granted:
        return
    on = min(lot.earned_on, book.lived_to)
    at_once = lot.activates_on <= on
    credit: Bucket = "available" if at_once else "pending"
    book.post(lot.wallet, "issuance", credit, lot.granted, lot_no=lot.no, kind="grant", on=on)
    repaid = repay(book, lot.no, lot.activates_on) if at_once else 0
    tell_granted(book, lot, lot.granted, repaid, on)
    if not at_once and not lot.is_pending(book.lived_to):
        activate(book, lot)
    expire(book, lot.no)


def tell_granted(book: Book, lot: Lot, amount: int, repaid: int, on: date, *, earned: Lot | None = None) -> None:
    """Points came into a lot on a day; they are pending if the lot was not active yet on that day.

    `earned` is the entry they were earned by, where it is not the lot: what was taken for one fact may return to another's lot.
    """
    entry = earned or lot
    book.tell(
        PointsGranted(
            member_id=book.member_id,
            wallet=lot.wallet,
            amount=amount,
            effective=on,
            lot_id=book.lot_id(lot),
            entry_id=book.lot_id(entry),
            rule=entry.rule,
            rules_version=entry.rules_version,
            activates_on=lot.activates_on,
            expires_on=lot.ends_on,
            source_type=entry.source_type,
            reference=entry.fact,
            repaid_debt=repaid,
        )
    )


def activate(book: Book, lot: Lot) -> None:
    """Pending points become available, and repay a debt first."""
    on, amount = lot.activates_on, lot.remaining
    book.post(lot.wallet, "pending", "available", amount, lot_no=lot.no, kind="activate", on=on)
    repaid = repay(book, lot.no, on)
    book.tell(
        PointsActivated(
            member_id=book.member_id,
            wallet=lot.wallet,
            amount=amount,
            effective=on,
            lot_id=book.lot_id(lot),
            expires_on=lot.ends_on,
            repaid_debt=repaid,
        )
    )


def repay(book: Book, no: int, on: date) -> int:
    """A debt is repaid by points as they become active. Returns how many."""
    lot = book.lots[no]
    amount = 0 if lot.is_pending(book.lived_to) else min(book.of(lot.wallet, "debt"), lot.remaining)
    if amount:
        book.post(lot.wallet, "available", "debt", amount, lot_no=no, kind="repay", on=on)
        book.put(replace(lot, remaining=lot.remaining - amount, reversed=lot.reversed + amount))
    return amount


def expire(book: Book, no: int, *, came: date = date.min) -> None:
    """What is left of a lot whose time is over becomes breakage; points held for an order are kept for it. What came back to it
    later, on the day it `came`, expires on that day: until then it was nobody's, or an order's.
    """
    lot = book.lots[no]
    if not lot.remaining or lot.ends_on is None or lot.ends_on > book.lived_to:
        return
    on = max(lot.ends_on, came)
    book.post(lot.wallet, "available", "breakage", lot.remaining, lot_no=no, kind="expire", on=on)
    book.put(replace(lot, remaining=0, expired=lot.expired + lot.remaining))
    book.tell(
        PointsExpired(
            member_id=book.member_id,
            wallet=lot.wallet,
            amount=lot.remaining,
            effective=on,
            lot_id=book.lot_id(lot),
        )
    )


def expire_all(book: Book) -> None:
    """What is left of all lots whose time is over."""
    for no in list(book.lots):
        expire(book, no)


def spendable(lots: Iterable[Lot], wallet: Wallet, on: date) -> list[Lot]:
    """The lots points may be taken from on a day, in the order in which they are."""
    return sorted((t for t in lots if t.wallet == wallet and t.is_spendable(on)), key=lambda t: t.spending_order)


def split(lots: Iterable[Lot], amount: int) -> list[tuple[int, int]]:
    """How `amount` falls on lots in their order: (lot number, points). Takes less when there is less."""
    parts: list[tuple[int, int]] = []
    for lot in lots:
        take = min(amount, lot.remaining)
        if take:
            parts.append((lot.no, take))
            amount -= take
    return parts


def with_taken(lot: Lot, source: int, amount: int) -> Lot:
    """The lot, remembering that `amount` of its grant was taken back from lot number `source` (or became a debt)."""
    taken = dict(lot.taken)
    taken[source] = taken.get(source, 0) + amount
    return replace(lot, taken=tuple((no, points) for no, points in taken.items() if points))
