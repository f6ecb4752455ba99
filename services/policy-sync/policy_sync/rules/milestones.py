"""Milestones: dated facts that follow from a policy's facts by the passing of days.

Which milestones stand is a pure function of the facts and of the days lived so far, so that ticks and facts may come in any order.
What is told: each milestone once; a completed year (anniversary, no-claim year) also when it is lost and when it is won back.
A reminder or expiry that stops to stand because a late fact takes its ground away is remembered as told, and not told again.

A year is judged on the day it ends, a term's expiry only when its last day's facts are in: a renewal recorded on that day counts.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from tenure.calendar import DAY, Period, add_months, add_years, full_years, union
from tenure.contracts import policy
from tenure.contracts.event import Data

from policy_sync.rules.canonical import copy_of
from policy_sync.rules.chains import covered, live_since
from policy_sync.rules.fold import Policy
from policy_sync.rules.terms import TermState

Kind = Literal["no_claim_year", "anniversary", "expiring", "expired"]
_SEQUENCE: Final[Mapping[str, int]] = MappingProxyType(
    {"no_claim_year": 0, "anniversary": 1, "expiring": 2, "expired": 3}
)
_YEARS: Final = frozenset({"no_claim_year", "anniversary"})
"""Completed years, which others reward: what is told of them is taken back when it proves wrong."""


class Milestone(NamedTuple):
    """`number` is the policy year, or the term's number."""

    day: date
    kind: Kind
    number: int

    @property
    def shown_on(self) -> date:
        """The first day on which it can be known."""
        return self.day + DAY if self.kind == "expired" else self.day


Told = Mapping[Milestone, bool]
"""Every milestone ever told, and whether it still stands."""


class Shown(NamedTuple):
    """What a policy's milestones come to: events to tell, all that was told, and the next day on which one falls due."""

    events: tuple[Data, ...]
    told: Told
    due_on: date | None


def show(whole: Policy, told: Told, *, live_from: date, lived_to: date, on: date) -> Shown:
    """Tell what stands by now and was not told, and take back what fell. `on` is the day of the fact or tick that decides."""
    every = list(implied(whole, live_from))
    standing = {m for m in every if m.shown_on <= lived_to}
    risen = [m for m in standing if not told.get(m, False)]
    fallen = [m for m, stands in told.items() if stands and m not in standing]
    due_on = min((m.shown_on for m in every if m.shown_on > lived_to), default=None)
    if not risen and not fallen:
        return Shown((), told, due_on)
    lost = [_revoked(whole, m, on) for m in sorted(fallen, key=_in_order) if m.kind in _YEARS]
    gained = [_event(whole, m) for m in sorted(risen, key=_in_order) if m.kind in _YEARS or m not in told]
    return Shown((*lost, *gained), {**told, **dict.fromkeys(risen, True), **dict.fromkeys(fallen, False)}, due_on)


def handed_over(before: Policy | None, after: Policy | None, told: Told, on: date) -> tuple[tuple[Data, ...], Told]:
    """Completed years that a late change of holder makes another's: taken back from the former, and to be told to who held them."""
    if before is None or after is None or before.holders == after.holders:
        return (), told
    moved = [m for m, stands in told.items() if stands and m.kind in _YEARS and _whose(m, before) != _whose(m, after)]
    taken = tuple(_revoked(before, m, on) for m in sorted(moved, key=_in_order))
    return taken, {**told, **dict.fromkeys(moved, False)}


def implied(whole: Policy, live_from: date) -> Iterator[Milestone]:
    """Every milestone from `live_from` on that follows if nothing more happens, past and future; also that cover ended before."""
    yield from _years(whole, live_from)
    for term in whole.terms:
        if _runs_out(term):
            yield from (m for m in _ends(whole, term) if m.day >= live_from or _is_end_of_all(m, whole))


def any_ahead(whole: Policy, live_from: date) -> bool:
    """Whether `implied` has anything. Mostly the last term does expire: nothing follows it."""
    return _runs_out(whole.terms[-1]) or any(implied(whole, live_from))


def _is_end_of_all(milestone: Milestone, whole: Policy) -> bool:
    """Nobody else hears that a policy of history has ended: whoever shows it goes on showing it as in force."""
    return milestone.kind == "expired" and milestone.day == whole.covers[-1][1]


