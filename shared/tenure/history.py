"""What is known from history alone catches up before it lives: what is backfill sends no message and earns no points (DESIGN 4).

The invariant: a state that backfill began is `of_history` until the first event that is not; what time alone had brought by the day
before that event is told as history, too, whichever event is the first.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, TypeAlias

from msgspec.structs import replace

from tenure.calendar import DAY, start_of
from tenure.contracts.decision import Decision, Origin
from tenure.contracts.event import Event

Rule: TypeAlias = Callable[[Any, Event, Any], Decision[Any]]


def after_history(catch_up: Rule, rule: Rule, state: Any, event: Event, programme: Any) -> Decision[Any]:
    """What the rule decides, of states whose history has come up to the day before the event's.

    `catch_up` is told the eve of the event's day, as an event of history, and decides what that day implies.
    """
    several = isinstance(state, tuple)
    states: tuple[Any, ...] = state if several else (state,)
    if event.backfill:
        told = rule(state, event, programme)
        after = tuple(map(_begun, states, told.state if several else (told.state,)))
        return replace(told, state=after if several else after[0])
    if not any(one is not None and one.of_history for one in states):
        return rule(state, event, programme)
    eve = replace(event, time=start_of(event.day - DAY), backfill=True)
    turns = [_caught_up(catch_up, one, eve, programme) for one in states]
    awake = tuple(turn.state for turn in turns)
    return _with(turns, rule(awake if several else awake[0], event, programme), Origin(eve.time, backfill=True))


def _with(turns: Sequence[Decision[Any]], told: Decision[Any], history: Origin) -> Decision[Any]:
    emit, rows = tuple(e for t in turns for e in t.emit), tuple(r for t in turns for r in t.rows)
    assert not told.traces, "whatever catches up tells nothing that waited in its state"
    origins = (*repeat(history, len(emit)), *(told.origins or repeat(None, len(told.emit))))
    return replace(told, emit=(*emit, *told.emit), rows=(*rows, *told.rows), origins=origins)


def _begun(before: Any, after: Any) -> Any:
    return replace(after, of_history=True) if before is None and after is not None else after


def _caught_up(catch_up: Rule, state: Any, eve: Event, programme: Any) -> Decision[Any]:
    if state is None or not state.of_history:
        return Decision(state)
    told = catch_up(state, eve, programme)
    return replace(told, state=replace(told.state, of_history=False))
