"""The rules of a policy: a fact is recorded, the policy folded again, and the difference told; a day shows what fell due.

State is keyed by policy number. A fact that introduces a member also touches that member's own state, to enrol it once, and a
rewrite also reads the policy it continues.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from tenure.calendar import DAY
from tenure.contracts import core, policy
from tenure.contracts.decision import Decision
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme

from policy_sync.rules.canonical import told as told_by
from policy_sync.rules.chains import Links, received
from policy_sync.rules.customers import MemberState
from policy_sync.rules.facts import Fact, Opening, fact_of, standing
from policy_sync.rules.fold import NO_TIES, Policy, Ties, fold_applicable, fold_next
from policy_sync.rules.grounds import Heard, applicable
from policy_sync.rules.milestones import Milestone, any_ahead, handed_over, show
from policy_sync.rules.recorded import Duplicate, Recorded
from policy_sync.rules.refusals import check, check_dates, duplicate_of
from policy_sync.rules.reheld import Note, moved
from policy_sync.rules.reheld import told as told_anew
from policy_sync.rules.telling import Told, in_turn, told_of

_NONE_TOLD: Final[Mapping[Milestone, bool]] = MappingProxyType({})


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """All facts of a policy and what they fold to.

    `live_from`: from which day its milestones are told, the day of its first fact that is not history. `lived_to`: the last
    day it is known to have reached. `heard_on`: where the `calendar` stood when the newest fact of history alone came. `ties`:
    what it takes from elsewhere, as last told; `news`: as it is now, if that is other or may be: `stale` are the notes that
    say so; those `answered` are done with when this state is saved.
    `given_up`: which of the numbers that its holders ever went by are others' now.
    """

    policy_no: str
    facts: tuple[Fact, ...] = ()
    policy: Policy | None = None
    ties: Ties = NO_TIES
    live_from: date | None = None
    lived_to: date | None = None
    told: Mapping[Milestone, bool] = msgspec.field(default_factory=lambda: _NONE_TOLD)
    due_on: date | None = None
    heard_on: date | None = None
    calendar: date | None = None
    news: Ties | None = None
    stale: tuple[Note, ...] = ()
    answered: tuple[int, ...] = ()
    given_up: frozenset[str] = frozenset()


def on_fact(states: Any, event: Event, _: Programme) -> Decision[Any]:
    """Record a policy or claim fact and tell what it changes. Raises RefusedError."""
    before, *others = states if isinstance(states, tuple) else (states,)
    fact = fact_of(event)
    check_dates(fact)
    tied = _tied(before, fact, others)
    if (known := duplicate_of(fact, before.facts, (tied.news or tied.ties).survivors)) is not None:
        return Decision(states, rows=(Duplicate(before.policy_no, fact, known),), reply={"status": "duplicate"})
    check(fact, len(before.facts), before.policy)
    ready, caught_up = caught_up_to(tied, fact.day)
    ready, passed = _until_yesterday(ready, fact)
    after, told_of_facts = _recorded(ready, fact)
    counts = after.policy is not None and after.policy != ready.policy
    taken, told = handed_over(ready.policy, after.policy, after.told, fact.effective)
    milestones: tuple[Data, ...] = ()
    if not _stands_as_it_stood(before, ready, after):
        after, milestones = shown_on(replace(after, told=told) if taken else after, on=fact.effective)
    others, enrolled = _enrolled(others, fact, after)
    decided = after if not others else (after, *others)
    emit, origins = in_turn(
        event, (*caught_up, *passed, *enrolled), told_of_facts, (*taken, *milestones), live_from=after.live_from
    )
    reply = {"status": "accepted" if counts else "waiting"}
    return Decision(decided, emit, (Recorded(before.policy_no, fact),), reply, origins=origins)


def on_day(state: PolicyState, event: Event, _: Programme) -> Decision[PolicyState]:
    """Show what fell due up to this day. A policy known from history only begins to live here."""
    day: date = event.data.day
    is_noted = bool(state.stale)
    state, caught_up = caught_up_to(state, day)
    if is_noted and (state.due_on is None or state.due_on > day):  # nothing fell due but to look elsewhere
        after, milestones = shown_on(state, on=day)
        emit, origins = in_turn(event, caught_up, (), milestones, live_from=after.live_from)
        return Decision(after, emit, origins=origins)
    lived = max(day, state.lived_to or day)
    after, milestones = shown_on(replace(state, live_from=_lives_from(state, day), lived_to=lived), on=day)
    emit, origins = in_turn(event, caught_up, (), milestones, live_from=after.live_from)
    return Decision(after, emit, origins=origins)


def _stands_as_it_stood(before: PolicyState, ready: PolicyState, after: PolicyState) -> bool:
    """Whether nothing that milestones follow from changed, and none falls due by the day it has come to: so with most payments."""
    was, now = before.policy, after.policy
    if was is None or now is None or before.live_from is None or before.live_from != after.live_from:
        return False
    same = now.terms is was.terms and now.claims is was.claims and now.holders is was.holders
    is_due = after.lived_to is None or (ready.due_on is not None and ready.due_on <= after.lived_to)
    return same and now.covers is was.covers and now.inception == was.inception and not is_due


def _until_yesterday(state: PolicyState, fact: Fact) -> tuple[PolicyState, tuple[Data, ...]]:
    """What fell due before the fact's day is told before the fact, as if each day had started on time."""
    yesterday = fact.day - DAY
    if fact.backfill or not _moves_on(state, fact) or state.lived_to is None or state.lived_to >= yesterday:
        return state, ()
    return shown_on(replace(state, lived_to=yesterday), on=yesterday)


