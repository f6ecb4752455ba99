"""The tier as a fold over days (DESIGN 5.2), for all time at once and without walking over days.

Time is cut where the qualified tier can change: where cover or premium changes, where an insured year completes that a
threshold names, where another version of the rules comes into force. Within such a span the fold has a closed form:

- no tier yet: the first covered day gives the qualified tier, at least the lowest;
- qualified above the tier: the tier becomes it on the span's first day;
- qualified at the tier: every day of the span confirms it, so the last day does;
- qualified below the tier: kept until the protection after the last confirmed day ends, then one level down. That day counts
  as confirmed, so the next level down is as far away again; if the qualified tier is the one just reached, each further day
  of the span confirms it. The lowest tier is always qualified for, so it is the floor.

The rules of a day are those in force on it; the length of a protection is that of the version in force when it began, so
that members keep what they were promised (DOMAIN 26).
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import chain
from typing import Final

import msgspec
from tenure.calendar import DAY
from tenure.contracts.programme import Programme, TierRules, Versions
from tenure.contracts.tier import Cause, Step

from tier_engine.rules.days import Growth, InsuredTerm, Profile, first_day_with_number
from tier_engine.rules.ladder import Ladder, ladders

FOREVER: Final = date.max
_BEGINNING: Final = date.min
Span = tuple[date, date, int, bool]
"""`[from, to)`, the rank qualified for on each of its days, and whether there is cover."""


class Risk(msgspec.Struct, frozen=True, array_like=True):
    """From `effective` on no condition of `tier` holds: it drops to `to_tier` on `drops_on` unless one does again."""

    effective: date
    tier: str
    to_tier: str
    drops_on: date


class Segment:
    """A stretch of time under one version of the rules."""

    __slots__ = ("end", "ladder", "profile", "start")

    def __init__(self, start: date, end: date, ladder: Ladder, profile: Profile) -> None:
        self.start, self.end, self.ladder, self.profile = start, end, ladder, profile

    def spans(self) -> Iterator[Span]:
        """The segment cut where the qualified tier can change; no span is empty."""
        starts, profile = self.profile.starts, self.profile
        first = bisect_right(starts, self.start)
        lead_end = min(starts[first], self.end) if first < len(starts) else self.end
        if first == 0:
            yield self.start, lead_end, self.ladder.qualified(0, 0), False
        for i in range(max(0, first - 1), len(starts)):
            lo = max(starts[i], self.start)
            hi = min(starts[i + 1], self.end) if i + 1 < len(starts) else self.end
            if lo < hi:
                days = profile.at(lo).insured_days if lo != starts[i] else profile.days[i]
                yield from self._piece(lo, hi, days, i)

    def _piece(self, lo: date, hi: date, days: int, i: int) -> Iterator[Span]:
        """One piece of the profile: without cover it is one span, with cover it is cut where years complete."""
        fen, covered, qualified = self.profile.premium[i], self.profile.covered[i], self.ladder.qualified
        need = self.ladder.next_need(days) if covered else None
        # On the day `start` the count stood at `days`: it reaches `need` on the first day with this number.
        offset = self.profile.numbers[i] - self.profile.days[i]
        while need is not None and (reached := first_day_with_number(offset + need)) < hi:
            yield lo, reached, qualified(days, fen), covered
            lo, days = reached, need
            need = self.ladder.next_need(days)
        yield lo, hi, qualified(days, fen), covered


class Life:
    """All that a member's terms and growth imply: `steps` of the tier and `risks` of losing it, past and to come.

    `eased` are the days on which a condition of a tier at risk held again.
    """

    __slots__ = ("eased", "risks", "segments", "steps")

    def __init__(self, segments: tuple[Segment, ...], fold: "_Fold") -> None:
        self.segments = segments
        self.steps, self.risks, self.eased = tuple(fold.steps), tuple(fold.risks), tuple(fold.eased)

    def segment_at(self, day: date) -> Segment:
        return next(s for s in reversed(self.segments) if s.start <= day)

    def until(self, day: date) -> tuple[Step, ...]:
        """The timeline revealed when the member has lived to `day`."""
        steps = self.steps
        return steps if not steps or steps[-1].effective <= day else tuple(s for s in steps if s.effective <= day)

    def risk_at(self, day: date) -> Risk | None:
        """The risk the member runs on `day`."""
        for risk in reversed(self.risks):
            if risk.effective <= day:
                return risk if day < risk.drops_on and self._held_since(risk, day) else None
        return None

    def _held_since(self, risk: Risk, day: date) -> bool:
        """Whether neither the tier changed nor a condition held again between the start of the risk and `day`."""
        segment = self.segment_at(day)
        m = segment.profile.at(day)
        rank = segment.ladder.rank(risk.tier)
        return segment.ladder.qualified(m.insured_days, m.annual_premium_fen) < rank

    def next_change(self, after: date) -> date | None:
        """The next day on which the tier changes or a risk begins by the passing of time alone."""
        steps = (s.effective for s in self.steps if s.effective > after)
        risks = (r.effective for r in self.risks if r.effective > after)
        return min(chain(steps, risks), default=None)

    def next_due(self, after: date) -> date | None:
        """The same, or the day on which a risk is over, or other rules come into force: something else may be missing then."""
        if not self.steps or (len(self.segments) == 1 and not self.eased):
            return self.next_change(after)
        turns = (s.start for s in self.segments[1:] if s.start > max(after, self.steps[0].effective))
        eased = (day for day in self.eased if day > after)
        return min(filter(None, (self.next_change(after), next(turns, None), next(eased, None))), default=None)


class _Fold:
    """The tier so far."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.risks: list[Risk] = []
        self.eased: list[date] = []
        self.rank = -1
        self.at_risk = False
        self._confirmed = _BEGINNING
        self._months = 0

    def enter(self, ladder: Ladder) -> None:
        """Another version comes into force: the tier keeps its name, whatever its rank is now.

        A tier the new version has no name for ends there: the member takes what it qualifies for.
        """
        if self.rank >= 0:
            self.rank = ladder.rank(self.steps[-1].tier)

    def pass_through(self, span: Span, ladder: Ladder) -> None:
        lo, hi, qualified, covered = span
        if self.rank < 0:
            if not covered and not self.steps:
                return
            self._step(lo, qualified, "upgrade" if qualified or self.steps else "first_cover", ladder)
        elif qualified > self.rank:
            self._step(lo, qualified, "upgrade", ladder)
        elif qualified < self.rank:
            self._below(span, ladder)
        if qualified >= self.rank:
            if self.at_risk:
                self.eased.append(lo)
            self._confirm(hi - DAY, ladder)

    def _below(self, span: Span, ladder: Ladder) -> None:
        """Protection runs; where it ends within the span, the tier comes down level by level."""
        lo, hi, qualified, _ = span
        if not self.at_risk:
            self._risk(lo, ladder)
        while qualified < self.rank and (ends := protection_end(self._confirmed, self._months)) < hi:
            assert ends >= lo, "an earlier span would have seen this protection end"
            self._step(ends, self.rank - 1, "soft_landing", ladder)
            self._confirm(ends, ladder)
            if qualified < self.rank:
                self._risk(ends, ladder)

    def _step(self, day: date, rank: int, cause: Cause, ladder: Ladder) -> None:
        self.rank = rank
        self.steps.append(Step(effective=day, tier=ladder.names[rank], cause=cause))

    def _confirm(self, day: date, ladder: Ladder) -> None:
        self._confirmed, self._months, self.at_risk = day, ladder.rules.protection_months, False

    def _risk(self, day: date, ladder: Ladder) -> None:
        self.at_risk = True
        ends = protection_end(self._confirmed, self._months)
        tier, below = ladder.names[self.rank], ladder.names[self.rank - 1]
        self.risks.append(Risk(day, tier, below, ends))


