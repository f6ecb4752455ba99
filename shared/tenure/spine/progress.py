"""How far a service has read, by its own database: there it commits with the effects, so it is the truth and the offset a hint.

The invariant: nothing between what is recorded and what is read next is passed over unseen. Where the log would go on further
than recorded (an offset that outlived the database's last transactions), reading goes back; where the log begins only after what
is recorded (retention was quicker), the gap is reported, and recorded as passed; where the log ends before what is recorded (a
broker that forgot), the record goes back, is reported, and the inbox drops what comes again; where the record itself is less than
this process knows (a database that was put back to an earlier state), what builds on the former one is refused, and reading goes
back.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from tenure.spine.log import Consumer as LogConsumer
from tenure.spine.log import Position, Record, TopicPartition
from tenure.telemetry import metrics

if TYPE_CHECKING:
    from tenure.spine.transact import Door

log: Final = structlog.get_logger(__name__)
Places = dict[TopicPartition, int]
LOOK_EVERY_S: Final = 5.0
RECORDED: Final = "SELECT topic, partition, next_offset FROM progress"
_ADVANCE: Final = """
reached AS (SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[])
                          AS t (topic, partition, next_offset, known)),
advanced AS (INSERT INTO progress (topic, partition, next_offset) SELECT topic, partition, next_offset FROM reached
             ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
             WHERE excluded.next_offset > progress.next_offset)
SELECT count(*) FROM reached LEFT JOIN progress p USING (topic, partition) WHERE coalesce(p.next_offset, 0) < known
"""
ADVANCE: Final = f"WITH {_ADVANCE}"
"""Answers in how many partitions less was recorded than was known: the record as it was before this statement."""
EMIT_AND_ADVANCE: Final = f"WITH told AS (INSERT INTO outbox (records, events) VALUES ($5, $6)), {_ADVANCE}"
GO_BACK: Final = """
UPDATE progress p SET next_offset = t.next_offset
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS t (topic, partition, next_offset)
WHERE p.topic = t.topic AND p.partition = t.partition
"""


class RecordWentBackError(Exception):
    """Less is recorded than this process knows: the database was put back to an earlier state, and what came since is missing."""


class Reached(NamedTuple):
    """How far a partition is read now, and how far that was recorded, as whoever read it knows (0: not at all)."""

    topic: str
    partition: int
    next_offset: int
    known: int = 0

    @property
    def unmoved(self) -> "Reached":
        """No further than it was: only what is known is compared."""
        return self._replace(next_offset=self.known)


def ends_of(records: Iterable[Record]) -> list[Position]:
    """One past the last record of each partition, in order of topic and partition."""
    ends = {(r.topic, r.partition): r.offset + 1 for r in records}
    return [Position(topic, partition, offset) for (topic, partition), offset in sorted(ends.items())]


@dataclass(slots=True)
class Progress:
    """What is recorded, as this process knows it; of what was `assigned` it is still to be looked at."""

    door: "Door"
    recorded: Places = field(default_factory=dict)
    assigned: set[TopicPartition] = field(default_factory=set)
    looked_at: float = field(default_factory=time.monotonic)

    async def on_assigned(self, places: list[TopicPartition]) -> None:
        """Somebody else may have read these meanwhile: look again before the first record of each."""
        self.assigned.update(places)

    def reached(self, positions: Iterable[Position]) -> list[Reached]:
        return [Reached(*p, known=self.recorded.get((p.topic, p.partition), 0)) for p in positions]

    def advance(self, positions: Iterable[Position | Reached]) -> None:
        self.recorded.update({(p.topic, p.partition): p.next_offset for p in positions})

    async def settle(self, client: LogConsumer, records: list[Record]) -> list[Record]:
        """The records that come next. Call it with each poll, before anything is applied; again, if the database was down.

        A partition is looked at once it was fetched from: until then, it may begin later than the client believes.
        """
        if time.monotonic() > self.looked_at + LOOK_EVERY_S:
            await self._look_whether_it_went_back(client)
        going_on, marks = _going_on(client, records), client.high_water()
        fresh = self.assigned & going_on.keys() & marks.keys()
        if fresh:
            await self._read(fresh)
        await self._notice_a_log_that_forgot(marks, going_on)
        return await self._seek_what_was_passed_over(client, records, {p: going_on[p] for p in fresh})

    def went_back(self) -> None:
        """The record is not what this process knew: look at all of it again."""
        self.assigned.update(self.recorded)
        log.error("record_went_backwards", service=self.door.service.name)

    async def _look_whether_it_went_back(self, client: LogConsumer) -> None:
        """Where nothing comes to be written nothing is compared, so now and then somebody has to ask."""
        found, looked_at = await self._found(), self.recorded.keys() & client.positions().keys() - self.assigned
        if any(found.get(place, 0) < self.recorded[place] for place in looked_at):
            self.went_back()
        self.looked_at = time.monotonic()

    async def _read(self, places: set[TopicPartition]) -> None:
        """Of what this process knew to be recorded, and is not there any more, nothing was read."""
        found = await self._found()
        self.recorded.update({p: found.get(p, 0) for p in places if p in found or p in self.recorded})

    async def _found(self) -> Places:
        rows = await self.door.pool.fetch(RECORDED)
        return {(r["topic"], r["partition"]): r["next_offset"] for r in rows}

    async def _seek_what_was_passed_over(
        self, client: LogConsumer, records: list[Record], going_on: Places
    ) -> list[Record]:
        """Read on from what is recorded, or from where the log begins by now. Once only for each time it was assigned: where
        no record stands (a transaction's end does, in the log), the client goes on behind it again.
        """
        again = {p: to for p, at in going_on.items() if (to := self.recorded.get(p, at)) < at}
        if again:
            again |= await self._pass_over_what_is_gone(client, again)
            await client.seek([Position(*place, to) for place, to in again.items()])
            log.warning("reads_again_from_the_record", service=self.door.service.name, partitions=len(again))
        self.assigned -= going_on.keys()
        return [r for r in records if (r.topic, r.partition) not in again]

    async def _pass_over_what_is_gone(self, client: LogConsumer, wanted: Places) -> Places:
        """Where the log begins after what is wanted."""
        begins = await client.beginnings(wanted)
        gaps = {place: begins[place] for place, at in wanted.items() if begins.get(place, at) > at}
        if not gaps:
            return {}
        passed = [Reached(*place, begin) for place, begin in gaps.items()]
        await self.door.transact([], positions=passed)
        self.advance(passed)
        for (topic, partition), begin in gaps.items():
            name, gone = self.door.service.name, {"at": wanted[topic, partition], "begins": begin}
            metrics.log_gaps.labels(name, topic).inc()
            log.error("log_has_a_gap", service=name, topic=topic, partition=partition, **gone)
        return gaps

    async def _notice_a_log_that_forgot(self, marks: Mapping[TopicPartition, int], going_on: Places) -> None:
        back = [
            Position(*place, going_on[place])
            for place, mark in marks.items()
            if place in going_on and max(mark, going_on[place]) < self.recorded.get(place, 0)
        ]
        if not back:
            return
        await self.door.go_back(back)
        for topic, partition, to in back:
            metrics.log_went_backwards.labels(self.door.service.name, topic).inc()
            log.error("log_went_backwards", service=self.door.service.name, topic=topic, partition=partition, now_at=to)
        self.advance(back)


def _going_on(client: LogConsumer, records: Sequence[Record]) -> Places:
    """Where each partition goes on: at its first record not yet applied, or where nothing came, at its next one."""
    firsts = {(r.topic, r.partition): r.offset for r in reversed(records)}
    return client.positions() | firsts