def _years(whole: Policy, live_from: date) -> Iterator[Milestone]:
    """A year of a chain is that policy's which covered its last day, the earlier one's where two did."""
    if not whole.covers:
        return
    earlier, live_from = covered(whole.links), live_since(whole.links, live_from)
    chain, lossed = union([*earlier, *whole.covers]), [day for _, day in _losses(whole)]
    first = max(1, full_years(whole.inception, max(live_from, whole.inception)))
    for year in range(first, full_years(whole.inception, whole.covers[-1][1]) + 1):
        start, end = add_years(whole.inception, year - 1), add_years(whole.inception, year)
        if end < live_from or not whole.covered_through(end - DAY, end) or _through(earlier, end - DAY, end):
            continue
        if _through(chain, start, end) and not any(start <= day < end for day in lossed):
            yield Milestone(end, "no_claim_year", year)
        yield Milestone(end, "anniversary", year)


def _through(covers: Iterable[Period], start: date, end: date) -> bool:
    return any(s <= start and end <= e for s, e in covers)


def _losses(whole: Policy) -> Iterator[tuple[str, date]]:
    """The claims that count, by the day of the loss: its own, and those of the policies that it continues."""
    yield from ((c.claim_no, c.loss_date) for c in whole.claims if c.counts)
    yield from (loss for link in whole.links for loss in link.losses)


def _runs_out(term: TermState) -> bool:
    """Whether its cover goes on to its end."""
    return bool(term.covers) and term.covers[-1][1] == term.end and term.status == "in_force"


def _ends(whole: Policy, term: TermState) -> Iterator[Milestone]:
    following = [t for t in whole.terms if t.start >= term.end]
    reminder = add_months(term.end, -1)
    if reminder > term.start and not any(t.opened_on <= reminder for t in following):
        yield Milestone(reminder, "expiring", term.term_no)
    if not any(t.covers and t.start == term.end and t.opened_on <= term.end for t in following):
        yield Milestone(term.end, "expired", term.term_no)


def _whose(milestone: Milestone, whole: Policy) -> str:
    """A year is whose policy it was on its last day."""
    return whole.holder_on(milestone.day - DAY).member_id


def _in_order(milestone: Milestone) -> tuple[date, int]:
    return milestone.day, _SEQUENCE[milestone.kind]


def _event(whole: Policy, milestone: Milestone) -> Data:
    day, kind, number = milestone
    match kind:
        case "anniversary":
            return _anniversary(whole, number, day)
        case "no_claim_year":
            return policy.NoClaimYearCompleted(
                member_id=_whose(milestone, whole),
                policy_no=whole.policy_no,
                product_line=whole.product_line,
                policy_year=number,
                start=add_years(whole.inception, number - 1),
                effective=day,
            )
        case _:
            term = whole.term(number)
            member = whole.holder_on(term.end - DAY).member_id
            cls = policy.PolicyExpiring if kind == "expiring" else policy.PolicyExpired
            return cls(member_id=member, term=copy_of(whole, term, member), effective=day)


def _anniversary(whole: Policy, years: int, day: date) -> policy.PolicyAnniversary:
    """It belongs to the term that covered the day before: that one is known whether or not a renewal came yet."""
    completed = next(t for t in whole.terms if any(s <= day - DAY < e for s, e in t.covers))
    return policy.PolicyAnniversary(
        member_id=whole.holder_on(day - DAY).member_id,
        policy_no=whole.policy_no,
        term_no=completed.term_no,
        product_line=whole.product_line,
        years=years,
        effective=day,
        region=whole.region,
    )


def _revoked(whole: Policy, milestone: Milestone, on: date) -> Data:
    if milestone.kind == "anniversary":
        return policy.PolicyAnniversaryRevoked(
            member_id=_whose(milestone, whole),
            policy_no=whole.policy_no,
            product_line=whole.product_line,
            years=milestone.number,
            effective=on,
        )
    start = add_years(whole.inception, milestone.number - 1)
    return policy.NoClaimYearRevoked(
        member_id=_whose(milestone, whole),
        policy_no=whole.policy_no,
        product_line=whole.product_line,
        policy_year=milestone.number,
        effective=on,
        claim_no=next((no for no, day in _losses(whole) if start <= day < milestone.day), ""),
    )