def _moves_on(state: PolicyState, fact: Fact) -> bool:
    """Whether its day says how far the policy has come: a policy fact that does not have to wait."""
    data = fact.data
    if state.policy is None or isinstance(data, core.ClaimFact):
        return False
    known = {t.term_no for t in state.policy.terms}
    return isinstance(data, Opening) or not isinstance(data, core.TermFact) or data.term_no in known


def _recorded(before: PolicyState, fact: Fact) -> tuple[PolicyState, list[Told]]:
    """Add the fact; everything that thereby begins to count is told, each as if it had come alone and in order."""
    counting = counting_of(before)
    new = heard_by(before, counting).hear(fact)
    after, told = counted(before, counting, new)
    return _lived(replace(after, facts=(*before.facts, fact)), fact, new), told


def counted(before: PolicyState, counting: list[Fact], new: list[Fact]) -> tuple[PolicyState, list[Told]]:
    """With what begins to count; `counting` is what did before."""
    whole, told = before.policy, list[Told]()
    for next_one in new:
        counting = sorted([*counting, next_one], key=lambda f: f.order)
        earlier, whole = whole, _folded(before, whole, counting, next_one)
        told += told_of(told_by(next_one, earlier, whole), next_one, counting)
    return replace(before, policy=whole), told


def _folded(state: PolicyState, whole: Policy | None, counting: list[Fact], new: Fact) -> Policy:
    if whole is None:
        return fold_applicable(state.policy_no, counting, ties=state.ties)
    return fold_next(whole, counting, new, ties=state.ties)


def heard_by(before: PolicyState, counting: list[Fact]) -> Heard:
    """What was heard so far: the facts that count, and those that wait."""
    if len(counting) == len(before.facts):
        return Heard(counting)
    known = {id(f) for f in counting}
    return Heard(counting, (f for f in standing(before.facts) if id(f) not in known))


def counting_of(state: PolicyState) -> list[Fact]:
    """The facts that the policy was folded from: mostly all of them."""
    if state.policy is not None and state.policy.version == len(state.facts) + state.ties.reheld:
        return list(state.facts)
    return applicable(state.facts)


def _lived(state: PolicyState, fact: Fact, new: list[Fact]) -> PolicyState:
    """A live fact shows that its policy lives; a policy fact that began to count also shows that its day was reached.

    Claims do not: they come on a topic of their own, which may run ahead. Nor does history.
    """
    live_from = state.live_from if fact.backfill else min(state.live_from or fact.day, fact.day)
    reached = [f.day for f in new if not f.backfill and not isinstance(f.data, core.ClaimFact)]
    if state.lived_to is not None:
        reached.append(state.lived_to)
    heard_on = state.calendar if live_from is None else state.heard_on
    return replace(state, live_from=live_from, lived_to=max(reached, default=None), heard_on=heard_on)


