"""However facts and days are interleaved, the same grants and the same advice come out in the end."""

import itertools
from datetime import date
from types import SimpleNamespace

import benefits_cast as cast
import msgspec
import pytest
from benefits.rules import on_day
from benefits.rules.plan import Life
from benefits.rules.settle import standing
from benefits.service import SERVICE
from benefits.verify import CHECKS
from benefits_life import one_by_one
from hypothesis import given, settings
from hypothesis import strategies as st
from tenure.calendar import start_of
from tenure.contracts.benefit import BenefitEvent
from tenure.contracts.decision import DayReached
from tenure.contracts.event import Event
from tenure.contracts.policy import PolicyCancelled

D = date.fromisoformat
LAST = D("2023-06-01")
VOID = cast.term(version=2, end="2021-01-01", no="P-2")
CANCELLED = PolicyCancelled(
    member_id="M-1",
    term=msgspec.structs.replace(VOID, covers=(), status="void"),
    effective=D("2020-02-10"),
    kind="cooling_off",
)
# Each stream keeps its own order, as a topic does per member; between streams, and between them and the days, any order may come.
POLICY = (
    cast.issued(start="2020-01-01", end="2022-01-01"),
    cast.issued(no="P-2", start="2020-02-01"),
    CANCELLED,
    cast.claim(300_000, on="2020-06-01"),
    cast.claim(600_000, status="assessed", on="2020-06-09"),
    cast.registered(on="2020-07-01"),
    cast.confirmed(request_id="M-1.burst_pipe_liability.20200101"),
    cast.issued(no="P-3", start="2022-09-01", end="2024-01-01"),
)
TIER = (
    cast.tiers(("2020-01-01", "basic")),
    cast.tiers(("2020-01-01", "gold")),
    cast.tiers(("2020-01-01", "gold"), ("2020-05-01", "diamond")),
    cast.tiers(("2020-01-01", "gold"), ("2020-05-01", "diamond"), ("2022-03-01", "gold")),
    cast.tiers(("2020-01-01", "gold"), ("2020-05-01", "diamond"), ("2022-03-01", "gold"), ("2022-10-01", "diamond")),
)
DAYS = tuple(
    DayReached(key="M-1", day=D(d)) for d in ("2020-02-01", "2020-05-01", "2021-03-15", "2022-01-01", "2022-12-31")
)


def day_of(data):
    return getattr(data, "day", None) or getattr(data, "effective", None) or data.start


def live(rules, stream):
    """The state after a stream of facts and days; a day calls the rule as the spine does, only while something is due."""
    state, newest_day, ids = None, date.min, itertools.count()
    for data in stream:
        if isinstance(data, DayReached):
            newest_day = max(newest_day, data.day)
        else:
            event = Event(id=f"{next(ids)}", source="/t", type="t", key="M-1", time=start_of(day_of(data)), data=data)
            state = SERVICE.decide(state, event, rules).state
        while state is not None and state.due_on is not None and state.due_on <= newest_day:
            reached = DayReached(key="M-1", day=newest_day)
            event = Event(id="d", source="/t", type="t", key="M-1", time=start_of(newest_day), data=reached)
            state = on_day(state, event, rules).state
    return state


def outcome(state, rules):
    ever = standing(Life(state, rules, LAST))
    return SimpleNamespace(
        grants={i: msgspec.structs.replace(g, asked=None) for i, g in ever.items()},
        told={*state.grants, *(f"M-1.{name}" for name in state.over)} == set(ever),
        advised={c.claim_no: (c.advised.fast_track, c.advised.on_site_survey_waived) for c in state.claims.values()},
        due_on=state.due_on,
    )


@st.composite
def interleavings(draw):
    queues = [list(POLICY), list(TIER), list(DAYS)]
    order = draw(st.permutations([i for i, q in enumerate(queues) for _ in q]))
    return [queues[i].pop(0) for i in order]


@settings(max_examples=60, deadline=None)
@given(stream=interleavings())
def test_any_interleaving_of_facts_tiers_and_days_comes_to_the_same_grants(rules, stream):
    last = DayReached(key="M-1", day=LAST)
    expected = outcome(live(rules, [*POLICY, *TIER, last]), rules)
    found = live(rules, [*stream, last])
    assert vars(outcome(found, rules)) == vars(expected)
    assert [name for name, check in CHECKS.items() if not check(found, rules)] == []
    assert expected.told
    assert len(expected.grants) > 30


def test_days_in_one_leap_or_one_by_one_tell_the_same_events_by_their_own_dates(rules):
    def told(days):
        state, out = None, []
        for n, data in enumerate((*POLICY, TIER[1], *(DayReached(key="M-1", day=d) for d in days))):
            event = Event(id=str(n), source="/t", type="t", key="M-1", time=start_of(day_of(data)), data=data)
            decided = SERVICE.decide(state, event, rules)
            state = decided.state
            some = [e for e in one_by_one(decided.emit) if isinstance(e, BenefitEvent)]
            out += [(type(e).__name__, e.effective, e.grant_id) for e in some]
        return out

    leap = told([D("2022-06-01")])
    steps = told([D("2021-01-01"), D("2021-06-01"), D("2022-01-01"), D("2022-06-01")])
    requests = {t for t in (*leap, *steps) if t[0] == "CoverageExtensionRequested"}
    assert [t for t in leap if t not in requests] == [t for t in steps if t not in requests]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_tier_policy_and_claim_in_every_order_advise_alike(rules, order):
    facts = [POLICY[0], TIER[1], POLICY[3]]
    state = live(rules, [facts[i] for i in order])
    advised = state.claims["C-1"].advised
    assert (advised.fast_track, advised.on_site_survey_waived) == (True, True)
