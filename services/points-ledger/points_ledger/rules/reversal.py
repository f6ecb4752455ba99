"""Bringing what was granted into line with what it is worth: take back, give back, top up.

Taken back in this order: the fact's own pending points, its own lots (what of them expired unused comes out of breakage), what is
there of its term's other lots, all others in spending order, and the rest is a debt. Each lot remembers what was taken for it and
where, so that a cancellation that is itself reversed gives everything back where it was, with its own dates.
"""

from dataclasses import dataclass
from datetime import date

from msgspec.structs import replace
from tenure.contracts.points import PointsReversed

from points_ledger.rules.account import DEBT, Bucket, Lot, standing_of
from points_ledger.rules.book import Book
from points_ledger.rules.lots import expire, grant, repay, tell_granted, with_taken
from points_ledger.rules.worth import tier_of, worth


def settle(book: Book, group: list[Lot], on: date) -> None:
    """Post the difference between what a fact is worth and what stands granted for it. Nothing, if there is none."""
    due = worth(book, group[0]) - standing_of(group) if group else 0
    if due < 0:
        _take_back(book, group, -due, max(on, group[0].earned_on))
    elif due > 0:
        rest = _give_back(book, group, due, max(on, group[0].earned_on))
        if rest:
            _top_up(book, group[0], rest)


def revoke(book: Book, group: list[Lot], on: date) -> None:
    """The fact itself is taken back: it is worth nothing until it is stated again."""
    if group and not group[0].revoked:
        group[0] = book.put(replace(group[0], revoked=True))
        settle(book, group, on)


def restate(book: Book, group: list[Lot], on: date) -> None:
    """The fact holds after all."""
    if group and group[0].revoked:
        group[0] = book.put(replace(group[0], revoked=False))
    settle(book, group, on)


def settle_where(book: Book, on: date, *, policy_no: str | None = None, only_more: bool = False) -> None:
    """Settle all facts of the account, or of one policy, that are known whole: a part would seem to be worth what others had.
    With `only_more` those that are worth more by now.
    """
    whole = (
        lot
        for lot in book.lots.values()
        if lot.base and not lot.is_half_known(book.lived_to) and (policy_no is None or lot.policy_no == policy_no)
    )
    for group in list(book.grouped(whole)):
        if not only_more or worth(book, group[0]) > standing_of(group):
            settle(book, group, on)


@dataclass(slots=True)
class _Sources:
    """Where a reversal found its points."""

    pending: int = 0
    lots: int = 0
    expired: int = 0
    debt: int = 0


def _take_back(book: Book, group: list[Lot], amount: int, on: date) -> None:
    """Newest grant of the fact first: a top-up goes before what it topped up."""
    found = _Sources()
    left = amount
    for lot in reversed(group):
        share = min(left, lot.standing)
        if share:
            _take_for(book, lot, share, on, own={t.no for t in group}, found=found)
            left -= share
    first = group[0]
    book.tell(
        PointsReversed(
            member_id=book.member_id,
            wallet=first.wallet,
            amount=amount,
            effective=on,
            entry_id=book.lot_id(first),
            rule=first.rule,
            from_pending=found.pending,
            from_lots=found.lots,
            from_expired=found.expired,
            as_debt=found.debt,
            reference=first.fact,
        )
    )


def _take_for(book: Book, lot: Lot, share: int, on: date, *, own: set[int], found: _Sources) -> None:
    for no in _candidates(book, lot, on, own):
        taken = _take_from(book, no, share, on if no in own else _was_there(book.lots[no], on), found)
        if taken:
            book.put(with_taken(book.lots[lot.no], no, taken))
            share -= taken
        if not share:
            return
    book.post(lot.wallet, "debt", "issuance", share, lot_no=lot.no, kind="reverse", on=on)
    book.put(with_taken(book.lots[lot.no], DEBT, share))
    found.debt += share


