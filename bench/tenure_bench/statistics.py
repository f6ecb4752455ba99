"""What may be said of interleaved pairs: a median of ratios, and an interval for it.

The invariant: a ratio is taken between two legs that ran next to each other, never between two averages, so what the machine was
doing at the time falls out of it. The interval is that of the median under resampling of the pairs, with a fixed seed: the same
figures give the same interval.
"""

import random
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final, NamedTuple, TypeVar

RESAMPLES: Final = 4_000
CONFIDENCE: Final = 0.95
PAIRS_FOR_A_CLAIM: Final = 7
T = TypeVar("T")


class Interval(NamedTuple):
    """A median, and between which bounds it lies with 95 % of the resamples."""

    middle: float
    low: float
    high: float


def interval_of(values: Sequence[float]) -> Interval:
    """The median of at least one value, with its bootstrap interval."""
    dice = random.Random(len(values))
    medians = sorted(median(dice.choices(values, k=len(values))) for _ in range(RESAMPLES))
    cut = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Interval(median(values), medians[cut], medians[-1 - cut])


def there_and_back(legs: Sequence[T], rounds: int) -> Iterator[list[T]]:
    """A B, B A, A B, ...: whoever goes first goes last the next time, so that what drifts favours neither."""
    for n in range(rounds):
        yield list(legs) if n % 2 == 0 else list(reversed(legs))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 1).__int__() - 1)]
