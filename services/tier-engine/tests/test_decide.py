"""Facts in, differences out: what is told, when, and that the order of arrival does not matter."""

import random
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as amended
from tenure.contracts.decision import RefusedError
from tenure.contracts.policy import CustomerMerged
from tenure.contracts.tier import TierAtRisk, TierChanged, TierProgressed
from tier_engine.rules import keys, on_day, on_granted, on_merged, on_reversed, on_term, on_unmerged, timeline
from tier_engine.rules.decide import Reviewed, on_reviewed

from .cases import (
    RULES,
    STANDARD,
    came,
    continuous,
    day,
    event,
    growth,
    insured,
    known,
    merged,
    programme,
    stricter,
    term,
    unmerged,
    with_growth_days,
)
from .test_against_the_model import portfolios

RULE_OF = {
    "PolicyIssued": on_term,
    "CustomerMerged": on_merged,
    "CustomerUnmerged": on_unmerged,
    "DayReached": on_day,
    "PointsGranted": on_granted,
    "PointsReversed": on_reversed,
    "Reviewed": on_reviewed,
}


class World:
    """The members, and all that was told about them."""

    def __init__(self, rules=STANDARD):
        self.members, self.told, self.rules, self.records = {}, [], rules, []

    def happen(self, *events):
        before = len(self.told)
        for e in events:
            self._happen(e)
        return self.told[before:]

    def _happen(self, e):
        touched = keys(e)
        states = tuple(self.members.get(k) for k in touched)
        decision = RULE_OF[e.type](states if len(states) > 1 else states[0], e, self.rules)
        after = decision.state if len(states) > 1 else (decision.state,)
        self.members.update({k: s for k, s in zip(touched, after, strict=True) if s is not None})
        self.told += decision.emit
        self.records += decision.rows

    def let_days_come(self, until):
        """As the spine's due work does it, on the last day only; whose turn is refused stays due, and has it when another had theirs."""
        for _ in range(50):
            due = [name for name, m in self.members.items() if m.due_on is not None and m.due_on <= until]
            if not [name for name in due if self._day_came(until, name)]:
                return
        raise AssertionError("something stays due for ever")

    def _day_came(self, until, name):
        try:
            self._happen(came(until, self.members[name].turn))
        except RefusedError:
            return False
        return True

    def believed(self, member="M-1"):
        """What a consumer holds that keeps the newest timeline."""
        return next(
            (t.timeline for t in reversed(self.told) if isinstance(t, TierChanged) and t.member_id == member), ()
        )


def changes(told):
    return [(str(t.effective), t.from_tier, t.to_tier, t.retroactive) for t in told if isinstance(t, TierChanged)]


def test_a_first_policy_makes_a_member():
    world = World()
    told = world.happen(known(term("2018-01-01", premium=290)))
    assert changes(told) == [("2018-01-01", "none", "basic", False)]
    (first, progress) = told
    assert first.reasons == ()
    assert (first.policies, first.annual_premium_fen, first.rules_version) == (("P-1",), 290_00, 1)
    assert (first.nearest.tier, first.nearest.missing) == ("silver", 10_01)
    assert isinstance(progress, TierProgressed)
    assert progress.covered


def test_both_conditions_on_one_day_are_one_change_with_both_reasons():
    world = World()
    world.happen(*[known(t) for t in continuous("2016-01-01", 2)])
    told = world.happen(known(term("2018-01-01", premium=400, no=3)))
    (change,) = [t for t in told if isinstance(t, TierChanged)]
    assert [(r.measure, r.actual, r.threshold, r.operator) for r in change.reasons] == [
        ("insured_years", 2, 2, ">="),
        ("annual_premium_fen", 400_00, 300_00, ">"),
    ]


