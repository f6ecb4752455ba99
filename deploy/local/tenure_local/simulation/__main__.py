"""`make simulate`: seeded worlds, one after another, with their figures; a failure prints the command that has it again.

Many events are several worlds of a seed each, every one in a process of its own: more chances than one long life has, and
no world pays for the heap of the one before. `--worlds 1` is the long life.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import msgspec
from tenure import programme
from tenure.contracts.programme import Programme
from tenure.process import settle_the_heap
from tenure.simulation import loop

from tenure_local.simulation.facts import sizes_for
from tenure_local.simulation.witness import ViolationError
from tenure_local.simulation.world import World

EVENTS: Final = 1_010_000
"""Asked for; what is decided may be a hundredth less."""
EVENTS_OF_A_WORLD: Final = 63_000
DAYS_OF_A_WORLD: Final = 20


class Asked(msgspec.Struct, frozen=True):
    """One world that somebody wants: `days` 0 = as its size suggests."""

    seed: int
    events: int
    days: int
    harder: int
    calm: bool

    @property
    def again(self) -> str:
        words = f"--worlds 1 --harder {self.harder}" + (f" --days {self.days}" if self.days else "")
        return f"make simulate SEED={self.seed} EVENTS={self.events} ARGS='{words}'"


class Lived(msgspec.Struct, frozen=True):
    """What became of one: `wrong` says what did not hold, if anything."""

    events: int
    cpu_s: float
    wrong: str = ""


def main() -> int:
    given = _given()
    rules = programme.load(given.programme)
    worlds = given.worlds or max(1, given.events // EVENTS_OF_A_WORLD)
    days = given.days or (DAYS_OF_A_WORLD if worlds > 1 else 0)
    asked = [Asked(given.seed + n, given.events // worlds, days, given.harder, given.calm) for n in range(worlds)]
    began = time.perf_counter()
    if worlds == 1:
        return 1 if _live(asked[0], rules).wrong else 0
    settle_the_heap()
    lived = [_in_a_process(one, rules) for one in asked]
    events, cpu_s = sum(one.events for one in lived), sum(one.cpu_s for one in lived)
    print(
        f"{worlds} worlds: {events:,} events in {time.perf_counter() - began:.1f} s, {cpu_s:.1f} s of CPU "
        f"({cpu_s / events * 1e6:.1f} us an event)"
    )
    failed = [one for one, found in zip(asked, lived, strict=True) if found.wrong]
    for one in failed:
        print(f"FAILED: {one.again}")
    return 1 if failed else 0


def _in_a_process(asked: Asked, rules: Programme) -> Lived:
    """In a fork of this one, which has loaded everything and done nothing."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_tell, args=(theirs, asked, rules))
    process.start()
    theirs.close()
    try:
        return msgspec.msgpack.decode(ours.recv_bytes(), type=Lived)
    except EOFError:
        return Lived(1, 0.0, "it ended without an answer")
    finally:
        process.join()


def _tell(pipe: Connection, asked: Asked, rules: Programme) -> None:
    pipe.send_bytes(msgspec.msgpack.encode(_live(asked, rules)))


def _live(asked: Asked, rules: Programme) -> Lived:
    sizes = sizes_for(asked.events, days=asked.days or None)
    world = World(asked.seed, sizes, rules, calm=asked.calm, harder=asked.harder, progress=_progress)
    gc.disable()  # what goes in rings here are a few errors: a look at everything that lives would cost far more
    began, cpu = time.perf_counter(), time.process_time()
    print(f"seed {asked.seed}; the same again: {asked.again}", flush=True)
    try:
        loop.run(world.run(), seed=asked.seed)
    except ViolationError as wrong:
        print(f"FAILED after {world.witness.events:,} events: {wrong}\nagain: {asked.again}", flush=True)
        return Lived(world.witness.events or 1, time.process_time() - cpu, str(wrong))
    cpu_s = time.process_time() - cpu
    _report(world, time.perf_counter() - began, cpu_s)
    return Lived(world.witness.events, cpu_s)


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tenure_local.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)), help="of the first world")
    parser.add_argument("--events", type=int, default=EVENTS, help="of all worlds together, about")
    parser.add_argument(
        "--worlds", type=int, default=0, help=f"one for {EVENTS_OF_A_WORLD:,} events, unless said otherwise"
    )
    parser.add_argument("--days", type=int, default=0, help="a world's length, unless its size says it")
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
    print(f"digest {world.witness.digest:08x}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
