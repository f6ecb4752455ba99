"""`python -m tenure_bench [--smoke] [--only ledger,pipeline,...] [--out FOLDER]`: run the cases, write what was found.

Exit status 1 when a leg was void, 2 when the servers could not be had.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from tenure.embedded.choose import NoDurableKafkaError
from tenure_local.services import SERVICES

from tenure_bench import children, results
from tenure_bench.bench import Bench
from tenure_bench.cases import catch_up, growth, imports, latency, ledger, pipeline, relay, tiers
from tenure_bench.plan import FULL, SMOKE
from tenure_bench.results import Case
from tenure_bench.world import POSTGRES, World

CASES: Final[dict[str, Callable[[Bench], list[Case]]]] = {
    "ledger": ledger.run,
    "renewals": ledger.run_renewals,
    "relay": relay.run,
    "latency": latency.run,
    "catch-up": catch_up.run,
    "pipeline": pipeline.run,
    "tiers": tiers.run,
    "import": imports.run,
    "import-growth": imports.run_again,
    "growth": growth.run,
}

LEAST_S: Final = {
    "ledger": 110,
    "renewals": 90,
    "relay": 15,
    "latency": 40,
    "catch-up": 40,
    "pipeline": 70,
    "tiers": 20,
    "import": 30,
    "import-growth": 40,
    "growth": 70,
}
"""Seconds without which a case of the full run is not begun, and which those before it leave to it."""


def main() -> int:
    asked = _arguments()
    plan = SMOKE if asked.smoke else FULL
    names = asked.only.split(",") if asked.only else list(CASES)
    load, begun = os.getloadavg()[0], time.monotonic()
    children.start()
    try:
        with World() as world:
            bench = Bench(world, plan, _say)
            bench.do(world.prepare(SERVICES))
            cases, failed = _run(bench, names)
            settings = {"postgres": dict(POSTGRES), "kafka": world.kafka_kind, "plan": msgspec.to_builtins(plan)}
    except NoDurableKafkaError as missing:
        _say(f"the bench needs a real Apache Kafka: {missing}")
        return 2
    found = results.document(cases, smoke=plan.smoke, settings=settings, load=load, seconds=time.monotonic() - begun)
    path = results.write(found, asked.out)
    if not plan.smoke and not asked.only:
        results.put_into_readme(found, cases)
    _say(f"\n{results.table(cases)}\n\n{results.figures(cases)}\n\nwritten to {path.name}")
    return _verdict(cases, failed)


def _run(bench: Bench, names: Sequence[str]) -> tuple[list[Case], list[str]]:
    """Every case, whatever became of the one before. Returns what was found, and which cases broke."""
    found: list[Case] = []
    failed: list[str] = []
    for n, name in enumerate(names):
        bench.reserved_s = 0 if bench.plan.smoke else sum(LEAST_S[later] for later in names[n + 1 :])
        _say(f"{name} ({bench.left_s:.0f} s left)")
        if bench.left_s < (0 if bench.plan.smoke else LEAST_S[name]):
            failed.append(f"{name}: no time was left for it")
            continue
        try:
            found += CASES[name](bench)
        except Exception as error:  # noqa: BLE001 - the run goes on, and says so at its end
            failed.append(f"{name}: {type(error).__name__}: {error}")
            _say(f"  {failed[-1]}")
    return found, failed


def _verdict(cases: Sequence[Case], failed: list[str]) -> int:
    void = [f"{c.case} / {c.against}: {reason}" for c in cases for reason in c.wrong]
    for line in (*failed, *void):
        _say(f"void: {line}")
    return 1 if failed or void else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tenure_bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, at most 90 s, never a claim")
    parser.add_argument("--only", default="", help=f"some of {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, default=results.HERE / "results", help="folder for the JSON")
    return parser.parse_args()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
