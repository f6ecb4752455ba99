"""Policies that continue others (a rewrite, a company transfer; DOMAIN 9): what a term earned by being taken up goes on with them.

The invariant: what was given back of a term's premium is lost of such a reward only as far as the policy that continues it is given
back too. It follows from the terms as they stand, whichever of the two policies was heard of first; a new policy earns none of it
anew, so nothing is lost by a rewrite and nothing is won.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from fractions import Fraction
from typing import Final

from points_ledger.rules.account import FIRST_TERM
from points_ledger.rules.memory import Memory
from points_ledger.rules.term_memory import TermMemory, policy_of

Terms = Mapping[str, TermMemory]
WHOLE: Final = Fraction(1)
NOTHING: Final = Fraction(0)


def given_back(term: TermMemory, settled_fen: int = 0) -> Fraction:
    """The part of its premium that was given back, all of a void term. `settled_fen` of a refund is counted elsewhere."""
    if term.void:
        return WHOLE
    paid, back = term.paid_fen, min(term.refunded_fen, term.paid_fen)
    settled = min(back, settled_fen)
    return Fraction(back - settled, paid - settled) if paid > settled else NOTHING


def not_taken_up(terms: Terms, policy_no: str, term: TermMemory, gap_days_max: int) -> Fraction:
    """The part of what a term gave back that no policy which continues it has: all of it, if there is none or it came too late."""
    return _not_taken_up(terms, policy_no, term, gap_days_max, frozenset([policy_no]))


def _not_taken_up(terms: Terms, policy_no: str, term: TermMemory, gap_days_max: int, seen: frozenset[str]) -> Fraction:
    least = WHOLE
    for key, later in terms.items():
        no = policy_of(key)
        if later.continues == policy_no and no not in seen and _follows(later, term, gap_days_max):
            back = given_back(later)
            least = min(least, back and back * _not_taken_up(terms, no, later, gap_days_max, seen | {no}))
    return least


def _follows(later: TermMemory, term: TermMemory, gap_days_max: int) -> bool:
    """Whether it goes on where a term was cut short, or begins where one that is void would have."""
    if term.void:
        return abs((later.start - term.start).days) <= gap_days_max
    if term.ended is None:
        return False
    return (later.start - term.ended).days <= gap_days_max and (later.void or _last(later) > term.ended)


def _last(term: TermMemory) -> date:
    return term.ended or term.written_end


def behind(terms: Terms, policy_no: str) -> list[str]:
    """A policy and those that it continues, newest first."""
    chain = [policy_no]
    for no in chain:
        chain += {before for before in _continued(terms, no) if before not in chain}
    return chain


def _continued(terms: Terms, policy_no: str) -> Iterator[str]:
    return (t.continues for key, t in terms.items() if t.continues and policy_of(key) == policy_no)


def voids_first_term(memory: Memory, policy_no: str, gap_days_max: int) -> bool:
    """Whether the policy never was: rescinded, or its first term void and not gone on with under another number."""
    first = memory.terms.get(f"{policy_no}/{FIRST_TERM}")
    if policy_no in memory.rescinded or first is None or not first.void:
        return policy_no in memory.rescinded
    return not_taken_up(memory.terms, policy_no, first, gap_days_max) == WHOLE
