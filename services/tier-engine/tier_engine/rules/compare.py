"""What a draft of the rules would do to members (what-if): each one's life under the rules that stand and under the draft.

The invariant: both lives are folded from the same terms and growth by the same code that decides real tiers; nothing is sampled,
and a count of many members is the sum of the counts of any of their parts.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal

import msgspec
from tenure.calendar import add_months
from tenure.contracts.programme import TierRules, Versions
from tenure.contracts.tier import NO_TIER, Step, tier_on

from tier_engine.rules.days import InsuredTerm
from tier_engine.rules.member import Member
from tier_engine.rules.timeline import Life, live
from tier_engine.rules.value import YearlyPoints

Effect = Literal["helped", "harmed"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared: the versions that stand with those of the draft, on `as_of` and the same day of the months after it.

    `renewals`: every policy in force on `renewed_from` goes on for the same premium; else cover ends where it ends today.
    """

    current: tuple[TierRules, ...]
    draft: tuple[TierRules, ...]
    as_of: date
    months: int
    renewals: bool
    points: YearlyPoints
    asked_on: date | None = None

    @property
    def renewed_from(self) -> date:
        """`as_of`; of a day that lies ahead nobody knows what is in force on it, so the day on which the question was asked."""
        return self.as_of if self.asked_on is None else min(self.as_of, self.asked_on)

    @property
    def days(self) -> tuple[date, ...]:
        """One day for each month, and the last one, which ends the projection."""
        return tuple(add_months(self.as_of, n) for n in range(self.months + 1))


class Changed(msgspec.Struct, frozen=True, array_like=True):
    """A member whom the draft changes: the first day from `as_of` on with another tier, and both tiers of that day."""

    member_id: str
    effect: Effect
    differs_on: date
    current: str
    draft: str


class Side(msgspec.Struct, kw_only=True):
    """One of the two sides, summed: members by tier per day of the question, those with cover apart; points, in hundredths.

    `reached`: by tier, how many come to it or above it in these months who never had been there.
    """

    members: list[dict[str, int]]
    covered: list[dict[str, int]]
    points_percent: int = 0
    reached: dict[str, int] = {}

    @classmethod
    def empty(cls, days: int) -> "Side":
        return cls(members=[{} for _ in range(days)], covered=[{} for _ in range(days)])

    def add(self, other: "Side") -> None:
        for mine, others in zip((*self.members, *self.covered), (*other.members, *other.covered), strict=True):
            for tier, count in others.items():
                mine[tier] = mine.get(tier, 0) + count
        self.points_percent += other.points_percent
        for tier, count in other.reached.items():
            self.reached[tier] = self.reached.get(tier, 0) + count


class Weighed(msgspec.Struct, kw_only=True):
    """What so many members come to. `moves`: from tier, to tier, as `from>to`, on the first day and on the last."""

    members: int = 0
    current: Side
    draft: Side
    moves_first: dict[str, int] = {}
    moves_last: dict[str, int] = {}
    helped: int = 0
    harmed: int = 0
    changed: list[Changed] = []

    @classmethod
    def empty(cls, question: Question) -> "Weighed":
        days = question.months + 1
        return cls(current=Side.empty(days), draft=Side.empty(days))

    def add(self, other: "Weighed") -> None:
        """All but `changed`, which is listed apart."""
        self.members += other.members
        self.helped += other.helped
        self.harmed += other.harmed
        self.current.add(other.current)
        self.draft.add(other.draft)
        for mine, others in ((self.moves_first, other.moves_first), (self.moves_last, other.moves_last)):
            for move, count in others.items():
                mine[move] = mine.get(move, 0) + count


