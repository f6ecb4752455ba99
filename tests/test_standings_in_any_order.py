"""Whatever comes in whatever order, a row of member-view says of lapse and risk what tier-engine says: the rules alone, no database."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from member_view.service import SERVICE as MEMBER_VIEW
from msgspec.structs import replace
from tenure.calendar import start_of
from tenure.contracts.decision import DayReached
from tenure.contracts.event import Data, Event
from tenure.contracts.policy import PolicyEndorsed, Term
from tenure.contracts.programme import Programme, Versions
from tenure.contracts.topics import TYPE_OF
from tenure_local.standings import lapse_is_shown, risk_is_shown
from tier_engine.service import SERVICE as TIER_ENGINE

FIRST, LAST = date(2019, 1, 1), date(2026, 1, 1)
EXAMPLES = 300


@st.composite
def terms(draw: st.DrawFn) -> Term:
    """Two policies of up to three terms; a later version of a term has another premium or end, or never was."""
    policy_no, term_no = draw(st.sampled_from(("P-1", "P-2"))), draw(st.integers(1, 3))
    start = FIRST + timedelta(draw(st.integers(0, 4)) * 100 + term_no * 400)
    end = start + timedelta(draw(st.sampled_from((90, 365, 1_460))))
    void = draw(st.sampled_from((False, False, False, True)))
    return Term(
        policy_no=policy_no,
        term_no=term_no,
        member_id="M-1",
        product_line=draw(st.sampled_from(("home", "motor"))),
        start=start,
        end=end,
        written_end=end,
        premium_fen=draw(st.sampled_from((20_000, 40_000, 160_000))),
        status="void" if void else "in_force",
        version=1,
        covers=() if void else ((start, end),),
        natural_person=draw(st.sampled_from((True, True, False))),
        inception=start,
    )


class World:
    """One member in two services; what tier-engine tells, member-view hears."""

    def __init__(self, programme: Programme) -> None:
        self.programme, self.member, self.view = programme, None, None
        self.newest: date = date.min

    def fact(self, term: Term, on: date) -> None:
        event = _event(
            PolicyEndorsed(member_id="M-1", term=term, effective=on, endorsement_no="E", premium_delta_fen=1), on
        )
        self.view = MEMBER_VIEW.decide(self.view, event, self.programme).state
        self._judge(event)

    def day(self, on: date) -> None:
        self.newest = max(self.newest, on)
        while self.member is not None and self.member.due_on is not None and self.member.due_on <= self.newest:
            self._judge(_event(DayReached(key="M-1", day=self.newest), self.newest))

    @property
    def agrees(self) -> bool:
        if self.member is None:
            return True
        shown = (self.member, self.view, self.programme)
        return risk_is_shown(*shown, self.newest) and lapse_is_shown(*shown)

    def _judge(self, event: Event) -> None:
        decided: Any = TIER_ENGINE.decide(self.member, event, self.programme)
        self.member = decided.state
        for told in decided.emit:
            self.view = MEMBER_VIEW.decide(self.view, _event(told, event.day), self.programme).state


def _event(data: Data, on: date) -> Event:
    return Event(id="e", source="/t", type=TYPE_OF.get(type(data), "due"), key="M-1", time=start_of(on), data=data)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    heard=st.lists(st.tuples(terms(), st.integers(0, 2_500), st.booleans()), min_size=1, max_size=12),
    home_only_from=st.sampled_from((None, date(2022, 1, 1))),
)
def test_lapse_and_risk_are_shown_as_they_are(
    rules: Programme, heard: Sequence[tuple[Term, int, bool]], home_only_from: date | None
) -> None:
    """`heard`: a term in its next version, so many days after the first; and whether that day's tick came before."""
    first = rules.tiers.newest
    lines = [replace(first, version=2, effective=home_only_from, eligible_product_lines=frozenset({"home"}))]
    world = World(Programme(**{**vars(rules), "tiers": Versions([first, *(lines if home_only_from else [])])}))
    for version, (term, days, tick) in enumerate(heard, start=1):
        on = FIRST + timedelta(days)
        if tick:
            world.day(on)
            assert world.agrees
        world.fact(replace(term, version=version), on)
        assert world.agrees
    world.day(LAST)
    assert world.agrees
