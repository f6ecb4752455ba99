"""What is spent, given back, owed and over agrees with a second reading of the design, as the order of arrival allows.

What a member owes or has left does not depend on when a correction was heard, as long as nothing expires: the first test spends
between facts in any order. What expires depends on what was spent before: the second tells lives without corrections in order.
25 lives each by default, always the same; `TENURE_LIVES_MAX` says how many others.
"""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from points_ledger.commands import CaptureHold, PlaceHold, RefundHold, ReleaseHold
from tenure.calendar import start_of
from tenure.contracts import core
from tenure.contracts.decision import DayReached
from tenure.contracts.programme import Programme, Versions

from .both_rules import Both
from .lives import FIRST, MEMBER, Saying, Story, days, in_core_order, of_term, stories, terms
from .purse import Purse, heard_on
from .second_reading import Life, Steps, all_due, standing
from .test_second_reading import EXAMPLES, LONG, PATIENT, climbed

WALL: Final = datetime(2040, 1, 1, tzinfo=UTC)
THOROUGH: Final = settings(
    max_examples=EXAMPLES, derandomize=not LONG, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


class Wish(NamedTuple):
    """What a buyer asks for: a reservation of so many parts of 12 of what is there, or something about one made before."""

    what: str
    which: int
    twelfths: int


wishes = st.builds(
    Wish,
    st.sampled_from(["place", "place", "capture", "capture", "release", "refund"]),
    st.integers(0, 5),
    st.sampled_from([0, 1, 5, 12, 12, 13]),
)


class Buyer:
    """Asks the ledger for what was wished, and keeps account of what it was granted."""

    def __init__(self, both: Both, member: str = MEMBER) -> None:
        self.both, self.member = both, member
        self.held: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.names: list[str] = []

    def wish(self, wish: Wish, day: date, *, frozen: bool) -> tuple[str, str, int | None, bool]:
        """Ask for it on a day. Returns what was asked, of which reservation, for how many points, and whether it was granted."""
        self.both.hear_member(DayReached(key=self.member, day=day), start_of(day))
        if wish.what == "place" or not self.names:
            return self._place(wish, day, frozen=frozen)
        name = self.names[-1 - wish.which % len(self.names)]
        known = self.spent[name] if wish.what == "refund" else self.held[name]
        points = None if wish.twelfths == 12 else known * wish.twelfths // 12
        done = self._ask(wish.what, name, points, day)
        if done:
            self._book(wish.what, name, known if points is None else points)
        return wish.what, name, points, done

    def _place(self, wish: Wish, day: date, *, frozen: bool) -> tuple[str, str, int | None, bool]:
        there, owed = (self.both.balance(self.member, f"points_{what}") for what in ("available", "debt"))
        points, name = max(1, -(-there * wish.twelfths // 12)), f"H-{self.member}-{len(self.names)}"
        command = PlaceHold(
            hold_id=name, member_id=self.member, wallet="points", points=points, reference="", expires_at=WALL
        )
        done = self.both.ask(command, start_of(day), member=self.member)
        assert done == (points <= there and not owed and not frozen)
        if done:
            self.names.append(name)
            self.held[name] = points
        return "place", name, points, done

    def _ask(self, what: str, name: str, points: int | None, day: date) -> bool:
        asked: Any = {
            "capture": CaptureHold(hold_id=name, points=points),
            "release": ReleaseHold(hold_id=name),
            "refund": RefundHold(hold_id=name, points=points),
        }
        return self.both.ask(asked[what], start_of(day), member=self.member)

    def _book(self, what: str, name: str, points: int) -> None:
        if what == "refund":
            self.spent[name] -= points
            return
        self.held[name] = 0
        if what == "capture":
            self.spent[name] = points

    def take_over(self, other: "Buyer") -> None:
        """The reservations of a customer who became this one."""
        self.names += other.names
        self.held += other.held
        self.spent += other.spent


@cache
def for_ever(rules: Programme) -> Programme:
    """The programme with points that do not expire in anybody's life."""
    lasting = [msgspec.structs.replace(version, expiry_months=1_200) for version in rules.earning.all]
    return Programme(
        tiers=rules.tiers,
        earning=Versions(lasting),
        benefits=rules.benefits,
        catalogue=rules.catalogue,
        messages=rules.messages,
    )


@PATIENT
@THOROUGH
@given(data=st.data(), story=stories())
def test_what_is_left_or_owed_after_spending_is_the_same_in_any_order(
    data: Any, story: Story, rules: Programme
) -> None:
    order = data.draw(st.permutations(story.facts) | st.just(sorted(story.facts, key=lambda s: s.at)))
    asked = data.draw(st.lists(st.tuples(st.integers(0, len(order)), wishes), max_size=10))
    both = Both(for_ever(rules))
    buyer = spent_between(both, order, asked, story)
    both.begin(story.last_day)
    by_rule, pending, _, _ = standing(story.lives, story.tiers, story.last_day)
    assert both.net("points") == by_rule
    left = sum(by_rule.values()) - pending - buyer.held.total() - buyer.spent.total()
    found = tuple(both.balance(MEMBER, f"points_{what}") for what in ("pending", "available", "held", "debt"))
    assert found == (pending, max(0, left), buyer.held.total(), max(0, -left))


def spent_between(both: Both, order: list[Saying], asked: list[tuple[int, Wish]], story: Story) -> Buyer:
    buyer, today, told = Buyer(both), FIRST - timedelta(90), set[tuple[type, str]]()
    if story.tiers:
        both.hear_member(climbed(story.tiers), start_of(story.tiers[-1][0]))
    for n in range(len(order) + 1):
        for _, wish in (one for one in asked if one[0] == n):
            buyer.wish(wish, today, frozen=is_frozen(told))
        if n < len(order):
            both.hear_core(order[n].data, order[n].at)
            today = max(today, order[n].at.date())
            told.add((type(order[n].data), getattr(order[n].data, "policy_no", "")))
    return buyer


def is_frozen(told: set[tuple[type, str]]) -> bool:
    """Whose policy was rescinded is known once the policy is."""
    return any(what is core.PolicyRescinded and (core.PolicyIssued, no) in told for what, no in told)


class Plain(NamedTuple):
    """Lives in which nothing is ever corrected and each term is sold after the one before, and on which days what is wished."""

    lives: list[Life]
    facts: list[Saying]
    tiers: Steps
    asked: list[tuple[date, Wish]]
    last_day: date


@st.composite
def plain_lives(draw: st.DrawFn) -> Plain:
    lives = [Life(f"P-{no}", draw(terms(False))) for no in range(1, draw(st.integers(1, 2)) + 1)]
    assume(all(one.sold_on <= then.sold_on for life in lives for one, then in pairwise(life.terms)))
    for one in (t for life in lives for t in life.terms):
        one.refunds = []
        if one.increases:
            one.decreases = []  # which would take back what was added
    facts = [
        s for life in lives for s in in_core_order([f for t in life.terms for f in of_term(life.policy_no, t)], [])
    ]
    climb = sorted(draw(st.lists(days, max_size=3, unique=True)))
    steps = tuple((day, draw(st.sampled_from(["basic", "silver", "gold", "diamond"]))) for day in climb)
    first = min(s.at.date() for s in facts)
    last_day = max(s.at.date() for s in facts) + timedelta(draw(st.sampled_from([1, 400, 1_100])))
    asked = draw(st.lists(st.tuples(st.dates(first, last_day), wishes), min_size=1, max_size=16))
    asked.sort(key=lambda one: one[0])
    return Plain(lives, sorted(facts, key=lambda s: s.at), steps, asked, last_day)


@PATIENT
@THOROUGH
@given(story=plain_lives())
def test_what_expires_after_spending_is_what_a_purse_says(story: Plain, rules: Programme) -> None:
    both, buyer = Both(rules), None
    dues = [(heard_on(d, life), d) for life in story.lives for d in all_due(life, story.tiers, story.last_day)]
    purse = Purse(sorted(dues, key=lambda one: one[0]))
    if story.tiers:
        both.hear_member(
            climbed(story.tiers), start_of(FIRST - timedelta(90))
        )  # or the account would have lived to its end
    buyer, facts = Buyer(both), list(story.facts)
    for day, wish in story.asked:
        facts = tell_until(both, facts, day)
        purse.live_to(day)
        what, name, points, done = buyer.wish(wish, day, frozen=False)
        arguments = (name,) if what == "release" else (name, points)
        assert done == getattr(purse, what)(*arguments), (what, name, points)
        assert figures(both) == purse.figures()
    tell_until(both, facts, story.last_day)
    purse.live_to(story.last_day)
    assert figures(both) == purse.figures()


def tell_until(both: Both, facts: list[Saying], day: date) -> list[Saying]:
    """Everything up to the end of a day, with the days that came. Returns what is still to be told."""
    for saying in (s for s in facts if s.at.date() <= day):
        both.begin(saying.at.date())
        both.hear_core(saying.data, saying.at)
    both.begin(day)
    return [s for s in facts if s.at.date() > day]


def figures(both: Both) -> tuple[int, int, int, int, int]:
    pending, available, held = (both.balance(MEMBER, f"points_{what}") for what in ("pending", "available", "held"))
    account = both.accounts.get(MEMBER)
    lots, holds = (account.lots.values(), account.holds.values()) if account else ((), ())
    expired = sum(lot.expired for lot in lots if lot.wallet == "points")
    return pending, available, held, sum(hold.captured - hold.refunded for hold in holds), expired
