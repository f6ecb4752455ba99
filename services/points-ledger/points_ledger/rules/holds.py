"""Reservations: points set aside for an order, then spent, or set free, or given back after all.

The invariants: a hold is resolved at most once; it takes the earliest expiry first and remembers which lots it took; a refund goes
back to those lots in reverse order, with their own dates, so no loop of redeeming and refunding makes points last longer.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final, Literal

import msgspec
from msgspec.structs import replace
from tenure.contracts.decision import RefusedError
from tenure.contracts.points import PointsCaptured, PointsHeld, PointsRefunded, PointsReleased, Wallet

from points_ledger.commands import CaptureHold, PlaceHold, RefundHold, ReleaseHold
from points_ledger.rules.account import GRACE, Hold, Kind, Ledger, Lot
from points_ledger.rules.book import Book
from points_ledger.rules.lots import expire, repay, spendable, split
from points_ledger.rules.standing import must_be_still_used, must_not_be_frozen

Parts = tuple[tuple[int, int], ...]
_MOVES: Final[Mapping[Kind, tuple[Ledger, Ledger]]] = {
    "hold": ("available", "held"),
    "capture": ("held", "redemption"),
    "release": ("held", "available"),
}
_PART_OF_LOT: Final[Mapping[Ledger, str]] = {"available": "remaining", "held": "held", "redemption": "spent"}


class HoldView(msgspec.Struct, frozen=True):
    """A hold as callers see it."""

    hold_id: str
    member_id: str
    wallet: Wallet
    points: int
    state: str
    captured: int
    refunded: int
    reference: str
    expires_at: datetime


def view(member_id: str, hold: Hold) -> HoldView:
    return HoldView(
        hold_id=hold.hold_id,
        member_id=member_id,
        wallet=hold.wallet,
        points=hold.points,
        state=hold.state,
        captured=hold.captured,
        refunded=hold.refunded,
        reference=hold.reference,
        expires_at=hold.expires_at,
    )


def on_place(book: Book, command: PlaceHold) -> HoldView:
    """Raises RefusedError member_merged, account_frozen, hold_exists, hold_too_large, debt_outstanding, insufficient_points."""
    must_be_still_used(book)
    must_not_be_frozen(book)
    on, wallet = book.day, command.wallet
    lots = spendable(book.lots.values(), wallet, book.lived_to)
    if command.hold_id in book.holds:
        raise RefusedError("hold_exists", "a hold with this id was placed before")
    if command.points > book.rules.hold_points_max:
        raise RefusedError("hold_too_large", f"at most {book.rules.hold_points_max} points a hold")
    if book.of(wallet, "debt"):
        raise RefusedError("debt_outstanding", "points reversed after they were spent are still owed")
    if sum(lot.remaining for lot in lots) < command.points:
        raise RefusedError("insufficient_points", "there are fewer points available")
    hold = book.put_hold(
        Hold(
            hold_id=command.hold_id,
            wallet=wallet,
            points=command.points,
            reference=command.reference,
            state="held",
            parts=tuple(split(lots, command.points)),
            placed_on=on,
            expires_at=command.expires_at,
            refundable_until=on + timedelta(book.rules.refundable_days_max),
        )
    )
    for no, amount in hold.parts:
        _move(book, hold, no, amount, kind="hold")
    book.tell(
        PointsHeld(
            member_id=book.member_id,
            wallet=wallet,
            amount=hold.points,
            effective=on,
            hold_id=hold.hold_id,
            reference=hold.reference,
        )
    )
    return view(book.member_id, hold)


def on_capture(book: Book, command: CaptureHold) -> HoldView:
    """Spend the hold or part of it; the rest is released. Raises RefusedError hold_resolved, hold_too_small."""
    hold = _open_hold(book, command.hold_id)
    points = hold.points if command.points is None else command.points
    if points > hold.points:
        raise RefusedError("hold_too_small", f"the hold has {hold.points} points")
    spent, rest = _cut(hold.parts, points)
    for no, amount in spent:
        _move(book, hold, no, amount, kind="capture")
    book.tell(
        PointsCaptured(
            member_id=book.member_id,
            wallet=hold.wallet,
            amount=points,
            effective=book.day,
            hold_id=hold.hold_id,
            reference=hold.reference,
        )
    )
    _set_free(book, hold, rest, "captured_less")
    return view(book.member_id, book.put_hold(replace(hold, state="captured", captured=points, parts=spent)))


def on_release(book: Book, command: ReleaseHold) -> HoldView:
    """Set the points free, on request or by timer; a timer that comes too late changes nothing.

    Raises RefusedError hold_resolved.
    """
    timed_out = command.reason == "timed_out"
    known = book.holds.get(command.hold_id)
    if timed_out and known is not None and known.state != "held":
        return view(book.member_id, known)
    hold = _open_hold(book, command.hold_id)
    _set_free(book, hold, hold.parts, command.reason)
    state = "timed_out" if timed_out else "released"
    return view(book.member_id, book.put_hold(replace(hold, state=state, parts=())))


def on_refund(book: Book, command: RefundHold) -> HoldView:
    """Give back what was captured, or part of it. Raises RefusedError hold_not_captured, refund_too_large."""
    hold = book.holds.get(command.hold_id)
    if hold is None or hold.state != "captured" or hold.refundable_until < book.day:
        days_max = book.rules.refundable_days_max
        raise RefusedError("hold_not_captured", f"only a captured hold can be refunded, for {days_max} days")
    left = hold.captured - hold.refunded
    points = left if command.points is None else command.points
    if not 0 < points <= left:
        raise RefusedError("refund_too_large", f"{left} points of this hold are not refunded yet")
    kept, back = _cut(hold.parts, left - points)
    repaid, returned = 0, [_return(book, hold, no, amount) for no, amount in reversed(back)]
    for lot in returned:
        repaid += repay(book, lot.no, book.day)
    book.tell(
        PointsRefunded(
            member_id=book.member_id,
            wallet=hold.wallet,
            amount=points,
            effective=book.day,
            hold_id=hold.hold_id,
            reference=hold.reference,
            repaid_debt=repaid,
        )
    )
    for lot in returned:
        expire(book, lot.no, came=book.day)
    return view(book.member_id, book.put_hold(replace(hold, refunded=hold.refunded + points, parts=kept)))


def _open_hold(book: Book, hold_id: str) -> Hold:
    hold = book.holds.get(hold_id)
    if hold is None or hold.state != "held":
        raise RefusedError("hold_resolved", "this hold was captured, released or timed out before")
    return hold


def _move(book: Book, hold: Hold, no: int, amount: int, *, kind: Kind) -> None:
    """One lot's part of a hold, a capture or a release."""
    lot, (debit, credit) = book.lots[no], _MOVES[kind]
    book.post(lot.wallet, debit, credit, amount, lot_no=no, kind=kind, on=book.day, hold_id=hold.hold_id)
    giver, taker = _PART_OF_LOT[debit], _PART_OF_LOT[credit]
    book.put(replace(lot, **{giver: getattr(lot, giver) - amount, taker: getattr(lot, taker) + amount}))


