"""The one write door: claim, load, decide, save, emit, in ONE PostgreSQL transaction (DESIGN section 1).

Whatever wants to change a service's state, a poll of records, a caller over HTTP, a day that came, passes here as `Item`s, many
at once. Nothing else begins or commits a transaction, and `tools/write_door.py` keeps it so.

Two failures only. The event is wrong: it alone is parked (or its caller told), in the same transaction, and later events of its
key queue behind it. The world is down: the exception leaves, nothing happened, the caller tries again.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import asyncpg
import msgspec
import structlog
from asyncpg.connection import Connection
from uuid_utils import uuid7

from tenure.calendar import start_of
from tenure.contracts.decision import DayReached, Decision
from tenure.contracts.event import Data, Event, WrongEventError
from tenure.service import Saved, Service
from tenure.spine import inbox, outbox, parking
from tenure.spine.codec import encode, event_key, event_of
from tenure.spine.log import Outgoing, Position, Record

log: Final = structlog.get_logger(__name__)
_json: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Who calls, under which key, with which body (its hash)."""

    caller: str
    key: str
    fingerprint: bytes


@dataclass(slots=True)
class Item:
    """One thing to do. From the log it has a `record`, from HTTP it may have `idempotency`, from the park a `parked_seq`.

    `once`: an event without a record whose own id keeps it from having its effect twice (facts pushed over HTTP). It is
    never parked: what is wrong with it is told to its caller, who may send the same id again.
    """

    event: Event | None
    record: Record | None = None
    wrong: WrongEventError | None = None
    idempotency: Idempotency | None = None
    parked_seq: int | None = None
    once: bool = False
    event_key: uuid.UUID = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        if self.event is not None:
            self.event_key, self.key = event_key(self.event.source, self.event.id), self.event.key
        else:
            assert self.record is not None
            r = self.record
            self.event_key = event_key(f"record:{r.topic}", f"{r.partition}:{r.offset}")
            self.key = (r.key or b"").decode(errors="replace").replace("\0", "") or f"{r.topic}/{r.partition}"

    @property
    def is_claimed(self) -> bool:
        """Whether its id is claimed in the inbox behind the parked ones of its key. A replayed one claims by itself."""
        return self.event is not None and self.parked_seq is None and (self.once or self.record is not None)


@dataclass(slots=True)
class Outcome:
    """What became of an item: `body` is the answer as JSON; `wrong` says why there was no effect; `seen` = it had one before."""

    body: bytes = b"null"
    wrong: WrongEventError | None = None
    seen: bool = False


class OtherBodyError(WrongEventError):
    """The Idempotency-Key was used before with another body."""

    def __init__(self) -> None:
        super().__init__("idempotency_key_reused", "this Idempotency-Key was used before with another body")


@dataclass(slots=True)
class Door:
    """The write door of one service on one database."""

    service: Service[Any]
    pool: "asyncpg.Pool[asyncpg.Record]"
    programme: Any
    source: str = ""

    def __post_init__(self) -> None:
        self.source = self.source or f"/tenure/{self.service.name}"

    async def transact(
        self, items: Sequence[Item], *, positions: Sequence[Position] = (), day: date | None = None
    ) -> list[Outcome]:
        """Apply items in order; remember how far the log was read and which day started.

        Raises what PostgreSQL raises: for a fault of the data (`is_fault_of_the_data`) the caller halves the batch, for
        everything else it tries again; either way nothing happened.
        """
        async with self._transaction() as conn:
            batch = _Batch(self, conn, items)
            await batch.claim()
            await batch.decide()
            await batch.save()
            await _remember(conn, positions, day)
        return batch.outcomes

    async def fall_due(self, day: date, *, keys_max: int) -> int:
        """Let up to `keys_max` keys live through `day`. Returns how many were due; any number of workers may call it at once."""
        if self.service.due is None:
            return 0
        async with self._transaction() as conn:
            due = await self.service.due(conn, day, keys_max)
            batch = _Batch(self, conn, [Item(self.service.day_reached(key, day)) for key in due])
            await batch.decide()
            await batch.save()
        for outcome in batch.outcomes:
            if outcome.wrong is not None:
                log.error(
                    "due_work_refused", service=self.service.name, code=outcome.wrong.code, detail=outcome.wrong.detail
                )
        return len(due)

    async def leave_park(self, seqs: Sequence[int], *, action: str, actor: str, reason: str) -> int:
        """Discard parked events, audited. Returns how many."""
        async with self._transaction() as conn:
            return await parking.leave(conn, seqs, action=action, actor=actor, reason=reason)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self.pool.acquire() as conn, conn.transaction():
            yield conn  # type: ignore[misc]