def protection_end(confirmed: date, months: int) -> date:
    """The day so many months after the last confirmed one; a day that month does not have is the first of the next."""
    years, month = divmod(confirmed.year * 12 + confirmed.month - 1 + months, 12)
    if years > FOREVER.year:
        return FOREVER
    try:
        return date(years, month + 1, confirmed.day)
    except ValueError:
        return date(years, month + 2, 1)  # months that are too short are never December


def live(terms: Iterable[InsuredTerm], growth: Growth, versions: Versions[TierRules]) -> Life:
    """The whole life of a member's tier under the rules in force on each day."""
    terms = shares_that_count(tuple(terms))
    segments = _segments(terms, growth, versions)
    fold = _Fold()
    for segment in segments:
        fold.enter(segment.ladder)
        for span in segment.spans():
            fold.pass_through(span, segment.ladder)
    return Life(segments, fold)


def _segments(terms: tuple[InsuredTerm, ...], growth: Growth, versions: Versions[TierRules]) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for ladder in ladders(versions):
        rules, last = ladder.rules, found[-1] if found else None
        if last is not None:
            last.end = rules.effective
        profile = (
            last.profile
            if last is not None and _measure_alike(last.ladder.rules, rules)
            else Profile(terms, growth, rules)
        )
        found.append(Segment(rules.effective if last else _BEGINNING, FOREVER, ladder, profile))
    return tuple(found)


def _measure_alike(one: TierRules, other: TierRules) -> bool:
    return one.eligible_product_lines == other.eligible_product_lines and one.growth_credit == other.growth_credit


def shares_that_count(terms: tuple[InsuredTerm, ...]) -> tuple[InsuredTerm, ...]:
    """All terms, but for shares that a merge made out of date.

    Before a merge two members may each hold a share of one term (its holder changed): days that do not overlap. After it, the
    core speaks of the term under the remaining id alone. So a newer share without cover (void, or another's altogether),
    or with a day in common with an older one, stands for it.
    """
    shares: dict[tuple[str, int], list[InsuredTerm]] = {}
    for term in terms:
        shares.setdefault((term.policy_no, term.term_no), []).append(term)
    if len(shares) == len(terms):
        return terms
    return tuple(t for t in terms if not any(_stands_for(other, t) for other in shares[t.policy_no, t.term_no]))


def _stands_for(newer: InsuredTerm, older: InsuredTerm) -> bool:
    """Whether a share of the same term does."""
    if newer.version <= older.version:
        return False
    return not newer.covers or any(a < d and c < b for a, b in newer.covers for c, d in older.covers)


def timeline(terms: Iterable[InsuredTerm], growth: Growth, programme: Programme, until: date) -> tuple[Step, ...]:
    """The member's tiers up to and including `until`."""
    return live(terms, growth, programme.tiers).until(until)


def next_change(terms: Iterable[InsuredTerm], growth: Growth, programme: Programme, after: date) -> date | None:
    """The next day after `after` on which the tier changes, or a risk of losing it begins, if no further fact comes."""
    return live(terms, growth, programme.tiers).next_change(after)
