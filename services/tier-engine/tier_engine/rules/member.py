"""What is known of a member, and how facts are put into it.

The invariant: what a member is after a set of facts does not depend on the order in which they came. A term is its highest
version, growth is a sum per day, the day lived to is the latest, and a member that was merged away keeps nothing for itself.
"""

from datetime import date
from typing import Final

import msgspec
from tenure.contracts.decision import RefusedError
from tenure.contracts.tier import Step

from tier_engine.rules.days import Growth, InsuredTerm
from tier_engine.rules.timeline import Risk

ID_SEPARATOR: Final = " "
"""Stands between two member ids where one key names both; an id has no space."""


TERMS_MAX: Final = 5_000
"""Terms of one member: a person has some dozens in a life; more than this is another thing's id."""


class Brought(msgspec.Struct, frozen=True, array_like=True):
    """What another id brought when it was merged into this one: whose terms came (its own, and those it had been brought), and
    its growth. Terms keep the id under which they were told, so growth alone has to be remembered.
    """

    member_id: str
    holders: tuple[str, ...]
    growth: Growth


class Member(msgspec.Struct, frozen=True, array_like=True):
    """`timeline` is what was told so far: the steps up to `lived_to`; `warned` is the risk that stands, as told. `due_on` is when
    something falls due by time alone.

    `merged_into`: this id is an old one of that member; terms that still arrive under it are due to be handed over. `ties_no`: the
    newest merger or undoing heard of this id; `goes_to`: whose it is by that ("": its own), while what it brought is still with
    `merged_into`, or here; `by`: others whom its turn takes, for they hand on what it brought, or what it is to bring. `judged_by`
    is the digest of the versions of the tier rules this was last judged by; 0: by none. `brought`: what can be given back, should a
    merger turn out to be a mistake. `of_history`: all that is known of it is history, no fact and no day that lived;
    the next day that comes is the one it lives from, or where the calendar stood when the newest of it was `heard_on`.
    """

    member_id: str
    terms: tuple[InsuredTerm, ...] = ()
    growth: Growth = ()
    lived_to: date | None = None
    timeline: tuple[Step, ...] = ()
    warned: Risk | None = None
    due_on: date | None = None
    merged_into: str | None = None
    judged_by: int = 0
    brought: tuple[Brought, ...] = ()
    ties_no: int = 0
    goes_to: str | None = None
    by: tuple[str, ...] = ()
    of_history: bool = False
    heard_on: date | None = None

    @property
    def holds_anything(self) -> bool:
        return bool(self.terms or self.growth)

    @property
    def whose(self) -> str | None:
        """Who has what this id brought, or is to have it; None: it is its own."""
        return self.merged_into or self.goes_to or None

    @property
    def has_its_turn(self) -> bool:
        """Whether an old id is due: something is handed over, or what it brought goes elsewhere."""
        return self.holds_anything or self.goes_to is not None

    @property
    def turn(self) -> str:
        """The key of what falls due for it: an old id comes with who holds what it brought, after who is to have it."""
        if self.goes_to is None:
            return ID_SEPARATOR.join(filter(None, (self.merged_into, self.member_id)))
        ids = (self.goes_to or self.merged_into, self.member_id, self.merged_into if self.goes_to else None, *self.by)
        return ID_SEPARATOR.join(dict.fromkeys(filter(None, ids)))


def with_term(terms: tuple[InsuredTerm, ...], term: InsuredTerm) -> tuple[InsuredTerm, ...]:
    """The terms with this one in its newest version, in the order of their keys; the same object if it is no news.

    Raises RefusedError too_many_terms.
    """
    for i, held in enumerate(terms):
        if held.policy_no == term.policy_no and held.key == term.key:
            return terms if held.version >= term.version else (*terms[:i], term, *terms[i + 1 :])
    if len(terms) >= TERMS_MAX:
        raise RefusedError("too_many_terms", f"a member has at most {TERMS_MAX} policy terms")
    return tuple(sorted((*terms, term), key=lambda t: t.key))


def with_growth(growth: Growth, day: date, points: int) -> Growth:
    """The growth with so many points more on that day, by day."""
    sums = dict(growth)
    sums[day] = sums.get(day, 0) + points
    return tuple(sorted((d, p) for d, p in sums.items() if p))


def latest(*days: date | None) -> date | None:
    return max((d for d in days if d is not None), default=None)


def same_insured(before: tuple[InsuredTerm, ...], after: tuple[InsuredTerm, ...]) -> bool:
    """Whether two states of the terms differ in nothing but versions: a premium paid as agreed moves no measure."""
    if len(before) != len(after):
        return False
    return all(a is b or a == msgspec.structs.replace(b, version=a.version) for a, b in zip(before, after, strict=True))


def hand_over(old: Member, to: Member) -> Member:
    """`to` when it takes over what `old` holds; whose it was is remembered."""
    terms, growth = to.terms, to.growth
    for term in old.terms:
        terms = with_term(terms, term)
    for day, points in old.growth:
        growth = with_growth(growth, day, points)
    return msgspec.structs.replace(to, terms=terms, growth=growth, brought=_remembered(to.brought, old))


def _remembered(brought: tuple[Brought, ...], old: Member) -> tuple[Brought, ...]:
    before = next((b for b in brought if b.member_id == old.member_id), Brought(old.member_id, (), ()))
    holders = {old.member_id, *before.holders, *(holder for b in old.brought for holder in b.holders)}
    growth = before.growth
    for day, points in old.growth:
        growth = with_growth(growth, day, points)
    now = Brought(old.member_id, tuple(sorted(holders)), growth)
    return tuple(sorted((now, *(b for b in brought if b.member_id != old.member_id)), key=lambda b: b.member_id))


def give_back(survivor: Member, old: Member) -> tuple[Member, Member]:
    """Both as they are when `old` takes back what it had brought, and what waited under its id."""
    gone = next(
        (b for b in survivor.brought if b.member_id == old.member_id), Brought(old.member_id, (old.member_id,), ())
    )
    kept = tuple(t for t in survivor.terms if t.member_id not in gone.holders)
    terms, growth, left = old.terms, old.growth, survivor.growth
    for term in survivor.terms:
        if term.member_id in gone.holders:
            terms = with_term(terms, term)
    for day, points in gone.growth:
        growth, left = with_growth(growth, day, points), with_growth(left, day, -points)
    brought = tuple(b for b in survivor.brought if b.member_id != old.member_id)
    return (
        msgspec.structs.replace(survivor, terms=kept, growth=left, brought=brought),
        msgspec.structs.replace(old, terms=terms, growth=growth, merged_into=None),
    )
