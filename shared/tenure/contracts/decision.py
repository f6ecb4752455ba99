"""What a rule decides: the state after, what it tells the world, what it appends, and what it answers.

`decide(state, event, programme) -> Decision` is the heart of every service. It is pure: time, ids and the programme are
arguments; it never mutates the state it was given.
"""

from datetime import date, datetime
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from tenure.contracts.event import Data, WrongEventError

S = TypeVar("S")


class Origin(NamedTuple):
    """What an effect is of, where that is another fact than the one decided on: when that happened, and whether it is history."""

    time: datetime
    backfill: bool


class Decision(msgspec.Struct, Generic[S], frozen=True):
    """`state` after; `emit` goes to the outbox in order; `rows` are append-only records for the store; `reply` answers a caller.

    `traces`, if given, has the trace of each effect: those that waited in the state belong to what put them there.
    `origins`, if given, has what each effect is of, None where it is of the cause: of the two the later says when it happened.
    """

    state: S
    emit: tuple[Data, ...] = ()
    rows: tuple[Any, ...] = ()
    reply: Any = None
    traces: tuple[str, ...] = ()
    origins: tuple[Origin | None, ...] = ()


class RefusedError(WrongEventError):
    """A rule refuses: no state changed. From a topic the event is parked, over HTTP it is a problem with this `code`.

    `rows` are appended all the same when a caller is refused, for whoever asks later what came and why it did not count.
    """

    def __init__(self, code: str, detail: str, *, rows: tuple[Any, ...] = ()) -> None:
        super().__init__(code, detail)
        self.rows = rows


class DayReached(Data, frozen=True, kw_only=True):
    """The calendar reached `day` and something of this key falls due: make visible what the dates already imply."""

    key: str
    day: date
