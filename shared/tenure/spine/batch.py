"""The steps of one transaction over many items: claim, load, decide, save, emit (DESIGN section 1). `transact` runs them.

The invariant: an item that is wrong leaves no trace but its place in the park, or the rows with which a rule refused its caller;
what was claimed here and had no effect is given back, and what was claimed before is never touched.
"""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import date
from itertools import chain
from time import monotonic
from typing import Any, Final

import msgspec
import structlog
from asyncpg.connection import Connection
from msgspec.structs import replace
from opentelemetry.trace import Span

from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Data, Event, WrongEventError
from tenure.rulebook import tables as rule_tables
from tenure.rulebook.book import Rulebook
from tenure.rulebook.following import SPOKEN, Heard, hear
from tenure.service import Saved, Service
from tenure.spine import answers, inbox, outbox, parking, spans
from tenure.spine.effects import NewId, records_of
from tenure.spine.faults import reach
from tenure.spine.item import Item, Outcome
from tenure.spine.log import Outgoing
from tenure.spine.progress import Reached
from tenure.telemetry.traces import collecting, traceparent_of

log: Final = structlog.get_logger(__name__)
_json: Final = msgspec.json.Encoder()
ITEMS_BETWEEN_BREATHS: Final = 100
NOTHING: Final = b"null"
NEWEST_DAY: Final = "SELECT day FROM calendar"


