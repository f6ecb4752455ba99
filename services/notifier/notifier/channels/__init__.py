"""The ways a message reaches a member: one file per channel. A provider of text messages has the shape of `Channel`."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from notifier.commands import SmsResult


class TextMessage(NamedTuple):
    """What goes out. No phone number: who holds the contact data resolves the member's id."""

    message_id: str
    member_id: str
    at: datetime
    text: str


class Result(NamedTuple):
    """`unknown` = it may have gone out; it is not sent again."""

    result: SmsResult
    reason: str = ""


class Channel(Protocol):
    """A provider of text messages. `send` answers for each message, in order, and does not raise."""

    name: str

    async def send(self, messages: Sequence[TextMessage]) -> list[Result]: ...
