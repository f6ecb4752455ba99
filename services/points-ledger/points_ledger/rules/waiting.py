"""What came to a number that was given up and waits for its turn, when who the person is by now is there, too.

A turn is due work like any other: its key names the number given up and, after it, the numbers it is tied to.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from tenure.contracts.event import Event
from tenure.contracts.topics import TOPIC_OF

SEPARATOR: Final = " "
"""Stands between two numbers where one key names several; no number has a space."""


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A fact as the log told it; `data` is its JSON, `by` the numbers it came by, the one it was told under first."""

    id: str
    source: str
    type: str
    time: datetime
    backfill: bool
    data: bytes
    by: tuple[str, ...] = ()

    @classmethod
    def of(cls, event: Event) -> "Waiting":
        data = msgspec.json.encode(event.data)
        return cls(event.id, event.source, event.type, event.time, event.backfill, data, (event.key,))

    def event(self, key: str) -> Event:
        """The same, told to another number."""
        data: Any = msgspec.json.decode(self.data, type=TOPIC_OF[self.type].types[self.type])
        return Event(
            id=self.id, source=self.source, type=self.type, key=key, time=self.time, data=data, backfill=self.backfill
        )


class HandOver(msgspec.Struct, frozen=True):
    """A number given up asks for its turn, with the `others` it is tied to."""

    member_id: str
    others: str

    @classmethod
    def to(cls, member_id: str, others: Iterable[str]) -> "HandOver":
        return cls(member_id, SEPARATOR.join(sorted(others)))


class HandedOver(msgspec.Struct, frozen=True):
    """It had that turn."""

    member_id: str
    others: str
