"""What a member's whole timeline costs: against the same rules walked day by day, and against its own cost with a longer history.

Both legs are pure CPU in this process; each member's steps are compared after every round.
"""

import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from tenure import programme
from tenure.contracts.programme import TierRules, Versions
from tenure_local.home import Home
from tier_engine.rules import InsuredTerm, live

from tenure_bench.bench import Bench
from tenure_bench.legs import day_by_day
from tenure_bench.results import Bounds, Case, case

UNTIL: Final = date(2026, 12, 31)
SHORT, LONG = 8, 64
"""Terms of a member: eight is four years of two policies; sixty-four is more than anybody has."""
FAST_TIMES: Final = 40
Terms = tuple[InsuredTerm, ...]


def run(bench: Bench) -> list[Case]:
    rules = programme.load(Path(Home().environment_programme())).tiers
    members = 10 if bench.plan.smoke else 40
    return [_against_days(bench, rules, members), _with_history(bench, rules, members * FAST_TIMES)]


def _against_days(bench: Bench, rules: Versions[TierRules], members: int) -> Case:
    few = list(day_by_day.people(members, terms=SHORT))
    many = few * FAST_TIMES
    ratios, fast, slow, wrong = list[float](), list[float](), list[float](), list[str]()
    for order in bench.rounds("tiers", ["timeline", "day by day"], share=0.1):
        found: dict[str, tuple[float, list[Any]]] = {}
        for leg in order:
            found[leg] = (
                _timed(many, lambda t: [(s.effective, s.tier) for s in live(t, (), rules).until(UNTIL)])
                if leg == "timeline"
                else _timed(few, lambda t: day_by_day.steps(t, rules.newest, UNTIL))
            )
        if found["timeline"][1][:members] != found["day by day"][1]:
            wrong.append("the two do not agree")
            continue
        fast.append(found["timeline"][0])
        slow.append(found["day by day"][0])
        ratios.append(fast[-1] / slow[-1])
        bench.say(f"  timeline {fast[-1]:,.0f} members/s, day by day {slow[-1]:,.1f}")
    return case(
        "tier recompute", "the same rules day by day", ratios, Bounds(),
        figures=_medians({"timeline members/s": fast, "day by day members/s": slow}), wrong=wrong,
    )  # fmt: skip


def _with_history(bench: Bench, rules: Versions[TierRules], members: int) -> Case:
    """Cost a term with eight times the terms, over the cost a term with few: 1 is linear."""
    short = list(day_by_day.people(members, terms=SHORT))
    long = list(day_by_day.people(members * SHORT // LONG, terms=LONG))
    ratios, of_short, of_long = list[float](), list[float](), list[float]()
    for order in bench.rounds("tiers with history", ["short", "long"], share=0.1):
        rate = {leg: _timed(short if leg == "short" else long, lambda t: live(t, (), rules).steps)[0] for leg in order}
        of_short.append(rate["short"])
        of_long.append(rate["long"])
        ratios.append(rate["short"] * SHORT / (rate["long"] * LONG))
    return case(
        f"tier recompute, CPU a term at {LONG} terms / at {SHORT}", "itself", ratios, Bounds(better="lower"),
        figures=_medians({f"members/s of {SHORT} terms": of_short, f"members/s of {LONG} terms": of_long}),
    )  # fmt: skip


def _timed(people: Sequence[Terms], judge: Callable[[Terms], Any]) -> tuple[float, list[Any]]:
    """Members a second of this process's CPU, and what was found."""
    before = time.process_time()
    found = [judge(terms) for terms in people]
    return len(people) / (time.process_time() - before), found


def _medians(figures: dict[str, list[float]]) -> dict[str, float]:
    from statistics import median

    return {name: median(values) for name, values in figures.items() if values}
