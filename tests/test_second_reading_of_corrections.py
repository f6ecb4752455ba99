"""Spending, expiry, corrections and a merger of customers in one life agree with a second reading of the design, at every step.

Facts come in the core's order, but late ones count from days long past: a loss of an old year, a term that ended or never was,
premiums refunded in parts. 20 lives by default, always the same; `TENURE_LIVES_MAX` says how many others.
"""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tenure.calendar import start_of
from tenure.contracts import core, policy
from tenure.contracts.event import Data
from tenure.contracts.programme import Programme

from .both_rules import Both
from .corrected_purse import CorrectedPurse
from .lives import FIRST, MEMBER, Saying, days, in_core_order, of_term, refund, terms
from .second_reading import Claim, Due, Life, Steps, TermTold, all_due
from .test_second_reading import EXAMPLES, LONG, PATIENT, climbed
from .test_second_reading_of_spending import Buyer, Wish, wishes

OTHER: Final = "M-2"
SALE: Final = (core.PolicyIssued, core.PolicyRenewed)
LIVES: Final = EXAMPLES if LONG else 20


class Corrected(NamedTuple):
    """What was told when; who bought what; and on which day the second customer turned out to be the first, if ever."""

    facts: list[Saying]
    tiers: Steps
    asked: list[tuple[date, str, Wish]]
    merged_on: date | None
    last_day: date


@st.composite
def corrected(draw: st.DrawFn) -> Corrected:
    facts = [saying for no in range(1, draw(st.integers(1, 3)) + 1) for saying in draw(policy_told(no))]
    facts.sort(key=lambda s: s.at)
    first = facts[0].at.date()
    last_day = facts[-1].at.date() + timedelta(draw(st.sampled_from([1, 400, 1_100])))
    climb = sorted(draw(st.lists(days, max_size=3, unique=True)))
    steps = tuple((day, draw(st.sampled_from(["basic", "silver", "gold", "diamond"]))) for day in climb)
    merged_on = draw(st.none() | st.dates(first, last_day))
    whose = st.sampled_from([MEMBER, MEMBER, OTHER])
    asked = draw(st.lists(st.tuples(st.dates(first, last_day), whose, wishes), min_size=2, max_size=20))
    return Corrected(facts, steps, sorted(asked, key=lambda one: one[0]), merged_on, last_day)


@st.composite
def policy_told(draw: st.DrawFn, no: int) -> list[Saying]:
    """A policy with what befell it, every second one of the other customer's."""
    life = Life(f"P-{no}", draw(terms(False)))
    assume(all(one.sold_on <= then.sold_on for one, then in pairwise(life.terms)))
    for t in life.terms:
        draw(refunded(t))
    ending = draw(endings(life))
    facts = [fact for t in life.terms for fact in of_term(life.policy_no, t)]
    if draw(st.booleans()):
        facts += draw(losses(life))
    if no % 2 == 0:
        facts = [replace(fact, member_id=OTHER) if isinstance(fact, core.PolicyIssued) else fact for fact in facts]
    return in_core_order(facts, ending)