@pytest.mark.parametrize(
    ("sold", "endorsed", "told"),
    [(310, 290, ("2024-01-01", "silver", "basic", True)), (290, 310, ("2024-01-01", "basic", "silver", True))],
)
def test_an_endorsement_moves_the_premium_of_its_whole_term(sold, endorsed, told):
    """Endorsed by CNY 20 with effect from 1 November: silver from the term's first day, or never (decision 0016)."""
    world = World()
    world.happen(known(term("2024-01-01", premium=sold)), came("2024-10-31"))
    assert changes(world.happen(known(term("2024-01-01", premium=endorsed, version=2), "2024-11-01"))) == [told]


def test_an_anniversary_is_told_on_its_day_without_a_fact():
    world = World()
    world.happen(known(term("2016-01-01", years=3)))
    member = world.members["M-1"]
    assert str(member.due_on) == "2018-01-01"
    told = world.happen(came("2018-01-01"))
    assert changes(told) == [("2018-01-01", "basic", "silver", False)]
    assert [type(t) for t in told] == [TierChanged]  # time alone tells no progress
    assert world.members["M-1"].due_on is None


def test_many_days_at_once_are_told_in_order_with_their_own_dates():
    world = World()
    world.happen(known(term("2016-01-01", premium=2000)))
    told = world.happen(came("2019-06-01"))
    assert changes(told) == [
        ("2017-12-31", "diamond", "gold", False),
        ("2018-12-31", "gold", "silver", False),
    ]
    assert [len(t.timeline) for t in told if isinstance(t, TierChanged)] == [2, 3]
    (risk,) = [t for t in told if isinstance(t, TierAtRisk)]
    assert (risk.tier, risk.to_tier, str(risk.drops_on)) == ("silver", "basic", "2019-12-31")


def test_a_risk_is_told_once_with_what_would_keep_the_tier():
    world = World()
    world.happen(known(term("2016-01-01", premium=400)))
    (risk,) = world.happen(came("2017-01-01"))
    assert (risk.tier, risk.to_tier, str(risk.effective), str(risk.drops_on)) == (
        "silver",
        "basic",
        "2017-01-01",
        "2017-12-31",
    )
    assert (risk.nearest.tier, risk.nearest.measure, risk.nearest.missing) == ("silver", "insured_years", 365)
    assert world.happen(came("2017-06-01")) == []


def test_a_risk_that_time_alone_ends_is_told_on_its_day():
    """Silver for CNY 400 until the end of 2016; a cheap policy since July 2015 completes two insured years on 1 July 2017."""
    world = World()
    world.happen(known(term("2015-07-01", premium=200, years=3)), known(term("2016-01-01", premium=400, policy="P-2")))
    (risk,) = world.happen(came("2017-01-01"))
    assert (str(risk.drops_on), str(world.members["M-1"].due_on)) == ("2017-12-31", "2017-07-01")
    (told,) = world.happen(came("2017-07-01"))
    assert (type(told), told.tier, told.confirmed) == (TierProgressed, "silver", True)
    assert world.members["M-1"].warned is None


def test_a_risk_that_comes_back_is_told_again():
    """A premium lowered, put right and lowered after all: in between it was told that the risk is over."""
    world, running = World(), term("2017-01-01", premium=400, no=2)
    world.happen(known(term("2016-01-01", premium=400)), known(running))
    told = []
    for version, premium in enumerate((100, 400, 100), start=2):
        told += world.happen(known(amended(running, version=version, premium_fen=premium * 100), "2017-03-01"))
    assert [(type(t), str(t.drops_on)) for t in told if isinstance(t, TierAtRisk)] == [(TierAtRisk, "2017-12-31")] * 2


def test_paying_as_agreed_tells_nothing():
    world = World()
    t = term("2018-01-01")
    world.happen(known(t))
    assert world.happen(known(amended(t, version=2), "2018-01-05")) == []
    assert world.members["M-1"].terms[0].version == 2


def test_a_policy_that_begins_next_month_measures_nothing_yet():
    world = World()
    world.happen(known(term("2018-01-01")), came("2018-03-01"))
    assert world.happen(known(term("2018-04-01", policy="P-2"), "2018-03-01")) == []


