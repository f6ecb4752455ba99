"""What reaches a number that was given up goes on to who the person is by now, whatever order the log tells things in.

The invariants: a number given up holds and earns nothing for longer than it waits for its turn (`HandOver`); a fact told under it
is decided by the account of whoever remains, beside what that one has; what it brought goes back with it.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

from msgspec.structs import replace
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.policy import (
    NoClaimYearCompleted,
    NoClaimYearRevoked,
    PolicyAnniversary,
    PolicyAnniversaryRevoked,
)
from tenure.contracts.programme import Programme

from points_ledger.rules import earning, terms
from points_ledger.rules.account import Account, new_account
from points_ledger.rules.book import Book
from points_ledger.rules.decide import Decide, Rule, keys, of_two, on_day, on_term, rule
from points_ledger.rules.late import follow, noted, remembered
from points_ledger.rules.memory import ANY, Memory
from points_ledger.rules.merger import take_over, turn_of
from points_ledger.rules.term_memory import TermMemory
from points_ledger.rules.unmerger import part
from points_ledger.rules.waiting import SEPARATOR, HandedOver, HandOver, Waiting

WAITING_MAX: Final = 1_000
_MILESTONES: Final[dict[type, Decide]] = {
    PolicyAnniversary: earning.on_anniversary,
    PolicyAnniversaryRevoked: terms.on_anniversary_revoked,
    NoClaimYearCompleted: earning.on_no_claim_year,
    NoClaimYearRevoked: terms.on_no_claim_year_revoked,
}
_on_day: Final = rule(on_day)


def told(decide: Decide) -> Rule:
    """A rule of what is told of policies: under a number given up it waits for whoever the person is by now.

    Raises RefusedError too_many_waiting.
    """
    decided_here = rule(decide)

    def decided(state: Account | None, event: Event, programme: Programme) -> Decision[Account]:
        if state is None:
            return decided_here(state, event, programme)
        memory = state.memory
        if memory.merged_into:
            return _kept(state, Waiting.of(event))
        decision = decided_here(state, event, programme)
        return noted(memory, decision, event) if memory.parted or memory.passed else decision

    return decided


def _kept(account: Account, one: Waiting) -> Decision[Account]:
    waiting = account.memory.waiting
    if len(waiting) >= WAITING_MAX:
        raise RefusedError("too_many_waiting", f"{WAITING_MAX} facts wait under this number for who it is now")
    memory = replace(account.memory, waiting=(*waiting, one))
    return Decision(replace(account, memory=memory), rows=(turn_of(account.member_id, memory),))


def on_due(state: Any, event: Event, programme: Programme) -> Decision[Any]:
    """A day came for an account; or the turn of a number given up, together with those it is tied to."""
    if not isinstance(state, tuple):
        return _on_day(state, event, programme)
    return _Turn(state, event, programme).decide()


class _Turn:
    """One number given up, and what waits there."""

    def __init__(self, found: tuple[Account | None, ...], event: Event, programme: Programme) -> None:
        self.found, self.event, self.programme = found, event, programme
        self.number, *self.others = keys(event)
        names = (self.number, *self.others)
        self.accounts = {name: state or new_account(name) for name, state in zip(names, found, strict=True)}
        self.emit: list[Any] = []
        self.rows: list[Any] = []

    @property
    def memory(self) -> Memory:
        return self.accounts[self.number].memory

    def decide(self) -> Decision[Any]:
        if not self.memory.tied_to <= set(self.others):  # another merger was heard since: that one has to be there
            return self._once_more()
        if self.memory.goes_to is not None and not self._go():
            return self._once_more()
        if (self.memory.late or self._passed()) and not self._follow():
            return self._once_more()
        now = self.memory.merged_into
        if now and _holds_anything(self.accounts[self.number]):
            self._two(take_over, now, self.number)
        self._hear(now or self.number)
        return self._decided(HandedOver(self.number, SEPARATOR.join(self.others)))

    def _once_more(self) -> Decision[Any]:
        """With more numbers than these."""
        more = HandOver.to(self.number, {*self.memory.tied_to, *self.others})
        return self._decided(more)

    def _decided(self, row: HandOver | HandedOver) -> Decision[Any]:
        return Decision(tuple(self.accounts.values()), emit=tuple(self.emit), rows=(*self.rows, row))

    def _go(self) -> bool:
        """What it brought to another goes where it belongs by the newest that was told of it; comes back first, that is, by all
        who handed it on, who are as they were then. Returns whether all of these are there, and all who hand on what it goes to.

        Raises RefusedError told_of_each_other: what it goes to lies with it, by what is of the past when the next of them is read.
        """
        goes_to = self.memory.goes_to or ""
        back = () if self.memory.merged_into == goes_to else self._way(self.memory.merged_into)
        on = self._way(goes_to)
        if not self._are_here(*back, *on):
            return False
        if self.number in on:
            raise RefusedError("told_of_each_other", f"what {goes_to} brought lies with {self.number}, or comes by it")
        if back:
            self._come_back(back)
        if goes_to:
            self._two(take_over, goes_to, self.number)
        self._remember(self.number, replace(self.memory, goes_to=None, by=()))
        return True

    def _follow(self) -> bool:
        """What its policies earned with those it was parted from, with whom these are now, or whom these were parted from, comes to
        it. Returns whether all of these are there.
        """
        own, having = {self.number, *self._way(self.memory.merged_into)}, list(self.memory.parted)
        for name in having:
            if name in self.accounts:
                memory = self.accounts[name].memory
                having += [more for more in (*self._way(name), *memory.parted) if more not in having]
        if not self._are_here(*own, *having):
            return False
        late = self._late()
        self._remember(self.number, replace(self.memory, late=late))
        for name in sorted({*having} - own):
            self._two(follow, name, self.number)
        parted = {who: one._replace(policies=one.policies | late) for who, one in self.memory.parted.items()}
        self._remember(self.number, replace(self.memory, late=frozenset(), by=(), parted=parted))
        return True

    def _late(self) -> frozenset[str]:
        """Of its own policies, with whomever they are now, those that were heard of late, here or where it had been."""
        memories = [account.memory for account in self.accounts.values()]
        brought = (one for memory in memories for one in memory.brought_by(self.number))
        own = self.memory.policies.union(*(memory.policies for memory in brought))
        late = self.memory.late.union(*self._passed())
        return frozenset(own if ANY in late else own & late)

    def _passed(self) -> list[frozenset[str]]:
        """The policies of which others heard that may be its own."""
        passed = (account.memory.passed.get(self.number) for account in self.accounts.values())
        return [one.policies for one in passed if one is not None and one.policies]

    def _are_here(self, *names: str) -> bool:
        """Otherwise they are asked for."""
        if self.accounts.keys() >= {*names}:
            return True
        self._remember(self.number, replace(self.memory, by=tuple(sorted({*names} - {self.number}))))
        return False

    def _way(self, first: str) -> tuple[str, ...]:
        """The numbers that hand on to one another what the first is given, as far as they are here; none is asked for twice."""
        way, here = list[str](), first
        while here and here not in way:
            way.append(here)
            here = self.accounts[here].memory.merged_into if here in self.accounts and here != self.number else ""
        return tuple(way)

    def _come_back(self, way: tuple[str, ...]) -> None:
        steps = list(pairwise(way))
        for lower, upper in reversed(steps):
            self._two(part, upper, lower)
        self._two(part, way[0], self.number)
        for lower, upper in steps:
            self._two(take_over, upper, lower)

    def _two(self, step: Callable[[Book, Book], None], other: str, number: str) -> None:
        """One step between a number and another; each is the cause of its own entries."""
        old = self.accounts[number]
        event = replace(self.event, id=f"{self.event.id}.{number}.{old.transfers_no}")
        decided = of_two(step, (self.accounts[other], old), event, self.programme)
        self.accounts[other], self.accounts[number] = decided.state
        self._say(decided)

    def _hear(self, owner: str) -> None:
        """Let whoever remains hear what waits, each fact with its own name and time."""
        waiting = self.memory.waiting
        self._remember(self.number, replace(self.memory, waiting=()))
        for one in waiting:
            if owner != self.number:
                self._note_late(one)
            decided = self._heard_by(owner, one)
            self.accounts[owner] = decided.state
            self._say(decided)

    def _note_late(self, one: Waiting) -> None:
        """Whoever hears it, the policy is of this number, which may have been parted from others."""
        memory, asked = remembered(self.number, self.memory, self.memory, one.event(self.number))
        self._remember(self.number, memory)
        self.rows += asked

    def _heard_by(self, owner: str, one: Waiting) -> Decision[Account]:
        """A term that is heard of only now came with the numbers it was told under, and goes back with them."""
        account, event = self.accounts[owner], one.event(owner)
        if account.memory.merged_into:
            return _kept(account, replace(one, by=(*one.by, owner)))
        decision = rule(_MILESTONES.get(type(event.data), on_term))(account, event, self.programme)
        decided = noted(account.memory, decision, event)
        term = getattr(event.data, "term", None)
        if term is None or term.id not in decided.state.memory.terms:
            return decided
        came = [number for number in one.by if number != owner]
        memory = _brought(decided.state.memory, came, {term.id: decided.state.memory.terms[term.id]})
        return replace(decided, state=replace(decided.state, memory=memory))

    def _remember(self, name: str, memory: Memory) -> None:
        self.accounts[name] = replace(self.accounts[name], memory=memory)

    def _say(self, decided: Decision[Any]) -> None:
        self.emit += decided.emit
        self.rows += decided.rows


def _brought(memory: Memory, by: Sequence[str], terms: dict[str, TermMemory]) -> Memory:
    """With these terms as what came by those numbers, the last of them straight to this one."""
    brought = memory.absorbed.get(by[-1]) if by else None
    if brought is None:
        return memory
    theirs = _brought(replace(brought.memory, terms=terms | brought.memory.terms), by[:-1], terms)
    return replace(memory, absorbed={**memory.absorbed, by[-1]: replace(brought, memory=theirs)})


def _holds_anything(account: Account) -> bool:
    memory = account.memory
    held = account.lots or account.holds or account.proposals or any(account.balances.values())
    return bool(held) or memory != memory.given_up(memory.merged_into)
