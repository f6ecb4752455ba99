"""One run: its servers, its sizes, its clock, and what it found. Cases are handed this and nothing else."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tenure.spine.log import Position

from tenure_bench.measure import Measured
from tenure_bench.plan import Plan
from tenure_bench.results import Bounds, Case, case
from tenure_bench.statistics import there_and_back
from tenure_bench.world import World

T = TypeVar("T")
Round = dict[str, Measured]
Say = Callable[[str], None]


@dataclass
class Bench:
    world: World
    plan: Plan
    say: Say
    reserved_s: float = 0.0
    """What the cases that are still to come need at least."""
    begun: float = field(default_factory=time.monotonic)
    until: float = field(init=False)

    def __post_init__(self) -> None:
        self.until = self.begun + self.plan.run_s_max

    @property
    def left_s(self) -> float:
        return self.until - time.monotonic()

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(coroutine)

    def rounds(self, name: str, legs: Sequence[str], *, share: float) -> Iterator[list[str]]:
        """The legs of each round, forth and back; it ends early when this case has used its share of the time that is left, or
        would take what the cases after it need.
        """
        ends = time.monotonic() + min(self.left_s * share, self.left_s - self.reserved_s)
        for n, order in enumerate(there_and_back(legs, self.plan.pairs)):
            if time.monotonic() > ends:
                self.say(f"  {name}: out of time after {n} of {self.plan.pairs} rounds")
                return
            yield order

    def told(self, leg: str, m: Measured) -> Measured:
        cpu = ", ".join(f"{who} {s / m.events * 1e6:.0f}" for who, s in m.cost.cpu_s.items())
        what = f"{m.rate:,.0f}/s, CPU us an event: {cpu}" if not m.wrong else f"VOID: {'; '.join(m.wrong)[:200]}"
        self.say(f"  {leg:<14} {what}")
        return m


def compared(
    name: str,
    against: str,
    rounds: Sequence[Round],
    sides: tuple[str, str],
    ratio: Callable[[Measured, Measured], float],
    bounds: Bounds,
    *,
    figure: Callable[[Measured], float] = lambda m: m.rate,
    unit: str = "events/s",
) -> Case:
    """A case from the rounds in which both sides are sound."""
    ours, theirs = sides
    sound = [(r[ours], r[theirs]) for r in rounds if not r[ours].wrong and not r[theirs].wrong]
    wrong = ["; ".join(r[ours].wrong + r[theirs].wrong) for r in rounds if r[ours].wrong or r[theirs].wrong]
    figures = {}
    if sound:
        from statistics import median

        figures = {
            f"{ours} {unit}": median(figure(a) for a, _ in sound),
            f"{theirs} {unit}": median(figure(b) for _, b in sound),
        }
    return case(name, against, [ratio(a, b) for a, b in sound], bounds, figures=figures, wrong=wrong)


def faster(ours: Measured, theirs: Measured) -> float:
    return ours.rate / theirs.rate


def cheaper(ours: Measured, theirs: Measured) -> float:
    """How many times the CPU of ours an event costs over there."""
    return theirs.cpu_us / ours.cpu_us


def as_tuples(positions: Sequence[Position]) -> list[tuple[str, int, int]]:
    return sorted((p.topic, p.partition, p.next_offset) for p in positions)
