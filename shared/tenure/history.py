"""What is known from history alone catches up before it lives: what is backfill sends no message and earns no points (DESIGN 4).

The invariant: a state that backfill began is `of_history` until the first event that is not. What time alone had brought by then
is told as history, too, whichever event is the first: up to the day before it, or before the day on which the calendar stood when
the newest of the history was heard (`heard_on`), if one had come: of days that come together the first is the one lived from.
"""

from collections.abc import Callable, Sequence
from datetime import date
from itertools import repeat
from typing import Any, TypeAlias

from msgspec.structs import replace

from tenure.calendar import DAY, start_of
from tenure.contracts.decision import Decision, Origin
from tenure.contracts.event import Event

Rule: TypeAlias = Callable[[Any, Event, Any], Decision[Any]]


def after_history(
    catch_up: Rule, rule: Rule, state: Any, event: Event, programme: Any, *, calendar: date | None
) -> Decision[Any]:
    """What the rule decides, of states whose history has come up to the day before they live. `calendar` is where that stands.

    `catch_up` is told that day, as an event of history, and decides what it implies.
    """
    several = isinstance(state, tuple)
    states: tuple[Any, ...] = state if several else (state,)
    if event.backfill:
        told = rule(state, event, programme)
        after = tuple(map(_heard, states, told.state if several else (told.state,), repeat(calendar)))
        return replace(told, state=after if several else after[0])
    if not any(one is not None and one.of_history for one in states):
        return rule(state, event, programme)
    turns = [_caught_up(catch_up, one, event, programme) for one in states]
    awake = tuple(turn.state for turn in turns)
    return _with(turns, rule(awake if several else awake[0], event, programme), Origin(event.time, backfill=True))


def _with(turns: Sequence[Decision[Any]], told: Decision[Any], history: Origin) -> Decision[Any]:
    emit, rows = tuple(e for t in turns for e in t.emit), tuple(r for t in turns for r in t.rows)
    assert not told.traces, "whatever catches up tells nothing that waited in its state"
    origins = (*repeat(history, len(emit)), *(told.origins or repeat(None, len(told.emit))))
    return replace(told, emit=(*emit, *told.emit), rows=(*rows, *told.rows), origins=origins)


def _heard(before: Any, after: Any, calendar: date | None) -> Any:
    if after is None or not (before is None or after.of_history) or after is before:
        return after
    return replace(after, of_history=True, heard_on=calendar)


def _caught_up(catch_up: Rule, state: Any, event: Event, programme: Any) -> Decision[Any]:
    if state is None or not state.of_history:
        return Decision(state)
    lives_from = min(event.day, state.heard_on or event.day)
    told = catch_up(state, replace(event, time=start_of(lives_from - DAY), backfill=True), programme)
    return replace(told, state=replace(told.state, of_history=False, heard_on=None))