def test_an_old_id_is_due_only_while_something_waits_under_it():
    world = World()
    own = term("2016-01-01", member="M-2", policy="P-2")
    world.happen(known(term("2017-01-01")), known(own), merged("M-1", "M-2", "2018-01-01"))
    assert world.members["M-2"].due_on is None
    world.happen(growth(3, "2018-01-05", "M-2"))
    assert world.members["M-2"].due_on == day("2018-01-05")
    world.happen(growth(-3, "2018-01-05", "M-2"))
    assert world.members["M-2"].due_on is None


def test_an_older_version_and_a_duplicate_change_nothing_at_all():
    world = World()
    t = term("2018-01-01", version=2)
    world.happen(known(t))
    before = world.members["M-1"]
    assert world.happen(known(t), known(amended(t, version=1, premium_fen=1))) == []
    assert world.members["M-1"] is before


def test_a_cooling_off_cancellation_takes_the_tier_back_as_if_never_held():
    world = World()
    t = term("2018-01-01", premium=900)
    world.happen(known(t))
    told = world.happen(known(amended(t, version=2, status="void", covers=()), "2018-01-10"))
    assert changes(told) == [("2018-01-01", "gold", "none", True)]
    assert told[0].timeline == ()
    assert told[0].reasons == ()
    assert world.members["M-1"].timeline == ()


def test_a_late_policy_is_told_as_one_correction():
    """Silver on the second anniversary; then cover two years earlier comes to light."""
    world = World()
    world.happen(known(term("2016-01-01", years=3)), came("2018-06-01"))
    told = world.happen(known(term("2014-01-01", years=2, no=0), "2018-06-01"))
    assert changes(told) == [("2014-01-01", "silver", "silver", True)]
    assert [(str(s.effective), s.tier) for s in told[0].timeline] == [("2014-01-01", "basic"), ("2016-01-01", "silver")]
    assert told[0].reasons[0].actual == 2


def test_a_late_fact_that_only_adds_a_step_is_retroactive_too():
    world = World()
    world.happen(known(term("2018-01-01")), came("2018-12-31"))
    world.happen(known(term("2018-02-01", policy="P-x", premium=1), "2018-12-31"))
    told = world.happen(known(term("2018-06-01", policy="P-2", premium=300), "2018-12-31"))
    assert changes(told) == [("2018-06-01", "basic", "silver", True)]


@pytest.mark.parametrize("ticks", [[], ["2018-03-01", "2018-12-31"]])
@pytest.mark.parametrize(
    ("known_on", "retroactive"), [("2018-06-01", False), ("2018-06-02", True), ("2018-12-31", True)]
)
def test_whether_a_change_is_retroactive_does_not_hang_on_ticks(ticks, known_on, retroactive):
    world = World()
    world.happen(known(term("2018-01-01")))
    for tick in ticks:
        if tick < known_on:
            world.let_days_come(day(tick))
    told = world.happen(known(term("2018-06-01", policy="P-2", premium=300), known_on))
    assert changes(told) == [("2018-06-01", "basic", "silver", retroactive)]


def test_an_anniversary_that_a_fact_reveals_is_not_retroactive():
    """The day's tick is late: the next fact finds the anniversary due and tells it, with its own date."""
    world = World()
    world.happen(known(term("2016-01-01", years=3)))
    told = world.happen(known(term("2018-03-01", policy="P-2", premium=10)))
    assert changes(told) == [("2018-01-01", "basic", "silver", False)]


def test_a_short_backdating_keeps_the_gap_closed():
    """The renewal arrives five days after the old term ended: nothing is lost, nothing is corrected."""
    world = World()
    world.happen(known(term("2016-01-01", premium=400)), came("2017-01-03"))
    told = world.happen(known(term("2017-01-01", premium=400, no=2), "2017-01-06"))
    assert changes(told) == []
    assert world.members["M-1"].due_on is None  # in 2018 two years are complete, and they stay


