"""Two customer numbers turn out to be one person: the lots move to the survivor, with their dates and all they remember.

Every point leaves one account through `merger` and enters the other from it, so both journals stay whole.
"""

from collections import Counter
from typing import Final

from msgspec.structs import replace
from tenure.contracts.points import PointsAdjusted, Wallet
from tenure.contracts.policy import CustomerMerged

from points_ledger.rules.account import DEBT, WALLETS, Bucket, Hold, Lot, MovedLot
from points_ledger.rules.book import Book
from points_ledger.rules.caps import rated_anew
from points_ledger.rules.lots import repay, spendable
from points_ledger.rules.memory import Absorbed, Memory
from points_ledger.rules.reversal import settle_where
from points_ledger.rules.standing import freeze
from points_ledger.rules.waiting import HandOver

MERGED: Final = "customer_merged"
WITHOUT_LOT: Final = 0
"""Stands where a lot's number stands: of a debt; and of what an order took from a lot that is another customer's by now."""
_CORE: Final = "insurer core"


def on_merged(survivor: Book, merged: Book, told: CustomerMerged) -> None:
    """A merger, unless a newer one, or its undoing, was heard. It comes in its turn where either of the two is another's: then it
    takes more numbers than these to know where what the one brought lies, and whether the other's lies with it.
    """
    if merged.memory.ties_no >= told.ties_no > 0:
        return
    whose = merged.memory.merged_into
    if told.ties_no and whose != survivor.member_id and (whose or survivor.memory.merged_into):
        destine(merged, survivor.member_id, told.ties_no)
    else:
        heard(merged, told.ties_no)
        take_over(survivor, merged)


def heard(merged: Book, ties_no: int) -> None:
    """The newest that was told of this number is done at once."""
    memory = merged.memory
    merged.remember(replace(memory, ties_no=max(memory.ties_no, ties_no), goes_to=None))


def destine(merged: Book, to: str, ties_no: int) -> None:
    """It is that one's ("": its own) by now; what it brought to another goes there in its turn."""
    merged.remember(replace(merged.memory, ties_no=ties_no, goes_to=to))
    merged.rows.append(turn_of(merged.member_id, merged.memory))


def take_over(survivor: Book, merged: Book) -> None:
    """Move whatever there is; a second telling finds nothing to move. A survivor that was merged passes it on in its turn."""
    numbers = {no: survivor.next_lot_no() for no in merged.lots}
    for lot in list(merged.lots.values()):
        move_lot(survivor, merged, lot, numbers)
    for wallet in WALLETS:
        move(survivor, merged, wallet, "debt", merged.of(wallet, "debt"), WITHOUT_LOT, WITHOUT_LOT)
    absorbed = _absorbed(survivor.memory, merged, numbers)
    for hold in merged.holds.values():
        survivor.put_hold(numbered(hold, numbers))
    for proposal in merged.proposals.values():
        survivor.put_proposal(proposal)
    for wallet in WALLETS:
        _repay(survivor, wallet)
    if merged.memory.merged_into != survivor.member_id:
        survivor.note("merged", f"took over {merged.member_id}", _CORE)
        merged.note("merged", f"became {survivor.member_id}", _CORE)
    elif merged.rows:
        survivor.note("merged", f"took over what came to {merged.member_id}", _CORE)
        merged.note("merged", f"handed on to {survivor.member_id}", _CORE)
    united = _united(survivor.memory, merged.memory)
    if merged.memory.took_over(
        survivor.member_id
    ):  # a ring closes, and ends here: what it had brought is with it again
        united = replace(united, merged_into=united.goes_to or "", goes_to=None)
    survivor.remember(replace(united, absorbed={**united.absorbed, merged.member_id: absorbed}))
    for reason in merged.memory.freezes:
        freeze(survivor, reason, actor=_CORE)
    merged.empty(merged_into=survivor.member_id)
    # By the survivor's tiers as far as these give more: where they give less, they are about to be told anew.
    rated_anew(survivor)
    settle_where(survivor, survivor.event.day, only_more=True)
    if survivor.memory.merged_into:
        survivor.rows.append(turn_of(survivor.member_id, survivor.memory))


def turn_of(number: str, memory: Memory) -> HandOver:
    """A number given up asks for its turn with those it is tied to."""
    return HandOver.to(number, memory.tied_to)


