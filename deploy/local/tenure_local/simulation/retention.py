"""Retention, so that a run of millions fits into memory: what everybody has read leaves the log, what was published the outbox.

The invariant: nothing leaves that anybody could still ask for; a reader that would get what is gone finds None, and fails.
"""

from collections.abc import Collection
from typing import Any, Final

from tenure.contracts.topics import TOPICS
from tenure.simulation.tables import Store
from tenure.spine.memory_log import MemoryLog

RECORDS_KEPT: Final = 2_000
ROWS_KEPT: Final = 200


def trim(log: MemoryLog, stores: Collection[Store]) -> None:
    broker = log._broker  # noqa: SLF001 - the log has no retention of its own
    committed = {s.service: broker.groups[g].committed for s in stores if (g := f"tenure.{s.service}") in broker.groups}
    for topic in TOPICS:
        readers = [committed.get(s.service, {}) for s in stores if s.service in topic.consumers]
        for n, records in enumerate(broker.topics[topic.name]):
            read = [places.get((topic.name, n), 0) for places in readers]
            _forget(records, min(read, default=len(records)) - RECORDS_KEPT)
    for store in stores:
        _drop_published(store)


def _forget(records: list[Any], before: int) -> None:
    at = before - 1
    while at >= 0 and records[at] is not None:
        records[at] = None
        at -= 1


def _drop_published(store: Store) -> None:
    outbox = store.tables["outbox"]
    for seq in sorted(outbox)[:-ROWS_KEPT]:
        if outbox[seq]["published"]:
            del outbox[seq]
