"""What a decision causes, as records of the log: each in its own time, its own trace, and small enough to be told.

The invariant: what a cause is decided to bring has the same id whenever that is decided. So a service whose database lost what it
had told (an older backup, a failover that lost its last transactions) tells it again under the id of the first time, and every
inbox drops it. What a day brings has a new id each time: a key may live through one day more than once.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from hashlib import sha1
from itertools import repeat
from typing import Any, Final

import msgspec
from uuid_utils import uuid7

from tenure.calendar import start_of
from tenure.contracts.decision import DayReached, Decision, Origin
from tenure.contracts.event import Data, Event, WrongEventError
from tenure.contracts.keys import key_of
from tenure.contracts.topics import TOPIC_OF, TYPE_OF
from tenure.spine import spans
from tenure.spine.codec import beginning, record_of, value_of
from tenure.spine.log import RECORD_BYTES_MAX, Outgoing, RecordTooLarge, refuse_too_large
from tenure.telemetry.traces import traceparent_of

NewId = Callable[[], object]
VALUE_BYTES_SAFE: Final = RECORD_BYTES_MAX // 4
"""A value holds its key, which stands twice more beside it; with as little, the rest of a record cannot make it too large."""


def records_of(
    decided: Decision[Any], cause: Event, *, service: str, source: str, new_id: NewId | None
) -> list[Outgoing]:
    """The records of what was decided, in order. Raises WrongEventError effect_too_large."""
    if not decided.emit:
        return []
    traces = decided.traces or repeat(cause.traceparent, len(decided.emit))
    causes = [_of(origin, cause) for origin in decided.origins] or repeat(cause, len(decided.emit))
    identify = _ids_of(cause, source, new_id)
    records = [
        record_of(
            data,
            key=key_of(data),
            value=(value := value_of(data)),
            id=identify(n, value),
            source=source,
            time=_time_of(data, origin),
            backfill=origin.backfill,
            traceparent=trace if trace == cause.traceparent else _created(service, data, trace),
        )
        for n, (data, trace, origin) in enumerate(zip(decided.emit, traces, causes, strict=True))
    ]
    if any(len(record.value) > VALUE_BYTES_SAFE for record in records):
        refuse_what_cannot_be_told(records)
    return records


def _of(origin: Origin | None, cause: Event) -> Event:
    """The cause as it is told of: history that a live fact gives ground to stays history, and what is live stays live."""
    if origin is None:
        return cause
    return msgspec.structs.replace(cause, time=max(cause.time, origin.time), backfill=origin.backfill)


def _ids_of(cause: Event, source: str, new_id: NewId | None) -> Callable[[int, bytes], str]:
    """Of the effects of one cause, by their place among them and by what they say. They begin as the cause's own id does, or with
    its time: an inbox grows at its right edge then. `new_id` draws other ones, of a simulation's own.
    """
    if new_id is not None or isinstance(cause.data, DayReached):
        draw = new_id or uuid7
        return lambda *_: str(draw())
    begin = beginning(cause.id) or _beginning_at(cause.time)
    caused = f"{source}\0{cause.source}\0{cause.id}".encode()

    def identify(n: int, value: bytes) -> str:
        end = sha1(b"%b\0%d\0%b" % (caused, n, value), usedforsecurity=False).hexdigest()
        return f"{begin}7{end[:3]}-8{end[3:6]}-{end[6:18]}"

    return identify


def _beginning_at(time: datetime) -> str:
    digits = f"{max(0, int(time.timestamp() * 1000)):012x}"
    return f"{digits[:8]}-{digits[8:]}-"


def _created(service: str, data: Data, trace: str) -> str:
    """The context of an effect that waited in the state: a child of what put it there."""
    span = spans.creating(service, TOPIC_OF[TYPE_OF[type(data)]].name, trace)
    if span is None:
        return trace
    span.end()
    return traceparent_of(span)


def refuse_what_cannot_be_told(records: Iterable[Outgoing]) -> None:
    """An effect that no log takes would hold up the outbox for ever, and everything behind it. Raises WrongEventError."""
    try:
        refuse_too_large(records)
    except RecordTooLarge as error:
        raise WrongEventError("effect_too_large", str(error)) from None


def _time_of(data: Data, cause: Event) -> datetime:
    """When it happened: with its cause, or on its own day where only the calendar caused it.

    A day may be noticed late, after an outage or in a replay, and also by a late fact that is older than the day: what came on
    it still carries that day's time.
    """
    came_on = data.came_on()
    if came_on is not None:
        return start_of(came_on) if came_on != cause.day else cause.time
    day = getattr(data, "effective", None) if isinstance(cause.data, DayReached) else None
    return start_of(day) if day is not None and day < cause.day else cause.time
