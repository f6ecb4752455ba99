"""Catching up after an outage: the consumer was away while half of what it can drain came in, and keeps coming.

Ideal: what piled up, at the rate the ledger drained just before less what still comes in. It has caught up with the first commit
after which no more waits than a quarter of a second brings. The clock starts when the process begins to join its group. How
long the outage was cancels out (both times grow with it), so it is short here.
"""

from bisect import bisect_right
from statistics import median
from typing import Final

from tenure_bench import facts
from tenure_bench.bench import Bench
from tenure_bench.cases.ledger import Drain
from tenure_bench.cases.live import Seen, Side
from tenure_bench.results import Bounds, Case, case

CAUGHT_UP_S: Final = 0.25
LOAD_TIMES: Final = 4


def run(bench: Bench) -> list[Case]:
    drain = Drain(bench)
    times: list[tuple[float, float, float]] = []
    wrong: list[str] = []
    for n, _ in enumerate(bench.rounds("catch-up", ("ledger_live",), share=0.35)):
        rate = drain.half()
        seen, backlog = one(bench, f"C{n}", rate)
        ideal = backlog / (drain.rate - rate)
        took = None if seen.measured.wrong else caught_up_after(seen, backlog, rate)
        if took is None:
            wrong.append("; ".join(seen.measured.wrong) or "it never caught up")
        else:
            times.append((took, ideal, rate))
        bench.say(
            f"  catch-up       {'VOID ' + wrong[-1][:150] if took is None else f'{took:.2f} s for an ideal of {ideal:.2f} s'}"
        )
    names = ("seconds", "ideal seconds", "inflow/s")
    figures = (
        {name: median(column) for name, column in zip(names, zip(*times, strict=True), strict=True)} if times else {}
    )
    ratios = [took / ideal for took, ideal, _ in times]
    return [
        case(
            "catch-up after an outage at half load",
            "ideal drain time",
            ratios,
            Bounds(2.0, 1.2, "lower"),
            figures=figures,
            wrong=wrong,
        )
    ]


def one(bench: Bench, name: str, rate: float) -> tuple[Seen, int]:
    backlog = facts.premiums(range(max(1, int(rate * bench.plan.outage_s / 2))), prefix=f"{name}b")
    load = facts.premiums(range(int(rate * bench.plan.outage_s * LOAD_TIMES / 2)), prefix=f"{name}l")
    side = Side(bench, "ledger_live", load, rate=rate)
    bench.do(bench.world.publish(backlog))
    side.feed()
    side.consume(lag_max=int(rate * CAUGHT_UP_S))
    side.until_caught_up()
    return side.end(), len(backlog)


def caught_up_after(seen: Seen, backlog: int, rate: float) -> float | None:
    """Seconds from its beginning to the first commit with next to nothing waiting."""
    handed, committed = sorted(seen.handed.values()), sorted(seen.visible.values())
    for n, at in enumerate(committed, 1):
        is_last_of_its_commit = n == len(committed) or committed[n] != at
        waiting = backlog + bisect_right(handed, at) - n
        if is_last_of_its_commit and waiting <= rate * CAUGHT_UP_S:
            return at - seen.measured.figures["begun"]
    return None
