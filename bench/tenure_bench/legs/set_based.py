"""The best loop we can write by hand for one kind of event: the same rows as the ledger's, without its rules or its spine.

It knows that everything it reads is a paid premium of a whole term with a cooling-off period and no multiplier, so it decodes
only what it needs, never loads a lot, and appends with COPY. What it keeps: the inbox, the order, the lock, one transaction a
poll, the offsets after the commit. Its books are checked like the ledger's.
"""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer
from points_ledger.rules.account import Memory, TermMemory
from tenure.calendar import add_months, end_of_month
from tenure.spine.kafka_settings import KafkaSettings
from uuid_utils import uuid7

from tenure_bench.children import Driver
from tenure_bench.legs.ledger import faults
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place

GROUP: Final = "bench.set-based"
EXPIRY_MONTHS: Final = 24
CLAIM: Final = "INSERT INTO inbox (event_key) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_key"
LOCK: Final = """
SELECT member_id, due_on, lots_no, transfers_no, memory, points_pending FROM accounts
WHERE member_id = ANY($1::text[]) ORDER BY member_id FOR UPDATE
"""
UPDATE: Final = """
UPDATE accounts SET due_on = t.due_on, lots_no = t.lots_no, transfers_no = t.lots_no, memory = t.memory, points_pending = t.pending
FROM unnest($1::text[], $2::date[], $3::int[], $4::bytea[], $5::bigint[]) AS t (member_id, due_on, lots_no, memory, pending)
WHERE accounts.member_id = t.member_id
"""
PROGRESS: Final = """
INSERT INTO progress SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""
LOT: Final = (
    *(
        "member_id",
        "lot_no",
        "wallet",
        "rule",
        "fact",
        "granted",
        "remaining",
        "earned_on",
        "activates_on",
        "expires_on",
    ),
    *("rules_version", "source_type", "source_id", "remembered_until", "base", "held", "spent", "reversed", "expired"),
    *(
        "policy_no",
        "term_no",
        "status",
        "status_percent",
        "line_percent",
        "campaign_percent",
        "revoked",
        "taken",
        "origin",
    ),
)
TRANSFER: Final = (
    *(
        "member_id",
        "transfer_no",
        "wallet",
        "debit",
        "credit",
        "amount",
        "lot_no",
        "kind",
        "effective",
        "cause",
        "hold_id",
    ),
)


class Term(msgspec.Struct):
    policy_no: str
    term_no: int
    version: int
    start: date
    written_end: date
    premium_fen: int
    cooling_off_end: date


class Paid(msgspec.Struct):
    member_id: str
    term: Term
    effective: date
    amount_fen: int
    instalment_no: int


class Granted(msgspec.Struct):
    member_id: str
    wallet: str
    amount: int
    effective: date
    lot_id: str
    entry_id: str
    rule: str
    rules_version: int
    activates_on: date
    expires_on: date
    source_type: str
    reference: str
    repaid_debt: int


class Account:
    """What of an account a payment changes."""

    __slots__ = ("due_on", "known", "memory", "no", "pending")

    def __init__(self, row: Any = None) -> None:
        self.known = row is not None
        self.due_on: date | None = row["due_on"] if row else None
        self.no: int = row["lots_no"] if row else 0
        self.memory: dict[str, TermMemory] = dict(_memory.decode(row["memory"]).terms) if row else {}
        self.pending: int = row["points_pending"] if row else 0


_paid: Final = msgspec.json.Decoder(Paid)
_memory: Final = msgspec.msgpack.Decoder(Memory)
_json: Final = msgspec.json.Encoder()
_pack: Final = msgspec.msgpack.Encoder()


class Poll:
    """The rows of one poll."""

    def __init__(self, accounts: dict[str, Account]) -> None:
        self.accounts = accounts
        self.lots: list[tuple[Any, ...]] = []
        self.transfers: list[tuple[Any, ...]] = []
        self.told: list[Any] = []

    def pay(self, paid: Paid, event_id: str, time: bytes) -> None:
        account = self.accounts.get(paid.member_id)
        if account is None:
            account = self.accounts[paid.member_id] = Account()
        term = paid.term
        account.no += 1
        no, points, key = account.no, paid.amount_fen // 100, f"{term.policy_no}/{term.term_no}"
        active, fact = max(paid.effective, term.cooling_off_end), f"{key}#{paid.instalment_no}"
        expires = end_of_month(add_months(active, EXPIRY_MONTHS))
        account.pending += points
        account.due_on = min(account.due_on or active, active)
        before = account.memory.get(key)
        account.memory[key] = TermMemory(
            term.version,
            term.start,
            term.written_end,
            True,
            term.premium_fen,
            paid={**(before.paid if before else {}), paid.instalment_no: paid.amount_fen},
        )
        self.lots.append(
            (
                *(paid.member_id, no, "points", "premium", fact, points, points, paid.effective, active, expires),
                *(1, "premium.paid", event_id, date.max, points, 0, 0, 0, 0),
                *(term.policy_no, term.term_no, "", 100, 100, 100, False, "[]", ""),
            )
        )
        self.transfers.append(
            (paid.member_id, no, "points", "issuance", "pending", points, no, "grant", paid.effective, event_id, "")
        )
        self._tell(paid, no, points, active, expires, fact, time)

    def _tell(self, paid: Paid, no: int, points: int, active: date, expires: date, fact: str, time: bytes) -> None:
        lot, member = f"{paid.member_id}:{no}", paid.member_id.encode()
        value = Granted(
            *(paid.member_id, "points", points, paid.effective, lot, lot, "premium", 1, active, expires),
            *("premium.paid", fact, 0),
        )
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(uuid7()).encode()),
            ("ce_source", b"/tenure/points-ledger"),
            ("ce_type", b"points.granted"),
            ("ce_time", time),
            ("ce_subject", b""),
            ("ce_partitionkey", member),
        ]
        self.told.append(("points.v1", member, _json.encode(value), headers))


async def run(
    place: Place, driver: Driver, *, ends: list[tuple[str, int, int]], events: int, expected: dict[str, str]
) -> Measured:
    del driver
    settings = place.settings()
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    topics = sorted({topic for topic, _, _ in ends})
    client = AIOKafkaConsumer(*topics, **KafkaSettings.from_address(settings.kafka).consumer(GROUP))
    await client.start()
    left = {(topic, partition): end for topic, partition, end in ends}
    meter = Meter(place.trees)
    while left:
        polled = await client.getmany(timeout_ms=500, max_records=settings.batch_records_max)
        read = {(tp.topic, tp.partition): records[-1].offset + 1 for tp, records in polled.items()}
        if read:
            await apply(conn, [r for records in polled.values() for r in records], read)
            await client.commit()
        left = {place: end for place, end in left.items() if read.get(place, 0) < end}
    cost = meter.stop()
    await client.stop()
    wrong = await faults(conn, events=events, expected=expected)
    await conn.close()
    return Measured(events, cost, wrong)


async def apply(conn: asyncpg.Connection, records: Sequence[Any], read: dict[tuple[str, int], int]) -> None:
    """One poll, one transaction."""
    events = {}
    for record in records:
        headers = dict(record.headers)
        event_id = headers["ce_id"].decode()
        events[key_of(headers["ce_source"].decode(), event_id)] = (record.value, event_id, headers["ce_time"])
    async with conn.transaction():
        claimed = await conn.fetch(CLAIM, sorted(events))
        ours = events if len(claimed) == len(events) else {r[0]: events[r[0]] for r in claimed}
        paid = [(_paid.decode(value), event_id, time) for value, event_id, time in ours.values()]
        rows = await conn.fetch(LOCK, sorted({p.member_id for p, _, _ in paid}))
        poll = Poll({row["member_id"]: Account(row) for row in rows})
        for p, event_id, time in paid:
            poll.pay(p, event_id, time)
        await write(conn, poll, {p.member_id: p.effective for p, _, _ in paid})
        await conn.execute(
            "INSERT INTO outbox (records, events) VALUES ($1, $2)", _pack.encode(poll.told), len(poll.told)
        )
        await conn.execute(PROGRESS, [t for t, _ in read], [p for _, p in read], list(read.values()))


async def write(conn: asyncpg.Connection, poll: Poll, lived_to: dict[str, date]) -> None:
    await conn.copy_records_to_table("lots", records=poll.lots, columns=LOT)
    await conn.copy_records_to_table("transfers", records=poll.transfers, columns=TRANSFER)
    memories = {m: _pack.encode(Memory(terms=a.memory)) for m, a in poll.accounts.items()}
    new = [
        (m, lived_to[m], a.due_on, a.no, a.no, memories[m], a.pending) for m, a in poll.accounts.items() if not a.known
    ]
    columns = ("member_id", "lived_to", "due_on", "lots_no", "transfers_no", "memory", "points_pending")
    await conn.copy_records_to_table("accounts", records=new, columns=columns)
    old = [(m, a.due_on, a.no, memories[m], a.pending) for m, a in poll.accounts.items() if a.known]
    if old:
        await conn.execute(UPDATE, *map(list, zip(*old, strict=True)))


def key_of(source: str, event_id: str) -> Any:
    """The spine's key of an event, written for the ids of this run: UUIDv7."""
    digest = hashlib.blake2b(f"{source}\0{event_id}".encode(), digest_size=16).digest()
    return asyncpg.pgproto.pgproto.UUID(bytes.fromhex(event_id.replace("-", "")[:16]) + digest[:8])
