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


def heard(state, event, _):
    life = (*(state.life if state else ()), f"heard {event.day}")
    return Decision(msgspec.structs.replace(state or Known(), life=life), emit=(enrolled(event.day),), rows=("heard",))


def caught_up(state, eve, _):
    assert eve.backfill
    lived = msgspec.structs.replace(state, life=(*state.life, f"up to {eve.day}"))
    return Decision(lived, emit=(enrolled(eve.day), enrolled(eve.day)), rows=("caught up",))


def enrolled(day):
    return MemberEnrolled(member_id="M-1", effective=day)


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
    decided = after_history(caught_up, heard, state, event(backfill=backfill), None)
    assert (decided.state, sum(bool(o and o.backfill) for o in decided.origins)) == (after, history)
    assert decided.rows == (("caught up", "heard") if history else ("heard",))


def test_of_two_each_that_history_began_catches_up():
    states = (Known(("one",), of_history=True), Known(("two",)))
    decided = after_history(caught_up, both, states, event(), None)
    assert [s.life[1:] for s in decided.state] == [("up to 2026-03-01", "heard 2026-03-02"), ("heard 2026-03-02",)]
    decided = after_history(caught_up, both, (None, Known(("two",))), event(backfill=True), None)
    assert [s.of_history for s in decided.state] == [True, False]


def test_the_first_effects_are_flagged_as_the_history_they_are():
    decided = after_history(caught_up, heard, Known(("sold",), of_history=True), event(), None)
    records = records_of(decided, event(), service="s", source="/tenure/s", new_id=None)
    assert [decode(record.headers, record.value).backfill for record in records] == [True, True, False]
