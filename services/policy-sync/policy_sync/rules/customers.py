"""The rules of a member: customer facts made canonical, and contact data that is kept until the member is erased.

A later statement wins by the core's own time, whatever order the statements arrived in; a stale one changes and tells nothing.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec.structs import replace
from tenure.contracts import core, policy
from tenure.contracts.codes import is_code
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme

from policy_sync.commands import KeepContact
from policy_sync.rules import persons
from policy_sync.rules.facts import Fact, fact_of
from policy_sync.rules.mergers import Told, held, numbers, standing, survivor, whose
from policy_sync.rules.mergers import told as ties_told
from policy_sync.rules.persons import Said, Web, consented, said_at
from policy_sync.rules.recorded import ContactForgotten, ContactKept, Duplicate, Recorded, Reheld
from policy_sync.rules.refusals import check, check_dates, duplicate_of

# No id holds a space, so a member's key never meets a policy's number.
_PREFIX = "member "


class MemberState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a member. `enrolled_on` is when its first policy began.

    `ties`: mergers that gave up this number, and their undoings; `survivor`: who the person is now, if that is another number.
    `web`: the ties of every number that this one was ever tied to, as far as they are in hand.
    """

    member_id: str
    enrolled_on: date | None = None
    facts: tuple[Fact, ...] = ()
    ties: tuple[Fact, ...] = ()
    survivor: str | None = None
    web: Web = Web()

    def among(self, web: Web) -> "MemberState":
        """The same, with what is known by now of the numbers around it."""
        now = survivor(self.member_id, {**web.ties, self.member_id: self.ties})
        return replace(self, web=web, survivor=None if now == self.member_id else now)

    @property
    def numbers(self) -> tuple[str, ...]:
        """All the person's numbers, this one first."""
        return self.member_id, *(n for n in numbers(self.member_id, self.web.ties) if n != self.member_id)

    @property
    def is_erased(self) -> bool:
        return persons.is_erased(self.numbers, self.all_said)

    @property
    def all_said(self) -> Said:
        return {**self.web.said, self.member_id: self.facts}

    @property
    def person(self) -> str:
        """The number that the person goes by."""
        return self.survivor or self.member_id

    @property
    def consent(self) -> Fact | None:
        """The person's newest word on consent, under whichever number."""
        return persons.consent(self.numbers, self.all_said)

    @property
    def household_id(self) -> str | None:
        """The newest word on where the customer lives; a registration that names no household says nothing of it."""
        said = [f for f in self.facts if _says_household(f.data)]
        newest = max(said, key=lambda f: f.order, default=None)
        return newest.data.household_id if newest is not None else None


def _says_household(data: Data) -> bool:
    if isinstance(data, core.CustomerRegistered):
        return data.household_id is not None
    return isinstance(data, core.HouseholdLinked)


def member_key(member_id: str) -> str:
    return _PREFIX + member_id


def member_of(key: str) -> str | None:
    """The member of a state's key; None for a policy's."""
    return key.removeprefix(_PREFIX) if key.startswith(_PREFIX) else None


def on_customer(states: Any, event: Event, _: Programme) -> Decision[Any]:
    """Record a customer fact and tell it, unless a newer one of its kind is known. Raises RefusedError.

    `states`: the member's; for a merger or its undoing also that of the number given up; for what is a person's, the `Web` last.
    """
    if isinstance(states, MemberState):
        return _decided(states, None, fact_of(event))
    *members, web = states
    state, other = (*(m.among(web) for m in members), None)[:2]
    decided = _decided(state, other, fact_of(event))
    after = decided.state if isinstance(decided.state, tuple) else (decided.state,)
    return replace(decided, state=(*after, after[0].web))


def _decided(state: MemberState, other: MemberState | None, fact: Fact) -> Decision[Any]:
    key, states = member_key(state.member_id), state if other is None else (state, other)
    check_dates(fact)
    if (known := duplicate_of(fact, state.facts)) is not None:
        return Decision(states, rows=(Duplicate(key, fact, known),), reply={"status": "duplicate"})
    check(fact, len(state.facts), None)
    rows: tuple[Any, ...] = (Recorded(key, fact),)
    if isinstance(fact.data, core.CustomerErased):
        rows = (*rows, *map(ContactForgotten, state.numbers))
    heard = replace(state, facts=(*state.facts, fact))
    if other is not None:
        return _decided_of_two(state, heard, other, fact, rows)
    if state.web.ties:
        heard = replace(heard, web=replace(state.web, said=heard.all_said))
    return Decision(heard, () if _is_stale(fact, state) else _told(fact, state), rows, {"status": "accepted"})


def _decided_of_two(
    state: MemberState, heard: MemberState, other: MemberState, fact: Fact, rows: tuple[Any, ...]
) -> Decision[Any]:
    _must_be_there_to_part(state, other, fact)
    tied = replace(other, ties=(*other.ties, fact))
    said = {**heard.all_said, other.member_id: tied.facts}
    web = Web(ties={**state.web.ties, other.member_id: tied.ties}, said=said)
    heard, tied = heard.among(web), tied.among(web)
    told = ties_told({**state.web.ties, other.member_id: other.ties}, web.ties, fact)
    again = dict.fromkeys(Reheld(one.merged_id, whose(one)) for one in told) or (Reheld(other.member_id, None),)
    passed_on, forgotten = _passed_on(told, state, heard, tied)
    emit = (*told, *_enrolled_by(tied, heard, fact), *passed_on)
    return Decision((heard, tied), emit, (*rows, *again, *forgotten), {"status": "accepted"})


