"""Spending, expiry, corrections and a merger of customers in one life agree with a second reading of the design, at every step.

Facts come in the core's order, but late ones count from days long past: a loss of an old year, a term that ended or never was, and
perhaps stood again, a policy that was rescinded, premiums refunded in parts. Between them come quizzes, steps, referrals, corrections
by hand and freezes. 20 lives by default, always the same; `TENURE_LIVES_MAX` says how many others.
"""

from collections import Counter
from datetime import date, timedelta
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace
from tenure.calendar import start_of
from tenure.contracts import core, policy
from tenure.contracts.activity import ReferralConverted
from tenure.contracts.event import Data
from tenure.contracts.programme import Programme

from .both_rules import Both
from .corrected_lives import OTHER, Corrected, corrected
from .corrected_purse import CorrectedPurse
from .deeds import Deed, Deeds
from .lives import FIRST, MEMBER, Saying
from .second_reading import Claim, Due, Life, TermTold, all_due
from .test_second_reading import EXAMPLES, LONG, PATIENT, climbed
from .test_second_reading_of_spending import Buyer, Wish

SALE: Final = (core.PolicyIssued, core.PolicyRenewed)
LIVES: Final = EXAMPLES if LONG else 20


def life_told(policy_no: str, told: list[Saying]) -> Life:
    """A policy as who heard so much of it must believe it to be: what befell a term that is not sold yet says nothing."""
    life, by_no = Life(policy_no, []), dict[int, TermTold]()
    sold_now = {s.data.term_no for s in told if isinstance(s.data, SALE)}
    for at, data in sorted(told, key=lambda s: not isinstance(s.data, SALE)):
        match data:
            case core.PolicyIssued() | core.PolicyRenewed() as d:
                renewed = d.renewed_on if isinstance(d, core.PolicyRenewed) else None
                sold = TermTold(d.term_no, d.start, d.end, d.premium_fen, renewed, cooling_off_days=d.cooling_off_days)
                sold.sold_on = renewed or at.date()
                life.terms.append(sold)
                by_no[d.term_no] = sold
            case core.ClaimReported() as d:
                life.claims.append(Claim(d.claim_no, d.loss_date, counts=True))
            case _ if getattr(data, "term_no", None) in sold_now:
                befell(by_no[data.term_no], data)  # type: ignore[attr-defined]
    return life


def befell(t: TermTold, data: Data) -> None:
    """A fact of a term."""
    match data:
        case core.PremiumPaid() as d:
            t.payments.append((d.paid_on, d.amount_fen))
        case core.PolicyEndorsed() as d:
            changes = t.increases if d.premium_delta_fen > 0 else t.decreases
            changes.append((d.effective, abs(d.premium_delta_fen)))
        case core.PremiumRefunded() as d:
            t.refunds.append((d.refunded_on, d.amount_fen))
        case core.PolicyLapsed() as d:
            t.lapsed = (d.effective, None)
        case core.PolicyReinstated() as d:
            t.lapsed = (t.lapsed[0] if t.lapsed else d.effective, d.effective)
        case core.PolicyCancelled() as d:
            t.cancelled_on, t.void = (d.effective, False) if d.kind == "mid_term" else (None, True)
            t.refunded_before = len(t.refunds)
        case core.CancellationReversed():
            t.cancelled_on, t.void, t.refunds = None, False, t.refunds[: t.refunded_before]


def is_rescinded(told: list[Saying]) -> bool:
    """Then the policy never was."""
    return any(isinstance(s.data, core.PolicyRescinded) for s in told)


def stands(policy_no: str, told: list[Saying]) -> bool:
    """Whether there is, or may yet be, a policy: as far as is known, its first term was not undone."""
    terms = life_told(policy_no, told).terms
    return not is_rescinded(told) and not (terms and terms[0].void)


def cooled_off(told: list[Saying]) -> date | None:
    """When the first term's cooling-off ends, if it is known to have one."""
    issued = next((s for s in told if isinstance(s.data, core.PolicyIssued)), None)
    if issued is None or not issued.data.cooling_off_days:  # type: ignore[attr-defined]
        return None
    return issued.at.date() + timedelta(issued.data.cooling_off_days)  # type: ignore[attr-defined]


class Two:
    """Two customers in the ledger and in two purses; from the day of their merger on they are the first."""

    def __init__(self, rules: Programme, story: Corrected) -> None:
        self.both, self.story = Both(rules), story
        self.purses = {name: CorrectedPurse([]) for name in (MEMBER, OTHER)}
        self.buyers = {name: Buyer(self.both, name) for name in (MEMBER, OTHER)}
        self.deeds = Deeds(self.both)
        self.told: dict[str, list[Saying]] = {}
        self.referred: dict[str, tuple[str, Due]] = {}
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
        if isinstance(saying.data, core.PolicyRescinded):
            self.purses[self._owner(no)].frozen = True
        self._reckon(saying.at.date(), counts_from(saying.data))

    def _reckon(self, day: date, since: date) -> None:
        dues: dict[str, list[Due]] = {name: [] for name in self.purses}
        for no, told in self.told.items():
            due = () if is_rescinded(told) else all_due(life_told(no, told), self.story.tiers, day)
            dues[self._owner(no)] += due
        for no, (referrer, reward) in self.referred.items():
            if stands(no, self.told.get(no, [])):
                dues[self.who(referrer)].append(reward)
        for name, purse in self.purses.items():
            purse.hear(dues[name], since)

    def _owner(self, policy_no: str) -> str:
        return self.who(OTHER if int(policy_no[2:]) % 2 == 0 else MEMBER)

    def _merge(self, day: date) -> None:
        merged = policy.CustomerMerged(member_id=MEMBER, merged_id=OTHER, effective=day)
        self.both.hear_member(merged, start_of(day))
        self.both.became[OTHER] = MEMBER
        self.purses[MEMBER].take_over(self.purses.pop(OTHER))
        self.buyers[MEMBER].take_over(self.buyers[OTHER])

    def do(self, name: str, asked: Wish | Deed, day: date) -> None:
        if isinstance(asked, Deed) and asked.what == "refer":
            self._refer(name, asked, day)
        elif isinstance(asked, Deed):
            self.deeds.do(self.who(name), self.purses[self.who(name)], asked, day)
        else:
            self._buy(self.who(name), asked, day)

    def _refer(self, name: str, asked: Deed, day: date) -> None:
        """One of the two brought the other, and says so of a policy; under numbers that are one person's by now, nobody did."""
        no = "P-2" if name == MEMBER else ("P-1", "P-3")[asked.size % 2]
        on, cools = day - timedelta(asked.size), cooled_off(self.told.get(no, []))
        referee = OTHER if name == MEMBER else MEMBER
        referral = ReferralConverted(member_id=name, referee_id=referee, policy_no=no, on=on, cooling_off_end=cools)
        assert self.both.ask(referral, start_of(day), member=name) == (not self.both.became)
        if not self.both.became:
            due = Due("referral", no, on, max(on, cools or on), 500)
            self.referred.setdefault(no, (name, due))
            self._reckon(day, day)

    def _buy(self, name: str, wish: Wish, day: date) -> None:
        what, hold_id, points, done = self.buyers[name].wish(wish, day, frozen=self.purses[name].frozen)
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
    for day, name, asked in story.asked:
        two.live_to(day)
        two.agree()
        two.do(name, asked, day)
        two.agree()
    two.live_to(story.last_day)
    two.agree()
