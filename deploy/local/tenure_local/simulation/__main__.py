"""`make simulate`: one run of the seeded world, with its figures; a failure prints the command that has it again."""

import argparse
import gc
import os
import sys
import time
from pathlib import Path

from tenure import programme
from tenure.simulation import loop

from tenure_local.simulation.facts import sizes_for
from tenure_local.simulation.witness import ViolationError
from tenure_local.simulation.world import World


def main() -> int:
    asked = _asked()
    rules = programme.load(asked.programme)
    world = World(asked.seed, sizes_for(asked.events), rules, calm=asked.calm, harder=asked.harder, progress=_progress)
    gc.disable()  # what goes in rings here are a few errors: a look at everything that lives would cost far more
    began, cpu = time.perf_counter(), time.process_time()
    again = f"make simulate SEED={asked.seed} EVENTS={asked.events} ARGS='--harder {asked.harder}'"
    print(f"seed {asked.seed}; the same again: {again}", flush=True)
    try:
        loop.run(world.run(), seed=asked.seed)
    except ViolationError as wrong:
        print(f"FAILED after {world.witness.events:,} events: {wrong}\nagain: {again}")
        return 1
    _report(world, time.perf_counter() - began, time.process_time() - cpu)
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tenure_local.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--programme", type=Path, default=Path("programme"))
    parser.add_argument("--harder", type=int, default=1, help="how many times more often everything strikes")
    parser.add_argument("--calm", action="store_true", help="the same facts, and nothing goes wrong")
    return parser.parse_args()


def _progress(world: World) -> None:
    print(
        f"\r{world.witness.events:>10,} events, {world.witness.commits:,} commits", end="", file=sys.stderr, flush=True
    )


def _report(world: World, seconds: float, cpu_s: float) -> None:
    events = world.witness.events
    print(
        f"\nseed {world.seed}: {events:,} events in {seconds:.1f} s, {cpu_s:.1f} s of CPU ({cpu_s / events * 1e6:.1f} us an event)"
    )
    for name, seen in world.witness.services.items():
        print(f"  {name:14} {seen.decided.total():>10,}")
    for what, times in sorted(world.dice.struck.items()):
        print(f"  {times:>8,} {what}")
    print(f"digest {world.witness.digest:08x}")


if __name__ == "__main__":
    sys.exit(main())
