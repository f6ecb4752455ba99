"""What is known from history alone is told as history up to the day before it lives, whichever event is its first (DESIGN 4)."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tenure.contracts.policy import PolicyExpiring
from tenure.contracts.tier import TierChanged
from tier_engine.rules import keys
from tier_engine.service import SERVICE

from .cases import STANDARD, came, day, event, growth, known, merged, term, unmerged
from .test_against_the_model import portfolios

LIVES = date(2015, 11, 1)


class World:
    """The members, and all that was told about them, each with whether it is history."""

    def __init__(self):
        self.members, self.told = {}, []

    def happen(self, *events):
        """Returns the changes of tier that were told, as history and as news."""
        before = len(self.told)
        for e in events:
            touched = keys(e)
            states = tuple(self.members.get(k) for k in touched)
            told = SERVICE.decide(states if len(states) > 1 else states[0], e, STANDARD)
            after = told.state if len(states) > 1 else (told.state,)
            self.members.update({k: s for k, s in zip(touched, after, strict=True) if s is not None})
            origins = told.origins or (None,) * len(told.emit)
            now = [((o or e).backfill, data) for o, data in zip(origins, told.emit, strict=True)]
            assert [row.backfill for row in told.rows] == [h for h, data in now if isinstance(data, TierChanged)]
            self.told += now
        return tuple(_changes(self.told[before:], history=h) for h in (True, False))


def _changes(told, *, history):
    return [f"{c.to_tier} {c.effective}" for h, c in told if h is history and isinstance(c, TierChanged)]


def of_history(*terms):
    return [replace(known(t), backfill=True) for t in terms]


def expiring(t, at):
    return event(PolicyExpiring(member_id=t.member_id, term=t, effective=day(at)), at)


SINCE_2003 = term("2003-12-01", years=12, premium=200)
SINCE_2013 = term("2013-11-01", years=3, premium=200)
ENDED = term("2013-06-01", premium=500)
STEPS = ["silver 2005-12-01", "gold 2008-12-01", "diamond 2011-12-01"]

FIRST = [
    # what comes first of all that is not history        told as history    told as news
    ("a day comes", SINCE_2003, [came(LIVES)], STEPS, []),
    ("it is to end within a month", SINCE_2003, [expiring(SINCE_2003, "2015-11-01")], STEPS, []),
    ("it is paid", SINCE_2003, [known(SINCE_2003, LIVES)], STEPS, []),
    ("growth is earned", SINCE_2003, [growth(5, LIVES)], STEPS, []),
    ("another policy begins", SINCE_2003, [known(term("2015-11-01", policy="P-2", premium=2000), LIVES)], STEPS, []),
    ("another policy begins, over 1,500.00", SINCE_2013, [known(term("2015-11-01", policy="P-2", premium=1900), LIVES)],
        [], ["diamond 2015-11-01"]),
    ("two years are full on that day", SINCE_2013, [came(LIVES)], [], ["silver 2015-11-01"]),
    ("two years were full the day before", term("2013-10-31", years=3, premium=200), [came(LIVES)], ["silver 2015-10-31"], []),
    ("two years are full the day after", term("2013-11-02", years=3, premium=200), [came(LIVES), came("2015-11-02")],
        [], ["silver 2015-11-02"]),
    ("it ended a year before: the drop is history", ENDED, [came("2015-11-01")],
        ["basic 2015-05-31"], []),
    ("it ended, and the drop is to come", ENDED, [came("2015-05-30"), came("2015-05-31")],
        [], ["basic 2015-05-31"]),
]  # fmt: skip


@pytest.mark.parametrize(("first", "history", "events", "as_history", "as_news"), FIRST, ids=[row[0] for row in FIRST])
def test_what_time_had_brought_before_the_first_live_event_is_history(first, history, events, as_history, as_news):
    world = World()
    first_tier = "silver" if history is ENDED else "basic"
    assert world.happen(*of_history(history)) == ([f"{first_tier} {history.start}"], [])
    assert world.happen(*events) == (as_history, as_news)


def test_the_next_day_that_comes_is_the_first_whatever_else_is_due():
    """Else what is reached on the days after it would be met by a later one, and be history."""
    world = World()
    world.happen(*of_history(SINCE_2013))
    assert world.members["M-1"].due_on == SINCE_2013.start + timedelta(1)
    world.happen(came("2015-10-01"))
    assert world.members["M-1"].due_on == LIVES


def test_a_member_that_lives_is_told_what_comes_later_than_its_day():
    """An outage over the day delays what a live member is told; it does not make it history."""
    world = World()
    world.happen(*of_history(SINCE_2013), came("2015-10-01"))
    assert world.happen(came("2015-11-20")) == ([], ["silver 2015-11-01"])


def test_history_that_is_entered_later_is_history_too():
    world = World()
    world.happen(known(term("2015-01-01", years=2, premium=200), LIVES))
    older = replace(known(term("2003-01-01", years=12, premium=200, policy="P-0")), backfill=True)
    as_history, as_news = world.happen(older)
    assert (as_history[-1], as_news) == ("diamond 2003-01-01", [])


def test_a_policy_that_is_told_days_after_it_began_is_news():
    assert World().happen(known(term("2015-10-20", premium=900), LIVES)) == ([], ["gold 2015-10-20"])


def test_both_that_are_merged_have_caught_up_before():
    world = World()
    other = term("2004-12-01", years=12, premium=200, member="M-2", policy="P-2")
    world.happen(*of_history(SINCE_2003, other))
    as_history, as_news = world.happen(merged("M-1", "M-2", LIVES))
    assert as_history == [*STEPS, "silver 2006-12-01", "gold 2009-12-01", "diamond 2012-12-01"]
    assert as_news == ["none 2004-12-01"]
    as_history, as_news = world.happen(unmerged("M-1", "M-2", "2015-11-02"))
    assert (as_history, as_news) == ([], ["diamond 2004-12-01"])


@settings(max_examples=150, deadline=None)
@given(portfolios(), st.randoms())
def test_nothing_older_than_its_day_is_news_and_the_end_is_the_same(terms, rnd):
    """Whichever of the first day's events comes first; and whoever keeps the newest timeline holds that of a life all live."""
    if not terms:
        return
    lives = rnd.choice([on for t in terms for on in (t.start, t.end)]) + timedelta(7)
    world, alive = World(), World()
    world.happen(*of_history(*terms))
    alive.happen(*[known(t) for t in terms])
    firsts = [came(lives), known(terms[-1], lives), expiring(terms[0], str(lives))]
    rnd.shuffle(firsts)
    before = len(world.told)
    world.happen(*firsts, came(lives))
    alive.happen(*firsts, came(lives))
    news = [c.effective for h, c in world.told[before:] if not h and isinstance(c, TierChanged)]
    assert [on for on in news if on < lives] == []
    assert replace(world.members["M-1"], of_history=False) == alive.members["M-1"]