def _set_free(book: Book, hold: Hold, parts: Parts, reason: Literal["requested", "timed_out", "captured_less"]) -> None:
    """Held points become available again; what expired under the hold expires now, for the hold is no extension."""
    if not parts:
        return
    for no, amount in parts:
        _move(book, hold, no, amount, kind="release")
    repaid = sum(repay(book, no, book.day) for no, _ in parts)
    book.tell(
        PointsReleased(
            member_id=book.member_id,
            wallet=hold.wallet,
            amount=sum(amount for _, amount in parts),
            effective=book.day,
            hold_id=hold.hold_id,
            reason=reason,
            repaid_debt=repaid,
        )
    )
    for no, _ in parts:
        expire(book, no, came=book.day)


def _return(book: Book, hold: Hold, no: int, amount: int) -> Lot:
    """Points return to their lot; from an expired one they go, once, to a lot with some days of grace.

    So they do where the lot went back to another customer with a merger undone (0, after one more merger).
    """
    lot, on = book.lots.get(no), book.day
    if lot is None:
        lot = _grace_lot(book, hold, no, hold.placed_on, amount)
    elif lot.is_expired(book.lived_to) and lot.rule != GRACE:
        lot = _grace_lot(book, hold, lot.no, lot.earned_on, amount)
    else:
        lot = replace(lot, spent=lot.spent - amount, remaining=lot.remaining + amount)
    book.post(lot.wallet, "redemption", "available", amount, lot_no=lot.no, kind="refund", on=on, hold_id=hold.hold_id)
    return book.put(lot)


def _grace_lot(book: Book, hold: Hold, no: int, earned_on: date, amount: int) -> Lot:
    on = book.lived_to
    expires_on = on + timedelta(book.rules.refund_grace_days)
    return Lot(
        no=book.next_lot_no(),
        wallet=hold.wallet,
        rule=GRACE,
        fact=f"{hold.hold_id}:{no}",
        granted=amount,
        remaining=amount,
        earned_on=earned_on,
        activates_on=on,
        expires_on=expires_on,
        rules_version=book.rules.version,
        source_type=book.event.type,
        source_id=book.event.id,
        remembered_until=expires_on,
    )


def _cut(parts: Parts, points: int) -> tuple[Parts, Parts]:
    """The first `points` of the parts, and the rest."""
    head: list[tuple[int, int]] = []
    tail: list[tuple[int, int]] = []
    for no, amount in parts:
        first = min(points, amount)
        points -= first
        head += [(no, first)] if first else []
        tail += [(no, amount - first)] if amount > first else []
    return tuple(head), tuple(tail)
