"""The whole pipeline against bare COPY of all services' rows, each service's into its own database, side by side.

Each service runs in a worker process of its own, as in production.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

import asyncpg
from tenure import programme
from tenure_local.services import SERVICES

from tenure_bench import books, children, facts
from tenure_bench.bench import Bench, Round, as_tuples, compared, faster
from tenure_bench.line import Watch, ends
from tenure_bench.measure import Cost, Measured, Meter
from tenure_bench.results import Bounds, Case
from tenure_bench.world import Place

CHUNK_EVENTS: Final = 4_000
Positions = list[tuple[str, int, int]]


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
        measured = self._drained(place, as_tuples(before), as_tuples(written))
        if keep and not measured.wrong:
            self.rows = self.bench.do(self._keep(place))
        self.bench.do(self.world.drop(*place.databases.values()))
        return measured

    def _drained(self, place: Place, before: Positions, written: Positions) -> Measured:
        parts = [children.Child("pipeline", place, service=service.name) for service in SERVICES]
        for part in parts:
            part.until_ready()
        if any(part.has_answered for part in parts):
            wrong = [reason for part in parts for reason in _ended(part).wrong]
            return children.void("; ".join(wrong))
        return self.bench.do(self._measured(place, parts, before, written))

    async def _measured(
        self, place: Place, parts: list[children.Child], before: Positions, written: Positions
    ) -> Measured:
        """The clock runs from when all may poll until the last commit of the cluster."""
        async with Watch(place) as watch:
            meter, begun, late = Meter(place.trees), time.time(), list[str]()
            for part in parts:
                part.stop()
            try:
                async with asyncio.timeout(children.LEG_S_MAX - 10):
                    through = await watch.until_through(ends(before), ends(written))
            except TimeoutError:
                through, late = time.time(), ["the pipeline took too long"]
            cpu_s = meter.stop().cpu_s
            ended = [_ended(part) for part in parts]
            wrong = late + [reason for part in ended for reason in part.wrong]
            wrong = wrong or await watch.faults(programme.load(place.settings().programme_dir), members=self.members)
        cpu_s["services"] = sum(part.cost.cpu_s.get("services", 0.0) for part in ended)
        return Measured(2 * self.members, Cost(through - begun, cpu_s), wrong)

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


def _ended(part: children.Child) -> Measured:
    part.stop()
    return part.result()


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
