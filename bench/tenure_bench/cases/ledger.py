"""The ledger's consumer, drained, against bare COPY, a loop written by hand, a null hop, and an ORM's one-event transactions."""

from pathlib import Path
from typing import Any, Final

import asyncpg
from tenure.spine.log import Outgoing, Position

from tenure_bench import books, children, facts
from tenure_bench.bench import Bench, Round, as_tuples, cheaper, compared, faster
from tenure_bench.legs import ledger, naive_orm, null_hop, set_based
from tenure_bench.measure import Cost, Measured, Meter
from tenure_bench.results import Bounds, Case
from tenure_bench.world import Place

SERVICE: Final = "points-ledger"
GROUPS: Final = {
    "ledger": "tenure.points-ledger",
    "set_based": set_based.GROUP,
    "null_hop": null_hop.GROUP,
    "naive_orm": naive_orm.GROUP,
}
RENEWAL_LEGS: Final = ("copy_floor", "copy_rows", "ledger", "set_based", "ledger_two")
COPY: Final = "bare COPY of the same rows"
COPY_OF_ROWS: Final = "the driver's COPY of the same rows"
LOOP: Final = "hand-written set-based loop"
LOOP_OF_ONE: Final = "hand-written set-based loop, one process"
LEGS: Final = ("copy_floor", "ledger", "set_based", "null_hop", "naive_1", "naive_16")


