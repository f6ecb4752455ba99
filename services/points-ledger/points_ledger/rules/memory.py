"""What an account knows besides its lots, packed into one column; and what came with a merged customer, so that it can go back."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from points_ledger.rules.term_memory import TermMemory, policy_of
from points_ledger.rules.waiting import Waiting

_OF_THE_NUMBER: Final = ("waiting", "ties_no", "goes_to", "by", "parted", "late", "passed", "tied_at")
"""What is told of a number stays with it, whosever it is."""


class Absorbed(msgspec.Struct, frozen=True, array_like=True):
    """What came with a merged customer, so that it can go back: lots (number here: number there; a top-up's: its first's), holds,
    what they remembered, corrections that waited for a second person, and other accounts of theirs not known of the survivor.
    """

    lots: dict[int, int]
    holds: frozenset[str]
    memory: "Memory"
    proposals: frozenset[str] = frozenset()
    persons: frozenset[str] = frozenset()


ANY: Final = ""
"""Stands among policies for all that are a number's own."""


class Told(NamedTuple):
    """Until when something was so between two numbers, and of which policies this is settled, or to be."""

    until: datetime
    policies: frozenset[str] = frozenset()


class Memory(msgspec.Struct, frozen=True, array_like=True):
    """What an account knows besides its lots: the tiers over time, its terms, who referred its policies, who it became.

    `frozen` says why nothing may be redeemed, `frozen_also` why else; `persons` are other accounts of the same person; `left_on`
    when an agent left; `waiting` what is told under this number and is for `merged_into` to hear; `ties_no` the newest merger or
    undoing heard of this number, and `goes_to` whose it is by that ("": its own), while what it brought is not there yet but with
    `merged_into`, or here still; `by` are others whom its turn takes, for they hand on what it brought, or what it is to bring;
    `parted` from whom it was parted again, and when; `late` the policies of before that it heard of only after that; `passed`
    numbers that were its own by older word than it knew of them, until when, and the policies it heard of that may be theirs;
    `tied_at` when the newest merger or undoing of this number was told.
    """

    tiers: tuple[tuple[date, str], ...] = ()
    terms: dict[str, TermMemory] = {}
    rescinded: frozenset[str] = frozenset()
    referred_by: dict[str, str] = {}
    merged_into: str = ""
    frozen: str = ""
    persons: frozenset[str] = frozenset()
    left_on: date | None = None
    absorbed: dict[str, Absorbed] = {}
    frozen_also: tuple[str, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    ties_no: int = 0
    goes_to: str | None = None
    by: tuple[str, ...] = ()
    parted: dict[str, Told] = {}
    late: frozenset[str] = frozenset()
    passed: dict[str, Told] = {}
    tied_at: datetime | None = None

    @property
    def became(self) -> str:
        """The number that the person of this one goes by, so far as is known here; "": this one."""
        return self.merged_into if self.goes_to is None else self.goes_to

    def took_over(self, number: str) -> bool:
        """Whether this number is among those that were merged into it, however far down."""
        return number in self.absorbed or any(one.memory.took_over(number) for one in self.absorbed.values())

    def brought_by(self, number: str) -> "Iterator[Memory]":
        """What that number remembered when it was merged into this one, however far down."""
        for name, one in self.absorbed.items():
            if name == number:
                yield one.memory
            yield from one.memory.brought_by(number)

    def came_by(self, no: int) -> tuple[str, ...]:
        """The numbers by which a lot of this account came, last first; none for its own."""
        for name, one in self.absorbed.items():
            if no in one.lots:
                return (name, *one.memory.came_by(one.lots[no]))
        return ()

    def with_more(self, no: int, new: int) -> "Memory":
        """A lot more for a fact of which lot `no` came: it came by the same numbers, and goes back with it."""
        found = next(((name, one) for name, one in self.absorbed.items() if no in one.lots), None)
        if found is None:
            return self
        name, one = found
        return replace(self, absorbed={**self.absorbed, name: replace(one, lots={**one.lots, new: one.lots[no]})})

    def is_of(self, number: str) -> bool:
        """Whether another number is the same person's: linked, or given up."""
        return number in self.persons or self.took_over(number)

    @property
    def tied_to(self) -> set[str]:
        """The numbers that have, or are to have, what this one brought, who hand it on, and who may have what it hears of late."""
        having = self.parted if self.late else ()
        return {number for number in (self.merged_into, self.goes_to, *self.by, *having) if number}

    @property
    def policies(self) -> set[str]:
        return {policy_of(key) for key in self.terms}

    def hears_late(self, policies: Iterable[str], at: datetime) -> frozenset[str]:
        """Those of these policies of then that were its own before it was merged, and did not come along when it was parted."""
        new = frozenset(policies)
        return frozenset().union(*(new - one.policies for one in self.parted.values() if at < one.until))

    def may_be_theirs(self, policies: Iterable[str], at: datetime) -> dict[str, Told]:
        """The numbers whose these policies of then may be that it did not know, with them."""
        new = frozenset(policies) - self.policies
        return {who: Told(one.until, one.policies | new) for who, one in self.passed.items() if new and at < one.until}

    def only(self, policies: Collection[str]) -> "Memory":
        """What it remembers of these policies."""
        return Memory(
            terms={key: term for key, term in self.terms.items() if policy_of(key) in policies},
            rescinded=self.rescinded.intersection(policies),
            referred_by={no: who for no, who in self.referred_by.items() if no in policies},
        )

    def without(self, policies: Collection[str]) -> "Memory":
        """It, but for what it remembers of these policies."""
        return replace(
            self,
            terms={key: term for key, term in self.terms.items() if policy_of(key) not in policies},
            rescinded=self.rescinded.difference(policies),
            referred_by={no: who for no, who in self.referred_by.items() if no not in policies},
        )

    def with_late(self, policies: frozenset[str]) -> "Memory":
        return replace(self, late=self.late | policies)

    def of_number(self, memory: "Memory") -> "Memory":
        """That memory for this number."""
        return replace(memory, **{name: getattr(self, name) for name in _OF_THE_NUMBER})

    def given_up(self, to: str) -> "Memory":
        """What this number alone still remembers when it is another's: its tiers are told to it, merged or not."""
        left = self.of_number(Memory(tiers=self.tiers if self.merged_into else (), merged_into=to))
        return replace(left, parted={number: at for number, at in self.parted.items() if number != to})

    @property
    def freezes(self) -> tuple[str, ...]:
        """Why nothing may be redeemed, oldest first. The same words may stand for two freezes."""
        return (self.frozen, *self.frozen_also) if self.frozen else ()

    def frozen_for(self, freezes: Sequence[str]) -> "Memory":
        return replace(self, frozen=freezes[0] if freezes else "", frozen_also=tuple(freezes[1:]))

    def tier_on(self, day: date) -> str:
        return next((tier for since, tier in reversed(self.tiers) if since <= day), "")

    def term_of(self, policy_no: str, term_no: int | None, day: date) -> TermMemory | None:
        """The term a fact belongs to; a fact that names none belongs to the term its completed year lies in."""
        if term_no is not None:
            return self.terms.get(f"{policy_no}/{term_no}")
        terms = (term for key, term in self.terms.items() if policy_of(key) == policy_no)
        return next((term for term in terms if term.start < day <= term.written_end), None)