def _candidates(book: Book, lot: Lot, on: date, own: set[int]) -> list[int]:
    """Lots to take from. Of other lots those that lived on `on` or later, as if the reversal had been heard that very day; but
    what expired long before it is heard is not known any more, nor taken where it happens to be.
    """

    def order(t: Lot) -> tuple[bool, bool, bool, date, tuple[date, date, int]]:
        return (t.no not in own, t.no != lot.no, not _of_one_term(t, lot), max(t.activates_on, on), t.spending_order)

    def usable(t: Lot) -> bool:
        if t.wallet != lot.wallet or not (t.remaining or t.expired):
            return False
        return t.no in own or (t.is_known(book.lived_to) and not (t.is_pending(book.lived_to) or t.is_expired(on)))

    return [t.no for t in sorted(filter(usable, book.lots.values()), key=order)]


def _of_one_term(one: Lot, other: Lot) -> bool:
    return one.term_no is not None and (one.policy_no, one.term_no) == (other.policy_no, other.term_no)


def _was_there(lot: Lot, on: date) -> date:
    """The first day from `on` on, on which another lot's points could have been taken: none of them before they were active."""
    return max(on, lot.activates_on)


def _take_from(book: Book, no: int, amount: int, on: date, found: _Sources) -> int:
    """Up to `amount` out of what remains of a lot, then out of what of it expired. Returns how many."""
    lot = book.lots[no]
    fresh = min(amount, lot.remaining)
    stale = min(amount - fresh, lot.expired)
    if fresh:
        pending = lot.is_pending(book.lived_to)
        book.post(
            lot.wallet, "pending" if pending else "available", "issuance", fresh, lot_no=no, kind="reverse", on=on
        )
        found.pending += fresh if pending else 0
        found.lots += 0 if pending else fresh
    if stale:
        over = max(on, lot.ends_on or on)
        book.post(lot.wallet, "breakage", "issuance", stale, lot_no=no, kind="reverse", on=over)
        found.expired += stale
    if fresh or stale:
        book.put(
            replace(
                lot,
                remaining=lot.remaining - fresh,
                expired=lot.expired - stale,
                reversed=lot.reversed + fresh + stale,
            )
        )
    return fresh + stale


def _give_back(book: Book, group: list[Lot], amount: int, on: date) -> int:
    """Undo what was taken back, last first. Returns what could not be given back so."""
    for lot in reversed(group):
        for source, taken in reversed(lot.taken):
            back = min(amount, taken)
            given = _cancel_debt(book, lot, back, on) if source == DEBT else _return_to(book, lot, source, back, on)
            if given:
                book.put(with_taken(book.lots[lot.no], source, -given))
                amount -= given
    return amount


def _cancel_debt(book: Book, lot: Lot, amount: int, on: date) -> int:
    amount = min(amount, book.of(lot.wallet, "debt"))
    if amount:
        book.post(lot.wallet, "issuance", "debt", amount, lot_no=lot.no, kind="restore", on=on)
        tell_granted(book, lot, amount, amount, book.lived_to)
    return amount


def _return_to(book: Book, earned: Lot, no: int, amount: int, on: date) -> int:
    """Points return to the lot they were taken from, with its dates; if those are over, they expire again at once.

    What is told is the entry that `earned` them, as its reversal was, whoever's lot they had been taken from.
    """
    lot = book.lots.get(no)
    if lot is None or not amount:
        return 0
    credit: Bucket = "pending" if lot.is_pending(book.lived_to) else "available"
    if no != earned.no and credit == "available":
        on = _was_there(lot, on)
    if lot.ends_on is not None and lot.is_expired(book.lived_to):
        on = max(on, lot.ends_on)
    book.post(lot.wallet, "issuance", credit, amount, lot_no=no, kind="restore", on=on)
    lot = book.put(replace(lot, remaining=lot.remaining + amount, reversed=lot.reversed - amount))
    tell_granted(book, lot, amount, repay(book, no, on), book.lived_to, earned=earned)
    expire(book, no, came=on)
    return amount


def _top_up(book: Book, first: Lot, amount: int) -> None:
    """More for the same fact, in a lot of its own with the same dates; it was earned here, wherever the first lot came from."""
    status, percent = tier_of(book, first)
    lot = replace(
        first,
        no=book.next_lot_no(),
        granted=amount,
        remaining=amount,
        held=0,
        spent=0,
        reversed=0,
        expired=0,
        taken=(),
        origin="",
        status=status,
        status_percent=percent,
        source_type=book.event.type,
        source_id=".".join((book.event.id, *book.way_of(first))),
    )
    grant(book, lot)
    book.remember(book.memory.with_more(first.no, lot.no))
