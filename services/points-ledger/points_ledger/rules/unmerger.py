"""Two customers after all: a merger is undone, and the lots that came go back with their dates and what is left in them.

The invariants: every point leaves one account through `merger` and enters the other from it; a lot goes back once; what was spent
while both were one stays spent in the lots it was taken from.

What goes back: the lots that came, their top-ups, what their policies earned since, the debts of these, and what was remembered of
these policies; so do the freezes that came, and those for these policies, and corrections that came and still wait for a second
person. What was earned otherwise since then (steps, quizzes)
stays where it was earned. An agent's lots end by the leaving of the number that they go back to, and by no other's.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace
from tenure.contracts.decision import DayReached, RefusedError
from tenure.contracts.points import PointsGranted, PointsReversed, Wallet
from tenure.contracts.policy import CustomerUnmerged

from points_ledger.rules.account import DEBT, WALLETS, Lot
from points_ledger.rules.book import Book
from points_ledger.rules.caps import rated_anew
from points_ledger.rules.lots import expire_all, repay
from points_ledger.rules.memory import Absorbed, Memory, Told
from points_ledger.rules.merger import WITHOUT_LOT, destine, heard, joined, move, move_lot, numbered, pass_by
from points_ledger.rules.reversal import settle_where
from points_ledger.rules.standing import cut_anew, freeze, lift, rescission
from points_ledger.rules.term_memory import together
from points_ledger.rules.waiting import HandOver

UNMERGED: Final = "customer_unmerged"
_CORE: Final = "insurer core"


def on_unmerged(survivor: Book, merged: Book, told: CustomerUnmerged) -> None:
    """Give back what came, unless a newer merger was heard. A second telling finds nothing. Raises RefusedError hold_open.

    It is told to both; the survivor's copy comes after every merger that it follows and before the next one, so that one is heard.
    What came and went on from there, with another merger whose undoing is not heard yet, goes back in its turn.
    """
    memory = merged.memory
    if survivor.event.key != told.survivor_id or memory.ties_no >= told.ties_no > 0:
        return
    elsewhere = memory.merged_into != survivor.member_id or survivor.memory.merged_into
    if told.ties_no and memory.merged_into and elsewhere:
        destine(merged, "", told.ties_no)
        return
    heard(merged, "", told.ties_no)
    if memory.merged_into == survivor.member_id:
        part(survivor, merged)


def part(survivor: Book, merged: Book) -> None:
    """Raises RefusedError hold_open, survivor_merged."""
    absorbed = survivor.memory.absorbed.get(merged.member_id)
    if absorbed is None:
        _must_not_have_gone_on(survivor)
        return
    # Those that came, and those that wait for their turn to come.
    policies = absorbed.memory.policies | merged.memory.policies
    lots = _going(survivor, absorbed, policies)
    give(survivor, merged, lots, lambda numbers: _divide(survivor, merged, absorbed, policies, numbers))
    _give_waiting(survivor, merged)


def give(survivor: Book, merged: Book, lots: list[Lot], divide: Callable[[Mapping[int, int]], None]) -> None:
    """Let these lots go to the other number; `divide` parts the memories, by the numbers they had and have. Raises RefusedError
    hold_open.
    """
    numbers = {lot.no: merged.next_lot_no() for lot in lots}
    _must_be_free(survivor, numbers)
    before = {wallet: _fresh(survivor, wallet) for wallet in WALLETS}
    for lot in lots:
        move_lot(merged, survivor, replace(lot, origin=""), numbers)
        survivor.drop(lot.no)
    debts = {wallet: _debt_of(survivor, lots, wallet) for wallet in WALLETS}
    for wallet, debt in debts.items():
        move(merged, survivor, wallet, "debt", debt, 0, 0)
    divide(numbers)
    cut_anew(merged)
    for wallet in WALLETS:
        _tell(survivor, merged, wallet, before[wallet], debts[wallet], [numbers[lot.no] for lot in lots])
    expire_all(merged)
    rated_anew(merged)
    settle_where(merged, merged.event.day)


def _must_not_have_gone_on(survivor: Book) -> None:
    """What came is with another number, mixed with what that one has: the undoing of that merger comes first."""
    if survivor.memory.goes_to is not None or survivor.memory.merged_into:
        raise RefusedError("survivor_merged", f"{survivor.member_id} is merged itself: that is undone first")


def _going(survivor: Book, absorbed: Absorbed, policies: set[str]) -> list[Lot]:
    """The lots that came, their top-ups, and what their policies earned since."""
    came = {t.no for group in survivor.grouped(survivor.lots.values()) for t in group if _brought(group, absorbed)}
    return [lot for lot in survivor.lots.values() if lot.no in came or lot.policy_no in policies]


def _brought(group: list[Lot], absorbed: Absorbed) -> bool:
    return any(lot.no in absorbed.lots for lot in group)


def _must_be_free(survivor: Book, going: Mapping[int, int]) -> None:
    """An open reservation holds points together: it ends within minutes, and then this can be done."""
    for hold in survivor.holds.values():
        if hold.state == "held" and any(no in going for no, _ in hold.parts):
            raise RefusedError(
                "hold_open", "points that go back are reserved for an order: do it again when that is done"
            )


def _debt_of(survivor: Book, lots: list[Lot], wallet: Wallet) -> int:
    """What of the survivor's debt these lots made."""
    made = sum(n for lot in lots if lot.wallet == wallet for source, n in lot.taken if source == DEBT)
    return min(made, survivor.of(wallet, "debt"))


