"""What is asked of the notifier over HTTP and by its own timers. Decided by rules like any event."""

from datetime import datetime
from typing import Literal

from tenure.contracts.event import Data
from tenure.contracts.programme.messages import Language

SmsResult = Literal["sent", "failed", "unknown"]


class SetPreferences(Data, frozen=True, kw_only=True):
    """What a member wants; None leaves a preference as it is."""

    member_id: str
    marketing: bool | None = None
    language: Language | None = None
    sms: bool | None = None


class SendDue(Data, frozen=True, kw_only=True):
    """Tell what is due. `now` is the wall's instant on a live platform; None = each message at its own instant, as in a replay."""

    member_id: str
    now: datetime | None = None


class ReadMessage(Data, frozen=True, kw_only=True):
    member_id: str
    message_id: str


class ClaimSms(Data, frozen=True, kw_only=True):
    """Mark a text message as being sent, before it is: whoever finds it so after a crash knows that it may be out."""

    message_id: str


class SettleSms(Data, frozen=True, kw_only=True):
    message_id: str
    result: SmsResult
    at: datetime
    reason: str = ""


class RecordReceipt(Data, frozen=True, kw_only=True):
    """What a provider says became of a text message."""

    message_id: str
    status: Literal["delivered", "failed"]
    reason: str = ""


class Gather(Data, frozen=True, kw_only=True):
    """What `member_id` had brought comes back by way of those it went through, and all it has goes to `to_id`; None: is its own."""

    member_id: str
    through: tuple[str, ...] = ()
    to_id: str | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(n for n in (self.member_id, *self.through, self.to_id) if n is not None))