class Load:
    """What all legs read, and what the ledger made of it the first time: the floor copies it, the loop must match it."""

    def __init__(self, bench: Bench, name: str, records: list[Outgoing], *, lots: int) -> None:
        self.bench, self.world, self.lots = bench, bench.world, lots
        self.events = len(records)
        here = [p for p in bench.do(self.world.ends()) if p.topic == records[0].topic]
        self.begins: list[Position] = here
        self.ends: list[Position] = bench.do(self.world.publish(records))
        self.rows: Path = self.world.folder / f"{name}.rows"
        self.expected: dict[str, str] = {}

    def calibrate(self) -> Measured:
        """One run of the ledger that counts for nothing but its rows."""
        return self._by_the_ledger(keep=True)

    def drained(self) -> Measured:
        """One run of the ledger, for its rate."""
        return self._by_the_ledger(keep=False)

    def _by_the_ledger(self, *, keep: bool) -> Measured:
        place = self._place("ledger")
        measured = children.run("ledger", place, **self.arguments("ledger"))
        if keep and not measured.wrong:
            self.bench.do(self._keep(place.database_url, place.database))
        self.bench.do(self.world.drop(place.database))
        return measured

    async def _keep(self, url: str, name: str) -> None:
        conn = await asyncpg.connect(f"{url}/{name}")
        chunks = max(1, self.events // self.world.place.settings().batch_records_max)
        (await books.snapshot(conn, chunks=chunks)).save(self.rows)
        self.expected = await books.fingerprint(conn, ledger.TABLES)
        await conn.close()

    def run(self, leg: str) -> Measured:
        if leg == "ledger_two":
            return self.bench.told(leg, self._two())
        place = self._place(leg)
        module = "naive_orm" if leg.startswith("naive") else leg
        measured = children.run(module, place, **self.arguments(leg))
        self.bench.do(self.world.drop(place.database))
        return self.bench.told(leg, measured)

    def _two(self) -> Measured:
        """Two worker processes share the partitions; the clock runs from when both may begin until both are through."""
        place = self._place("ledger")
        halves = [children.Child("ledger_half", place, ends=as_tuples(self.ends)) for _ in range(2)]
        for half in halves:
            half.until_ready()
        meter = Meter(place.trees)
        for half in halves:
            half.stop()
        for half in halves:
            half.until_ready()
        cost = meter.stop()
        ended = [half.result() for half in halves]
        wrong = [reason for half in ended for reason in half.wrong] or self.bench.do(self._faults(place))
        self.bench.do(self.world.drop(place.database))
        cpu_s = cost.cpu_s | {"services": sum(half.cost.cpu_s.get("services", 0.0) for half in ended)}
        return Measured(self.events, Cost(cost.wall_s, cpu_s), wrong)

    async def _faults(self, place: Place) -> list[str]:
        conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
        wrong = await ledger.faults(conn, events=self.events, lots=self.lots, expected=self.expected)
        await conn.close()
        return wrong

    def _place(self, leg: str) -> Any:
        group = GROUPS.get("naive_orm" if leg.startswith("naive") else leg)
        if group is not None:
            self.bench.do(self.world.stand_at(group, self.begins))
        return self.bench.do(self.world.fresh(SERVICE))

    def arguments(self, leg: str) -> dict[str, Any]:
        ends, naive = as_tuples(self.ends), self.bench.plan.naive_events
        topic = self.ends[0].topic
        return {
            "copy_floor": {"rows": {SERVICE: str(self.rows)}, "events": self.events},
            "copy_rows": {"rows": str(self.rows), "events": self.events},
            "ledger": {"ends": ends, "events": self.events, "lots": self.lots, "expected": self.expected},
            "set_based": {"ends": ends, "events": self.events, "lots": self.lots, "expected": self.expected},
            "null_hop": {"topic": topic, "events": self.events},
            "naive_1": {"topic": topic, "events": naive, "tasks": 1},
            "naive_16": {"topic": topic, "events": 4 * naive, "tasks": 16},
        }[leg]


def payments(bench: Bench) -> Load:
    records = facts.premiums(range(bench.plan.ledger_members))
    return Load(bench, "ledger", records, lots=len(records))


def renewal_days(bench: Bench) -> Load:
    members = bench.plan.renewal_members
    return Load(bench, "renewal", facts.renewal_days(range(members)), lots=members * facts.LOTS_OF_A_RENEWAL_DAY)


def run(bench: Bench) -> list[Case]:
    load = payments(bench)
    bench.told("(first)", load.calibrate())
    rounds: list[Round] = [{leg: load.run(leg) for leg in order} for order in bench.rounds("ledger", LEGS, share=0.3)]
    return cases_of(rounds)


def run_renewals(bench: Bench) -> list[Case]:
    """Against COPY and the loop alone: the ORM's peer knows payments only."""
    load = renewal_days(bench)
    bench.told("(first)", load.calibrate())
    rounds = [{leg: load.run(leg) for leg in order} for order in bench.rounds("renewals", RENEWAL_LEGS, share=0.3)]
    name, half = "ledger consumer, drained, renewal days", Bounds(0.50, 0.75)
    two = f"{name}, two processes"
    return [
        compared(name, COPY, rounds, ("ledger", "copy_floor"), faster, half),
        compared(name, COPY_OF_ROWS, rounds, ("ledger", "copy_rows"), faster, half),
        compared(name, LOOP, rounds, ("ledger", "set_based"), faster, Bounds(0.85, 0.97)),
        compared(two, COPY, rounds, ("ledger_two", "copy_floor"), faster, half),
        compared(two, COPY_OF_ROWS, rounds, ("ledger_two", "copy_rows"), faster, half),
        compared(two, LOOP_OF_ONE, rounds, ("ledger_two", "set_based"), faster, Bounds()),
        compared(LOOP, COPY_OF_ROWS, rounds, ("set_based", "copy_rows"), faster, Bounds()),
    ]


class Drain:
    """What the ledger drains at this moment: a machine that others use is not as fast now as it was a minute ago."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.rate = bench, 0.0

    def half(self) -> float:
        """Half of it, in events a second, measured now; as it was before, should the run be void."""
        measured = self.bench.told("(its rate now)", payments(self.bench).drained())
        if not measured.wrong or not self.rate:
            self.rate = measured.rate
        return self.rate / 2


def cases_of(rounds: list[Round]) -> list[Case]:
    def cpu(m: Measured) -> float:
        return m.cpu_us

    return [
        compared(
            "ledger consumer, drained, payments",
            COPY,
            rounds,
            ("ledger", "copy_floor"),
            faster,
            Bounds(0.50, 0.75),
        ),
        compared(
            "ledger consumer, drained, payments",
            LOOP,
            rounds,
            ("ledger", "set_based"),
            faster,
            Bounds(0.85, 0.97),
        ),
        compared(
            "ledger consumer, drained, payments",
            "null hop getmany -> send",
            rounds,
            ("ledger", "null_hop"),
            faster,
            Bounds(),
        ),
        compared(
            "ledger consumer, CPU an event",
            "ORM, one event a transaction, 1 task",
            rounds,
            ("ledger", "naive_1"),
            cheaper,
            Bounds(10, 30),
            figure=cpu,
            unit="CPU us",
        ),
        compared(
            "ledger consumer, CPU an event",
            "ORM, one event a transaction, 16 tasks",
            rounds,
            ("ledger", "naive_16"),
            cheaper,
            Bounds(4, 12),
            figure=cpu,
            unit="CPU us",
        ),
    ]
