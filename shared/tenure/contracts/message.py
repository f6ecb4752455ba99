"""`message.v1`: messages asked for, and what became of them. No contact data: the channel resolves the member's id."""

from datetime import datetime
from typing import Literal

import msgspec

from tenure.contracts.event import Data

Purpose = Literal["service", "marketing"]
SuppressionReason = Literal["no_consent", "daily_cap", "backfill", "superseded", "stale", "duplicate", "opted_out"]


class MessageRequested(Data, frozen=True, kw_only=True):
    """Anyone may ask: one message per (member, `dedupe`)."""

    member_id: str
    template: str
    dedupe: str
    purpose: Purpose = "service"
    params: dict[str, str | int] = msgspec.field(default_factory=dict)


class MessageEvent(Data, frozen=True, kw_only=True):
    member_id: str
    message_id: str
    template: str
    channel: Literal["in_app", "sms"]
    at: datetime


class MessageSent(MessageEvent, frozen=True, kw_only=True):
    pass


class MessageDelivered(MessageEvent, frozen=True, kw_only=True):
    pass


class MessageFailed(MessageEvent, frozen=True, kw_only=True):
    reason: str


class MessageSuppressed(MessageEvent, frozen=True, kw_only=True):
    reason: SuppressionReason