def test_growth_earned_and_taken_back():
    world = World(programme(with_growth_days()))
    world.happen(
        *[known(t) for t in continuous("2016-01-01", 2)],
        growth(40, "2017-02-01"),
        growth(500, "2017-02-01", wallet="points"),
    )
    assert str(world.members["M-1"].due_on) == "2017-11-22"
    world.happen(growth(-10, "2017-03-01"))
    assert str(world.members["M-1"].due_on) == "2017-12-02"
    assert world.happen(growth(5, "2017-03-01", member="M-2", wallet="points")) == []
    assert "M-2" not in world.members


def test_a_merged_member_leaves_all_to_the_remaining_one():
    world = World()
    world.happen(known(term("2016-01-01", member="M-2")), known(term("2017-01-01", member="M-1", policy="P-2")))
    told = world.happen(came("2017-06-01"), merged("M-1", "M-2", "2018-01-01"))
    by_member = {t.member_id: t for t in told if isinstance(t, TierChanged)}
    assert (by_member["M-2"].from_tier, by_member["M-2"].to_tier, by_member["M-2"].timeline) == ("basic", "none", ())
    assert [(str(s.effective), s.tier) for s in by_member["M-1"].timeline] == [
        ("2016-01-01", "basic"),
        ("2018-01-01", "silver"),
    ]
    assert world.members["M-2"].terms == ()


def test_what_still_comes_under_the_old_id_is_handed_over():
    world = World()
    world.happen(known(term("2017-01-01", member="M-1")), merged("M-1", "M-2", "2018-01-01"))
    world.happen(known(term("2016-01-01", member="M-2", policy="P-2"), "2018-01-02"))
    assert world.members["M-2"].due_on == day("2018-01-02")
    world.let_days_come(day("2018-01-02"))
    assert world.members["M-2"].terms == ()
    assert world.members["M-2"].due_on is None
    assert [(str(s.effective), s.tier) for s in world.believed()] == [("2016-01-01", "basic"), ("2018-01-01", "silver")]


def test_after_a_merge_a_newer_share_of_a_term_replaces_the_old_ids_share():
    world = World()
    old = term("2018-01-01", premium=400, member="M-2")
    world.happen(known(old), merged("M-1", "M-2", "2018-02-01"))
    world.happen(known(amended(old, member_id="M-1", version=2, premium_fen=50_00), "2018-03-01"))
    assert world.believed()[0].tier == "basic"
    world.happen(known(amended(old, member_id="M-1", version=3, status="void", covers=()), "2018-03-02"))
    assert world.believed() == ()


def test_after_a_merge_a_policy_that_goes_to_another_altogether_is_gone():
    world = World()
    old = term("2018-01-01", premium=400, member="M-2")
    world.happen(known(old), merged("M-1", "M-2", "2018-02-01"))
    world.happen(known(amended(old, member_id="M-1", version=2), "2018-02-02"))
    world.happen(known(amended(old, member_id="M-1", version=3, covers=()), "2018-03-01"))
    assert world.believed() == ()


def test_shares_of_a_term_that_changed_hands_between_the_two_both_count():
    world = World()
    whole = term("2018-01-01", premium=400)
    first = amended(whole, member_id="M-2", version=2, covers=((day("2018-01-01"), day("2018-07-01")),))
    second = amended(whole, member_id="M-1", version=3, covers=((day("2018-07-01"), day("2019-01-01")),))
    world.happen(known(first), known(second, "2018-07-01"), merged("M-1", "M-2", "2018-08-01"), came("2018-12-31"))
    assert [(str(s.effective), s.tier) for s in world.believed()] == [("2018-01-01", "silver")]


def test_published_rules_are_applied_to_whoever_was_judged_by_older_ones():
    world = World()
    world.happen(known(term("2018-01-01", premium=200)))
    world.rules = programme(RULES, stricter("2018-07-01", silver=(1, 100), gold=(5, 800), diamond=(8, 1500)))
    assert world.happen(event(Reviewed(member_id="M-1"), "2018-06-01")) == []
    assert world.members["M-1"].due_on == day("2018-07-01")
    (change,) = world.happen(came("2018-07-01"))
    assert (change.to_tier, change.rules_version) == ("silver", 2)


