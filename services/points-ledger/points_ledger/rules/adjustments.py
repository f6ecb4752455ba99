"""Manual adjustments: one person proposes with a reason and a ticket, another approves, and neither for an account of their own."""

from datetime import date

import msgspec
from msgspec.structs import replace
from tenure.contracts.decision import RefusedError
from tenure.contracts.points import PointsAdjusted, Wallet

from points_ledger.commands import ApproveAdjustment, ProposeAdjustment
from points_ledger.rules.account import ADJUSTMENT, Lot, Proposal
from points_ledger.rules.book import Book
from points_ledger.rules.lots import expiry_of, repay, spendable, split


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


def view(member_id: str, proposal: Proposal) -> AdjustmentView:
    p = proposal
    return AdjustmentView(
        p.adjustment_id, member_id, p.wallet, p.points, p.reason, p.ticket, p.state, p.proposed_by, p.approved_by
    )


def on_proposed(book: Book, command: ProposeAdjustment) -> AdjustmentView:
    """Raises RefusedError own_account, adjustment_too_large, adjustment_exists."""
    if command.proposed_by == book.member_id:
        raise RefusedError("own_account", "nobody adjusts an account of their own")
    if not 0 < abs(command.points) <= book.rules.adjustment_points_max:
        raise RefusedError("adjustment_too_large", f"at most {book.rules.adjustment_points_max} points, and not none")
    if command.adjustment_id in book.proposals:
        raise RefusedError("adjustment_exists", "this adjustment was proposed before")
    proposal = Proposal(
        command.adjustment_id, command.wallet, command.points, command.reason, command.ticket, command.proposed_by
    )
    return view(book.member_id, book.put_proposal(proposal))


def on_approved(book: Book, command: ApproveAdjustment) -> AdjustmentView:
    """Raises RefusedError adjustment_resolved, same_person, own_account, insufficient_points."""
    proposal = book.proposals.get(command.adjustment_id)
    if proposal is None or proposal.state != "proposed":
        raise RefusedError("adjustment_resolved", "this adjustment does not wait for approval")
    if command.approved_by == proposal.proposed_by:
        raise RefusedError("same_person", "a second person must approve")
    if command.approved_by == book.member_id:
        raise RefusedError("own_account", "nobody adjusts an account of their own")
    (_add if proposal.points > 0 else _deduct)(book, proposal, book.day)
    return view(book.member_id, book.put_proposal(replace(proposal, state="approved", approved_by=command.approved_by)))


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
