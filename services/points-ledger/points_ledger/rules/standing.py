"""How an account stands, apart from its points: frozen, an agent who left, another account of the same person.

The invariants: who is frozen redeems nothing, and keeps earning; one freeze never ends another; every change of standing is written
to the account's audit; what an agent's leaving does to points, returning before they expired undoes.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import msgspec
from msgspec.structs import replace
from tenure.contracts.decision import RefusedError

from points_ledger.commands import LeaveAgent, LinkMembership, ReturnAgent
from points_ledger.rules.account import Lot
from points_ledger.rules.book import Book
from points_ledger.rules.days import must_lie_in_range
from points_ledger.rules.lots import expire_all
from points_ledger.rules.memory import Absorbed, Memory

LEFT = "agent left"


class Standing(msgspec.Struct, frozen=True):
    """How an account stands. `frozen` says why, the oldest reason of several; empty when it is not."""

    member_id: str
    frozen: str
    persons: list[str]


def standing(book: Book) -> Standing:
    return Standing(book.member_id, book.memory.frozen, sorted(book.memory.persons))


def freeze(book: Book, reason: str, *, actor: str) -> None:
    """Nothing is redeemed until two persons unfreeze the account, or whatever froze it ends. Each freeze stands for itself."""
    book.remember(book.memory.frozen_for((*book.memory.freezes, reason)))
    book.note("frozen", reason, actor)


def unfreeze(book: Book, reason: str, *, actor: str) -> None:
    """Two persons lift every freeze there is."""
    lift(book, book.memory.freezes, reason, actor=actor)


def lift(book: Book, freezes: Iterable[str], reason: str, *, actor: str) -> None:
    """These freezes end. The account is unfrozen, and its audit says so, when none is left."""
    left = list(book.memory.freezes)
    for one in freezes:
        if one in left:
            left.remove(one)
    if len(left) < len(book.memory.freezes):
        book.remember(book.memory.frozen_for(left))
        if not left:
            book.note("unfrozen", reason, actor)


def rescission(policy_no: str) -> str:
    """Why the account of a rescinded policy is frozen."""
    return f"policy {policy_no} rescinded"


def must_not_be_frozen(book: Book) -> None:
    """Raises RefusedError account_frozen."""
    if book.memory.frozen:
        raise RefusedError("account_frozen", "this account may not redeem until it is released by two persons")


def must_be_still_used(book: Book) -> None:
    """Raises RefusedError member_merged: what is done under a number given up would count beside what is done under the other."""
    if book.memory.merged_into:
        raise RefusedError("member_merged", "this number became another; use that one")


def must_not_be_own(book: Book, person: str) -> None:
    """Raises RefusedError own_account: nobody decides about their own points, under whichever of their numbers."""
    if person == book.member_id or book.memory.is_of(person):
        raise RefusedError("own_account", "nobody adjusts an account of their own")


def on_left(book: Book, command: LeaveAgent) -> Standing:
    """The agent's points are frozen at once and expire `agent_leave_days` later.

    Raises RefusedError date_out_of_range, unknown_member, member_merged.
    """
    must_lie_in_range(command.on)
    must_be_known(book)
    must_be_still_used(book)
    before = book.memory
    if before.left_on != command.on:
        book.remember(replace(book.memory, left_on=command.on))
        book.note("left", f"left on {command.on}", command.actor)
        if before.left_on is None or LEFT not in before.freezes:
            freeze(book, LEFT, actor=command.actor)
        cut_anew(book)
        expire_all(book)
    return standing(book)


def cut_anew(book: Book) -> None:
    """What is not over lasts as long as it would, or as an agent who left has it."""
    for lot in _living(book):
        book.put(replace(lot, cut_on=cut_on(book, lot)))


def _living(book: Book) -> list[Lot]:
    """The agent's lots that are not over: what expired when the agent left before has its last day behind it for good."""
    return [lot for lot in book.lots.values() if lot.wallet == "agent" and not lot.is_expired(book.lived_to)]


def cut_on(book: Book, lot: Lot) -> date | None:
    """When a lot expires because its agent has left; None if that is not before its own day."""
    left_on = book.memory.left_on
    if left_on is None or lot.wallet != "agent" or lot.expires_on is None:
        return None
    last = left_on + timedelta(book.programme.earning.at(left_on).agent_leave_days)
    last = max(last, lot.activates_on + timedelta(1))
    return last if last < lot.expires_on else None


def on_returned(book: Book, command: ReturnAgent) -> Standing:
    """What has not expired meanwhile lasts as long as it would have, whichever of the person's numbers left. Other freezes stay.

    Raises RefusedError date_out_of_range, member_merged, agent_not_left.
    """
    must_lie_in_range(command.on)
    must_be_still_used(book)
    left = _leavings(book.memory)
    if not left:
        raise RefusedError("agent_not_left", "this agent has not left")
    book.remember(replace(book.memory, left_on=None, absorbed=_with_all_back(book.memory)))
    book.note("returned", f"returned on {command.on}", command.actor)
    lift(book, [LEFT] * left, LEFT, actor=command.actor)
    cut_anew(book)
    return standing(book)


def _leavings(memory: Memory) -> int:
    """How many of a person's numbers have left: this one, and those merged into it."""
    return (memory.left_on is not None) + sum(_leavings(one.memory) for one in memory.absorbed.values())


def _with_all_back(memory: Memory) -> dict[str, Absorbed]:
    """What came with merged numbers, none of which has left any more: none is frozen for it again when it goes back."""
    return {name: replace(one, memory=_back(one.memory)) for name, one in memory.absorbed.items()}


def _back(memory: Memory) -> Memory:
    freezes = list(memory.freezes)
    if memory.left_on is not None and LEFT in freezes:
        freezes.remove(LEFT)
    return replace(memory.frozen_for(freezes), left_on=None, absorbed=_with_all_back(memory))


def on_linked(agent: Book, member: Book, command: LinkMembership) -> None:
    """An agent who is a customer, too: two memberships, one person. Neither wallet pays for the other.

    Raises RefusedError member_merged.
    """
    for one in (agent, member):
        must_be_still_used(one)
    for one, other in ((agent, member), (member, agent)):
        if other.member_id not in one.memory.persons:
            one.remember(replace(one.memory, persons=one.memory.persons | {other.member_id}))
            one.note("linked", f"the same person as {other.member_id}", command.actor)


def must_be_known(book: Book) -> None:
    """Raises RefusedError unknown_member: an account nothing was ever heard of is a typing error, not a member."""
    if book.before.lived_to is None:
        raise RefusedError("unknown_member", "nothing was ever heard of this member")
