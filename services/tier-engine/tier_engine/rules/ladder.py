"""One version of the tier rules made quick to ask: which tier do so many insured days and so much premium qualify for?

The invariant: `Ladder.qualified` is the highest tier of which any condition holds, whatever the order of thresholds in the
file (a higher tier may well be easier by one measure).
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from tenure.calendar import DAYS_PER_YEAR
from tenure.contracts.programme import TierRules, Versions
from tenure.contracts.programme.tiers import Measure

PROGRAMMES_MAX: Final = 8
Scale = tuple[list[int], list[int]]
"""Thresholds upwards, and the best rank when so many of them are passed (one more than thresholds)."""


class Ladder:
    __slots__ = ("_fen", "_fen_rank", "_need", "_need_rank", "names", "rules")

    def __init__(self, rules: TierRules) -> None:
        self.rules = rules
        self.names = tuple(t.name for t in rules.tiers)
        self._need, self._need_rank = _scale(rules, "insured_years", DAYS_PER_YEAR)
        self._fen, self._fen_rank = _scale(rules, "annual_premium_fen", 1)

    def qualified(self, days: int, fen: int) -> int:
        """The rank of the highest tier with any condition met; 0 when none is."""
        by_days = self._need_rank[bisect_right(self._need, days)]
        by_premium = self._fen_rank[bisect_right(self._fen, fen)]
        return max(by_days, by_premium)

    def next_need(self, days: int) -> int | None:
        """The next threshold above so many insured days, in insured days."""
        i = bisect_right(self._need, days)
        return self._need[i] if i < len(self._need) else None

    def rank(self, name: str) -> int:
        return self.names.index(name) if name in self.names else -1


def _scale(rules: TierRules, measure: Measure, unit: int) -> Scale:
    marks = sorted(
        (c.least * unit, rank) for rank, tier in enumerate(rules.tiers) for c in tier.any_of if c.measure == measure
    )
    best = [0]
    for _, rank in marks:
        best.append(max(best[-1], rank))
    return [mark for mark, _ in marks], best


@lru_cache(maxsize=PROGRAMMES_MAX)
def ladders(versions: Versions[TierRules]) -> Sequence[Ladder]:
    """The ladders of all versions, in the order in which they come into force."""
    return tuple(Ladder(rules) for rules in versions.all)
