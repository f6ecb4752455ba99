"""What a term's facts make of it: its cover, its price, its status.

The invariants: covers are disjoint, sorted and half-open; a void term has no cover and no premium; a premium is never below zero,
and what a term cut short has earned is never above the price of its days (decision 0008).
"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import msgspec
from tenure.calendar import Period, round_half_up, union
from tenure.contracts import core
from tenure.contracts.policy import TermStatus

from policy_sync.rules.facts import Fact


class TermState(msgspec.Struct, frozen=True, kw_only=True):
    """A term as it stands, whoever holds it. `opened_on` is the day the core recorded its sale.

    `premium_fen` is after endorsements and refunds, `written_premium_fen` as sold; `earned_fen` is what of it the days of a term
    cut short have earned at most. `refunded_fen` is what was refunded and stands.
    """

    term_no: int
    start: date
    end: date
    written_end: date
    premium_fen: int
    written_premium_fen: int
    earned_fen: int
    refunded_fen: int
    status: TermStatus
    covers: tuple[Period, ...]
    opened_on: date
    renewed_on: date
    is_renewal: bool
    cooling_off_end: date | None


class _Life:
    """A term on its way through its facts, in domain order."""

    def __init__(self, opening: Fact) -> None:
        self.opening = opening
        self.end: date = opening.data.end
        self.premium_fen: int = opening.data.premium_fen
        self.refunds: list[Fact] = []
        self.cancelled: Fact | None = None
        self.lapses: list[list[date | None]] = []

    def live(self, fact: Fact) -> None:
        match fact.data:
            case core.PolicyEndorsed(premium_delta_fen=delta, end=end):
                self.premium_fen += delta
                self.end = end or self.end
            case core.PremiumRefunded():
                self.refunds.append(fact)
            case core.PolicyCancelled():
                self.cancelled = fact
            case core.CancellationReversed():
                self._stand_again()
            case core.PolicyLapsed(effective=effective) if not self._is_lapsed:
                self.lapses.append([effective, None])
            case core.PolicyReinstated(effective=effective, bridged=bridged) if self._is_lapsed:
                self._resume(effective, bridged=bridged)
            case _:
                pass

    def _stand_again(self) -> None:
        """The cancellation never was, and neither was what was refunded since it."""
        if self.cancelled is not None:
            self.refunds = [f for f in self.refunds if f.day < self.cancelled.day]
        self.cancelled = None

    @property
    def _is_lapsed(self) -> bool:
        return bool(self.lapses) and self.lapses[-1][1] is None

    def _resume(self, effective: date, *, bridged: bool) -> None:
        """Arrears paid: as if it had never stopped. Otherwise cover is back from `effective`."""
        if bridged:
            self.lapses.pop()
        else:
            self.lapses[-1][1] = effective

    @property
    def start(self) -> date:
        day: date = self.opening.data.start
        return day

    @property
    def voided_by_own(self) -> bool:
        """Cancelled as if it had never been, or before it began."""
        if self.cancelled is None:
            return False
        return self.cancelled.data.kind != "mid_term" or bool(self.cancelled.data.effective <= self.start)

    @property
    def has_no_days(self) -> bool:
        """Its end was moved to its start, or before."""
        return self.end <= self.start

    def stands_in_the_way_of(self, later: "_Life") -> bool:
        """A cancellation takes the later terms with it that were sold already and have not begun."""
        if self.cancelled is None or later.start <= self.start or later.opening.order > self.cancelled.order:
            return False
        effective: date = self.cancelled.data.effective
        return self.voided_by_own or later.start >= effective

    def finished(self, *, void: bool) -> TermState:
        cut = self.cancelled.data.effective if self.cancelled and not self.voided_by_own else date.max
        end = min(self.end, cut)
        covers = () if void else self._covers(end)
        opening, kept = self.opening, 0 if void else self._kept_fen()
        return TermState(
            term_no=opening.data.term_no,
            start=self.start,
            end=end,
            written_end=opening.data.end,
            premium_fen=kept,
            written_premium_fen=opening.data.premium_fen,
            earned_fen=0 if void else min(kept, self._share_fen(end)),
            refunded_fen=self.refunded_fen,
            status="void" if void else self._status(covers, is_cut=cut < self.end),
            covers=covers,
            opened_on=opening.day,
            renewed_on=getattr(opening.data, "renewed_on", None) or opening.day,
            is_renewal=isinstance(opening.data, core.PolicyRenewed),
            cooling_off_end=_cooling_off_end(opening),
        )

    @property
    def refunded_fen(self) -> int:
        return sum(f.data.amount_fen for f in self.refunds)

    def _kept_fen(self) -> int:
        return max(0, self.premium_fen - self.refunded_fen)

    def _share_fen(self, end: date) -> int:
        """The price of the days until `end`, whether or not the refund for the others is known yet."""
        unearned = round_half_up(self.premium_fen * (self.end - end).days, (self.end - self.start).days)
        return max(0, self.premium_fen - unearned)

    def _covers(self, end: date) -> tuple[Period, ...]:
        periods: list[Period] = []
        start = self.start
        for since, until in self.lapses:
            assert since is not None
            periods.append((start, min(since, end)))
            start = max(start, until or end)
        return tuple(union([*periods, (start, end)]))

    def _status(self, covers: tuple[Period, ...], *, is_cut: bool) -> TermStatus:
        if is_cut and covers:
            return "cancelled"
        if self._is_lapsed:
            return "lapsed"
        return "in_force" if covers else "void"


def fold_terms(openings: Sequence[Fact], known: Sequence[Fact]) -> tuple[TermState, ...]:
    """All terms in order of start, from their openings and all facts in domain order."""
    return _finished(_lived(openings, known), known)


def have_room(openings: Sequence[Fact], known: Sequence[Fact]) -> bool:
    """Whether every term of these ends after its start, and no two give cover on one day."""
    lives = _lived(openings, known)
    if any(life.has_no_days for life in lives):
        return False
    covering = [term for term in _finished(lives, known) if term.covers]
    return all(term.end <= later.start for term, later in pairwise(covering))


def _lived(openings: Sequence[Fact], known: Sequence[Fact]) -> list[_Life]:
    lives = {opening.data.term_no: _Life(opening) for opening in openings}
    for fact in known:
        # A change of holder is recorded for a term, but does not wait for it.
        if isinstance(fact.data, core.TermFact) and fact.data.term_no in lives:
            lives[fact.data.term_no].live(fact)
    return list(lives.values())


def _finished(lives: list[_Life], known: Sequence[Fact]) -> tuple[TermState, ...]:
    rescinded = any(isinstance(f.data, core.PolicyRescinded) for f in known)
    return tuple(life.finished(void=rescinded or _is_void(life, lives)) for life in lives)


def _is_void(life: _Life, every: list[_Life]) -> bool:
    return (
        life.voided_by_own
        or life.has_no_days
        or any(other.stands_in_the_way_of(life) for other in every if other is not life)
    )


def _cooling_off_end(opening: Fact) -> date | None:
    """The cooling-off period (犹豫期) runs from the day of the sale."""
    days: Any = opening.data.cooling_off_days
    return opening.day + timedelta(days=days) if days else None
