"""The best loop we can write by hand for the four kinds of a renewal day: the ledger's rows, without its rules or its spine.

What it knows of them stands in `by_hand`. It decodes only what it needs, never loads a lot, and appends with COPY. What it keeps:
the inbox, the order, the lock, one transaction a poll, the offsets after the commit. Its books are checked like the ledger's.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer
from tenure.spine.kafka_settings import KafkaSettings

from tenure_bench.children import Driver
from tenure_bench.legs.by_hand import DECODERS, Account, Poll, memory_of
from tenure_bench.legs.ledger import faults
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place

GROUP: Final = "bench.set-based"
CLAIM: Final = "INSERT INTO inbox (event_key) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_key"
LOCK: Final = """
SELECT member_id, due_on, lots_no, memory, points_pending, points_available, growth_available FROM accounts
WHERE member_id = ANY($1::text[]) ORDER BY member_id FOR UPDATE
"""
UPDATE: Final = """
UPDATE accounts SET due_on = t.due_on, lots_no = t.lots_no, transfers_no = t.lots_no, memory = t.memory,
                    points_pending = t.pending, points_available = t.available, growth_available = t.growth
FROM unnest($1::text[], $2::date[], $3::int[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[])
  AS t (member_id, due_on, lots_no, memory, pending, available, growth)
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
ACCOUNT: Final = (
    *("member_id", "lived_to", "due_on", "lots_no", "transfers_no", "memory"),
    *("points_pending", "points_available", "growth_available"),
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


async def run(
    place: Place, driver: Driver, *, ends: list[tuple[str, int, int]], events: int, lots: int, expected: dict[str, str]
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
    wrong = await faults(conn, events=events, lots=lots, expected=expected)
    await conn.close()
    return Measured(events, cost, wrong)


async def apply(conn: asyncpg.Connection, records: Sequence[Any], read: dict[tuple[str, int], int]) -> None:
    """One poll, one transaction."""
    events = {}
    for record in records:
        headers = dict(record.headers)
        event_id = headers["ce_id"].decode()
        kind = headers["ce_type"].decode()
        key = key_of(headers["ce_source"].decode(), event_id)
        events[key] = (DECODERS[kind].decode(record.value), kind, event_id, headers["ce_time"])
    async with conn.transaction():
        claimed = await conn.fetch(CLAIM, sorted(events))
        ours = events if len(claimed) == len(events) else {r[0]: events[r[0]] for r in claimed}
        rows = await conn.fetch(LOCK, sorted({fact.member_id for fact, *_ in ours.values()}))
        poll = Poll({row["member_id"]: Account(row) for row in rows})
        for fact, kind, event_id, time in ours.values():
            poll.take(fact, kind, event_id, time)
        await write(conn, poll)
        await conn.execute(
            "INSERT INTO outbox (records, events) VALUES ($1, $2)", msgspec.msgpack.encode(poll.told), len(poll.told)
        )
        await conn.execute(PROGRESS, [t for t, _ in read], [p for _, p in read], list(read.values()))


async def write(conn: asyncpg.Connection, poll: Poll) -> None:
    await conn.copy_records_to_table("lots", records=poll.lots, columns=LOT)
    await conn.copy_records_to_table("transfers", records=poll.transfers, columns=TRANSFER)
    rows = [
        (a.known, (m, a.due_on, a.no, memory_of(a), a.pending, a.available, a.growth)) for m, a in poll.accounts.items()
    ]
    new = [(row[0], poll.day, row[1], row[2], *row[2:]) for known, row in rows if not known]
    await conn.copy_records_to_table("accounts", records=new, columns=ACCOUNT)
    old = [row for known, row in rows if known]
    if old:
        await conn.execute(UPDATE, *map(list, zip(*old, strict=True)))


def key_of(source: str, event_id: str) -> Any:
    """The spine's key of an event, written for the ids of this run: UUIDv7."""
    digest = hashlib.blake2b(f"{source}\0{event_id}".encode(), digest_size=16).digest()
    return asyncpg.pgproto.pgproto.UUID(bytes.fromhex(event_id.replace("-", "")[:16]) + digest[:8])
