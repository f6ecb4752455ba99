"""What the live cases share: a publisher at a steady rate beside a leg that consumes until it is told to stop."""

from typing import Any, Final

import msgspec
from tenure.spine.log import Outgoing

from tenure_bench import children
from tenure_bench.bench import Bench
from tenure_bench.cases.ledger import SERVICE
from tenure_bench.legs import hop_live, publisher, set_based, visible
from tenure_bench.measure import Measured

SOURCE: Final = "/tenure/policy-sync"
GROUPS: Final = {"ledger_live": "tenure.points-ledger", "hop_live": hop_live.GROUP, "loop_live": set_based.GROUP}


class Seen(msgspec.Struct):
    """When each event of the load was handed over and when it was visible, in seconds, by event key."""

    measured: Measured
    handed: dict[bytes, float]
    visible: dict[bytes, float]


class Side:
    """One leg of a live case, and the load beside it."""

    def __init__(self, bench: Bench, leg: str, load: list[Outgoing], *, rate: float) -> None:
        self.bench, self.leg, self.topic = bench, leg, load[0].topic
        world, folder = bench.world, bench.world.folder
        self._out, self._told = folder / "visible.out", folder / "handed.out"
        self._feed = {"records": publisher.save(load, folder / "load.records"), "rate": rate, "out": str(self._told)}
        here = [p for p in bench.do(world.ends()) if p.topic == self.topic]
        bench.do(world.stand_at(GROUPS[leg], here))
        self.place = bench.do(world.fresh(SERVICE))

    def feed(self) -> None:
        self._feeding = children.Child("publisher", self.place, **self._feed)
        self._feeding.until_ready()

    def consume(self, **more: Any) -> None:
        """Returns when it has joined."""
        arguments: dict[str, Any] = {} if self.leg == "ledger_live" else {"topic": self.topic}
        self._consuming = children.Child(self.leg, self.place, out=str(self._out), **arguments, **more)
        self._consuming.until_ready()

    def until_caught_up(self) -> None:
        self._consuming.until_ready()

    def end(self) -> Seen:
        """Stop the load, let what is under way become visible, stop."""
        self._feeding.stop()
        fed = self._feeding.result()
        self._consuming.stop()
        measured = self._consuming.result()
        self.bench.do(self.bench.world.drop(self.place.database))
        if fed.wrong or measured.wrong:
            return Seen(msgspec.structs.replace(measured, wrong=fed.wrong + measured.wrong), {}, {})
        seen = Seen(measured, visible.handed_over(self._told, SOURCE), visible.seen(self._out))
        if missing := sum(key not in seen.visible for key in seen.handed):
            seen.measured = msgspec.structs.replace(measured, wrong=[f"{missing} events never became visible"])
        return seen
