"""`fold(facts) -> Policy`: the policy as it stands after all facts known, whatever order they arrived in.

A fact that cannot count yet (`grounds`: a payment before its term, an assessment before its claim) waits: it is kept, left out of
the fold, and counts as soon as it can. Nothing is remembered between folds but the facts themselves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace
from tenure.calendar import Period, union
from tenure.contracts import core

from policy_sync.rules.chains import Link, Links, covered
from policy_sync.rules.claims import Claim, fold_claims
from policy_sync.rules.facts import Fact, Opening
from policy_sync.rules.grounds import applicable, introduces
from policy_sync.rules.terms import TermState, fold_terms

NO_SURVIVORS: Final[Mapping[str, str]] = MappingProxyType({})


class Holder(msgspec.Struct, frozen=True):
    """Whose cover it is from `since` until the next holder's day."""

    since: date
    member_id: str
    natural_person: bool


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A whole policy. Terms are in order of start, holders in order of time, `covers` are all terms' days together.

    `holders` are persons as they are numbered now; `named` are all numbers that the core called them by; `links` are the policies
    that it continues, whose first day of cover is its inception.
    """

    policy_no: str
    product_line: str
    inception: date
    holders: tuple[Holder, ...]
    terms: tuple[TermState, ...]
    claims: tuple[Claim, ...]
    covers: tuple[Period, ...]
    version: int
    named: tuple[str, ...] = ()
    agent_id: str | None = None
    region: str | None = None
    previous_policy_no: str | None = None
    links: Links = ()

    def term(self, term_no: int) -> TermState:
        return next(t for t in self.terms if t.term_no == term_no)

    def holder_on(self, day: date) -> Holder:
        """Who held it on a day; before the first day, the first holder."""
        held = [h for h in self.holders if h.since <= day]
        return held[-1] if held else self.holders[0]

    def covered_through(self, start: date, end: date) -> bool:
        """Whether every day of `[start, end)` had cover."""
        return any(s <= start and end <= e for s, e in self.covers)

    def handed_on(self, live_from: date | None) -> Links:
        """What a policy takes that continues this one. `live_from`: since when this one's milestones are told."""
        losses = tuple((c.claim_no, c.loss_date) for c in self.claims if c.counts)
        return Link(self.policy_no, self.covers, losses, live_from), *self.links

    def members_of(self, term: TermState) -> tuple[str, ...]:
        """Everyone who held the policy during the term as sold, in order."""
        last = max(term.end, term.written_end) - date.resolution
        first = self.holder_on(term.start).member_id
        later = [h.member_id for h in self.holders if term.start < h.since <= last]
        return tuple(dict.fromkeys([first, *later]))

    def held_by(self, member_id: str, periods: Sequence[Period]) -> tuple[Period, ...]:
        """The parts of these periods in which the policy was this member's."""
        if len(self.holders) == 1 and self.holders[0].member_id == member_id:
            return tuple(periods)
        until = [h.since for h in self.holders[1:]] + [date.max]
        since = [date.min, *(h.since for h in self.holders[1:])]
        own = [(s, u) for h, s, u in zip(self.holders, since, until, strict=True) if h.member_id == member_id]
        parts = [(max(s, a), min(u, b)) for s, u in own for a, b in periods]
        return tuple(union(parts))


class Ties(msgspec.Struct, frozen=True):
    """What a policy takes from elsewhere: the policies it continues, nearest first, and whose its holders' numbers are now.

    `reheld` counts how often that changed whose it is, so that its version never stands still over such a change.
    """

    links: Links = ()
    survivors: Mapping[str, str] = NO_SURVIVORS
    reheld: int = 0


NO_TIES: Final = Ties()


def fold(policy_no: str, facts: Iterable[Fact], *, ties: Ties = NO_TIES) -> Policy | None:
    """The policy after these facts; None while none of them opens it."""
    known = applicable(facts)
    return fold_applicable(policy_no, known, ties=ties) if known else None


def fold_applicable(policy_no: str, known: list[Fact], *, ties: Ties = NO_TIES) -> Policy:
    """The policy after facts that all count, in domain order."""
    openings = sorted((f for f in known if isinstance(f.data, Opening)), key=lambda f: (f.effective, f.order))
    basics = next(f.data for f in openings if introduces(f))
    terms = fold_terms(openings, known)
    return Policy(
        policy_no=policy_no,
        product_line=basics.product_line,
        inception=min([_begun(terms, openings), *(start for start, _ in covered(ties.links)[:1])]),
        holders=_holders(openings[0].effective, basics, known, ties.survivors),
        terms=terms,
        claims=fold_claims(known),
        covers=tuple(union(p for t in terms for p in t.covers)),
        version=len(known) + ties.reheld,
        named=tuple(dict.fromkeys(named_ids(known))),
        agent_id=_first(openings, "agent_id"),
        region=_first(openings, "region"),
        previous_policy_no=_first(openings, "previous_policy_no"),
        links=ties.links,
    )


def fold_next(whole: Policy, known: list[Fact], new: Fact, *, ties: Ties = NO_TIES) -> Policy:
    """As `fold_applicable(known)`, where `whole` is all of it but `new`: what a payment or a claim cannot change is kept."""
    if isinstance(new.data, core.PremiumPaid):
        return replace(whole, version=len(known) + ties.reheld)
    if isinstance(new.data, core.ClaimFact):
        return replace(whole, claims=fold_claims(known), version=len(known) + ties.reheld)
    return fold_applicable(whole.policy_no, known, ties=ties)


def named_ids(facts: Iterable[Fact]) -> Iterator[str]:
    """The customer numbers of those who hold or held the policy, as the core said them."""
    for fact in facts:
        member = getattr(fact.data, "member_id", None)
        if member is not None and isinstance(fact.data, core.PolicyFact):
            yield member


def _begun(terms: Sequence[TermState], openings: Sequence[Fact]) -> date:
    """The first day of the first term that was ever in force; a void one never was. Where all are, the first day sold."""
    return min((t.start for t in terms if t.covers), default=openings[0].effective)


def _holders(
    inception: date, basics: core.PolicyIssued | core.PolicyRenewed, known: list[Fact], survivors: Mapping[str, str]
) -> tuple[Holder, ...]:
    assert basics.member_id is not None
    natural = getattr(basics, "holder_kind", "person") == "person"
    holders = [Holder(inception, survivors.get(basics.member_id, basics.member_id), natural)]
    changes = [f for f in known if isinstance(f.data, core.PolicyHolderChanged)]
    for change in sorted(changes, key=lambda f: (f.effective, f.order)):
        # Two changes of one day: the one recorded last is right.
        holders = [h for h in holders if h.since < change.effective] or holders[:1]
        member = survivors.get(change.data.member_id, change.data.member_id)
        if holders[-1].member_id != member:
            holders.append(Holder(change.effective, member, change.data.holder_kind == "person"))
    return tuple(holders)


def _first(openings: list[Fact], name: str) -> str | None:
    """What the earliest opening that knows says."""
    said = (getattr(f.data, name, None) for f in openings)
    return next((value for value in said if value is not None), None)
