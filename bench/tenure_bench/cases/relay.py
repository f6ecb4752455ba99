"""The relay alone, against sending the same records from memory."""

from typing import Any

from tenure_bench import children
from tenure_bench.bench import Bench, Round, compared, faster
from tenure_bench.books import Snapshot
from tenure_bench.cases.ledger import SERVICE
from tenure_bench.legs import publisher
from tenure_bench.measure import Measured
from tenure_bench.results import Bounds, Case


def run(bench: Bench) -> list[Case]:
    """Needs the rows that the ledger's case kept."""
    rows = bench.world.folder / "ledger.rows"
    records = bench.do(bench.world.outbox_of(SERVICE, Snapshot.load(rows)))
    saved = publisher.save(records, bench.world.folder / "told.records")

    def leg(name: str) -> Measured:
        place = bench.do(bench.world.fresh(SERVICE))
        arguments: dict[str, Any] = {
            "relay": {"rows": str(rows), "events": len(records)},
            "bare_send": {"records": saved},
        }
        measured = children.run(name, place, **arguments[name])
        bench.do(bench.world.drop(place.database))
        return bench.told(name, measured)

    rounds: list[Round] = [
        {name: leg(name) for name in order} for order in bench.rounds("relay", ("bare_send", "relay"), share=0.15)
    ]
    return [compared("relay", "bare send of the same records", rounds, ("relay", "bare_send"), faster, Bounds())]
