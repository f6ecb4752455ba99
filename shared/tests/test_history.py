"""What history began catches up before it lives, and what that brings is told as history."""

from datetime import date, datetime

import msgspec
import pytest
from tenure.calendar import SHANGHAI
from tenure.contracts.decision import Decision
from tenure.contracts.event import Event
from tenure.contracts.policy import MemberEnrolled
from tenure.history import after_history
from tenure.spine.codec import decode
from tenure.spine.effects import records_of

D = date(2026, 3, 2)


class Known(msgspec.Struct, frozen=True):
    """A state that lists what it has been through."""

    life: tuple[str, ...] = ()
    of_history: bool = False
    heard_on: date | None = None


def heard(state, event, _):
    life = (*(state.life if state else ()), f"heard {event.day}")
    return Decision(msgspec.structs.replace(state or Known(), life=life), emit=(enrolled(event.day),), rows=("heard",))


def caught_up(state, eve, _):
    assert eve.backfill
    lived = msgspec.structs.replace(state, life=(*state.life, f"up to {eve.day}"))
    return Decision(lived, emit=(enrolled(eve.day), enrolled(eve.day)), rows=("caught up",))


def enrolled(day):
    return MemberEnrolled(member_id="M-1", effective=day)


def decided_on(state, e, *, rule=heard, calendar=None):
    return after_history(caught_up, rule, state, e, None, calendar=calendar)


def event(*, backfill=False):
    time = datetime(2026, 3, 2, 12, tzinfo=SHANGHAI)
    return Event(id="1", source="/core", type="t", key="M-1", time=time, data=enrolled(D), backfill=backfill)


def both(state, e, _):
    """A rule of two states."""
    return Decision(tuple(heard(one, e, None).state for one in state), emit=(enrolled(e.day),))


@pytest.mark.parametrize(
    ("state", "backfill", "after", "history"),
    [
        (None, True, Known(("heard 2026-03-02",), of_history=True), 0),
        (None, False, Known(("heard 2026-03-02",)), 0),
        (Known(("sold",), of_history=True), True, Known(("sold", "heard 2026-03-02"), of_history=True), 0),
        (Known(("sold",), of_history=True), False, Known(("sold", "up to 2026-03-01", "heard 2026-03-02")), 2),
        (Known(("sold",)), False, Known(("sold", "heard 2026-03-02")), 0),
        (Known(("sold",)), True, Known(("sold", "heard 2026-03-02")), 0),
    ],
    ids=[
        "history begins it",
        "a fact begins it",
        "more history",
        "the first that lives",
        "a life",
        "history of a life",
    ],
)
def test_a_state_lives_from_the_first_event_that_is_not_history(state, backfill, after, history):
    decided = decided_on(state, event(backfill=backfill))
    assert (decided.state, sum(bool(o and o.backfill) for o in decided.origins)) == (after, history)
    assert decided.rows == (("caught up", "heard") if history else ("heard",))


@pytest.mark.parametrize(
    ("stood", "up_to"),
    [(None, "2026-03-01"), ("2026-02-20", "2026-02-19"), ("2026-03-02", "2026-03-01"), ("2026-03-05", "2026-03-01")],
    ids=["no day had come", "days came together", "on the day of the import", "a fact that is late"],
)
def test_history_reaches_to_where_the_calendar_stood_when_it_was_heard(stood, up_to):
    calendar = date.fromisoformat(stood) if stood else None
    imported = decided_on(None, event(backfill=True), calendar=calendar).state
    assert (imported.of_history, imported.heard_on) == (True, calendar)
    living = decided_on(imported, event(), calendar=D).state
    assert living.life == ("heard 2026-03-02", f"up to {up_to}", "heard 2026-03-02")
    assert (living.of_history, living.heard_on) == (False, None)


def test_the_newest_of_the_history_counts():
    before = Known(("sold",), of_history=True, heard_on=date(2026, 2, 1))
    assert decided_on(before, event(backfill=True), calendar=D).state.heard_on == D
    alive = Known(("sold",))
    assert decided_on(alive, event(backfill=True), calendar=D).state.heard_on is None


def test_of_two_each_that_history_began_catches_up():
    states = (Known(("one",), of_history=True), Known(("two",)))
    decided = decided_on(states, event(), rule=both)
    assert [s.life[1:] for s in decided.state] == [("up to 2026-03-01", "heard 2026-03-02"), ("heard 2026-03-02",)]
    decided = decided_on((None, Known(("two",))), event(backfill=True), rule=both)
    assert [s.of_history for s in decided.state] == [True, False]


def test_the_first_effects_are_flagged_as_the_history_they_are():
    decided = decided_on(Known(("sold",), of_history=True), event())
    records = records_of(decided, event(), service="s", source="/tenure/s", new_id=None)
    assert [decode(record.headers, record.value).backfill for record in records] == [True, True, False]
