"""What passes the write door, and what becomes of it: one `Outcome` for each `Item`, in order."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from tenure.contracts.event import Event, WrongEventError
from tenure.spine.codec import check_happened, decode, event_key, ordering_key
from tenure.spine.log import Record


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Who calls, under which key, with which body (its hash)."""

    caller: str
    key: str
    fingerprint: bytes

    def part(self, name: object) -> "Idempotency":
        """The key of one item of many: its space keeps it from being any key that a caller may choose."""
        return Idempotency(self.caller, f"{self.key} {name}", self.fingerprint)


@dataclass(slots=True)
class Item:
    """One thing to do. From the log it has a `record`, from HTTP it may have `idempotency`, from the park a `parked_seq`.

    `once`: an event without a record whose own id keeps it from having its effect twice (facts pushed over HTTP). It is
    never parked: what is wrong with it is told to its caller, who may send the same id again. `by`: who lets a parked one pass.
    """

    event: Event | None
    record: Record | None = None
    wrong: WrongEventError | None = None
    idempotency: Idempotency | None = None
    parked_seq: int | None = None
    once: bool = False
    by: str = "replay"
    event_key: uuid.UUID = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        if self.event is not None:
            self.event_key = event_key(self.event.source, self.event.id)
            self.key = ordering_key(self.event.key)
        else:
            assert self.record is not None
            r = self.record
            # A log that forgot gives its offsets out again, so the bytes are part of what names a record.
            self.event_key = event_key(f"record:{r.topic}/{r.partition}", f"{r.offset}:{r.value!r}:{r.headers!r}")
            self.key = ordering_key((r.key or b"").decode(errors="replace")) or f"{r.topic}/{r.partition}"

    @property
    def is_claimed(self) -> bool:
        """Whether its id is claimed in the inbox behind the parked ones of its key. A replayed one claims by itself."""
        return self.parked_seq is None and (self.once or self.record is not None)


def item_of(record: Record, latest: datetime | None) -> Item:
    """A record of the log or the park. What cannot be read is wrong, and so is what was told of later than `latest`."""
    event: Event | None = None
    wrong: WrongEventError | None = None
    try:
        event = decode(record.headers, record.value)
        check_happened(event, latest)
    except WrongEventError as error:
        wrong = error
    return Item(event, record, wrong)


@dataclass(slots=True)
class Outcome:
    """What became of an item: `body` is the answer as JSON; `wrong` says why there was no effect; `seen` = it had one before."""

    body: bytes = b"null"
    wrong: WrongEventError | None = None
    seen: bool = False


class OtherBodyError(WrongEventError):
    """The Idempotency-Key was used before with another body."""

    def __init__(self) -> None:
        super().__init__("idempotency_key_reused", "this Idempotency-Key was used before with another body")