@st.composite
def refunded(draw: st.DrawFn, t: TermTold) -> None:
    """Up to two refunds once everything was paid and no more cover is taken away, for points come back in no life here.

    A refund from before cover was taken away may be what was paid back for that, and then it takes its share of less.
    """
    t.refunds = []
    paid = sum(fen for _, fen in t.payments)
    day = max((day for day, _ in [*t.payments, *t.decreases]), default=t.start)
    for _ in range(draw(st.integers(0, 2))):
        day += timedelta(draw(st.integers(1, 200)))
        refund(t, day, draw(st.sampled_from([paid // 3, paid // 7 + 1, paid, 2 * paid])))


@st.composite
def endings(draw: st.DrawFn, life: Life) -> list[Data]:
    """How the last term ended, told after all else: in its midst, with a refund, or as if it never was."""
    last = life.terms[-1]
    about: dict[str, Any] = {"policy_no": life.policy_no, "term_no": last.no}
    how, span = draw(st.sampled_from(["expired", "mid_term", "mid_term", "flat", "cooling_off"])), last.end - last.start
    if how == "expired":
        return []
    if how != "mid_term" or span.days < 2:
        return [core.PolicyCancelled(**about, effective=last.start, kind="flat" if how == "mid_term" else how)]
    day = last.start + timedelta(draw(st.integers(1, span.days - 1)))
    for name in ("payments", "increases", "decreases", "refunds"):
        setattr(last, name, [one for one in getattr(last, name) if one[0] < day])
    told: list[Data] = [core.PolicyCancelled(**about, effective=day, kind="mid_term")]
    fen = sum(fen for _, fen in last.payments) // draw(st.sampled_from([1, 2, 3]))
    if fen:
        told.append(core.PremiumRefunded(**about, amount_fen=fen, refunded_on=day))
    return told


@st.composite
def losses(draw: st.DrawFn, life: Life) -> list[Data]:
    """A loss that is reported at once, or when its year was rewarded long ago, and paid."""
    t = draw(st.sampled_from(life.terms))
    loss = t.start + timedelta(draw(st.integers(0, max(0, (t.last - t.start).days - 1))))
    about: dict[str, Any] = {"policy_no": life.policy_no, "claim_no": f"C-{life.policy_no}"}
    day = loss + timedelta(draw(st.sampled_from([0, 5, 400, 800])))
    return [
        core.ClaimReported(**about, loss_date=loss, reported_on=day, estimate_fen=500_00),
        core.ClaimPaid(**about, on=day + timedelta(20), amount_fen=300_00),
    ]


def life_told(policy_no: str, told: list[Saying]) -> Life:
    """A policy as who heard so much of it must believe it to be: what befell a term that is not sold yet says nothing."""
    life, by_no = Life(policy_no, []), dict[int, TermTold]()
    sold_now = {s.data.term_no for s in told if isinstance(s.data, SALE)}
    for at, data in sorted(told, key=lambda s: not isinstance(s.data, SALE)):
        if getattr(data, "term_no", None) not in (None, *sold_now):
            continue
        match data:
            case core.PolicyIssued() | core.PolicyRenewed() as d:
                renewed = d.renewed_on if isinstance(d, core.PolicyRenewed) else None
                sold = TermTold(d.term_no, d.start, d.end, d.premium_fen, renewed, cooling_off_days=d.cooling_off_days)
                sold.sold_on = renewed or at.date()
                life.terms.append(sold)
                by_no[d.term_no] = sold
            case core.PremiumPaid() as d:
                by_no[d.term_no].payments.append((d.paid_on, d.amount_fen))
            case core.PolicyEndorsed() as d:
                sold = by_no[d.term_no]
                changes = sold.increases if d.premium_delta_fen > 0 else sold.decreases
                changes.append((d.effective, abs(d.premium_delta_fen)))
            case core.PremiumRefunded() as d:
                by_no[d.term_no].refunds.append((d.refunded_on, d.amount_fen))
            case core.PolicyLapsed() as d:
                by_no[d.term_no].lapsed = (d.effective, None)
            case core.PolicyReinstated() as d:
                since = by_no[d.term_no].lapsed
                by_no[d.term_no].lapsed = (since[0] if since else d.effective, d.effective)
            case core.PolicyCancelled(kind="mid_term") as d:
                by_no[d.term_no].cancelled_on = d.effective
            case core.PolicyCancelled() as d:
                by_no[d.term_no].void = True
            case core.ClaimReported() as d:
                life.claims.append(Claim(d.claim_no, d.loss_date, counts=True))
    return life


class Two:
    """Two customers in the ledger and in two purses; from the day of their merger on they are the first."""

    def __init__(self, rules: Programme, story: Corrected) -> None:
        self.both, self.story = Both(rules), story
        self.purses = {name: CorrectedPurse([]) for name in (MEMBER, OTHER)}
        self.buyers = {name: Buyer(self.both, name) for name in (MEMBER, OTHER)}
        self.told: dict[str, list[Saying]] = {}
        self.facts = list(story.facts)
        for name in self.purses if story.tiers else ():
            self.both.hear_member(replace(climbed(story.tiers), member_id=name), start_of(FIRST - timedelta(90)))

    def who(self, name: str) -> str:
        return MEMBER if self.both.became else name

    def live_to(self, day: date) -> None:
        """Everything told up to the end of a day, and the merger at its end."""
        merging = self.story.merged_on
        if merging is not None and merging < day and not self.both.became:
            self.live_to(merging)
            self._merge(merging)
        for saying in (s for s in self.facts if s.at.date() <= day):
            self._begin(saying.at.date())
            self._hear(saying)
        self.facts = [s for s in self.facts if s.at.date() > day]
        self._begin(day)

    def _begin(self, day: date) -> None:
        self.both.begin(day)
        for purse in self.purses.values():
            purse.live_to(day)
        self._reckon(day, day)

    def _hear(self, saying: Saying) -> None:
        no = saying.data.policy_no  # type: ignore[attr-defined]
        self.both.hear_core(saying.data, saying.at)
        self.told.setdefault(no, []).append(saying)
        self._reckon(saying.at.date(), counts_from(saying.data))

    def _reckon(self, day: date, since: date) -> None:
        dues: dict[str, list[Due]] = {name: [] for name in self.purses}
        for no, told in self.told.items():
            owner = self.who(OTHER if int(no[2:]) % 2 == 0 else MEMBER)
            dues[owner] += all_due(life_told(no, told), self.story.tiers, day)
        for name, purse in self.purses.items():
            purse.hear(dues[name], since)

    def _merge(self, day: date) -> None:
        merged = policy.CustomerMerged(member_id=MEMBER, merged_id=OTHER, effective=day)
        self.both.hear_member(merged, start_of(day))
        self.both.became[OTHER] = MEMBER
        self.purses[MEMBER].take_over(self.purses.pop(OTHER))
        self.buyers[MEMBER].take_over(self.buyers[OTHER])

    def buy(self, name: str, wish: Wish, day: date) -> None:
        what, hold_id, points, done = self.buyers[name].wish(wish, day, frozen=False)
        arguments = (hold_id,) if what == "release" else (hold_id, points)
        assert done == getattr(self.purses[name], what)(*arguments), (what, hold_id, points)

    def agree(self) -> None:
        for name, purse in self.purses.items():
            assert found(self.both, name) == (purse.figures(), purse.by_expiry()), name


def counts_from(data: Any) -> date:
    """The day a fact counts from."""
    names = ("reported_on", "refunded_on", "effective", "paid_on", "on", "renewed_on", "start")
    return next(day for name in names if (day := getattr(data, name, None)) is not None)


def found(both: Both, name: str) -> tuple[tuple[int, ...], dict[date, int]]:
    account = both.accounts.get(name)
    if account is None:
        return (0,) * 6, {}
    lots, left = [lot for lot in account.lots.values() if lot.wallet == "points"], Counter[date]()
    for lot in lots:
        left[lot.ends_on or date.max] += lot.remaining
    pending, available, held, owed = (
        account.balances[f"points_{at}"] for at in ("pending", "available", "held", "debt")
    )
    spent = sum(hold.captured - hold.refunded for hold in account.holds.values())
    figures = (pending, available, held, spent, sum(lot.expired for lot in lots), owed)
    return figures, {day: points for day, points in left.items() if points}


@PATIENT
@settings(
    max_examples=LIVES, derandomize=not LONG, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(story=corrected())
def test_what_is_left_owed_and_over_is_what_corrected_purses_say(story: Corrected, rules: Programme) -> None:
    two = Two(rules, story)
    for day, name, wish in story.asked:
        two.live_to(day)
        two.agree()
        two.buy(two.who(name), wish, day)
        two.agree()
    two.live_to(story.last_day)
    two.agree()
