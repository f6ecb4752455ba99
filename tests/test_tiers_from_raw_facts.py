"""policy-sync and tier-engine together give the tiers that DESIGN 5.1 and 5.2 and decision 0008 give by hand, whatever order the facts
of a life come in.

The reading beside them knows a life as it came true, holds every covered day in a set and walks through each; 25 lives by default,
always the same; `TENURE_LIVES_MAX` says how many others.
"""

import os
from collections import Counter
from datetime import date, datetime
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_sync.rules.customers import MemberState, member_of
from policy_sync.rules.policies import PolicyState
from policy_sync.service import SERVICE as POLICY_SYNC
from tenure.calendar import start_of
from tenure.contracts import tier
from tenure.contracts.decision import DayReached
from tenure.contracts.event import Data, Event
from tenure.contracts.keys import key_of
from tenure.contracts.programme import Programme
from tenure.contracts.topics import TYPE_OF
from tenure.service import Service
from tier_engine.service import SERVICE as TIER_ENGINE

from .lives import FIRST, MEMBER, Saying, Story, stories
from .second_reading import DAY, Life, TermTold, days_between, years_on

LONG = os.environ.get("TENURE_LIVES_MAX")
EXAMPLES = int(LONG or "25")
LEVELS = ("basic", "silver", "gold", "diamond")
YEARS_AT_LEAST = (0, 2, 5, 8)
FEN_OVER = (-1, 300_00, 800_00, 1_500_00)
Steps = list[tuple[date, str]]


def half_up(exact: Fraction) -> int:
    return floor(exact + Fraction(1, 2))


def counted(days: set[date]) -> set[date]:
    return {day for day in days if (day.month, day.day) != (2, 29)}


def annual_fen(term: TermTold) -> int:
    """What is left of its premium, for 365 days; cut short it is never dearer than its days were sold for."""
    sold = term.premium_fen + sum(fen for _, fen in term.increases) - sum(fen for _, fen in term.decreases)
    left = max(0, sold - sum(fen for _, fen in term.refunds))
    not_lived = Fraction(sold * (term.end - term.last).days, (term.end - term.start).days)
    left = min(left, max(0, sold - half_up(not_lived)))
    days = len(counted(set(days_between(term.start, term.last))))
    return half_up(Fraction(left * 365, days)) if days else 0


def by_hand(lives: list[Life], last_day: date) -> Steps:
    """Each change of the tier up to the last day, found by walking."""
    covered, premium = set[date](), Counter[date]()
    for term in (t for life in lives for t in life.standing):
        days = {day for start, end in term.covers for day in days_between(start, end)}
        covered |= days
        premium.update(dict.fromkeys(days, annual_fen(term)))
    steps, held, confirmed, insured_days = Steps(), -1, date.min, 0
    for day in days_between(min(covered, default=last_day), last_day + DAY):
        worth = max(
            level
            for level in range(len(LEVELS))
            if insured_days // 365 >= YEARS_AT_LEAST[level] or premium[day] > FEN_OVER[level]
        )
        before = held
        if held < 0:
            held = worth if day in covered else -1
        elif worth > held:
            held = worth
        elif worth < held and day >= years_on(confirmed, 1):
            held -= 1
        if held != before:
            steps.append((day, LEVELS[held]))
        if held != before or worth == held:
            confirmed = day
        insured_days += len(counted({day} & covered))
    return steps


class World:
    """Both services' states, and what the log tells of tiers: no spine and no database."""

    def __init__(self, programme: Programme) -> None:
        self.programme, self.ids = programme, 0
        self.policies: dict[str, Any] = {}
        self.members: dict[str, Any] = {}
        self.told: Steps = []

    def hear(self, data: Data, at: datetime) -> None:
        for fact in self._decide(POLICY_SYNC, self.policies, data, at):
            if TYPE_OF[type(fact)] not in TIER_ENGINE.ignores:
                self._judge(fact, at)

    def begin(self, day: date) -> None:
        """A day starts, for the policies and then for the members that have something due."""
        for states, do in ((self.policies, self.hear), (self.members, self._judge)):
            for key in list(states):
                while (due_on := getattr(states[key], "due_on", None)) is not None and due_on <= day:
                    do(DayReached(key=key, day=day), start_of(day))

    def _judge(self, data: Data, at: datetime) -> None:
        for said in self._decide(TIER_ENGINE, self.members, data, at):
            if isinstance(said, tier.TierChanged):
                self.told = [(step.effective, step.tier) for step in said.timeline]

    def _decide(self, service: Service[Any], states: dict[str, Any], data: Data, at: datetime) -> tuple[Data, ...]:
        self.ids += 1
        key = getattr(data, "key", None) or key_of(data)
        name = TYPE_OF.get(type(data), "due")
        event = Event(id=f"e-{self.ids}", source="/core/test", type=name, key=key, time=at, data=data)
        names = service.keys(event)
        before = tuple(states[name] if name in states else _blank(service, name) for name in names)
        decided = service.decide(before if len(before) > 1 else before[0], event, self.programme)
        states.update(zip(names, decided.state if len(before) > 1 else (decided.state,), strict=True))
        return tuple(decided.emit)


def _blank(service: Service[Any], key: str) -> Any:
    if service is TIER_ENGINE:
        return None
    member = member_of(key)
    return MemberState(member_id=member) if member else PolicyState(policy_no=key)


def test_a_life_by_hand() -> None:
    """CNY 800.01 for 2020 is gold, and stays so for a year after its last day; then two years make silver of what is left."""
    sold = [TermTold(1, date(2020, 1, 1), date(2021, 1, 1), 800_01), TermTold(2, date(2021, 1, 1), date(2022, 1, 1), 0)]
    assert by_hand([Life("P-1", sold)], date(2025, 12, 31)) == [
        (date(2020, 1, 1), "gold"),
        (date(2021, 12, 31), "silver"),
    ]


@pytest.mark.timeout(0 if LONG else 120)
@settings(
    max_examples=EXAMPLES, derandomize=not LONG, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data(), story=stories())
def test_the_tiers_of_a_life_are_those_of_the_design_in_any_order(data: Any, story: Story, rules: Programme) -> None:
    order: list[Saying] = data.draw(st.permutations(story.facts) | st.just(story.facts))
    ticks = data.draw(st.dictionaries(st.integers(0, len(order)), st.dates(FIRST, story.last_day), max_size=4))
    world = World(rules)
    for n, saying in enumerate(order):
        world.hear(saying.data, saying.at)
        if n in ticks:
            world.begin(ticks[n])
    world.begin(story.last_day)
    member = world.members.get(MEMBER)
    found = [(step.effective, step.tier) for step in (member.timeline if member else ())]
    assert found == by_hand(story.lives, story.last_day)
    assert world.told == found, "whoever keeps the newest that was told knows the same"
