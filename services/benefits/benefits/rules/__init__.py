"""What benefits decides on each event. Facts are taken in first, then what they imply is made visible (`settle`, `advise`).

The invariant: grants and advice depend on the facts and their dates, never on the order in which facts and days arrived. An
event that changes nothing a grant or a claim rests on costs no settling.
"""

from datetime import date
from typing import Any

import msgspec
from tenure.calendar import DAY
from tenure.contracts.benefit import SafetyReportReady
from tenure.contracts.codes import is_code
from tenure.contracts.decision import DayReached, Decision
from tenure.contracts.event import Event
from tenure.contracts.policy import (
    ClaimChanged,
    CoverageExtensionConfirmed,
    CoverageExtensionRejected,
    CustomerRegistered,
    PolicyAnniversary,
    Term,
    TermEvent,
)
from tenure.contracts.programme import Programme
from tenure.contracts.tier import TierChanged

from benefits.rules.claims import advise, going_on, take_claim
from benefits.rules.homes import has_moved, moved
from benefits.rules.reports import PRODUCT_LINE, diagnose, report_id
from benefits.rules.settle import settle
from benefits.rules.ties import on_gather, on_merged, on_unmerged
from benefits.rules.use import on_release, on_use
from benefits.state import Answer, ClaimKnown, Forgotten, Grant, KnownTerm, Report, State, forgotten

replace = msgspec.structs.replace
_json = msgspec.json.Encoder()


def on_term(state: State | None, event: Event, programme: Programme) -> Decision[State]:
    """A term as it stands now; an older version of it changes nothing."""
    data: TermEvent = event.data
    before = _known(state, event)
    after = take_term(before, data.term)
    if after is before:
        return Decision(before)
    known = before.terms.get(data.term.id)
    is_news = known is None or after.terms[data.term.id] != replace(known, version=data.term.version)
    return _settled(before, after, event, programme, matters=is_news and _is_awaited(after, data.term, programme))


def on_tier_changed(state: State | None, event: Event, programme: Programme) -> Decision[State]:
    """The member's whole timeline replaces the one known."""
    data: TierChanged = event.data
    before = _known(state, event)
    timeline = tuple(sorted(data.timeline, key=lambda step: step.effective))
    after = before if timeline == before.timeline else replace(before, timeline=timeline)
    return _settled(before, after, event, programme, matters=after is not before)


def on_registered(state: State | None, event: Event, programme: Programme) -> Decision[State]:
    data: CustomerRegistered = event.data
    before = _known(state, event)
    after = moved(before, data.region, data.effective) if data.region and not before.is_erased else before
    return _settled(before, after, event, programme, matters=False)


def on_claim(state: State | None, event: Event, programme: Programme) -> Decision[State]:
    """What is told late, under a number that was given up, is on its way to who remains (`is_astray`)."""
    data: ClaimChanged = event.data
    before = _known(state, event)
    after = take_claim(before, data, backfill=event.backfill)
    decided = _settled(before, after, event, programme, matters=False)
    if event.backfill and going_on(after) is not after:
        decided = replace(decided, state=_woken(decided.state, event.day + DAY))
    is_anothers = data.handed_over == "from" or before.merged_into is not None
    if is_anothers or (data.claim_no in before.claims and data.handed_over is None):
        return decided
    return Decision(decided.state, decided.emit, rows=(ClaimKnown(data.claim_no, data.member_id),))


def on_confirmed(state: State | None, event: Event, programme: Programme) -> Decision[State]:
    data: CoverageExtensionConfirmed = event.data
    answer = Answer(endorsement_no=data.endorsement_no, start=data.start, end=data.end)
    return _answered(state, event, programme, answer)


def on_rejected(state: State | None, event: Event, programme: Programme) -> Decision[State]:
    data: CoverageExtensionRejected = event.data
    is_told = is_code(data.reason) and not (state is not None and state.is_erased)
    return _answered(state, event, programme, Answer(reason=data.reason if is_told else ""))


