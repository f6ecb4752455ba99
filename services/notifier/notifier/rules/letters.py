"""One message after it stands in the inbox: read, and, where it also goes out as a text message, what became of that.

sms: none | queued -> sending -> sent -> delivered | failed, or unknown when a crash came between sending and knowing. What is
unknown is never sent again: only a receipt tells.
"""

from datetime import datetime
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Data, Event
from tenure.contracts.message import MessageDelivered, MessageFailed, MessageSent
from tenure.contracts.programme import Programme

Sms = Literal["none", "queued", "sending", "sent", "delivered", "failed", "unknown"]
AWAITS_RECEIPT: Final = frozenset({"sending", "sent", "unknown"})
KEY_PREFIX: Final = "message "
"""A message's own key. No member id has a space."""


class Letter(Struct, frozen=True, kw_only=True):
    message_id: str
    member_id: str
    template: str
    sent_at: datetime
    read_at: datetime | None = None
    sms: Sms = "none"
    sms_at: datetime | None = None
    reason: str = ""


Decided = Decision[Letter | None]


def key_of(message_id: str) -> str:
    return KEY_PREFIX + message_id


def on_read(letter: Letter | None, event: Event, _: Programme) -> Decided:
    """Raises RefusedError not_found, also for a message of someone else."""
    if letter is None or letter.member_id != event.data.member_id:
        raise RefusedError("not_found", "there is no such message")
    if letter.read_at is None:
        letter = replace(letter, read_at=event.time)
    return Decision(letter, reply={"message_id": letter.message_id, "read_at": letter.read_at})


def on_claim_sms(letter: Letter | None, event: Event, _: Programme) -> Decided:
    """Replies whether this caller is the one to send it."""
    if letter is None or letter.sms != "queued":
        return Decision(letter, reply=False)
    return Decision(replace(letter, sms="sending", sms_at=event.time), reply=True)


def on_settle_sms(letter: Letter | None, event: Event, _: Programme) -> Decided:
    if letter is None or letter.sms != "sending":
        return Decision(letter)
    data = event.data
    after = replace(letter, sms=data.result, sms_at=event.time, reason=data.reason)
    return Decision(after, emit=_news(after, data.at))


def on_receipt(letter: Letter | None, event: Event, _: Programme) -> Decided:
    """The first word of the provider counts. Raises RefusedError not_found."""
    if letter is None or letter.sms in {"none", "queued"}:
        raise RefusedError("not_found", "no text message of this id went out")
    if letter.sms not in AWAITS_RECEIPT:
        return Decision(letter, reply={"message_id": letter.message_id, "sms": letter.sms})
    after = replace(letter, sms=event.data.status, sms_at=event.time, reason=event.data.reason)
    return Decision(after, emit=_news(after, event.time), reply={"message_id": after.message_id, "sms": after.sms})


def _news(letter: Letter, at: datetime) -> tuple[Data, ...]:
    who, what, how = letter.member_id, letter.message_id, letter.template
    match letter.sms:
        case "sent":
            return (MessageSent(member_id=who, message_id=what, template=how, channel="sms", at=at),)
        case "delivered":
            return (MessageDelivered(member_id=who, message_id=what, template=how, channel="sms", at=at),)
        case "failed":
            reason = letter.reason
            return (MessageFailed(member_id=who, message_id=what, template=how, channel="sms", at=at, reason=reason),)
    return ()
