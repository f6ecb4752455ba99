"""policy-sync and points-ledger together agree with a second reading of the design, whatever order the facts of a life come in.

25 lives by default, always the same; `TENURE_LIVES_MAX` says how many others, for as long as it takes: a time-out in the midst of
drawing a life looks to hypothesis like a strategy that draws otherwise each time.
"""

import os
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tenure.calendar import start_of
from tenure.contracts import tier
from tenure.contracts.programme import Programme

from .both_rules import Both
from .lives import FIRST, MEMBER, Saying, Story, stories
from .second_reading import Steps, standing

LONG = os.environ.get("TENURE_LIVES_MAX")
EXAMPLES = int(LONG or "25")
PATIENT = pytest.mark.timeout(0 if LONG else 120)


def climbed(steps: Steps) -> tier.TierChanged:
    timeline = tuple(tier.Step(effective=day, tier=name, cause="upgrade") for day, name in steps)
    return tier.TierChanged(
        member_id=MEMBER,
        from_tier="none",
        to_tier=steps[-1][1],
        effective=steps[-1][0],
        retroactive=False,
        reasons=(),
        nearest=None,
        policies=(),
        insured_days=0,
        annual_premium_fen=0,
        rules_version=1,
        timeline=timeline,
    )


def told(story: Story, order: list[Saying], ticks: dict[int, date], tier_at: int, programme: Programme) -> Both:
    both = Both(programme)
    for n, saying in enumerate(order):
        if n == tier_at and story.tiers:
            both.hear_member(climbed(story.tiers), start_of(story.tiers[-1][0]))
        both.hear_core(saying.data, saying.at)
        if n in ticks:
            both.begin(ticks[n])
    if tier_at >= len(order) and story.tiers:
        both.hear_member(climbed(story.tiers), start_of(story.tiers[-1][0]))
    both.begin(story.last_day)
    return both


@PATIENT
@settings(
    max_examples=EXAMPLES, derandomize=not LONG, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data(), story=stories())
def test_a_life_comes_to_what_the_design_says_in_any_order(data: Any, story: Story, rules: Programme) -> None:
    order = data.draw(st.permutations(story.facts) | st.just(sorted(story.facts, key=lambda s: s.at)))
    tick_days = st.dates(FIRST, story.last_day)
    ticks = data.draw(st.dictionaries(st.integers(0, len(order)), tick_days, max_size=4))
    both = told(story, order, ticks, data.draw(st.integers(0, len(order) + 1)), rules)
    expected = standing(story.lives, story.tiers, story.last_day)
    found = (
        both.net("points"),
        both.balance(MEMBER, "points_pending"),
        both.balance(MEMBER, "points_available"),
        sum(both.net("growth").values()),
    )
    assert found == tuple(expected)
    assert both.balance(MEMBER, "points_debt") == 0