def on_anniversary(state: State | None, event: Event, programme: Programme) -> Decision[State]:
    """A home policy's anniversary makes a report, once, but for an erased member: it says where the home is."""
    data: PolicyAnniversary = event.data
    before = _known(state, event)
    settled = _settled(before, before, event, programme, matters=False)
    name = report_id(data)
    if event.backfill or data.product_line != PRODUCT_LINE or name in before.reports or before.is_erased:
        return settled
    body = _json.encode(diagnose(settled.state, data, programme))
    row = Report(report_id=name, member_id=data.member_id, policy_no=data.policy_no, made_on=data.effective, body=body)
    ready = SafetyReportReady(
        member_id=data.member_id, report_id=name, policy_no=data.policy_no, effective=data.effective
    )
    after = replace(settled.state, reports=(*before.reports, name))
    return Decision(after, emit=(*settled.emit, ready), rows=(row,))


def on_erased(state: State | None, event: Event, programme: Programme) -> Decision[Any]:
    """What was granted and used stays under the number."""
    if state is None:
        return Decision(None)
    erased = forgotten(state)
    after = state if erased == state else erased
    decided = _settled(state, after, event, programme, matters=False)
    return Decision(decided.state, decided.emit, rows=(Forgotten(state.member_id),))


def on_day(state: State | None, event: Event, programme: Programme) -> Decision[State | None]:
    reached: DayReached = event.data
    if state is None:
        return Decision(None)
    after, told = settle(state, programme, reached.day)
    return Decision(after, emit=told)


def caught_up(state: State, eve: Event, programme: Programme) -> Decision[State]:
    """What is known from history alone, as time alone has brought it to that day. Claims that are open then are advised."""
    return _settled(state, going_on(state), eve, programme, matters=False)


def take_term(state: State, term: Term) -> State:
    """The state with the term, the same object if a newer version is known."""
    known = state.terms.get(term.id)
    if known is not None and known.version >= term.version:
        return state
    taken = KnownTerm(
        policy_no=term.policy_no,
        term_no=term.term_no,
        version=term.version,
        product_line=term.product_line,
        start=term.start,
        covers=term.covers,
        natural_person=term.natural_person,
        region=None if state.is_erased else term.region,
    )
    return replace(state, terms={**state.terms, term.id: taken})


def _known(state: State | None, event: Event) -> State:
    return state if state is not None else State(member_id=event.data.member_id)


def _answered(state: State | None, event: Event, programme: Programme, answer: Answer) -> Decision[State]:
    """The core's answer. A confirmation stands against a rejection, whichever comes first: the endorsement exists."""
    before = _known(state, event)
    known = before.answers.get(event.data.request_id)
    if known == answer or (known is not None and known.is_confirmed and not answer.is_confirmed):
        return Decision(before)
    after = replace(before, answers={**before.answers, event.data.request_id: answer})
    return _settled(before, after, event, programme, matters=True)


def _is_awaited(state: State, term: Term, programme: Programme) -> bool:
    """Whether a coverage extension is asked for that could be added to this term's policy, or stands while there is such cover."""
    lines = {b.product_line for b in programme.benefits.newest.benefits if b.is_extension}
    return term.product_line in lines and any(_rests_on_cover(g) for g in state.grants.values())


def _rests_on_cover(grant: Grant) -> bool:
    return grant.request_id is not None and grant.status in ("requested", "active", "expired")


def _settled(before: State, after: State, event: Event, programme: Programme, *, matters: bool) -> Decision[State]:
    """Make visible what the change implies, if it `matters` to grants, or if something falls due by the event's day."""
    told: tuple[Any, ...] = ()
    if matters or _is_due(after, event.day) or has_moved(before, after):
        after, told = settle(after, programme, event.day, ask=not event.backfill)
    after, advised = advise(after, programme)
    return Decision(after, emit=(*told, *advised))


def _woken(state: State, day: date) -> State:
    """Due by that day."""
    return replace(state, due_on=min(state.due_on or day, day))


def _is_due(state: State, day: date) -> bool:
    return state.due_on is not None and state.due_on <= day


__all__ = [
    "caught_up",
    "on_anniversary",
    "on_claim",
    "on_confirmed",
    "on_day",
    "on_erased",
    "on_gather",
    "on_merged",
    "on_registered",
    "on_rejected",
    "on_release",
    "on_term",
    "on_tier_changed",
    "on_unmerged",
    "on_use",
]
