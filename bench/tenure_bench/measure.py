"""What one leg cost: seconds of the wall, and seconds of CPU of everyone who took part, between two marks.

The invariant: CPU is counted for whole process trees, also for those that ended meanwhile (PostgreSQL's backends leave what
they used with the postmaster that waited for them), and never for the bench that drives a leg.
"""

import time
from collections.abc import Mapping

import msgspec
import psutil


class Cost(msgspec.Struct, frozen=True):
    """Seconds of the wall, and of CPU by who used them: services, postgres, broker."""

    wall_s: float
    cpu_s: dict[str, float]

    @property
    def all_cpu_s(self) -> float:
        return sum(self.cpu_s.values())


class Measured(msgspec.Struct, frozen=True):
    """What a leg did, and what of it was wrong: a leg with anything wrong is void."""

    events: int
    cost: Cost
    wrong: list[str] = []
    figures: dict[str, float] = {}

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.cost.wall_s

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU an event, of everyone together."""
        return self.cost.all_cpu_s / self.events * 1e6


class Meter:
    """Reads the clocks at `start` and at `stop`. `trees` are process ids by name; what runs here counts as `services`."""

    def __init__(self, trees: Mapping[str, int]) -> None:
        self._trees = dict(trees)
        self.start()

    def start(self) -> None:
        self._before = self._clocks()
        self._begun = time.perf_counter()

    def stop(self) -> Cost:
        wall_s = time.perf_counter() - self._begun
        after = self._clocks()
        return Cost(wall_s, {name: after[name] - self._before[name] for name in after})

    def _clocks(self) -> dict[str, float]:
        clocks = {name: tree_cpu_s(pid) for name, pid in self._trees.items()}
        return {**clocks, "services": time.process_time()}


def tree_cpu_s(pid: int) -> float:
    """CPU of a process, its living descendants, and those that ended and were waited for."""
    root = psutil.Process(pid)
    return sum(_cpu_s(process) for process in (root, *root.children(recursive=True)))


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