class _Batch:
    """The steps of one transaction, and what they learn on the way."""

    def __init__(self, door: Door, conn: Connection, items: Sequence[Item]) -> None:
        self.door, self.conn, self.items = door, conn, items
        self.service = door.service
        self.outcomes = [Outcome() for _ in items]
        self.fresh: list[int] = list(range(len(items)))
        self.blocked: set[str] = set()  # keys with something parked before them
        self.stuck: set[str] = set()  # keys whose replay met an event that is still wrong
        self.parked: list[parking.Parked] = []
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        self.rows: list[Any] = []
        self.records: list[Outgoing] = []

    async def claim(self) -> None:
        """Keep what is new: not in the inbox, not answered before, not behind a parked event of its key."""
        await self._claim_replayed()
        await self._claim_answers()
        claimable: dict[uuid.UUID, str] = {}
        for i in self.fresh:
            if self.items[i].is_claimed:
                claimable.setdefault(self.items[i].event_key, self.items[i].key)
        claimed, self.blocked = await inbox.claim(self.conn, list(claimable.items()))
        self.fresh = [i for i in self.fresh if self._is_fresh(i, claimed)]

    def _is_fresh(self, i: int, claimed: set[uuid.UUID]) -> bool:
        item = self.items[i]
        if not item.is_claimed:
            return True
        if item.event_key in claimed:
            claimed.discard(item.event_key)
            return True
        if item.key in self.blocked:
            return True
        self.outcomes[i].seen = True
        return False

    async def _claim_replayed(self) -> None:
        """Parked events come back under the lock of their rows, and claim the inbox like any other."""
        seqs = {self.items[i].parked_seq: i for i in self.fresh if self.items[i].parked_seq is not None}
        if not seqs:
            return
        here = await parking.still_parked(self.conn, [s for s in seqs if s is not None])
        there = [i for s, i in seqs.items() if s in here]
        claimed, _ = await inbox.claim(self.conn, [(self.items[i].event_key, "") for i in there])
        for s, i in seqs.items():
            self.outcomes[i].seen = s not in here or self.items[i].event_key not in claimed
        self.fresh = [i for i in self.fresh if not self.outcomes[i].seen]

    async def _claim_answers(self) -> None:
        """A write that was answered before gets the same answer; under another body it is refused."""
        asked = {(w.caller, w.key): i for i in self.fresh if (w := self.items[i].idempotency) is not None}
        if not asked:
            return
        rows = await self.conn.fetch(
            """SELECT i.* FROM idempotency i JOIN unnest($1::text[], $2::text[]) AS t (caller, key) USING (caller, key)""",
            [caller for caller, _ in asked],
            [key for _, key in asked],
        )
        for row in rows:
            i = asked[row["caller"], row["key"]]
            self.outcomes[i] = _answer_again(row, self.items[i].idempotency)
        self.fresh = [i for i in self.fresh if not self.outcomes[i].seen]

    async def decide(self) -> None:
        """One locked read of the keys touched, then pure calls; an item that is wrong leaves no trace in the states."""
        keys = sorted({k for i in self.fresh if (e := self.items[i].event) is not None for k in self.service.keys(e)})
        self.before = await self.service.load(self.conn, keys) if keys else {}
        self.after = dict(self.before)
        for i in self.fresh:
            item = self.items[i]
            if self._queues(item):
                self._refuse(i, WrongEventError(parking.BEHIND, "queues behind an earlier parked event of its key"))
                continue
            try:
                self.outcomes[i].body = self._decide_one(item)
            except WrongEventError as wrong:
                self._refuse(i, wrong)
            except Exception as error:
                log.exception("rule_failed", service=self.service.name, type=item.event and item.event.type)
                self._refuse(i, WrongEventError("rule_failed", f"{type(error).__name__} in a rule; see the log"))

    def _queues(self, item: Item) -> bool:
        """Whether an earlier event of its key is parked, so that this one has to wait."""
        if item.record is None and not item.once:
            return False
        return item.key in (self.blocked if item.parked_seq is None else self.stuck)

    def _decide_one(self, item: Item) -> bytes:
        event = item.event
        if item.wrong is not None or event is None:
            raise item.wrong or WrongEventError("malformed", "there is no event")
        keys = self.service.keys(event)
        states = tuple(self.after.get(k) for k in keys)
        decided: Decision[Any] = self.service.decide(
            states[0] if len(keys) == 1 else states, event, self.door.programme
        )
        records = [encode(self._effect(data, event)) for data in decided.emit]
        body = _json.encode(decided.reply)
        after = (decided.state,) if len(keys) == 1 else decided.state
        self.after.update(zip(keys, after, strict=True))
        self.rows += decided.rows
        self.records += records
        return body

    def _effect(self, data: Data, cause: Event) -> Event:
        return event_of(
            data,
            id=str(uuid7()),
            source=self.door.source,
            time=_time_of(data, cause),
            backfill=cause.backfill,
            traceparent=cause.traceparent,
        )

    def _refuse(self, i: int, wrong: WrongEventError) -> None:
        self.outcomes[i].wrong = wrong
        if self.items[i].record is not None:
            self._park(i, wrong)

    def _park(self, i: int, wrong: WrongEventError) -> None:
        item = self.items[i]
        assert item.record is not None
        self.outcomes[i].wrong = wrong
        if item.parked_seq is not None:
            self.stuck.add(item.key)
            return
        self.blocked.add(item.key)
        self.parked.append(
            parking.Parked(
                event_key=item.event_key, key=item.key, record=item.record, code=wrong.code, detail=wrong.detail
            )
        )

    async def save(self) -> None:
        """A few set-based statements, then the outbox: whatever the batch's size."""
        await inbox.unclaim(self.conn, [*(p.event_key for p in self.parked), *self._refused_once()])
        await parking.park(self.conn, self.parked)
        changed = {k: s for k, s in self.after.items() if s is not self.before.get(k)}
        if changed or self.rows:
            await self.service.save(self.conn, Saved(before=self.before, after=changed, rows=self.rows))
        await outbox.emit(self.conn, self.records)
        await self._save_answers()
        await self._save_replayed()

    def _refused_once(self) -> list[uuid.UUID]:
        """What was claimed for a caller and then refused: the same id may come again."""
        refused = [i for i in self.fresh if self.items[i].once and self.outcomes[i].wrong is not None]
        return [self.items[i].event_key for i in refused]

    async def _save_answers(self) -> None:
        answered = [(w, self.outcomes[i]) for i in self.fresh if (w := self.items[i].idempotency) is not None]
        if not answered:
            return
        await self.conn.execute(
            """INSERT INTO idempotency (caller, key, fingerprint, ok, body)
               SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bool[], $5::bytea[])""",
            [w.caller for w, _ in answered],
            [w.key for w, _ in answered],
            [w.fingerprint for w, _ in answered],
            [o.wrong is None for _, o in answered],
            [_json.encode([o.wrong.code, o.wrong.detail]) if o.wrong else o.body for _, o in answered],
        )

    async def _save_replayed(self) -> None:
        """A replayed event that is still wrong stays parked, with its newest reason; one that passed leaves."""
        replayed = [(i, s) for i, item in enumerate(self.items) if (s := item.parked_seq) is not None]
        wrong = [(i, s) for i, s in replayed if self.outcomes[i].wrong is not None]
        await inbox.unclaim(self.conn, [self.items[i].event_key for i, _ in wrong])
        for i, seq in wrong:
            reason = self.outcomes[i].wrong
            assert reason is not None
            if reason.code == parking.BEHIND:
                continue
            await parking.refuse_again(self.conn, seq, code=reason.code, detail=reason.detail)
        passed = [s for i, s in replayed if self.outcomes[i].wrong is None]
        if passed:
            await parking.leave(self.conn, passed, action="replayed", actor="replay", reason="")