DEARER_GOLD = stricter("2018-07-01", silver=(2, 300), gold=(5, 1000), diamond=(8, 1500))


def test_on_the_day_of_new_rules_what_is_missing_is_told_anew():
    """Silver both before and after; gold asked for CNY 800, now for 1,000. Days without news around it tell nothing."""
    world = World(programme(RULES, DEARER_GOLD))
    told = world.happen(known(term("2018-01-01", premium=500)))
    assert told[-1].nearest.threshold == 800_00
    assert world.members["M-1"].due_on == day("2018-07-01")
    assert world.happen(came("2018-06-30")) == []
    (told,) = world.happen(came("2018-07-01"))
    assert (type(told), told.tier, told.nearest.threshold, told.confirmed) == (TierProgressed, "silver", 1000_00, True)
    assert world.happen(came("2018-07-01"), came("2018-07-02")) == []


def test_on_the_day_of_rules_that_no_longer_count_a_line_the_lapse_is_told():
    """A motor policy is no cover of a home-only programme."""
    home_only = amended(RULES, version=2, effective=day("2018-07-01"), eligible_product_lines=frozenset({"home"}))
    world = World(programme(RULES, home_only))
    world.happen(known(term("2018-01-01", premium=2000, line="motor", years=2)))
    *_, told = world.happen(came("2018-07-01"))
    assert (type(told), told.tier, told.covered) == (TierProgressed, "gold", False)


def test_a_day_of_new_rules_that_ask_the_same_of_a_member_tells_nothing():
    same_to_silver = stricter("2018-07-01", silver=(2, 300), gold=(5, 800), diamond=(8, 2000))
    world = World(programme(RULES, same_to_silver))
    world.happen(known(term("2018-01-01", premium=500)))
    assert world.happen(came("2018-07-01")) == []


@pytest.mark.parametrize("day_first", [True, False], ids=["the day first", "the fact first"])
def test_a_late_fact_is_as_retroactive_as_without_a_day_of_new_rules(day_first):
    """A policy of 15 July that is told on 1 August: the past changed, whether or not 1 July was noticed before it came."""
    late = known(term("2018-07-15", premium=400, policy="P-2"), "2018-08-01")
    told = []
    other = stricter("2018-07-01", silver=(2, 300), gold=(5, 850), diamond=(8, 1500))
    for rules in (programme(RULES), programme(RULES, other)):
        world = World(rules)
        world.happen(known(term("2018-01-01", premium=500)))
        if day_first:
            world.let_days_come(day("2018-07-01"))
        told.append(changes(world.happen(late)))
    assert told == [[("2018-07-15", "silver", "gold", True)]] * 2


def test_every_change_is_on_record_with_its_cause():
    world = World()
    e = known(term("2018-01-01"))
    world.happen(e)
    (record,) = world.records
    assert (record.cause, record.change.to_tier) == (f"/core/test {e.id}", "basic")


def test_a_member_has_a_limited_number_of_terms(monkeypatch):
    monkeypatch.setattr("tier_engine.rules.member.TERMS_MAX", 2)
    world = World()
    two = continuous("2016-01-01", 2)
    world.happen(*map(known, two))
    world.happen(known(amended(two[0], version=2)))
    with pytest.raises(RefusedError, match="too_many_terms"):
        world.happen(known(term("2018-01-01", no=3)))


