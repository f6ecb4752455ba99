"""Looks at every commit of every service and compares it with what must hold; nothing it keeps is taken from the spine's own books.

The invariants, at each commit: what was decided is what was claimed, and never before; events of a key came in the order of their
topic; the outbox holds what was decided, as much of it; the ledger's journal goes on without a gap and adds up to the balances and
lots; for a sample of keys the state is what the rules, applied one after the other, come to.
"""

import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from notifier.rules.release import Told
from points_ledger.rules.account import BUCKETS, WALLETS, Account, Transfer, balance
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme
from tenure.contracts.topics import TOPIC_OF, TYPE_OF
from tenure.service import Service
from tenure.simulation.states import Shape
from tenure.simulation.tables import Store, Transaction

SAMPLED_ONE_IN: Final = 64
VIOLATIONS_MAX: Final = 10
_NAMES: Final = {(w, b): balance(w, b) for w in WALLETS for b in BUCKETS}
_NO_LOTS: Final = dict.fromkeys(WALLETS, 0)
_IN_LOTS: Final = tuple((w, balance(w, "pending"), balance(w, "available")) for w in WALLETS)
_headers: Final = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode


class ViolationError(AssertionError):
    """Something that must hold does not."""


@dataclass
class Seen:
    """What one service was seen to do."""

    service: Service[Any]
    shape: Shape
    ids: set[str] = field(default_factory=set)
    newest: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    decided: Counter[str] = field(default_factory=Counter)
    discarded: set[bytes] = field(default_factory=set)
    shadows: dict[str, Any] = field(default_factory=dict)


@dataclass
class Journal:
    """One account by its transfers alone."""

    no: int = 0
    balances: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_NAMES.values(), 0))


