"""Which events are worth a message, and what it is about. One function per event type, all through `ask`."""

from typing import Final

from msgspec.structs import replace
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.policy import TermEvent
from tenure.contracts.programme import Programme

from notifier.rules.asking import Draft, ask, member_of, superseded, suppress
from notifier.rules.member import (
    EXPIRING,
    EXTENSIONS_MAX,
    Item,
    Member,
    Pending,
    waiting_at,
    with_book,
    with_pending,
    without,
)
from notifier.rules.progress import known, preview
from notifier.rules.wording import AMOUNTS

ORDER_FULFILLED: Final = "order_fulfilled"
ORDER_FAILED: Final = "order_failed"
Decided = Decision[Member]


def on_member_enrolled(state: Member | None, event: Event, programme: Programme) -> Decided:
    draft = Draft("member_welcome", "first", {"on": event.data.effective.isoformat()})
    return ask(member_of(state, event), event, programme, draft)


def on_policy_expiring(state: Member | None, event: Event, programme: Programme) -> Decided:
    """Reminders of one day are one message; it says what renewing unlocks, as measured last before it goes out."""
    member, term = member_of(state, event), event.data.term
    item = Item(term.policy_no, f"{term.policy_no} ({term.end.isoformat()})")
    draft = Draft(EXPIRING, event.data.effective.isoformat(), preview(known(member, event.day)), (item,))
    return ask(member, event, programme, draft)


def on_term_settled(state: Member | None, event: Event, _: Programme) -> Decided:
    """Renewed or ended: a reminder that has not gone out is no longer needed for this policy."""
    member, data = member_of(state, event), event.data
    assert isinstance(data, TermEvent)
    waiting = waiting_at(member, event.time, lambda p: _reminds_of(p, data.term.policy_no))
    if waiting is None:
        return Decision(member)
    rest = tuple(i for i in waiting.items if i.id != data.term.policy_no)
    if not rest:
        return suppress(without(member, waiting), [superseded(member, waiting, event.time)])
    kept = (replace(p, items=rest) if p is waiting else p for p in member.book.pending)
    return Decision(with_pending(member, kept))


def on_holder_changed(state: Member | None, event: Event, programme: Programme) -> Decided:
    """Only whose own cover no longer reaches the term's end needs no reminder of it; a merger changes hands without that."""
    term = event.data.term
    if any(end >= term.end for _, end in term.covers):
        return Decision(member_of(state, event))
    return on_term_settled(state, event, programme)


def _reminds_of(pending: Pending, policy_no: str) -> bool:
    return pending.template == EXPIRING and any(i.id == policy_no for i in pending.items)


def on_claim_changed(state: Member | None, event: Event, programme: Programme) -> Decided:
    """Whose claim it is may change long after it was paid: that is no progress, and no news. A second payment of one day is."""
    data = event.data
    if data.handed_over is not None:
        return Decision(member_of(state, event))
    params: dict[str, str | int] = {"claim_no": data.claim_no, "status": data.status, "amount": data.amount_fen}
    subject = f"{data.claim_no}:{data.status}:{data.effective.isoformat()}:{data.amount_fen}"
    return ask(member_of(state, event), event, programme, Draft("claim_progress", subject, params))


def on_claim_advised(state: Member | None, event: Event, programme: Programme) -> Decided:
    """Only what the member gains is told: that nobody has to come and look; not of a claim that another had been told of."""
    data, member = event.data, member_of(state, event)
    if not data.on_site_survey_waived or data.handed_over:
        return Decision(member)
    draft = Draft("claim_advised", data.claim_no, {"claim_no": data.claim_no, "tier": data.tier})
    return ask(member, event, programme, draft)


def on_extension_requested(state: Member | None, event: Event, _: Programme) -> Decided:
    """Remembered, because the core's answer names the request and not the benefit."""
    member, pair = member_of(state, event), (event.data.request_id, event.data.benefit)
    if pair in member.book.extensions:
        return Decision(member)
    return Decision(with_book(member, extensions=(*member.book.extensions, pair)[-EXTENSIONS_MAX:]))


def on_extension_confirmed(state: Member | None, event: Event, programme: Programme) -> Decided:
    member, data = member_of(state, event), event.data
    params: dict[str, str | int] = {
        "benefit": data.request_id,
        "endorsement_no": data.endorsement_no,
        "start": data.start.isoformat(),
        "end": data.end.isoformat(),
    }
    return ask(member, event, programme, Draft("benefit_confirmed", data.request_id, params))


def on_extension_rejected(state: Member | None, event: Event, programme: Programme) -> Decided:
    data = event.data
    draft = Draft("benefit_rejected", data.request_id, {"benefit": data.request_id})
    return ask(member_of(state, event), event, programme, draft)


def on_order_fulfilled(state: Member | None, event: Event, programme: Programme) -> Decided:
    """What is paid for: a code is there; goods and services are yet to come, perhaps with something to pay."""
    status = _worded(f"order_{event.data.kind}", ORDER_FULFILLED, event, programme)
    return _on_order(ORDER_FULFILLED, state, event, programme, {"status": status, "amount": event.data.cash_fen})


def on_order_failed(state: Member | None, event: Event, programme: Programme) -> Decided:
    status = _worded(event.data.reason, ORDER_FAILED, event, programme)
    return _on_order(ORDER_FAILED, state, event, programme, {"status": status})


def _worded(code: str, general: str, event: Event, programme: Programme) -> str:
    """The code, if the programme has words for it: a supplier's or the ledger's reason may have none."""
    return code if code in programme.messages.at(event.day).labels else general


def _on_order(
    template: str, state: Member | None, event: Event, programme: Programme, more: dict[str, str | int]
) -> Decided:
    data = event.data
    params = {"order_id": data.order_id, "sku": data.sku, "quantity": data.quantity, "points": data.points, **more}
    return ask(member_of(state, event), event, programme, Draft(template, data.order_id, params))


def on_report_ready(state: Member | None, event: Event, programme: Programme) -> Decided:
    """Several policies: one report each, one message a day."""
    data = event.data
    items = (Item(data.report_id, data.policy_no),)
    draft = Draft("safety_report_ready", data.effective.isoformat(), items=items)
    return ask(member_of(state, event), event, programme, draft)


def on_message_requested(state: Member | None, event: Event, programme: Programme) -> Decided:
    """Raises RefusedError unknown_template, missing_params, wrong_params: whoever asked has to mend it.

    What could not be written would wait for ever, with all that the member is to be told after it.
    """
    data = event.data
    template = programme.messages.at(event.day).template(data.template)
    if template is None or template.event != "message.requested":
        raise RefusedError("unknown_template", f"no template {data.template[:40]!r} can be asked for")
    said = {name for name, value in data.params.items() if str(value).strip()}
    if missing := template.text.names - said:
        raise RefusedError("missing_params", f"{data.template} needs {', '.join(sorted(missing))}")
    if wrong := [n for n in sorted(template.text.names & AMOUNTS) if not isinstance(data.params[n], int)]:
        raise RefusedError("wrong_params", f"{data.template} needs numbers as {', '.join(wrong)}")
    draft = Draft(data.template, data.dedupe, data.params, purpose=data.purpose)
    return ask(member_of(state, event), event, programme, draft)