def _passed_on(
    told: Sequence[Told], before: MemberState, kept: MemberState, other: MemberState
) -> tuple[tuple[Data, ...], tuple[ContactForgotten, ...]]:
    """What a person who turns out to have one number more, or one less, said under either of them.

    Two that are parted keep a refusal of their own, which the other's consent had outdone; no consent is given back to them.
    """
    if not told:
        return (), ()
    if other.person != kept.person:
        own = [(s.person, s.consent) for s in (kept, other)]
        return tuple(consented(p, c, said_at=None) for p, c in own if c is not None and not c.data.marketing), ()
    if kept.is_erased:
        erased = (policy.CustomerErased(member_id=n, effective=told[0].effective) for n in kept.numbers)
        return tuple(erased), tuple(map(ContactForgotten, kept.numbers))
    newest = kept.consent
    if newest is None or (newest, kept.person) == (before.consent, before.person):
        return (), ()
    return (consented(kept.person, newest, said_at=newest.time),), ()


def _must_be_there_to_part(state: MemberState, other: MemberState, fact: Fact) -> None:
    """Refuses survivor_merged. What the number given up had brought went on with its survivor into a third one, mixed with what
    that one had; only undoing the later merger tells the two apart.
    """
    tie, gone = standing(other.ties), held(state.member_id, state.web.ties)
    if not isinstance(fact.data, core.CustomerUnmerged) or tie is None or gone is None:
        return
    if tie.data.member_id == state.member_id:
        raise RefusedError(
            "survivor_merged",
            f"{state.member_id} was merged into {gone.data.member_id} since: undo that first, then this, then merge again",
        )


def _enrolled_by(other: MemberState, state: MemberState, fact: Fact) -> tuple[Data, ...]:
    """Whoever remains is a member from the day that either of the two became one."""
    since = other.enrolled_on
    if not isinstance(fact.data, core.CustomerMerged) or other.survivor is None or since is None:
        return ()
    if state.enrolled_on is not None and state.enrolled_on <= since:
        return ()
    return (policy.MemberEnrolled(member_id=other.survivor, effective=since),)


def on_contact(states: tuple[MemberState, Web], event: Event, _: Programme) -> Decision[Any]:
    """Keep sealed contact data. Raises RefusedError customer_erased."""
    command: KeepContact = event.data
    state, web = states
    if state.among(web).is_erased:
        raise RefusedError("customer_erased", "an erased customer's contact data is not kept")
    kept = ContactKept(command.member_id, command.sealed, command.key_id)
    return Decision(states, rows=(kept,), reply={"member_id": command.member_id, "kept": True})


def _is_stale(fact: Fact, state: MemberState) -> bool:
    """Whether a newer statement about the same thing is known: a consent, or the customer's own data."""
    if not isinstance(fact.data, (core.CustomerRegistered, core.ConsentChanged, core.HouseholdLinked)):
        return False
    return any(type(f.data) is type(fact.data) and f.order > fact.order for f in state.facts)


def _is_newest_consent(fact: Fact, state: MemberState) -> bool:
    """Whether the person has not said otherwise since, under another number."""
    newest = state.consent
    return newest is None or said_at(newest) <= said_at(fact)


def _told(fact: Fact, state: MemberState) -> tuple[Data, ...]:
    """To this number, and to whatever others of the same person it concerns: erasure to all, consent to the one they go by now."""
    told = _canonical(fact)
    if isinstance(fact.data, core.CustomerErased):
        return tuple(replace(one, member_id=number) for number in state.numbers for one in told)
    if not isinstance(fact.data, core.ConsentChanged):
        return told
    under = [state.member_id] if state.survivor is not None else []
    under += [state.person] if _is_newest_consent(fact, state) else []
    return tuple(replace(one, member_id=number) for number in under for one in told)


def _canonical(fact: Fact) -> tuple[Data, ...]:
    match fact.data:
        case core.CoverageExtensionConfirmed() | core.CoverageExtensionRejected():
            return (_answered(fact),)
        case _:
            return (_of_the_person(fact),)


def _of_the_person(fact: Fact) -> Data:
    match fact.data:
        case core.CustomerRegistered() as d:
            return policy.CustomerRegistered(
                member_id=d.member_id, effective=d.registered_on, region=d.region, language=d.language
            )
        case core.HouseholdLinked() as d:
            return policy.HouseholdLinked(member_id=d.member_id, household_id=d.household_id, effective=d.on)
        case core.ConsentChanged() as d:
            return policy.ConsentChanged(member_id=d.member_id, marketing=d.marketing, effective=d.on)
        case core.CustomerErased() as d:
            return policy.CustomerErased(member_id=d.member_id, effective=d.on)
        case _:
            raise AssertionError(f"{type(fact.data).__name__} has no canonical form")


def _answered(fact: Fact) -> Data:
    d = fact.data
    if isinstance(d, core.CoverageExtensionRejected):
        reason = d.reason if is_code(d.reason) else ""
        return policy.CoverageExtensionRejected(member_id=d.member_id, request_id=d.request_id, reason=reason)
    return policy.CoverageExtensionConfirmed(
        member_id=d.member_id, request_id=d.request_id, endorsement_no=d.endorsement_no, start=d.start, end=d.end
    )
