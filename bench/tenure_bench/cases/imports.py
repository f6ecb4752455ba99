"""A file's way in against bare COPY of the rows it became, and what a row costs where much is known already.

A new file meets an empty database each time. A file of second terms meets policies with a past: in a small database made anew for
each leg, and in large ones that are kept, where each round takes other policies. What COPY's cost of the added rows grows by there
stands beside the ratio and not in it: nearly all of an import's CPU is not PostgreSQL's, so a quotient of the two would flatter.
"""

from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from tenure_bench import books, children, extracts
from tenure_bench.bench import Bench, Round, compared, faster
from tenure_bench.measure import Measured
from tenure_bench.results import Bounds, Case, case
from tenure_bench.world import Place

SERVICE: Final = "policy-sync"
COPIED: Final = ("facts", "policies", "terms", "members", "inbox", "outbox")
ADDED: Final = ("facts", "terms", "inbox", "outbox")
"""What a second term adds to; its policy and its customer are written over."""
ROWS_AT_ONCE: Final = 4_000
SIZES: Final = ("small", "large")


class New:
    """A file of policies that nobody knows yet."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.world = bench, bench.world
        self.file = self.world.folder / "new.csv"
        self.rows = extracts.write_file(self.file, range(bench.plan.import_rows // 2), terms=(1, 2))
        self.saved = self.world.folder / "imported.rows"

    def run(self, leg: str, *, keep: bool = False) -> Measured:
        place = self.bench.do(self.world.fresh(SERVICE))
        if leg == "import":
            found = children.run("imports", place, file=str(self.file), rows=self.rows)
        else:
            found = children.run("copy_floor", place, rows={SERVICE: str(self.saved)}, events=self.rows)
        if keep and not found.wrong:
            self.bench.do(_keep(place, self.saved, COPIED, since=0.0, chunks=max(1, self.rows // ROWS_AT_ONCE)))
        self.bench.do(self.world.drop(place.database))
        return self.bench.told(leg, found)


def run(bench: Bench) -> list[Case]:
    new = New(bench)
    new.run("import", keep=True)
    legs = ("copy_floor", "import")
    rounds: list[Round] = [
        {leg: new.run(leg) for leg in order} for order in bench.rounds("import", legs, share=bench.plan.import_share)
    ]
    against = "bare COPY of the same rows"
    return [
        compared("import of a file", against, rounds, ("import", "copy_floor"), faster, Bounds(), unit="rows/s"),
    ]


class Known:
    """Policies with a past, few and many, for the import and for COPY."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.world = bench, bench.world
        self.policies = dict(zip(SIZES, bench.plan.import_past_policies, strict=True))
        small = bench.do(self._built("small"))
        self.base = {("import", "small"): small, ("copy", "small"): small}
        self.base |= {(leg, "large"): bench.do(self._built("large")) for leg in ("import", "copy")}

    async def _built(self, size: str) -> str:
        place = await self.world.fresh(SERVICE)
        conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
        await extracts.write_past(conn, self.policies[size])
        await conn.close()
        return place.database

    def place(self, leg: str, size: str) -> Place:
        base = self.base[leg, size]
        if size == "small":
            return self.bench.do(self.world.fresh(SERVICE, of=base))
        return msgspec.structs.replace(self.world.place, database=base, databases={SERVICE: base})

    def left(self, place: Place, size: str) -> None:
        if size == "small":
            self.bench.do(self.world.drop(place.database))

    def round(self, n: int, sizes: list[str]) -> Round:
        """The imports first, for COPY takes the rows they added."""
        found = {f"import {size}": self._imported(n, size) for size in sizes}
        found |= {f"copy {size}": self._copied(size) for size in sizes}
        for leg, measured in found.items():
            self.bench.told(leg, measured)
        return found

    def _imported(self, n: int, size: str) -> Measured:
        rows, place = self.bench.plan.import_again_rows, self.place("import", size)
        file = self.world.folder / f"again.{size}.csv"
        first = 0 if size == "small" else n * rows
        extracts.write_file(file, range(first, first + rows), terms=(2,))
        since = self.bench.do(_now(place))
        measured = children.run("imports", place, file=str(file), rows=rows)
        self.bench.do(_keep(place, self._saved(size), ADDED, since=since, chunks=1))
        self.left(place, size)
        return measured

    def _copied(self, size: str) -> Measured:
        place = self.place("copy", size)
        base = self.bench.do(_counts(place))
        rows = {SERVICE: str(self._saved(size))}
        measured = children.run("copy_floor", place, rows=rows, events=self.bench.plan.import_again_rows, base=base)
        self.left(place, size)
        return measured

    def _saved(self, size: str) -> Path:
        return self.world.folder / f"again.{size}.rows"


def run_again(bench: Bench) -> list[Case]:
    known = Known(bench)
    ratios, wrong, figures = list[float](), list[str](), dict[str, float]()
    for n, sizes in enumerate(bench.rounds("import growth", SIZES, share=bench.plan.import_share)):
        found = known.round(n, sizes)
        if reasons := [reason for measured in found.values() for reason in measured.wrong]:
            wrong.append("; ".join(reasons))
            continue
        cpu = {leg: measured.cpu_us for leg, measured in found.items()}
        figures = {f"{leg} CPU us": us for leg, us in cpu.items()}
        ratios.append(cpu["import large"] / cpu["import small"])
    small, large = (known.policies[size] * extracts.ROWS_PER_POLICY for size in SIZES)
    name = f"import, CPU a row at {large:,} rows of history / at {small:,}"
    return [case(name, "itself", ratios, Bounds(better="lower"), figures=figures, wrong=wrong)]


async def _now(place: Place) -> float:
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    try:
        await conn.execute("CHECKPOINT")
        return float(await conn.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8"))
    finally:
        await conn.close()


async def _counts(place: Place) -> dict[str, int]:
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    try:
        await conn.execute("CHECKPOINT")
        return await books.counts(conn)
    finally:
        await conn.close()


async def _keep(place: Place, path: Path, tables: tuple[str, ...], *, since: float, chunks: int) -> None:
    """The rows of an import that began at `since`, and of nothing before it."""
    at = f"to_timestamp({since})"
    where = {
        "facts": f"WHERE recorded_at > {at}",
        "terms": f"WHERE (policy_no, term_no) IN (SELECT key, (data->>'term_no')::int FROM facts WHERE recorded_at > {at})",
        "inbox": f"WHERE seen_at > {at}",
        "outbox": f"WHERE emitted_at > {at}",
    }
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    rows = await books.snapshot(conn, chunks=chunks, where=where if since else {}, only=tables)
    rows.save(path)
    await conn.close()