class Batch:
    """The steps of one transaction, and what they learn on the way."""

    def __init__(
        self,
        service: Service[Any],
        rulebook: Rulebook,
        source: str,
        conn: Connection,
        items: Sequence[Item],
        new_id: NewId | None = None,
    ) -> None:
        self.service, self.rulebook, self.source, self.conn, self.items = service, rulebook, source, conn, items
        self.new_id, self.programme = new_id, rulebook.programme
        self.outcomes = [Outcome() for _ in items]
        self.fresh: list[int] = list(range(len(items)))
        self.first: dict[uuid.UUID, int] = {}  # where an event stands that came more than once
        self.claimed: set[uuid.UUID] = set()
        self.blocked: set[str] = set()  # keys with something parked before them
        self.stuck: set[str] = set()  # keys whose replay met an event that is still wrong
        self.parked: list[parking.Parked] = []
        self.keys: dict[int, tuple[str, ...]] = {}
        self.calendar: date | None = None  # where it stands, if there is history to be heard
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        self.rows: list[Any] = []
        self.heard: list[Heard] = []
        self.records: list[Outgoing] = []
        self.told: list[Data] = []
        self.spans: dict[int, Span] = {}

    async def claim(self) -> None:
        """Keep what is new: not in the inbox, not answered before, not behind a parked event of its key.

        The claim brings with it what the rules are by now; a transaction that claims nothing asks for that alone.
        """
        await self._claim_replayed()
        await self._claim_answers()
        claimable: dict[uuid.UUID, str] = {}
        for i in self.fresh:
            item = self.items[i]
            if item.is_claimed and item.event_key not in claimable:
                claimable[item.event_key] = item.key
                self.first[item.event_key] = i
        asked_at = monotonic()
        new, blocked, seen, revision = await inbox.claim(
            self.conn, list(claimable.items()), revision=self.rulebook.asks
        )
        if revision is None:
            self.programme = await self.rulebook.newest(self.conn)
        else:
            self.programme = await self.rulebook.of_revision(self.conn, revision, asked_at=asked_at)
        if blocked:
            # A replay of these keys may have just ended; nobody begins another before this transaction is over.
            await parking.take_turns(self.conn, blocked)
            again = await inbox.claim(self.conn, [(e, k) for e, k in claimable.items() if k in blocked])
            new, blocked, seen = new | again.new, again.blocked, seen | again.seen
        self.claimed |= new
        self.blocked = blocked
        if not len(self.fresh) == len(claimable) == len(new):
            self.fresh = [i for i in self.fresh if self._is_fresh(i, new, seen)]
        reach("transact.claimed")

    def _is_fresh(self, i: int, new: set[uuid.UUID], seen: set[uuid.UUID]) -> bool:
        item = self.items[i]
        if not item.is_claimed:
            return True
        once = self.first[item.event_key] == i
        if once and item.event_key not in seen and (item.event_key in new or item.key in self.blocked):
            return True
        self.outcomes[i].seen = True
        return False

    async def _claim_replayed(self) -> None:
        """Parked events come back under the lock of their rows, and claim the inbox like any other.

        One that nobody could read when it came may be parked more than once: now that it can be read, its first has the effect.
        """
        seqs = {self.items[i].parked_seq: i for i in self.fresh if self.items[i].parked_seq is not None}
        if not seqs:
            return
        await parking.take_turns(self.conn, {self.items[i].key for i in seqs.values()})
        here = await parking.still_parked(self.conn, [s for s in seqs if s is not None])
        there = [i for s, i in seqs.items() if s in here]
        claimed = await inbox.claim_all(self.conn, [self.items[i].event_key for i in there])
        self.claimed |= claimed
        for i in there:
            self.first.setdefault(self.items[i].event_key, i)
        for s, i in seqs.items():
            key = self.items[i].event_key
            self.outcomes[i].seen = s not in here or key not in claimed or self.first[key] != i
        self.fresh = [i for i in self.fresh if not self.outcomes[i].seen]

    async def _claim_answers(self) -> None:
        """A write that was answered before gets the same answer; under another body it is refused."""
        asked = {(w.caller, w.key): i for i in self.fresh if (w := self.items[i].idempotency) is not None}
        if not asked:
            return
        rows = await answers.given_before(self.conn, list(asked))
        for row in rows:
            i = asked[row["caller"], row["key"]]
            self.outcomes[i] = answers.again(row, self.items[i].idempotency)
        self.fresh = [i for i in self.fresh if not self.outcomes[i].seen]

    async def decide(self) -> None:
        """One locked read of the keys touched, then pure calls; an item that is wrong leaves no trace in the states."""
        self.keys = {i: self._keys_of(self.items[i]) for i in self.fresh}
        keys = sorted(set(chain.from_iterable(self.keys.values())))
        self.before = await self.service.load(self.conn, keys) if keys else {}
        self.after = dict(self.before)
        if self.service.catch_up is not None and any(self._is_history(i) for i in self.fresh):
            self.calendar = await self.conn.fetchval(NEWEST_DAY)
        reach("transact.loaded")
        for n, i in enumerate(self.fresh):
            if n % ITEMS_BETWEEN_BREATHS == ITEMS_BETWEEN_BREATHS - 1:
                await asyncio.sleep(0)  # heartbeats and callers share this loop
            item = self.items[i]
            if (self.blocked or self.stuck) and self._queues(item):
                self._refuse(
                    i, item.wrong or WrongEventError(parking.BEHIND, "queues behind an earlier parked event of its key")
                )
                continue
            try:
                self.outcomes[i].body = self._decide_one(i, item)
            except WrongEventError as wrong:
                self._refuse(i, wrong)
            except Exception as error:
                log.exception("rule_failed", service=self.service.name, type=item.event and item.event.type)
                self._refuse(i, WrongEventError("rule_failed", f"{type(error).__name__} in a rule; see the log"))
        self._answer_doubles()
        reach("transact.decided")

    def _is_history(self, i: int) -> bool:
        event = self.items[i].event
        return event is not None and event.backfill

    def _keys_of(self, item: Item) -> tuple[str, ...]:
        """The states it touches; none for one that cannot be decided now, or at all: it must not be able to fail the others."""
        if item.event is None or item.wrong is not None or self._queues(item) or isinstance(item.event.data, SPOKEN):
            return ()
        return self.service.keys(item.event)

    def _answer_doubles(self) -> None:
        """What came twice in one batch gets one answer: if the first was refused, the second had no effect either."""
        for i, outcome in enumerate(self.outcomes):
            if outcome.seen and (first := self.first.get(self.items[i].event_key, i)) != i:
                outcome.wrong = self.outcomes[first].wrong

    def _queues(self, item: Item) -> bool:
        """Whether an earlier event of its key is parked, so that this one has to wait."""
        if not (self.blocked or self.stuck) or (item.record is None and not item.once):
            return False
        return item.key in (self.blocked if item.parked_seq is None else self.stuck)

    def _decide_one(self, i: int, item: Item) -> bytes:
        if item.wrong is not None or item.event is None:
            raise item.wrong or WrongEventError("malformed", "there is no event")
        event = self._in_its_trace(i, item.event) if collecting else item.event
        if isinstance(event.data, SPOKEN):
            self.heard += hear(event, follows=self.service.follows, files=self.rulebook.base).rows
            return NOTHING
        keys = self.keys[i]
        alone = len(keys) == 1
        state = self.after.get(keys[0]) if alone else tuple(self.after.get(k) for k in keys)
        decided: Decision[Any] = self.service.decide(state, event, self.programme, calendar=self.calendar)
        records = records_of(decided, event, service=self.service.name, source=self.source, new_id=self.new_id)
        body = NOTHING if decided.reply is None else _json.encode(decided.reply)
        if alone:
            self.after[keys[0]] = decided.state
        else:
            self.after.update(zip(keys, decided.state, strict=True))
        self.rows += decided.rows
        self.records += records
        self.told += decided.emit
        return body

    def _in_its_trace(self, i: int, event: Event) -> Event:
        """The event as its rule sees it: what it causes is a child of the span that decides it."""
        span = spans.processing(self.service.name, self.items[i], event)
        if span is None:
            return event
        self.spans[i] = span
        return replace(event, traceparent=traceparent_of(span))

    def end_spans(self) -> None:
        """The transaction committed."""
        for i, span in self.spans.items():
            spans.end(span, self.outcomes[i])

    def _refuse(self, i: int, wrong: WrongEventError) -> None:
        self.outcomes[i].wrong = wrong
        if self.items[i].record is not None:
            self._park(i, wrong)
        elif isinstance(wrong, RefusedError):
            self.rows += wrong.rows

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

    async def save(self, reached: Sequence[Reached] = ()) -> None:
        """A few set-based statements, then the outbox, and how far the log was read: whatever the batch's size."""
        wrong = [*(p.event_key for p in self.parked), *self._refused_once()]
        await inbox.unclaim(self.conn, [key for key in wrong if key in self.claimed])
        await parking.park(self.conn, self.parked)
        changed = {k: s for k, s in self.after.items() if s is not self.before.get(k)}
        if changed or self.rows:
            await self.service.save(self.conn, Saved(before=self.before, after=changed, rows=self.rows))
        if self.heard:
            await rule_tables.keep_heard(self.conn, self.heard)
        reach("transact.saved")
        await outbox.emit(self.conn, self.records, reached)
        reach("transact.emitted")
        asked = ((w, self.outcomes[i]) for i in self.fresh if (w := self.items[i].idempotency) is not None)
        await answers.keep(self.conn, asked)
        await self._save_replayed()

    def _refused_once(self) -> list[uuid.UUID]:
        """What was claimed for a caller and then refused: the same id may come again."""
        refused = [i for i in self.fresh if self.items[i].once and self.outcomes[i].wrong is not None]
        return [self.items[i].event_key for i in refused]

    async def _save_replayed(self) -> None:
        """A replayed event that is still wrong stays parked, with its newest reason; one that passed leaves."""
        replayed = [(i, s) for i, item in enumerate(self.items) if (s := item.parked_seq) is not None]
        wrong = [(i, s) for i, s in replayed if self.outcomes[i].wrong is not None]
        await inbox.unclaim(self.conn, [key for i, _ in wrong if (key := self.items[i].event_key) in self.claimed])
        for i, seq in wrong:
            reason = self.outcomes[i].wrong
            assert reason is not None
            if reason.code == parking.BEHIND:
                continue
            await parking.refuse_again(self.conn, seq, code=reason.code, detail=reason.detail)
        passed = [s for i, s in replayed if self.outcomes[i].wrong is None]
        if passed:
            await parking.leave(self.conn, passed, action="replayed", actor=self.items[replayed[0][0]].by, reason="")