def test_two_persons_after_all_get_back_what_is_theirs():
    apart, world = World(), World()
    facts = [
        known(term("2016-01-01", premium=100)),
        known(term("2015-01-01", years=3, premium=900, member="M-2", policy="P-2")),
        growth(30, "2016-05-05", "M-2"),
        growth(10, "2016-05-05"),
    ]
    for w in (apart, world):
        w.happen(*facts)
    world.happen(merged("M-1", "M-2", "2017-01-01"))
    world.happen(growth(5, "2017-02-02", "M-2"), came("2017-02-02", "M-1 M-2"))  # heard under the old id, handed over
    assert world.members["M-1"].growth[-1] == (day("2017-02-02"), 5)
    told = world.happen(unmerged("M-1", "M-2", "2017-06-01"), unmerged("M-1", "M-2", "2017-06-01", told_to="M-2"))
    apart.happen(growth(5, "2017-02-02", "M-2"))
    for w in (apart, world):
        w.let_days_come(date(2019, 1, 1))
    for member in ("M-1", "M-2"):
        assert _end(world, member) == _end(apart, member)
    changes = [(c.member_id, c.from_tier, c.to_tier, c.retroactive) for c in told if isinstance(c, TierChanged)]
    assert changes == [("M-1", "silver", "basic", True), ("M-2", "none", "silver", True)], (
        "each is told once, as a whole"
    )
    assert world.members["M-1"].brought == ()
    measured = {p.member_id: (p.tier, p.annual_premium_fen) for p in told if isinstance(p, TierProgressed)}
    assert measured == {"M-1": ("basic", 0), "M-2": ("silver", 300_00)}, "and how far each is"


def test_who_was_brought_along_goes_back_along():
    """M-3 was merged into M-2, M-2 into M-1: when M-2 is a person again, M-3 is still one with them."""
    world = World()
    world.happen(
        known(term("2018-01-01", premium=100)),
        known(term("2016-01-01", premium=100, member="M-2", policy="P-2")),
        known(term("2014-01-01", years=2, premium=100, member="M-3", policy="P-3")),
        growth(7, "2015-01-01", "M-3"),
    )
    world.happen(merged("M-2", "M-3", "2018-02-01"), merged("M-1", "M-2", "2018-03-01"))
    world.happen(unmerged("M-1", "M-2", "2018-04-01"))
    assert [t.policy_no for t in world.members["M-1"].terms] == ["P-1"]
    assert [t.policy_no for t in world.members["M-2"].terms] == ["P-2", "P-3"]
    assert world.members["M-2"].growth == ((day("2015-01-01"), 7),)
    world.happen(unmerged("M-2", "M-3", "2018-05-01"))
    assert [t.policy_no for t in world.members["M-3"].terms] == ["P-3"]
    assert world.members["M-2"].growth == ()


def test_an_unmerge_of_those_who_are_not_one_is_nothing():
    world = World()
    world.happen(known(term("2018-01-01")), known(term("2018-01-01", member="M-2", policy="P-2")))
    before = dict(world.members)
    assert world.happen(unmerged("M-1", "M-2", "2018-02-01")) == []
    assert world.members == before


def test_a_merge_with_oneself_is_nothing():
    world = World()
    world.happen(known(term("2018-01-01")))
    before = world.members["M-1"]
    world.happen(event(CustomerMerged(member_id="M-1", merged_id="M-1", effective=day("2018-02-01")), "2018-02-01"))
    assert world.members["M-1"] is before


# Order of arrival ---------------------------------------------------------------------------------------------------

LAST = date(2027, 1, 1)


