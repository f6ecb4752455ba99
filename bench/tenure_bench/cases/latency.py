"""From publish to visible balance while half of what the ledger can drain comes in, against a null hop and a row committed.

The hand-written loop takes the same load, to show how much of the way the rules and the spine make, and how much the rows alone.
"""

import time
from statistics import median

from tenure_bench import facts
from tenure_bench.bench import Bench
from tenure_bench.cases.ledger import Drain
from tenure_bench.cases.live import Seen, Side
from tenure_bench.results import Bounds, Case, case
from tenure_bench.statistics import percentile

WARM_UP_S = 0.5
LEGS = ("hop_live", "ledger_live", "loop_live")
FLOOR = "null hop + one-row commit"


def run(bench: Bench) -> list[Case]:
    drain = Drain(bench)
    seconds = bench.plan.latency_s + WARM_UP_S
    rate = 0.0
    rounds: list[dict[str, list[float]]] = []
    wrong: list[str] = []
    for n, order in enumerate(bench.rounds("latency", LEGS, share=0.34)):
        found = {}
        if n % 2 == 0:  # the legs forth and back, with one load
            rate = drain.half()
        for leg in order:
            seen = one(bench, leg, f"L{n}", rate, seconds)
            wrong += ["; ".join(seen.measured.wrong)] if seen.measured.wrong else []
            found[leg] = latencies(seen)
            told = (
                "void"
                if not found[leg]
                else f"p50 {percentile(found[leg], 0.5):.1f} ms, p99 {percentile(found[leg], 0.99):.1f} ms"
            )
            bench.say(f"  {leg:<14} {told} {'; '.join(seen.measured.wrong)[:150]}")
        if all(found.values()):
            rounds.append(found)
    return [
        of_percentile(rounds, 0.5, "ledger_live", Bounds(2.0, 1.3, "lower"), wrong),
        of_percentile(rounds, 0.99, "ledger_live", Bounds(4.0, 2.0, "lower"), wrong),
        of_percentile(rounds, 0.5, "loop_live", Bounds(better="lower"), wrong),
        of_percentile(rounds, 0.99, "loop_live", Bounds(better="lower"), wrong),
    ]


def one(bench: Bench, leg: str, name: str, rate: float, seconds: float) -> Seen:
    load = facts.premiums(range(max(1, int(rate * seconds / 2))), prefix=f"{name}{leg[0]}")
    side = Side(bench, leg, load, rate=rate)
    side.consume()
    side.feed()
    time.sleep(seconds)
    return side.end()


def latencies(seen: Seen) -> list[float]:
    """Milliseconds, of events handed over after the warm-up."""
    if seen.measured.wrong or not seen.handed:
        return []
    begun = min(seen.handed.values()) + WARM_UP_S
    return [(seen.visible[key] - at) * 1e3 for key, at in seen.handed.items() if at >= begun]


def of_percentile(
    rounds: list[dict[str, list[float]]], share: float, leg: str, bounds: Bounds, wrong: list[str]
) -> Case:
    pairs = [tuple(percentile(r[side], share) for side in ("hop_live", leg)) for r in rounds]
    floor, seen = ([pair[n] for pair in pairs] for n in (0, 1))
    who = "ledger" if leg == "ledger_live" else "loop"
    figures = {"floor ms": median(floor), f"{who} ms": median(seen)} if pairs else {}
    name = f"publish to visible {'balance' if who == 'ledger' else 'row, hand-written loop,'} at half load, p{share * 100:g}"
    return case(name, FLOOR, [b / a for a, b in pairs], bounds, figures=figures, wrong=wrong)