def _fresh(book: Book, wallet: Wallet) -> tuple[int, int]:
    return book.of(wallet, "pending"), book.of(wallet, "available")


def _divide(survivor: Book, merged: Book, absorbed: Absorbed, policies: set[str], numbers: Mapping[int, int]) -> None:
    """Memories part as the policies do."""
    theirs, mine = absorbed.memory, survivor.memory
    going = mine.only(policies)
    rest = {name: one for name, one in mine.absorbed.items() if name != merged.member_id}
    survivor.remember(
        replace(
            mine.without(policies),
            persons=mine.persons - absorbed.persons,
            absorbed={name: one for name, one in rest.items() if name not in theirs.absorbed},
        )
    )
    back = {numbers[here]: there for here, there in absorbed.lots.items() if here in numbers}
    own = replace(
        theirs.frozen_for(()),
        tiers=merged.memory.tiers or theirs.tiers,
        merged_into="",
        terms=together(theirs.terms, going.terms),
        rescinded=theirs.rescinded | going.rescinded,
        referred_by=theirs.referred_by | going.referred_by,
        absorbed={name: _renumbered(one, back) for name, one in theirs.absorbed.items()},
    )
    merged.remember(merged.memory.of_number(joined(own, merged.memory)))
    if isinstance(survivor.event.data, DayReached):
        # In a turn: before the survivor has read all that was told until then.
        pass_by(survivor, merged)
    else:
        parted = {**merged.memory.parted, survivor.member_id: Told(survivor.event.time, frozenset(policies))}
        merged.remember(replace(merged.memory, parted=parted))
    for hold_id in absorbed.holds & survivor.holds.keys():
        _give_hold(survivor, merged, hold_id, numbers)
    for proposal_id in sorted(absorbed.proposals & survivor.proposals.keys()):
        merged.put_proposal(survivor.proposals[proposal_id])
        survivor.drop_proposal(proposal_id)
    survivor.note("unmerged", f"parted from {merged.member_id}", _CORE)
    merged.note("unmerged", f"parted from {survivor.member_id}", _CORE)
    part_freezes(survivor, merged, mine, theirs, going.rescinded)


