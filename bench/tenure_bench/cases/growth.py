"""What history costs: CPU an event in a large ledger over a small one, divided by what the same rows cost COPY there.

A database of the small kind is made anew for each leg. The large ones are kept, and each round takes other members of theirs; so in
every leg the members have the same past.
"""

from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from tenure_bench import books, children, facts, history
from tenure_bench.bench import Bench, as_tuples
from tenure_bench.cases.ledger import SERVICE
from tenure_bench.measure import Measured
from tenure_bench.results import Bounds, Case, case
from tenure_bench.world import Place

KEPT: Final = ("lots", "transfers", "inbox", "outbox")
SIZES: Final = ("small", "large")


class Past:
    """A small template, and two large databases with the same history: one for the ledger, one for COPY."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.world = bench, bench.world
        small, large = bench.plan.history_members
        self.members = {"small": small, "large": large}
        self.bases = {
            (leg, size): bench.do(self._build(self.members[size])) if size == "large" or leg == "ledger" else ""
            for size in SIZES
            for leg in ("ledger", "copy")
        }
        self.bases["copy", "small"] = self.bases["ledger", "small"]

    async def _build(self, members: int) -> str:
        place = await self.world.fresh(SERVICE)
        conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
        await history.write(conn, members)
        await conn.close()
        return place.database

    def place(self, leg: str, size: str) -> Place:
        if size == "small":
            return self.bench.do(self.world.fresh(SERVICE, of=self.bases[leg, size]))
        return msgspec.structs.replace(
            self.world.place, database=self.bases[leg, size], databases={SERVICE: self.bases[leg, size]}
        )

    def leave(self, place: Place) -> None:
        if place.database not in self.bases.values():
            self.bench.do(self.world.drop(place.database))

    def slice(self, size: str, n: int) -> range:
        """Members of round `n`, spread over all there are; in the small history always the same."""
        step = self.members[size] // self.bench.plan.growth_members
        return range(n % step, self.members[size], step)

    def round(self, n: int, sizes: list[str]) -> dict[str, Measured]:
        """`ledger small`, `ledger large`, `copy small`, `copy large`; the ledger first, for COPY takes the rows it wrote."""
        found: dict[str, Measured] = {}
        rows: dict[str, tuple[str, int]] = {}
        for size in sizes:
            found[f"ledger {size}"], rows[size] = self.ledger(n, size)
        for size in sizes:
            found[f"copy {size}"] = self.copy(size, *rows[size])
        for leg, measured in found.items():
            self.bench.told(leg, measured)
        return found

    def ledger(self, n: int, size: str) -> tuple[Measured, tuple[str, int]]:
        records = facts.premiums(self.slice(size, n), prefix="H", seed=n)
        before = self.bench.do(self.world.ends())
        ends = self.bench.do(self.world.publish(records))
        topic = records[0].topic
        self.bench.do(self.world.stand_at("tenure.points-ledger", [p for p in before if p.topic == topic]))
        place = self.place("ledger", size)
        base, since = self.bench.do(_before(place))
        audited = size == "small" or n == self.bench.plan.pairs - 1
        arguments: dict[str, Any] = {"ends": as_tuples(ends), "events": len(records), "base": base, "audited": audited}
        measured = children.run("ledger", place, **arguments)
        saved = self.world.folder / f"{size}.rows"
        self.bench.do(_keep(place, since, saved))
        self.leave(place)
        return measured, (str(saved), len(records))

    def copy(self, size: str, rows: str, events: int) -> Measured:
        place = self.place("copy", size)
        base, _ = self.bench.do(_before(place))
        measured = children.run("copy_floor", place, rows={SERVICE: rows}, events=events, base=base)
        self.leave(place)
        return measured


async def _before(place: Place) -> tuple[dict[str, int], float]:
    """Rows by table, and the server's time. A kept database does not ask for what others read since it was last in use."""
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    try:
        await conn.execute("DELETE FROM progress")
        await conn.execute("CHECKPOINT")
        return await books.counts(conn), float(
            await conn.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        )
    finally:
        await conn.close()


async def _keep(place: Place, since: float, path: Path) -> None:
    at = f"to_timestamp({since})"
    new = f"(SELECT member_id, lot_no FROM transfers WHERE recorded_at > {at})"
    where = {
        "lots": f"WHERE (member_id, lot_no) IN {new}",
        "transfers": f"WHERE recorded_at > {at}",
        "inbox": f"WHERE seen_at > {at}",
        "outbox": f"WHERE emitted_at > {at}",
    }
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    (await books.snapshot(conn, chunks=1, where=where, only=KEPT)).save(path)
    await conn.close()


def run(bench: Bench) -> list[Case]:
    past = Past(bench)
    ratios: list[float] = []
    wrong: list[str] = []
    figures: dict[str, float] = {}
    for n, sizes in enumerate(bench.rounds("growth", SIZES, share=0.9)):
        found = past.round(n, sizes)
        if reasons := [reason for measured in found.values() for reason in measured.wrong]:
            wrong.append("; ".join(reasons))
            continue
        cpu = {leg: measured.cpu_us for leg, measured in found.items()}
        figures = {f"{leg} CPU us": us for leg, us in cpu.items()}
        ratios.append((cpu["ledger large"] / cpu["ledger small"]) / (cpu["copy large"] / cpu["copy small"]))
    small, large = (members * history.ROWS_PER_MEMBER for members in bench.plan.history_members)
    name = f"ledger CPU an event at {large:,} rows of history / at {small:,}"
    return [case(name, "COPY's own growth", ratios, Bounds(1.15, 1.03, "lower"), figures=figures, wrong=wrong)]