@st.composite
def histories(draw):
    """Facts about up to two ids, some terms in several versions, growth, and perhaps a merge."""
    facts = []
    for no, drawn in enumerate(draw(portfolios())):
        member = draw(st.sampled_from(["M-1", "M-1", "M-2"]))
        t = amended(drawn, member_id=member, policy_no=f"P-{no}", version=1)
        facts.append(known(t, draw(st.sampled_from([t.start, t.start, date(2018, 5, 5)]))))
        if draw(st.booleans()):
            facts.append(known(amended(t, version=2, premium_fen=draw(st.sampled_from([20_000, 100_000])))))
        if draw(st.integers(0, 4)) == 0:
            facts.append(known(amended(t, version=3, status="void", covers=())))
            if draw(st.booleans()):  # reversed and applied again
                facts.append(known(amended(t, version=4, premium_fen=draw(st.sampled_from([31_000, 90_000])))))
    for on, points in draw(
        st.lists(st.tuples(st.dates(date(2015, 1, 1), date(2020, 1, 1)), st.integers(1, 60)), max_size=3)
    ):
        facts.append(growth(points, on, draw(st.sampled_from(["M-1", "M-2"]))))
    if draw(st.booleans()):
        facts.append(merged("M-1", "M-2", date(2019, 1, 1)))
        if draw(st.booleans()):
            facts.append(unmerged("M-1", "M-2", date(2019, 7, 1)))
    return facts


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    facts=histories(),
    ticks=st.lists(st.dates(date(2014, 1, 1), LAST), max_size=6),
    seed=st.integers(0, 2**32),
    rules=st.sampled_from([STANDARD, programme(with_growth_days(), stricter("2018-02-28"))]),
)
def test_any_order_of_facts_and_days_ends_in_the_same_place(facts, ticks, seed, rules):
    straight, shuffled = World(rules), World(rules)
    for fact in facts:
        straight.happen(fact)
    straight.let_days_come(LAST)

    mixed = [*facts, *ticks]
    random.Random(seed).shuffle(mixed)
    _keep_the_order_of_mergers(mixed)
    for one in mixed:
        shuffled.let_days_come(one) if isinstance(one, date) else shuffled.happen(one)
    shuffled.let_days_come(LAST)

    for member in ("M-1", "M-2"):
        assert _end(straight, member) == _end(shuffled, member)
        assert straight.believed(member) == _end(straight, member)[-1]
        assert shuffled.believed(member) == _end(shuffled, member)[-1]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    facts=histories(),
    ticks=st.lists(st.dates(date(2014, 1, 1), LAST), max_size=4),
    cut=st.integers(0, 20),
    again=st.booleans(),
)
def test_whenever_rules_are_published_or_withdrawn_all_ends_in_the_same_place(facts, ticks, cut, again):
    """Some facts are judged by the rules of before, then everybody is judged again; a version taken back leaves no trace."""
    before, after = programme(RULES), programme(RULES, stricter("2018-02-28"), stricter("2020-02-29", version=3))
    straight, published = World(after), World(before)
    for fact in facts:
        straight.happen(fact)
    straight.let_days_come(LAST)
    mixed = [*facts, *ticks]
    for n, one in enumerate(mixed):
        if n == min(cut, len(mixed) - 1):
            for rules in (after, before, after) if again else (after,):
                _publish(published, rules)
        published.let_days_come(one) if isinstance(one, date) else published.happen(one)
    _publish(published, after)
    published.let_days_come(LAST)
    for member in ("M-1", "M-2"):
        assert _end(straight, member) == _end(published, member)
        assert published.believed(member) == _end(published, member)[-1]


def _publish(world, rules):
    world.rules = rules
    for m in list(world.members.values()):
        if m.judged_by != rules.tiers.digest:
            world.happen(event(Reviewed(member_id=m.member_id), m.lived_to, key=m.member_id))


def _keep_the_order_of_mergers(mixed):
    """They are told to one member, by whose key order is kept: everything else may come at any time."""
    at = [n for n, one in enumerate(mixed) if not isinstance(one, date) and one.type.startswith("Customer")]
    for n, one in zip(at, sorted((mixed[n] for n in at), key=lambda e: e.time), strict=True):
        mixed[n] = one


def _end(world, member):
    m = world.members.get(member)
    if m is None:
        return (), (), ()
    assert m.due_on is None or m.due_on > LAST
    expected = timeline(m.terms, m.growth, world.rules, max(LAST, m.lived_to))
    assert m.timeline == expected
    return m.terms, m.growth, m.timeline


def test_insured_terms_survive_their_own_words():
    (one,) = insured(term("2016-01-01", premium=300))
    assert one.key == ("P-1", 1, "M-1")
    assert one.annual_fen == 300_00
