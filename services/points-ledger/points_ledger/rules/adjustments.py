"""Manual adjustments: one person proposes with a reason and a ticket, another approves, and neither for an account of their own.

The invariants: nothing moves before the second person approved; an adjustment is decided once; a write-off ends a debt and gives
nothing beside; deducting never makes a debt.
"""

from datetime import date

import msgspec
from msgspec.structs import replace
from tenure.contracts.decision import RefusedError
from tenure.contracts.points import PointsAdjusted, Wallet

from points_ledger.commands import ApproveAdjustment, ProposeAdjustment, Purpose, RejectAdjustment
from points_ledger.rules.account import ADJUSTMENT, AdjustmentUse, Lot, Proposal
from points_ledger.rules.book import Book
from points_ledger.rules.lots import expiry_of, repay, spendable, split
from points_ledger.rules.standing import freeze, must_be_known, must_be_still_used, must_not_be_own, unfreeze


class AdjustmentView(msgspec.Struct, frozen=True):
    """A proposal as operators see it. `points` may be negative."""

    adjustment_id: str
    member_id: str
    wallet: Wallet
    points: int
    reason: str
    ticket: str
    state: str
    proposed_by: str
    approved_by: str
    purpose: str
    batch: str


def view(member_id: str, proposal: Proposal) -> AdjustmentView:
    p = proposal
    return AdjustmentView(
        p.adjustment_id, member_id, p.wallet, p.points, p.reason, p.ticket, p.state, p.proposed_by, p.approved_by,
        p.purpose, p.batch,
    )  # fmt: skip


def on_proposed(book: Book, command: ProposeAdjustment) -> AdjustmentView:
    """Raises RefusedError unknown_member, member_merged, own_account, adjustment_*, debt_too_small, insufficient_points."""
    must_be_known(book)
    must_be_still_used(book)
    must_not_be_own(book, command.proposed_by)
    _must_fit(book, command.purpose, command.wallet, command.points)
    if command.adjustment_id in book.proposals:
        raise RefusedError("adjustment_exists", "this adjustment was proposed before")
    proposal = Proposal(
        command.adjustment_id,
        command.wallet,
        command.points,
        command.reason,
        command.ticket,
        command.proposed_by,
        purpose=command.purpose,
        batch=command.batch,
    )
    _use(book, command)
    return view(book.member_id, book.put_proposal(proposal))


def _use(book: Book, command: ProposeAdjustment) -> None:
    """What this takes of the day's limits; whether they hold is for the store to say, as other accounts share the maker's."""
    points, rules = abs(command.points), book.rules
    if points:
        book.rows += (
            AdjustmentUse(book.day, "maker", command.proposed_by, points, rules.adjustment_maker_day_points_max),
            AdjustmentUse(book.day, "member", book.member_id, points, rules.adjustment_member_day_points_max),
        )


def on_approved(book: Book, command: ApproveAdjustment) -> AdjustmentView:
    """Raises RefusedError member_merged, adjustment_resolved, same_person, own_account, insufficient_points, debt_too_small."""
    must_be_still_used(book)
    proposal = _open(book, command.adjustment_id)
    if command.approved_by == proposal.proposed_by:
        raise RefusedError("same_person", "a second person must approve")
    must_not_be_own(book, command.approved_by)
    approved = replace(proposal, state="approved", approved_by=command.approved_by)
    _carry_out(book, approved)
    return view(book.member_id, book.put_proposal(approved))


def on_rejected(book: Book, command: RejectAdjustment) -> AdjustmentView:
    """Raises RefusedError adjustment_resolved, own_account. Who proposed may withdraw."""
    proposal = _open(book, command.adjustment_id)
    must_not_be_own(book, command.rejected_by)
    book.note("rejected", f"{proposal.adjustment_id}: {command.reason}", command.rejected_by)
    return view(book.member_id, book.put_proposal(replace(proposal, state="rejected")))


def _open(book: Book, adjustment_id: str) -> Proposal:
    proposal = book.proposals.get(adjustment_id)
    if proposal is None or proposal.state != "proposed":
        raise RefusedError("adjustment_resolved", "this adjustment does not wait for approval")
    return proposal


def _must_fit(book: Book, purpose: Purpose, wallet: Wallet, points: int) -> None:
    """Whether the points go with the purpose, and are not too many."""
    if purpose in ("freeze", "unfreeze"):
        if points:
            raise RefusedError("adjustment_points_unwanted", "freezing and unfreezing move no points")
        return
    if not 0 < abs(points) <= book.rules.adjustment_points_max:
        raise RefusedError("adjustment_too_large", f"at most {book.rules.adjustment_points_max} points, and not none")
    if purpose == "write_off" and not 0 < points <= book.of(wallet, "debt"):
        raise RefusedError("debt_too_small", "a write-off ends a debt, or part of it, and no more")


def _carry_out(book: Book, proposal: Proposal) -> None:
    who = f"{proposal.proposed_by}, {proposal.approved_by}"
    match proposal.purpose:
        case "freeze":
            freeze(book, proposal.reason, actor=who)
        case "unfreeze":
            unfreeze(book, proposal.reason, actor=who)
        case "write_off":
            _write_off(book, proposal, who)
        case _:
            (_add if proposal.points > 0 else _deduct)(book, proposal, book.day)


def _write_off(book: Book, proposal: Proposal, who: str) -> None:
    """The programme bears what is owed. The debt may have been repaid meanwhile."""
    _must_fit(book, proposal.purpose, proposal.wallet, proposal.points)
    book.post(proposal.wallet, "adjustment", "debt", proposal.points, lot_no=0, kind="adjust", on=book.day)
    book.note("written_off", f"{proposal.points} points: {proposal.reason}", who)
    _tell(book, proposal, "", proposal.points)


def _add(book: Book, proposal: Proposal, on: date) -> None:
    expires_on = expiry_of(proposal.wallet, on, book.rules.expiry_months)
    lot = book.put(
        Lot(
            no=book.next_lot_no(),
            wallet=proposal.wallet,
            rule=ADJUSTMENT,
            fact=proposal.adjustment_id,
            granted=proposal.points,
            remaining=proposal.points,
            earned_on=on,
            activates_on=on,
            expires_on=expires_on,
            rules_version=book.rules.version,
            source_type=book.event.type,
            source_id=book.event.id,
            remembered_until=on,
        )
    )
    book.post(lot.wallet, "adjustment", "available", proposal.points, lot_no=lot.no, kind="adjust", on=on)
    _tell(book, proposal, book.lot_id(lot), repay(book, lot.no, on))


def _deduct(book: Book, proposal: Proposal, on: date) -> None:
    """From what is there, in spending order; a manual adjustment never makes a debt."""
    lots = spendable(book.lots.values(), proposal.wallet, book.lived_to)
    amount = -proposal.points
    if sum(lot.remaining for lot in lots) < amount:
        raise RefusedError("insufficient_points", "there are fewer points available")
    for no, part in split(lots, amount):
        book.post(proposal.wallet, "available", "adjustment", part, lot_no=no, kind="adjust", on=on)
        lot = book.lots[no]
        book.put(replace(lot, remaining=lot.remaining - part, reversed=lot.reversed + part))
    _tell(book, proposal, "", 0)


def _tell(book: Book, proposal: Proposal, entry_id: str, repaid: int) -> None:
    book.tell(
        PointsAdjusted(
            member_id=book.member_id,
            wallet=proposal.wallet,
            amount=proposal.points,
            effective=book.day,
            entry_id=entry_id,
            reason=proposal.reason,
            ticket=proposal.ticket,
            repaid_debt=repaid,
        )
    )
