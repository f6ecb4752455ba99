"""Draft earning rules on real history: what the log keeps of every topic the ledger reads, from its beginning, as nobody's group;
and what was reported over REST, from the ledger's lots.

The invariants: no offset is committed, nothing is written; the reading ends where the log ended when it began.
"""

import uuid
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, Final

from points_ledger import whatif_history
from points_ledger.service import SERVICE
from points_ledger.whatif import ALWAYS, Comparison, Trial
from tenure import database
from tenure.contracts.event import Event, WrongEventError
from tenure.contracts.programme import EarningRules, Programme, Versions
from tenure.rulebook.kinds import version_of
from tenure.settings import Settings
from tenure.spine.codec import decode
from tenure.spine.log import Consumer, Log, Record, TopicPartition, open_log

RECORDS_MAX: Final = 2_000
POLL_S: Final = 1.0
SILENT_POLLS_MAX: Final = 30
Told = Callable[[int, int], None]
"""How many records were read, of how many."""


class LogSilentError(Exception):
    """The log does not give what it says it has; try again."""


def draft_of(document: dict[str, Any], effective: date | None, live: Programme) -> EarningRules:
    """A draft as a version behind the newest; without a day it holds as if always. Raises WrongEventError rules_invalid."""
    number = max(version.version for version in live.earning.all) + 1
    rules: EarningRules = version_of("earning", document, version=number, effective=effective or ALWAYS)
    return rules


def live_of(base: Programme, versions: Iterable[dict[str, Any]]) -> Programme:
    """The programme with the versions that are published, as the platform tells them."""
    known = [
        version_of(
            "earning", _bare(one["rules"]), version=one["version"], effective=date.fromisoformat(one["effective"])
        )
        for one in versions
    ]
    return Programme(**{**vars(base), "earning": Versions(known)}) if known else base


def _bare(rules: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rules.items() if name not in ("version", "effective")}


async def run(
    settings: Settings, pool: Any, live: Programme, draft: EarningRules, *, as_of: date | None, told: Told
) -> Comparison:
    """Let both sets of rules hear the log, and what the ledger on `pool` was told over REST. Raises WorldDown, LogSilentError."""
    trial = Trial(live, draft)
    of_ledger = await whatif_history.earned(pool)  # before the log is asked where it ends: all of it is before that
    async for events in whatif_history.reported(pool, live):
        trial.expect(events)
    log = open_log(settings.kafka)
    try:
        log_since = await _read(log, trial, told)
    finally:
        await log.close()
    return trial.compare(as_of, of_ledger=of_ledger, log_since=log_since)


async def run_here(
    settings: Settings, live: Programme, draft: EarningRules, *, as_of: date | None, told: Told
) -> Comparison:
    """`run` on the platform's own ledger."""
    pool = await database.open_pool(settings, SERVICE.database, size_max=1)
    try:
        return await run(settings, pool, live, draft, as_of=as_of, told=told)
    finally:
        await pool.close()


async def _read(log: Log, trial: Trial, told: Told) -> date | None:
    """Let the trial hear all of the log. The day from which it is whole, None where nothing of it is gone."""
    topics = {topic.name: topic.partitions for topic in SERVICE.reads if topic.name != "time.v1"}
    places: dict[TopicPartition, int] = {(name, n): 0 for name, partitions in topics.items() for n in range(partitions)}
    ends = {place: end for place, end in (await log.ends(places)).items() if end > 0}
    consumer = await log.consumer(f"trial-{uuid.uuid4().hex[:12]}", list(topics))
    try:
        cut = {place for place, begins in (await consumer.beginnings(ends)).items() if begins > 0}
        first = await _read_to(consumer, ends, trial, told)
    finally:
        await consumer.close()
    return max((day for place, day in first.items() if place in cut), default=None)


async def _read_to(
    consumer: Consumer, ends: dict[TopicPartition, int], trial: Trial, told: Told
) -> dict[TopicPartition, date]:
    """Returns the day of the first event of each partition."""
    at: dict[TopicPartition, int] = {}
    first: dict[TopicPartition, date] = {}
    read = silent = 0
    while any(at.get(place, 0) < end for place, end in ends.items()):
        records = await consumer.poll(records_max=RECORDS_MAX, timeout_s=POLL_S)
        at |= {place: n for place, n in consumer.positions().items() if place in ends}
        silent = 0 if records else silent + 1
        if silent > SILENT_POLLS_MAX:
            raise LogSilentError("the log does not give what it says it has; try again")
        events = [(record, event) for record in records if (event := _event(record, ends)) is not None]
        for record, event in events:
            first.setdefault((record.topic, record.partition), event.day)
        trial.hear(event for _, event in events)
        read += len(records)
        told(read, sum(ends.values()))
    return first


def _event(record: Record, ends: dict[TopicPartition, int]) -> Event | None:
    """What came after the beginning of the trial is no part of it; what is no event the ledger would park."""
    if record.offset >= ends.get((record.topic, record.partition), 0):
        return None
    try:
        return decode(record.headers, record.value)
    except WrongEventError:
        return None