class Scales:
    """Weighs members, one after the other, for one question."""

    def __init__(self, question: Question) -> None:
        self.question, self.days = question, question.days
        self.current, self.draft = Versions(list(question.current)), Versions(list(question.draft))
        self.order = _order(question)

    def weigh(self, members: Iterable[Member]) -> Weighed:
        total = Weighed.empty(self.question)
        for member in members:
            self._weigh(member, total)
        return total

    def _weigh(self, member: Member, total: Weighed) -> None:
        q = self.question
        terms = carried_on(member.terms, q.renewed_from, self.days[-1]) if q.renewals else member.terms
        lives = live(terms, member.growth, self.current), live(terms, member.growth, self.draft)
        yearly = q.points.of(terms, q.as_of)
        tiers = [self._on(side, life, yearly) for side, life in zip((total.current, total.draft), lives, strict=True)]
        total.members += 1
        had = self._highest(lives[0].steps, date.min, q.as_of)
        for side, life in zip((total.current, total.draft), lives, strict=True):
            self._reach(side, life.steps, had)
        _count(total.moves_first, f"{tiers[0][0]}>{tiers[1][0]}")
        _count(total.moves_last, f"{tiers[0][-1]}>{tiers[1][-1]}")
        changed = self._changed(member.member_id, lives[0].steps, lives[1].steps)
        if changed is not None:
            total.changed.append(changed)
            total.helped += changed.effect == "helped"
            total.harmed += changed.effect == "harmed"

    def _highest(self, steps: Sequence[Step], since: date, before: date) -> int:
        """The highest rank of steps within these days."""
        return max((self.order[s.tier] for s in steps if since <= s.effective < before), default=-1)

    def _reach(self, side: Side, steps: Sequence[Step], had: int) -> None:
        """Count the tiers above what the member really `had` before, on the first day or after it; levels that are skipped, too."""
        first, last = self.days[0], self.days[-1]
        highest = max(self.order[tier_on(steps, first)], self._highest(steps, first, last))
        if highest > had:
            for tier, rank in self.order.items():
                if had < rank <= highest:
                    _count(side.reached, tier)

    def _on(self, side: Side, life: Life, yearly: int) -> list[str]:
        """The tier on each day, counted on its side; a month's points are a twelfth of the year's, by that month's tier."""
        tiers = []
        last = len(self.days) - 1
        for n, day in enumerate(self.days):
            tier = tier_on(life.steps, day)
            tiers.append(tier)
            _count(side.members[n], tier)
            if life.segment_at(day).profile.at(day).covered:
                _count(side.covered[n], tier)
                if n < last and yearly:
                    side.points_percent += yearly * self.question.points.percent_of(tier)
        return tiers

    def _changed(self, member_id: str, current: Sequence[Step], draft: Sequence[Step]) -> Changed | None:
        if current == draft:
            return None
        first, last = self.days[0], self.days[-1]
        steps = {s.effective for s in (*current, *draft) if first < s.effective <= last}
        for day in (first, *sorted(steps)):
            now, then = tier_on(current, day), tier_on(draft, day)
            if now != then:
                effect: Effect = "helped" if self.order[then] > self.order[now] else "harmed"
                return Changed(member_id, effect, day, now, then)
        return None


def _order(question: Question) -> dict[str, int]:
    """Tiers from the lowest up, those of the draft before those it has no name for; each of them once."""
    order = {NO_TIER: -1}
    for rules in (*reversed(question.draft), *reversed(question.current)):
        for rank, tier in enumerate(rules.tiers):
            order.setdefault(tier.name, rank)
    return order


def carried_on(terms: tuple[InsuredTerm, ...], day: date, until: date) -> tuple[InsuredTerm, ...]:
    """The terms as if every policy that is in force on `day`, or begins later, went on through `until` for its premium; not what
    lapses, or is to be another's, before its end.
    """
    newest: dict[str, InsuredTerm] = {}
    for term in terms:
        if term.covers and (term.policy_no not in newest or newest[term.policy_no].covers[-1] < term.covers[-1]):
            newest[term.policy_no] = term
    going_on = {t.key for t in newest.values() if t.covers[-1][1] > day and t.runs_out}
    return tuple(_longer(t, until) if t.key in going_on else t for t in terms)


def _longer(term: InsuredTerm, until: date) -> InsuredTerm:
    *before, (start, end) = term.covers
    return msgspec.structs.replace(term, covers=(*before, (start, max(end, add_months(until, 1)))))


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