def _time_of(data: Data, cause: Event) -> datetime:
    """When it happened: with its cause, or earlier where only the calendar caused it, on the day it came.

    A day may be noticed late, after an outage or in a replay; what came on it still carries that day's time.
    """
    day = getattr(data, "effective", None) if isinstance(cause.data, DayReached) else data.came_on()
    return start_of(day) if day is not None and day < cause.day else cause.time


def _answer_again(row: asyncpg.Record, idempotency: Idempotency | None) -> Outcome:
    assert idempotency is not None
    if bytes(row["fingerprint"]) != idempotency.fingerprint:
        return Outcome(wrong=OtherBodyError(), seen=True)
    if row["ok"]:
        return Outcome(body=bytes(row["body"]), seen=True)
    code, detail = msgspec.json.decode(row["body"], type=tuple[str, str])
    return Outcome(wrong=WrongEventError(code, detail), seen=True)


async def _remember(conn: Connection, positions: Sequence[Position], day: date | None) -> None:
    if positions:
        await conn.execute(
            """INSERT INTO progress (topic, partition, next_offset)
               SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])
               ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset""",
            *map(list, zip(*positions, strict=True)),
        )
    if day is not None:
        await conn.execute(
            """INSERT INTO calendar (day) VALUES ($1)
               ON CONFLICT (one) DO UPDATE SET day = greatest(calendar.day, excluded.day)""",
            day,
        )


def is_fault_of_the_data(error: BaseException) -> bool:
    """Whether PostgreSQL refused the data itself (halve the batch), rather than being down or busy (try again)."""
    return (
        isinstance(error, (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError))
        or (isinstance(error, (ValueError, TypeError, OverflowError)) and not isinstance(error, asyncpg.InterfaceError))
        or (isinstance(error, asyncpg.InterfaceError) and "invalid input for query argument" in str(error))
    )