def shown_on(state: PolicyState, *, on: date) -> tuple[PolicyState, tuple[Data, ...]]:
    if state.policy is None:
        return replace(state, due_on=None), ()
    if state.live_from is None or state.lived_to is None:
        return replace(state, due_on=_first_day_to_live(state)), ()
    shown = show(state.policy, state.told, live_from=state.live_from, lived_to=state.lived_to, on=on)
    return replace(state, told=shown.told, due_on=shown.due_on), shown.events


def _first_day_to_live(state: PolicyState) -> date | None:
    """A policy of history alone that has something ahead of it, or has run out, lives from the first day that comes."""
    assert state.policy is not None
    after = _after_history(state)
    return after if any_ahead(state.policy, after) else None


def _lives_from(state: PolicyState, day: date) -> date:
    """Of days that come together it is the first one after what was heard, if any day had come by then."""
    if state.live_from is not None or state.heard_on is None:
        return state.live_from or day
    return min(day, max(state.heard_on, _after_history(state)))


def _after_history(state: PolicyState) -> date:
    return max((f.day for f in state.facts), default=date.min) + DAY


def introduced(data: core.PolicyFact) -> str | None:
    """The member that this fact names."""
    member: str | None = getattr(data, "member_id", None)
    return member


def continued(data: Data) -> str | None:
    """The policy that this one replaces (rewrite, transfer), if any other."""
    if not isinstance(data, core.PolicyIssued) or data.previous_policy_no == data.policy_no:
        return None
    return data.previous_policy_no


def handed_on(state: PolicyState) -> Links:
    """What the policies that continue this one take of it."""
    return state.policy.handed_on(state.live_from) if state.policy else ()


def _tied(state: PolicyState, fact: Fact, others: list[Any]) -> PolicyState:
    """With what this fact's companions say: the policy it continues, and whose number the member it introduces has."""
    now = state.news or state.ties
    if continued(fact.data) is not None and others[-1].policy is not None:
        now = replace(now, links=received(state.policy_no, handed_on(others[-1])))
    if others and isinstance(others[0], MemberState) and others[0].survivor is not None:
        now = replace(now, survivors={**now.survivors, others[0].member_id: others[0].survivor})
    return state if now == state.ties else replace(state, news=now)


def caught_up_to(state: PolicyState, on: date) -> tuple[PolicyState, tuple[Data, ...]]:
    """The policy with what it takes from elsewhere as that is now; whoever has it by other numbers, or had in between, is told."""
    if state.news is None and not state.stale:
        return state, ()
    now, before = replace(state.news or state.ties, reheld=state.ties.reheld), state.policy
    ready = replace(state, news=None, stale=(), answered=(*state.answered, *(note.id for note in state.stale)))
    if before is None:
        return replace(ready, ties=now), ()
    counting = applicable(state.facts)
    as_named = fold_applicable(state.policy_no, counting)
    between = moved(as_named, state.ties.survivors, state.stale, state.given_up | now.survivors.keys())
    is_reheld = bool(between) or _holders_by(before.named, now) != _holders_by(before.named, state.ties)
    ties = replace(now, reheld=now.reheld + is_reheld)
    after = fold_applicable(state.policy_no, counting, ties=ties)
    return replace(ready, policy=after, ties=ties), tuple(told_anew(before, after, between, on)) if is_reheld else ()


def _holders_by(named: tuple[str, ...], ties: Ties) -> list[str]:
    return [ties.survivors.get(member, member) for member in named]


def _enrolled(others: list[Any], fact: Fact, after: PolicyState) -> tuple[list[Any], tuple[Data, ...]]:
    """The first policy of a member enrols it; an earlier one that becomes known later enrols it from its own day."""
    if not others or not isinstance(others[0], MemberState):
        return others, ()
    member, since = others[0], _member_since(fact, after)
    if since is None or (member.enrolled_on is not None and member.enrolled_on <= since):
        return others, ()
    enrolled = policy.MemberEnrolled(member_id=member.survivor or member.member_id, effective=since)
    return [replace(member, enrolled_on=since), *others[1:]], (enrolled,)


def _member_since(fact: Fact, after: PolicyState) -> date | None:
    """The day from which a fact makes its member one. Who takes over a policy does so even if its terms are not known yet."""
    if isinstance(fact.data, core.PolicyHolderChanged):
        return fact.effective
    whole = after.policy
    if whole is None or fact.data.member_id not in whole.named:
        return None
    return whole.inception
