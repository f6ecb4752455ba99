"""Two customer numbers turn out to be one person: the lots move to the survivor, with their dates and all they remember.

Every point leaves one account through `merger` and enters the other from it, so both journals stay whole.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace
from tenure.contracts.decision import DayReached
from tenure.contracts.event import Event
from tenure.contracts.points import PointsAdjusted, Wallet
from tenure.contracts.policy import CustomerMerged

from points_ledger.rules.account import DEBT, WALLETS, Bucket, Hold, Lot, MovedLot
from points_ledger.rules.book import Book
from points_ledger.rules.caps import rated_anew
from points_ledger.rules.lots import repay, spendable
from points_ledger.rules.memory import ANY, Absorbed, Memory, Told
from points_ledger.rules.reversal import settle_where
from points_ledger.rules.standing import freeze
from points_ledger.rules.term_memory import policy_of, together
from points_ledger.rules.waiting import HandOver

MERGED: Final = "customer_merged"
WITHOUT_LOT: Final = 0
"""Stands where a lot's number stands: of a debt; and of what an order took from a lot that is another customer's by now."""
_CORE: Final = "insurer core"
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def on_merged(survivor: Book, merged: Book, told: CustomerMerged) -> None:
    """A merger, unless a newer one, or its undoing, was heard. It comes in its turn where either of the two is another's: then it
    takes more numbers than these to know where what the one brought lies, and whether the other's lies with it.
    """
    if merged.memory.ties_no >= told.ties_no > 0:
        if merged.memory.became != survivor.member_id:
            pass_by(survivor, merged)
        return
    whose = merged.memory.merged_into
    if told.ties_no and whose != survivor.member_id and (whose or survivor.memory.merged_into):
        destine(merged, survivor.member_id, told.ties_no)
    else:
        heard(merged, survivor.member_id, told.ties_no)
        take_over(survivor, merged)


def pass_by(survivor: Book, merged: Book) -> None:
    """What the one was told of the other's policies while it was its own may come yet: it is read late, and follows the other."""
    until = merged.memory.tied_at or merged.event.time
    known = survivor.memory.passed.get(merged.member_id, Told(until))
    passed = {**survivor.memory.passed, merged.member_id: known._replace(until=max(until, known.until))}
    survivor.remember(replace(survivor.memory, passed=passed))
    parted = {**merged.memory.parted, survivor.member_id: Told(until)}
    merged.remember(replace(merged.memory, parted=parted, late=merged.memory.late | {ANY}))
    merged.rows.append(turn_of(merged.member_id, merged.memory))


def heard(merged: Book, to: str, ties_no: int) -> None:
    """The newest that was told of this number is done at once."""
    memory = _not_sent(merged, to)
    tied_at = merged.event.time if ties_no else None
    merged.remember(replace(memory, ties_no=max(memory.ties_no, ties_no), goes_to=None, tied_at=tied_at))
    if memory.late:
        merged.rows.append(turn_of(merged.member_id, memory))


def destine(merged: Book, to: str, ties_no: int) -> None:
    """It is that one's ("": its own) by now; what it brought to another goes there in its turn."""
    memory = _not_sent(merged, to)
    merged.remember(replace(memory, ties_no=ties_no, goes_to=to, tied_at=merged.event.time))
    merged.rows.append(turn_of(merged.member_id, merged.memory))


def _not_sent(merged: Book, to: str) -> Memory:
    """With what its turn had yet to bring to another, if that is not who has it now: what came there meanwhile follows it."""
    memory = merged.memory
    if not memory.goes_to or memory.goes_to == to:
        return memory
    parted = {**memory.parted, memory.goes_to: Told(merged.event.time)}
    return replace(memory, parted=parted, late=memory.late | {ANY})


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
    known_here = survivor.memory.terms.keys() & merged.memory.terms.keys()
    late = survivor.memory.hears_late(merged.memory.policies, _told_at(survivor.event))
    passed = {who: one for who, one in merged.memory.passed.items() if who != survivor.member_id}
    united = replace(_united(survivor.memory, merged.memory).with_late(late), passed=passed | survivor.memory.passed)
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
    _settle_what_was_known(survivor, known_here)
    if survivor.memory.merged_into or late:
        survivor.rows.append(turn_of(survivor.member_id, survivor.memory))


def _settle_what_was_known(survivor: Book, terms: Iterable[str]) -> None:
    """What these terms gave back was told to the survivor before what they had earned came to it."""
    broken = {policy_of(key) for key in terms if not survivor.memory.terms[key].is_whole}
    for policy_no in sorted(broken):
        settle_where(survivor, survivor.event.day, policy_no=policy_no)


def _told_at(event: Event) -> datetime:
    """When what comes was told of. What comes in its turn was told at no known time; it comes so because it is read late."""
    return _LONG_AGO if isinstance(event.data, DayReached) else event.time


def turn_of(number: str, memory: Memory) -> HandOver:
    """A number given up, or parted again, asks for its turn with those it is tied to."""
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
        terms=together(one.terms, more.terms),
        rescinded=one.rescinded | more.rescinded,
        referred_by=more.referred_by | one.referred_by,
        persons=one.persons | more.persons,
        absorbed=one.absorbed | more.absorbed | again,
    )


def numbered(hold: Hold, numbers: Mapping[int, int]) -> Hold:
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
        terms=together(other.terms, one.terms),
        rescinded=one.rescinded | other.rescinded,
        referred_by=other.referred_by | one.referred_by,
        persons=one.persons | other.persons,
    )