def part_freezes(survivor: Book, merged: Book, mine: Memory, theirs: Memory, rescinded: frozenset[str]) -> None:
    """What froze the number given up freezes it again and no longer the survivor, unless two persons unfroze both as one."""
    freezes = (*theirs.freezes, *(rescission(no) for no in sorted(rescinded - theirs.rescinded)))
    if mine.freezes:
        lift(survivor, freezes, f"parted from {merged.member_id}", actor=_CORE)
        for reason in freezes:
            freeze(merged, reason, actor=_CORE)
    elif freezes:
        merged.note("unfrozen", f"while it was {survivor.member_id}", _CORE)


def _give_hold(survivor: Book, merged: Book, hold_id: str, numbers: Mapping[int, int]) -> None:
    """A captured hold that came goes back, if all its lots do; otherwise its refund stays the survivor's."""
    hold = survivor.holds[hold_id]
    if all(no in numbers for no, _ in hold.parts if no != WITHOUT_LOT):
        merged.put_hold(numbered(hold, numbers))
        survivor.drop_hold(hold_id)


def _give_waiting(survivor: Book, merged: Book) -> None:
    """What came by that number and waits with the survivor waits there again, or is heard there."""
    number, waiting = merged.member_id, survivor.memory.waiting
    going = tuple(replace(one, by=one.by[: one.by.index(number) + 1]) for one in waiting if number in one.by)
    if going:
        survivor.remember(replace(survivor.memory, waiting=tuple(one for one in waiting if number not in one.by)))
        merged.remember(replace(merged.memory, waiting=(*merged.memory.waiting, *going)))
        merged.rows.append(HandOver.to(number, {survivor.member_id, *merged.memory.tied_to}))


def _renumbered(one: Absorbed, numbers: dict[int, int]) -> Absorbed:
    """By the numbers lots have again, of those they had when it was given up."""
    return replace(one, lots={now: one.lots[no] for now, no in numbers.items() if no in one.lots})


def _tell(survivor: Book, merged: Book, wallet: Wallet, before: tuple[int, int], debt: int, lots: list[int]) -> None:
    """Readers add up what they are told, so the points leave one and reach the other by name. Growth is divided with the terms."""
    if wallet == "growth":
        return
    day = survivor.event.day
    after = _fresh(survivor, wallet)
    pending, available = before[0] - after[0], before[1] - after[1]
    if debt:
        survivor.tell(_granted(survivor, wallet, debt, repaid=debt))
        merged.tell(_reversed(merged, wallet, as_debt=debt))
    if pending or available:
        survivor.tell(_reversed(survivor, wallet, pending=pending, available=available))
    for no in lots:
        lot = merged.lots[no]
        if lot.wallet == wallet and lot.remaining:
            repaid = repay(merged, no, day)
            merged.tell(_granted(merged, wallet, lot.remaining, repaid=repaid, lot=lot))


def _reversed(book: Book, wallet: Wallet, *, pending: int = 0, available: int = 0, as_debt: int = 0) -> PointsReversed:
    return PointsReversed(
        member_id=book.member_id,
        wallet=wallet,
        amount=pending + available + as_debt,
        effective=book.event.day,
        entry_id="",
        rule=UNMERGED,
        from_pending=pending,
        from_lots=available,
        as_debt=as_debt,
    )


def _granted(book: Book, wallet: Wallet, amount: int, *, repaid: int, lot: Lot | None = None) -> PointsGranted:
    day = book.event.day
    entry_id = "" if lot is None else book.lot_id(lot)
    return PointsGranted(
        member_id=book.member_id,
        wallet=wallet,
        amount=amount,
        effective=day,
        lot_id=entry_id,
        entry_id=entry_id,
        rule=UNMERGED,
        rules_version=book.rules.version if lot is None else lot.rules_version,
        activates_on=day if lot is None else lot.activates_on,
        expires_on=None if lot is None else lot.ends_on,
        source_type=book.event.type,
        repaid_debt=repaid,
    )
