"""The whole pipeline against bare COPY of all services' rows, each service's into its own database, side by side."""

from pathlib import Path

import asyncpg
from tenure_local.services import SERVICES

from tenure_bench import books, children, facts
from tenure_bench.bench import Bench, Round, as_tuples, compared, faster
from tenure_bench.measure import Measured
from tenure_bench.results import Bounds, Case
from tenure_bench.world import Place

CHUNK_EVENTS = 4_000


class Line:
    def __init__(self, bench: Bench) -> None:
        self.bench, self.world, self.n = bench, bench.world, 0
        self.members = bench.plan.pipeline_members
        self.rows: dict[str, str] = {}

    def run(self, leg: str) -> Measured:
        measured = self.pipeline() if leg == "pipeline" else self.copy()
        return self.bench.told(leg, measured)

    def pipeline(self, *, keep: bool = False) -> Measured:
        """Facts of members nobody knows yet; the groups stand where the topics end."""
        self.n += 1
        before = self.bench.do(self.world.ends())
        written = self.bench.do(self.world.publish(facts.core_facts(range(self.members), prefix=f"F{self.n}")))
        for service in SERVICES:
            topics = {topic.name for topic in service.reads}
            places = [p for p in before if p.topic in topics]
            self.bench.do(self.world.stand_at(f"tenure.{service.name}", places))
        place = self.bench.do(self.world.fresh_all(SERVICES))
        arguments = {"before": as_tuples(before), "facts": as_tuples(written), "events": 2 * self.members}
        measured = children.run("pipeline", place, **arguments)
        if keep and not measured.wrong:
            self.rows = self.bench.do(self._keep(place))
        self.bench.do(self.world.drop(*place.databases.values()))
        return measured

    async def _keep(self, place: Place) -> dict[str, str]:
        saved = {}
        for service, name in place.databases.items():
            conn = await asyncpg.connect(f"{place.database_url}/{name}")
            rows = await books.snapshot(conn, chunks=max(1, 2 * self.members // CHUNK_EVENTS))
            saved[service] = str(rows.save(Path(place.folder) / f"{service}.all.rows"))
            await conn.close()
        return saved

    def copy(self) -> Measured:
        place = self.bench.do(self.world.fresh_all(SERVICES))
        measured = children.run("copy_floor", place, rows=self.rows, events=2 * self.members)
        self.bench.do(self.world.drop(*place.databases.values()))
        return measured


def run(bench: Bench) -> list[Case]:
    line = Line(bench)
    bench.told("(first)", line.pipeline(keep=True))
    rounds: list[Round] = [
        {leg: line.run(leg) for leg in order}
        for order in bench.rounds("pipeline", ("copy_floor", "pipeline"), share=0.5)
    ]
    return [
        compared(
            "whole pipeline, fact to queued message",
            "bare COPY of all services' rows",
            rounds,
            ("pipeline", "copy_floor"),
            faster,
            Bounds(0.20, 0.50),
            unit="facts/s",
        )
    ]