def _absorbed(memory: Memory, merged: Book, numbers: dict[int, int]) -> Absorbed:
    """What is taken over now, beside what was taken over of the same customer before: a merger may be told again."""
    lots = {new: old for old, new in numbers.items()}
    waiting = frozenset(name for name, one in merged.proposals.items() if one.state == "proposed")
    came = merged.memory.persons - memory.persons
    now = Absorbed(lots, frozenset(merged.holds), merged.memory, waiting, came)
    known = memory.absorbed.get(merged.member_id)
    return now if known is None else _joined(known, now)


def _joined(known: Absorbed, now: Absorbed) -> Absorbed:
    """What came of one number first, and what came later: all of it goes back together."""
    memory, proposals = joined(known.memory, now.memory), known.proposals | now.proposals
    lots, holds, persons = {**known.lots, **now.lots}, known.holds | now.holds, known.persons | now.persons
    return Absorbed(lots, holds, memory, proposals, persons)


def joined(one: Memory, more: Memory) -> Memory:
    """What one number remembered, and what it came to remember after that was kept elsewhere."""
    again = {name: _joined(one.absorbed[name], new) for name, new in more.absorbed.items() if name in one.absorbed}
    return replace(
        one.frozen_for((*one.freezes, *more.freezes)),
        terms=one.terms | more.terms,
        rescinded=one.rescinded | more.rescinded,
        referred_by=more.referred_by | one.referred_by,
        persons=one.persons | more.persons,
        absorbed=one.absorbed | more.absorbed | again,
    )


def numbered(hold: Hold, numbers: dict[int, int]) -> Hold:
    """The hold by the new numbers of its lots; what it took from lots that are elsewhere by now is one part."""
    parts = Counter[int]()
    for no, amount in hold.parts:
        parts[numbers.get(no, WITHOUT_LOT)] += amount
    return replace(hold, parts=tuple(parts.items()))


def move_lot(survivor: Book, merged: Book, lot: Lot, numbers: dict[int, int]) -> None:
    no = numbers[lot.no]
    merged.rows.append(MovedLot(merged.member_id, merged.lots[lot.no]))
    fresh: Bucket = "pending" if lot.is_pending(merged.lived_to) else "available"
    move(survivor, merged, lot.wallet, fresh, lot.remaining, lot.no, no)
    move(survivor, merged, lot.wallet, "held", lot.held, lot.no, no)
    taken = tuple((numbers.get(source, DEBT), amount) for source, amount in lot.taken)
    survivor.put(replace(lot, no=no, taken=taken, origin=lot.origin or merged.lot_id(lot)))


def move(survivor: Book, merged: Book, wallet: Wallet, bucket: Bucket, amount: int, old: int, new: int) -> None:
    if not amount:
        return
    day = survivor.event.day
    if bucket == "debt":
        merged.post(wallet, "merger", bucket, amount, lot_no=old, kind="merge", on=day)
        survivor.post(wallet, bucket, "merger", amount, lot_no=new, kind="merge", on=day)
    else:
        merged.post(wallet, bucket, "merger", amount, lot_no=old, kind="merge", on=day)
        survivor.post(wallet, "merger", bucket, amount, lot_no=new, kind="merge", on=day)


def _repay(survivor: Book, wallet: Wallet) -> None:
    """What either owed is paid by what both have, earliest expiry first. Told, for readers only add the two balances up."""
    day = survivor.event.day
    for lot in spendable(survivor.lots.values(), wallet, survivor.lived_to):
        repaid = repay(survivor, lot.no, day)
        if repaid:
            survivor.tell(
                PointsAdjusted(
                    member_id=survivor.member_id,
                    wallet=wallet,
                    amount=0,
                    effective=day,
                    entry_id=survivor.lot_id(lot),
                    reason=MERGED,
                    ticket="",
                    repaid_debt=repaid,
                )
            )


def _united(one: Memory, other: Memory) -> Memory:
    """Terms and referrals of both; the tiers of the survivor stand until tier-engine tells them anew."""
    return replace(
        one,
        terms=other.terms | one.terms,
        rescinded=one.rescinded | other.rescinded,
        referred_by=other.referred_by | one.referred_by,
        persons=one.persons | other.persons,
    )
