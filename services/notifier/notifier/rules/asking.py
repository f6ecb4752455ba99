"""From an occasion to a queued message: the one path every message takes, whoever asks for it."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.message import MessageSuppressed, Purpose, SuppressionReason
from tenure.contracts.programme import Programme

from notifier.rules.member import PENDING_MAX, Item, Member, Params, Pending, Suppressed, enqueue
from notifier.rules.quiet import send_at


class Draft(NamedTuple):
    """What to tell. `subject` names the change: one message per (member, template, subject). None = the day it goes out."""

    template: str
    subject: str | None
    params: Params = MappingProxyType({})
    items: tuple[Item, ...] = ()
    purpose: Purpose = "service"


def member_of(state: Member | None, event: Event) -> Member:
    return state or Member(member_id=event.key)


def message_id(member_id: str, dedupe: str) -> str:
    """Derived, so that whatever repeats it names the same message."""
    return blake2b(f"{member_id}\0{dedupe}".encode(), digest_size=16).hexdigest()


def id_of(member_id: str, pending: Pending) -> str:
    """The id of a message that waits: by the number it was asked for, also once it waits with another number of the person."""
    return message_id(pending.handed_by[0] if pending.handed_by else member_id, pending.dedupe)


def ask(member: Member, event: Event, programme: Programme, *drafts: Draft) -> Decision[Member]:
    """Queue the drafts. History is only counted; an erased member is told nothing; a template the operator removed is silent."""
    if member.erased or not drafts:
        return Decision(member)
    if event.backfill:
        return Decision(replace(member, backfilled=member.backfilled + len(drafts)))
    overflow: list[Suppressed] = []
    for draft in drafts:
        pending = _pending(draft, event, programme)
        if pending is None:
            continue
        if len(member.book.pending) >= PENDING_MAX:
            overflow.append(_suppressed(member, pending, "daily_cap", pending.send_at))
        else:
            member = enqueue(member, pending)
    return suppress(member, overflow)


def _pending(draft: Draft, event: Event, programme: Programme) -> Pending | None:
    rules = programme.messages.at(event.day)
    template = rules.template(draft.template)
    if template is None:
        return None
    at = send_at(event.time, template, rules)
    return Pending(
        template=draft.template,
        subject=at.date().isoformat() if draft.subject is None else draft.subject,
        purpose="marketing" if "marketing" in (draft.purpose, template.purpose) else "service",
        asked_at=event.time,
        send_at=at,
        params=dict(draft.params),
        items=draft.items,
        backfill=event.backfill,
        traceparent=event.traceparent,
    )


def suppress(member: Member, suppressed: Iterable[Suppressed]) -> Decision[Member]:
    """The member as given; what is not told is told to the world, and recorded."""
    rows = tuple(suppressed)
    return Decision(member, emit=tuple(told_not(s) for s in rows), rows=rows)


def superseded(member: Member, pending: Pending, at: datetime) -> Suppressed:
    return _suppressed(member, pending, "superseded", at)


def _suppressed(member: Member, pending: Pending, reason: SuppressionReason, at: datetime) -> Suppressed:
    return Suppressed(member_id=member.member_id, pending=pending, reason=reason, at=at)


def told_not(suppressed: Suppressed) -> MessageSuppressed:
    return MessageSuppressed(
        member_id=suppressed.member_id,
        message_id=id_of(suppressed.member_id, suppressed.pending),
        template=suppressed.pending.template,
        channel="in_app",
        at=suppressed.at,
        reason=suppressed.reason,
    )


def both(first: Decision[Member], second: Decision[Member]) -> Decision[Member]:
    """Two steps of one decision; the second went on from the first's state."""
    return Decision(second.state, emit=first.emit + second.emit, rows=first.rows + second.rows, reply=second.reply)
