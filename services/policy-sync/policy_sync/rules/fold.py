"""`fold(facts) -> Policy`: the policy as it stands after all facts known, whatever order they arrived in.

A fact whose ground is not known yet (a payment before its term, an assessment before its claim) waits: it is kept, left out of
the fold, and counts as soon as its ground is there. Nothing is remembered between folds but the facts themselves.
"""

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
from tenure.calendar import Period, union
from tenure.contracts import core

from policy_sync.rules.claims import Claim, fold_claims
from policy_sync.rules.facts import Fact, Opening
from policy_sync.rules.terms import TermState, fold_terms


class Holder(msgspec.Struct, frozen=True):
    """Whose cover it is from `since` until the next holder's day."""

    since: date
    member_id: str
    natural_person: bool


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A whole policy. Terms are in order of start, holders in order of time, `covers` are all terms' days together."""

    policy_no: str
    product_line: str
    inception: date
    holders: tuple[Holder, ...]
    terms: tuple[TermState, ...]
    claims: tuple[Claim, ...]
    covers: tuple[Period, ...]
    version: int
    agent_id: str | None = None
    region: str | None = None
    previous_policy_no: str | None = None

    def term(self, term_no: int) -> TermState:
        return next(t for t in self.terms if t.term_no == term_no)

    def holder_on(self, day: date) -> Holder:
        """Who held it on a day; before the first day, the first holder."""
        held = [h for h in self.holders if h.since <= day]
        return held[-1] if held else self.holders[0]

    def covered_through(self, start: date, end: date) -> bool:
        """Whether every day of `[start, end)` had cover."""
        return any(s <= start and end <= e for s, e in self.covers)

    def members_of(self, term: TermState) -> tuple[str, ...]:
        """Everyone who held the policy during the term as sold, in order."""
        last = max(term.end, term.written_end) - date.resolution
        first = self.holder_on(term.start).member_id
        later = [h.member_id for h in self.holders if term.start < h.since <= last]
        return tuple(dict.fromkeys([first, *later]))

    def held_by(self, member_id: str, periods: Sequence[Period]) -> tuple[Period, ...]:
        """The parts of these periods in which the policy was this member's."""
        until = [h.since for h in self.holders[1:]] + [date.max]
        since = [date.min, *(h.since for h in self.holders[1:])]
        own = [(s, u) for h, s, u in zip(self.holders, since, until, strict=True) if h.member_id == member_id]
        parts = [(max(s, a), min(u, b)) for s, u in own for a, b in periods]
        return tuple(union(parts))


def fold(policy_no: str, facts: Iterable[Fact], *, inherited: date | None = None) -> Policy | None:
    """The policy after these facts; None while none of them opens it. `inherited` is a rewritten policy's inception."""
    known = applicable(facts)
    return fold_applicable(policy_no, known, inherited=inherited) if known else None


def fold_applicable(policy_no: str, known: list[Fact], *, inherited: date | None = None) -> Policy:
    """The policy after facts that all have their ground, in domain order."""
    openings = sorted((f for f in known if isinstance(f.data, Opening)), key=lambda f: (f.effective, f.order))
    basics = next(f.data for f in openings if _introduces(f))
    terms = fold_terms(openings, known)
    return Policy(
        policy_no=policy_no,
        product_line=basics.product_line,
        inception=min(openings[0].effective, inherited or date.max),
        holders=_holders(openings[0].effective, basics, known),
        terms=terms,
        claims=fold_claims(known),
        covers=tuple(union(p for t in terms for p in t.covers)),
        version=len(known),
        agent_id=_first(openings, "agent_id"),
        region=_first(openings, "region"),
        previous_policy_no=_first(openings, "previous_policy_no"),
    )


def applicable(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that have their ground, in domain order. The others wait."""
    facts = list(facts)
    if not any(_introduces(f) for f in facts):
        return []
    terms = {f.data.term_no for f in facts if isinstance(f.data, Opening)}
    claims = {f.data.claim_no for f in facts if isinstance(f.data, core.ClaimReported)}
    return sorted((f for f in facts if _has_ground(f.data, terms, claims)), key=lambda f: f.order)


def grounds_first(fact: Fact) -> tuple[int, object]:
    """Sorts facts that begin to count together: what others stand on comes before them, and whose a term is before its money."""
    if isinstance(fact.data, Opening):
        return (0 if _introduces(fact) else 1), fact.order
    if isinstance(fact.data, core.PolicyHolderChanged):
        return 1, fact.order
    if isinstance(fact.data, core.ClaimFact):
        return (3 if isinstance(fact.data, core.ClaimReported) else 4), fact.order
    return 2, fact.order


def _introduces(fact: Fact) -> bool:
    """Whether it says whose policy of which line this is."""
    data = fact.data
    if isinstance(data, core.PolicyIssued):
        return True
    return isinstance(data, core.PolicyRenewed) and data.member_id is not None and data.product_line is not None


def _has_ground(data: object, terms: set[int], claims: set[str]) -> bool:
    if isinstance(data, core.TermFact):
        return data.term_no in terms
    if isinstance(data, core.ClaimFact):
        return data.claim_no in claims
    return True


def _holders(inception: date, basics: core.PolicyIssued | core.PolicyRenewed, known: list[Fact]) -> tuple[Holder, ...]:
    assert basics.member_id is not None
    natural = getattr(basics, "holder_kind", "person") == "person"
    holders = [Holder(inception, basics.member_id, natural)]
    changes = [f for f in known if isinstance(f.data, core.PolicyHolderChanged)]
    for change in sorted(changes, key=lambda f: (f.effective, f.order)):
        # Two changes of one day: the one recorded last is right.
        holders = [h for h in holders if h.since < change.effective] or holders[:1]
        if holders[-1].member_id != change.data.member_id:
            natural = change.data.holder_kind == "person"
            holders.append(Holder(change.effective, change.data.member_id, natural))
    return tuple(holders)


def _first(openings: list[Fact], name: str) -> str | None:
    """What the earliest opening that knows says."""
    said = (getattr(f.data, name, None) for f in openings)
    return next((value for value in said if value is not None), None)
