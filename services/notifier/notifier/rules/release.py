"""What is due goes out, or is suppressed with a reason: consent, the day's cap, duplicates, staleness, quiet hours.

The invariants: nothing is told in quiet hours; marketing is told only with consent; no local day has more than the cap; a dedupe
key is used once. In a replay each message is told at its own instant. What a later event would have swallowed is swallowed only
while it still waits, so a correction that was delivered late may be told where it would have been silent.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from tenure.calendar import local_date
from tenure.contracts.decision import Decision
from tenure.contracts.event import Data, Event
from tenure.contracts.message import MessageSent, SuppressionReason
from tenure.contracts.programme import Programme
from tenure.contracts.programme.messages import Messages, Template

from notifier.rules.asking import id_of, member_of, told_not
from notifier.rules.earned import EARNED, is_nothing_earned, left_of, with_the_next
from notifier.rules.expiring import is_nothing_left
from notifier.rules.member import Member, Pending, Suppressed, enqueue, with_pending
from notifier.rules.quiet import sendable
from notifier.rules.tiers import complete, is_about_tier, is_told_by_tier, still_lost
from notifier.rules.wording import Words, write


class Told(Struct, frozen=True, kw_only=True):
    """A message as it stands in the inbox, in both languages. `sms`: it also goes out as a text message, in the member's."""

    message_id: str
    member_id: str
    template: str
    dedupe: str
    purpose: str
    capped: bool
    asked_at: datetime
    scheduled_for: datetime
    sent_at: datetime
    language: str
    title_zh: str
    title_en: str
    text_zh: str
    text_en: str
    sms: bool
    backfill: bool
    handed_by: tuple[str, ...] = ()


class Turn(NamedTuple):
    """One run of the sender over one member's queue."""

    event: Event
    programme: Programme

    def rules(self, pending: Pending) -> Messages:
        return self.programme.messages.at(local_date(pending.asked_at))

    def at(self, pending: Pending) -> datetime:
        """The instant at which the message is told."""
        return max(self.event.data.now or pending.send_at, pending.send_at)


def on_send_due(state: Member | None, event: Event, programme: Programme) -> Decision[Member]:
    """Everything due, in the order of days, service before marketing, the templates' order in the file, and as it happened."""
    member, turn = member_of(state, event), Turn(event, programme)
    rows: list[Told | Suppressed] = []
    told: list[Pending] = []
    traces: list[str] = []
    for pending in _due(member, turn):
        member, row = _settle(member, pending, turn, told)
        if row is not None:
            rows.append(row)
            traces.append(pending.traceparent or event.traceparent)
        if isinstance(row, Told):
            told.append(pending)
    return Decision(member, emit=tuple(map(_says, rows)), rows=tuple(rows), traces=tuple(traces))


def _due(member: Member, turn: Turn) -> list[Pending]:
    now = turn.event.data.now
    if member.send_at is None:
        return []
    due = [p for p in member.book.pending if now is None or p.send_at <= now]

    def order(p: Pending) -> tuple[object, ...]:
        rank = turn.rules(p).rank(p.template)
        return local_date(turn.at(p)), p.purpose == "marketing", rank, p.send_at, p.asked_at

    return sorted(due, key=order)


def _settle(
    member: Member, pending: Pending, turn: Turn, told: list[Pending]
) -> tuple[Member, Told | Suppressed | None]:
    """Tell it, suppress it, or put it off to where quiet hours end."""
    rest = with_pending(member, (p for p in member.book.pending if p is not pending))
    rules, at = turn.rules(pending), turn.at(pending)
    template = rules.template(pending.template)
    if template is None:
        return rest, Suppressed(member_id=member.member_id, pending=pending, reason="opted_out", at=at)
    reason = _why_not(member, pending, turn) or ("superseded" if _is_over(pending, rest, told) else None)
    if reason == "duplicate" and pending.template == EARNED:
        return enqueue(rest, with_the_next(pending, rules)), None
    if reason is None and _must_wait(pending, at, rules):
        return with_pending(rest, (*rest.book.pending, replace(pending, send_at=sendable(at, rules)))), None
    if reason is None and template.capped and member.told.get(local_date(at), 0) >= rules.daily_max:
        reason = "daily_cap"
    if reason is not None:
        return rest, Suppressed(member_id=member.member_id, pending=pending, reason=reason, at=at)
    return _counted(rest, pending, at, template), _told(member, pending, at, template, turn)


def _is_over(pending: Pending, rest: Member, told: list[Pending]) -> bool:
    return is_nothing_left(pending) or is_nothing_earned(pending) or is_told_by_tier(pending, rest, told)


def _why_not(member: Member, pending: Pending, turn: Turn) -> SuppressionReason | None:
    if pending.dedupe in member.taken:
        return "duplicate"
    if pending.purpose == "marketing" and not member.marketing:
        return "no_consent"
    late = turn.at(pending) - pending.send_at
    return "stale" if late > timedelta(hours=turn.rules(pending).stale_after_h) else None


def _must_wait(pending: Pending, at: datetime, rules: Messages) -> bool:
    """A sender that is late must not send in quiet hours, nor on a day whose messages it has not counted."""
    return sendable(at, rules) != at or local_date(at) != local_date(pending.send_at)


def _counted(member: Member, pending: Pending, at: datetime, template: Template) -> Member:
    day = local_date(at)
    told = {**member.told, day: member.told.get(day, 0) + 1} if template.capped else member.told
    return replace(member, told=told, taken=member.taken | {pending.dedupe})


def _told(member: Member, pending: Pending, at: datetime, template: Template, turn: Turn) -> Told:
    ready = complete(pending, member) if is_about_tier(pending) else still_lost(left_of(pending), member)
    extensions = dict(member.book.extensions)
    chinese = Words(ready, "zh", turn.programme, turn.rules(pending), extensions)
    english = chinese._replace(language="en")
    return Told(
        message_id=id_of(member.member_id, pending),
        member_id=member.member_id,
        template=pending.template,
        dedupe=pending.dedupe,
        purpose=pending.purpose,
        capped=template.capped,
        asked_at=pending.asked_at,
        scheduled_for=pending.send_at,
        sent_at=at,
        language=member.language,
        title_zh=write(template.title, chinese),
        title_en=write(template.title, english),
        text_zh=write(template.text, chinese),
        text_en=write(template.text, english),
        sms=member.sms and "sms" in template.channels,
        backfill=pending.backfill,
        handed_by=pending.handed_by,
    )


def _says(row: Told | Suppressed) -> Data:
    if isinstance(row, Suppressed):
        return told_not(row)
    return MessageSent(
        member_id=row.member_id, message_id=row.message_id, template=row.template, channel="in_app", at=row.sent_at
    )
