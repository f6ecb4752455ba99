"""The fast timeline equals the literal day-by-day one on whatever portfolios hypothesis thinks of."""

from datetime import date, timedelta

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tenure.contracts.tier import tier_on
from tier_engine.rules import live, standing_of
from tier_engine.rules.evidence import evidence

from .cases import RULES, day, insured, programme, stricter, term, with_growth_days
from .model import tiers_by_day

FIRST, LAST = date(2013, 12, 1), date(2030, 6, 30)
EDGES = [date(2016, 2, 28), date(2016, 2, 29), date(2016, 3, 1), date(2015, 3, 1), date(2020, 2, 29), date(2017, 1, 1)]
starts = st.one_of(st.sampled_from(EDGES), st.dates(date(2014, 1, 1), date(2021, 12, 31)))
lengths = st.sampled_from([1, 2, 30, 90, 180, 364, 365, 365, 365, 366, 730, 1095, 1825, 2922])
premiums = st.sampled_from([0, 1, 29_999, 30_000, 30_001, 50_001, 79_999, 80_001, 150_000, 150_001, 7_397])


@st.composite
def terms(draw, no):
    start = draw(starts)
    length = draw(lengths)
    end = start + timedelta(days=length)
    void = draw(st.integers(0, 9)) == 0
    covers = None
    if length >= 90 and draw(st.integers(0, 4)) == 0:
        # lapsed in the middle and reinstated
        gap = draw(st.integers(1, 60))
        middle = start + timedelta(days=draw(st.integers(1, length - 62)))
        covers = [(str(start), str(middle)), (str(middle + timedelta(days=gap)), str(end))]
    return term(
        start, end, premium=draw(premiums) / 100, policy=f"P-{no}", line=draw(st.sampled_from(["home", "home", "motor"])),
        void=void, person=draw(st.integers(0, 9)) > 0, covers=covers,
    )  # fmt: skip


@st.composite
def portfolios(draw):
    return [draw(terms(no)) for no in range(draw(st.integers(0, 5)))]


@st.composite
def programmes(draw):
    one = draw(
        st.sampled_from([RULES, RULES, with_growth_days(), replace(RULES, eligible_product_lines=frozenset({"home"}))])
    )
    two = stricter("2018-02-28", silver=(1, 200), gold=(3, 1200), diamond=(7, 1500))
    three = replace(stricter("2020-02-29", version=3), eligible_product_lines=frozenset({"home"}))
    return programme(*[one, two, three][: draw(st.integers(1, 3))])


growths = st.lists(st.tuples(st.dates(date(2014, 1, 1), date(2022, 1, 1)), st.integers(-60, 120)), max_size=6).map(
    lambda pairs: tuple(sorted(dict(pairs).items()))
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(portfolio=portfolios(), growth=growths, rules=programmes())
@example(portfolio=[term("2016-02-29", "2016-03-01", premium=1)], growth=(), rules=programme())
@example(portfolio=[term("2014-03-01", years=9)], growth=(), rules=programme())
@example(portfolio=[term("2016-02-29", years=9)], growth=(), rules=programme())
@example(portfolio=[term("2015-03-01", "2016-02-29", premium=400)], growth=(), rules=programme())
def test_every_day_is_as_the_model_says(portfolio, growth, rules):
    held = insured(*portfolio)
    life = live(held, growth, rules.tiers)
    for d, days, premium, q, tier in tiers_by_day(held, growth, rules.tiers, FIRST, LAST):
        assert tier_on(life.steps, d) == (tier or "none"), d
        if d.day in {1, 28, 29}:  # measures are looked up, so a sample of days says as much as all
            s = standing_of(life, d)
            assert (s.insured_days, s.annual_premium_fen) == (days, premium), d
            assert s.qualified_tier == (q or "none"), d
    assert all(a.effective < b.effective for a, b in zip(life.steps, life.steps[1:], strict=False))


@settings(max_examples=200, deadline=None)
@given(portfolio=portfolios(), growth=growths, rules=programmes(), at=st.dates(date(2014, 1, 1), date(2030, 1, 1)))
def test_a_risk_is_open_exactly_while_the_tier_is_kept_without_a_condition(portfolio, growth, rules, at):
    life = live(insured(*portfolio), growth, rules.tiers)
    s, risk = standing_of(life, at), life.risk_at(at)
    names = [t.name for t in rules.tiers.at(at).tiers]
    below = s.tier != "none" and names.index(s.qualified_tier) < names.index(s.tier)
    assert (risk is not None) == below
    if risk is not None:
        assert risk.tier == s.tier
        assert risk.effective <= at < risk.drops_on


@settings(max_examples=100, deadline=None)
@given(portfolio=portfolios(), growth=growths, rules=programmes(), at=st.dates(date(2014, 1, 1), date(2030, 1, 1)))
def test_the_evidence_adds_up_to_what_was_measured(portfolio, growth, rules, at):
    held = insured(*portfolio)
    s, found = standing_of(live(held, growth, rules.tiers), at), evidence(held, growth, rules.tiers.at(at), at)
    assert (found.insured_days, found.annual_premium_fen) == (s.insured_days, s.annual_premium_fen)
    assert sum(i.days for i in found.intervals) + found.growth_days == s.insured_days
    assert sum(p.annual_premium_fen for p in found.policies) == s.annual_premium_fen
    assert any(p.in_force for p in found.policies) == s.covered


def test_the_end_of_the_calendar_is_no_obstacle():
    life = live(insured(term("2015-01-01", "9999-12-31", premium=400)), (), programme().tiers)
    assert [(str(s.effective), s.tier) for s in life.steps] == [
        ("2015-01-01", "basic"),
        ("2017-01-01", "silver"),
        ("2020-01-01", "gold"),
        ("2023-01-01", "diamond"),
    ]
    assert life.next_change(day("2023-01-01")) is None
