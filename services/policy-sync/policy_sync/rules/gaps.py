"""What a fact that waits is waiting for, in one stable word: the gap that an operator or the core's team has to close."""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from tenure.contracts import core

from policy_sync.rules.facts import Fact
from policy_sync.rules.grounds import Grounds, applicable

Missing = Literal["issue", "term", "claim_report", "cancellation", "lapse", "room"]


class Gap(NamedTuple):
    """A fact that waits, and what for: its ground, or room beside the facts that count."""

    fact: Fact
    missing: Missing


def gaps(facts: Iterable[Fact]) -> Iterator[Gap]:
    """The facts that wait, in the order given, which is that in which they were heard."""
    facts = list(facts)
    counting = applicable(facts)
    known, grounds = {id(f) for f in counting}, Grounds(counting)
    for fact in facts:
        if id(fact) not in known and not fact.dismissed_after:
            yield Gap(fact, _missing(fact, grounds))


def _missing(fact: Fact, grounds: Grounds) -> Missing:
    data = fact.data
    if not grounds.is_introduced:
        return "issue"
    if grounds.carry(fact):
        return "room"
    if isinstance(data, core.ClaimFact):
        return "claim_report"
    if isinstance(data, core.TermFact) and data.term_no not in grounds.terms:
        return "term"
    return "cancellation" if isinstance(data, core.CancellationReversed) else "lapse"
