"""The envelope of every event: CloudEvents 1.0 in Kafka's binary mode, the value as JSON (DESIGN section 3).

`id` + `source` is the dedupe key. `key` is what order is kept by. `time` is when the thing happened in the producer's world,
so a replay of 2016 carries times of 2016. `backfill` marks history: it changes state, sends no message, earns no points, and
whatever an event causes inherits it.
"""

from datetime import date, datetime
from typing import Any

import msgspec

from tenure.calendar import local_date


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What every event's data derives from: immutable, unknown fields ignored."""

    def came_on(self) -> date | None:
        """The day on which this came by the mere passing of time, whenever it was noticed; None for all that facts cause."""
        return None


class Dated:
    """A mixin for milestones: they happened at the start of their `effective` day, and that is their event's time."""

    __slots__ = ()
    effective: date

    def came_on(self) -> date | None:
        return self.effective


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One fact, decoded: the CloudEvents attributes and its typed data."""

    id: str
    source: str
    type: str
    key: str
    time: datetime
    data: Any
    subject: str = ""
    backfill: bool = False
    traceparent: str = ""

    @property
    def day(self) -> date:
        """The local date of `time`, in Asia/Shanghai."""
        return local_date(self.time)


class WrongEventError(Exception):
    """The event itself is wrong (schema, unknown type or version, a rule refuses it): park it, do not retry it.

    `code` is stable and machine-readable; `detail` says in words what is wrong and carries no personal data.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
