"""What a fact that waits is waiting for, in one stable word: the gap that an operator or the core's team has to close."""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from tenure.contracts import core

from policy_sync.rules.facts import Fact
from policy_sync.rules.fold import applicable, introduces, openings_of

Missing = Literal["issue", "term", "claim_report", "cancellation", "lapse"]


class Gap(NamedTuple):
    """A fact without ground, and what would be its ground."""

    fact: Fact
    missing: Missing


def gaps(facts: Iterable[Fact]) -> Iterator[Gap]:
    """The facts that wait, in the order given."""
    facts = list(facts)
    counting = {id(f) for f in applicable(facts)}
    opened = any(introduces(f) for f in facts)
    terms = openings_of(facts)
    for fact in facts:
        if id(fact) not in counting:
            yield Gap(fact, _missing(fact, terms) if opened else "issue")


def _missing(fact: Fact, terms: set[int]) -> Missing:
    data = fact.data
    if isinstance(data, core.ClaimFact):
        return "claim_report"
    if isinstance(data, core.TermFact) and data.term_no not in terms:
        return "term"
    return "cancellation" if isinstance(data, core.CancellationReversed) else "lapse"