@dataclass
class Witness:
    programme: Programme
    services: Mapping[str, Seen]
    sampled_one_in: int = SAMPLED_ONE_IN
    sampled: dict[str, bool] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    journals: dict[str, Journal] = field(default_factory=lambda: defaultdict(Journal))
    said: set[tuple[str, str]] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    commits: int = 0
    digest: int = 0

    @property
    def events(self) -> int:
        """Records that a rule decided, due work not counted."""
        return sum(seen.decided.total() for seen in self.services.values())

    def on_commit(self, store: Store, tx: Transaction) -> None:
        self.commits += 1
        seen = self.services[store.service]
        facts = [event for event, _ in tx.notes if event.__class__ is Event and event.type in TOPIC_OF]
        self._claimed_is_decided(seen, tx, facts)
        self._each_once_and_in_order(seen, facts)
        self._outbox_is_what_was_decided(seen, tx)
        if store.service == "points-ledger":
            self._journal_adds_up(tx)
        elif store.service == "notifier":
            self._nothing_is_said_twice(tx)
        self._sample_is_the_fold(seen, tx)
        trace = f"{time.monotonic():.6f} {store.service} {len(tx.notes)} {facts[-1].id if facts else ''}"
        self.digest = zlib.crc32(trace.encode(), self.digest)

    def must(self, holds: bool, sentence: Callable[[], str]) -> None:
        if not holds and len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(sentence())

    def _claimed_is_decided(self, seen: Seen, tx: Transaction, facts: list[Event]) -> None:
        written = tx.writes.get("inbox") or {}
        claimed = sum(1 for row in written.values() if row is True)
        left = (tx.writes.get("parked_log") or {}).values()
        discarded = [tx.store.tables["parked"][row["seq"]] for row in left if row["action"] == "discarded"]
        # What cannot be read is known by where it stood: a copy of it is parked, and discarded, once more.
        seen.discarded.update(dict(_headers(row["headers"]))["ce_id"] for row in discarded)
        self.must(
            claimed == len(facts) + len(discarded),
            lambda: (
                f"{seen.service.name}: {claimed} claimed, {len(facts)} decided, {len(discarded)} discarded in a commit"
            ),
        )

    def _each_once_and_in_order(self, seen: Seen, facts: list[Event]) -> None:
        before = len(seen.ids)
        seen.ids.update([event.id for event in facts])
        self.must(
            len(seen.ids) == before + len(facts),
            lambda: f"{seen.service.name}: an event had its effect twice, among {[e.id for e in facts][:5]} ...",
        )
        seen.decided.update([event.type for event in facts])
        numbers = seen.newest
        for event in facts:
            key, number = event.key, int(event.id.rpartition("-")[2])
            newest = numbers[event.source]
            if newest.get(key, 0) >= number:
                self.must(False, lambda: f"{seen.service.name}: {event.id} of {event.key} came after a later one")  # noqa: B023
            newest[key] = number

    def _outbox_is_what_was_decided(self, seen: Seen, tx: Transaction) -> None:
        count, told = 0, self.told
        for _, decision in tx.notes:
            for data in decision.emit:
                count += 1
                told[TYPE_OF[data.__class__]] += 1
        written = tx.writes.get("outbox") or {}
        emitted = sum(row["events"] for row in written.values() if not row["published"])
        self.must(
            emitted == count, lambda: f"{seen.service.name}: {count} effects decided, {emitted} committed to the outbox"
        )

    def _journal_adds_up(self, tx: Transaction) -> None:
        for _, decision in tx.notes:
            for row in decision.rows:
                if row.__class__ is Transfer:
                    self._post(row)
        for member, account in (tx.writes.get("states") or {}).items():
            self._account_is_its_journal(self.journals[member], account)

    def _nothing_is_said_twice(self, tx: Transaction) -> None:
        for _, decision in tx.notes:
            for row in decision.rows:
                if row.__class__ is Told:
                    said = (row.member_id, row.dedupe)
                    self.must(said not in self.said, lambda: f"{said[0]} was told twice: {said[1]}")  # noqa: B023
                    self.said.add(said)

    def _post(self, row: Transfer) -> None:
        journal = self.journals[row.member_id]
        if row.no != journal.no + 1:
            self.must(False, lambda: f"{row.member_id}: transfer {row.no} follows {journal.no}")
        journal.no = row.no
        balances = journal.balances
        for ledger, sign in ((row.debit, -1), (row.credit, 1)):
            name = _NAMES.get((row.wallet, ledger))
            if name is not None:
                balances[name] += -sign * row.amount if ledger == "debt" else sign * row.amount

    def _account_is_its_journal(self, journal: Journal, account: Account) -> None:
        balances = account.balances
        if balances != journal.balances:
            self.must(False, lambda: f"{account.member_id}: {balances} stored, {journal.balances} by the journal")
        lots = _NO_LOTS.copy()
        for lot in account.lots.values():
            lots[lot.wallet] += lot.remaining
        for wallet, pending, available in _IN_LOTS:
            stored = balances[pending] + balances[available]
            if stored != lots[wallet]:
                self.must(False, lambda: f"{account.member_id}: {stored} {wallet} stored, {lots[wallet]} in lots")  # noqa: B023

    def _sample_is_the_fold(self, seen: Seen, tx: Transaction) -> None:
        states = tx.writes.get("states") or {}
        known = self.sampled
        sampled = {key for key in states if (known[key] if key in known else self._is_sampled(key))}
        if not sampled:
            return
        ready: dict[str, Any] = {}
        for event, _ in tx.notes:
            keys = seen.service.keys(event)
            if not sampled.isdisjoint(keys):
                self._fold(seen, tx, ready, keys, event)
        for key in sampled & ready.keys():
            seen.shadows[key] = seen.shape.kept(ready[key])
            self.must(
                states[key] == seen.shadows[key],
                lambda: f"{seen.service.name}: {key} is not what its events come to",  # noqa: B023
            )

    def _is_sampled(self, key: str) -> bool:
        known = self.sampled[key] = zlib.crc32(key.encode()) % self.sampled_one_in == 0
        return known

    def _fold(self, seen: Seen, tx: Transaction, ready: dict[str, Any], keys: tuple[str, ...], event: Event) -> None:
        """One event on the shadows; of a key outside the sample the committed state is taken."""
        for key in keys:
            if key not in ready:
                kept = seen.shadows.get(key)
                kept = tx.store.tables["states"].get(key) if kept is None else kept
                kept = seen.shape.blank(key) if kept is None else kept
                ready[key] = None if kept is None else seen.shape.read(tx, key, kept)
        states = tuple(ready[key] for key in keys)
        decided = seen.service.decide(states[0] if len(keys) == 1 else states, event, self.programme)
        ready.update(zip(keys, (decided.state,) if len(keys) == 1 else decided.state, strict=True))
