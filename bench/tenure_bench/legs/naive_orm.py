"""The naive peer: one event, one transaction, an ORM session that loads, changes and flushes objects; 1 task, or 16 of them.

It writes the same accounts, lots, transfers and inbox rows, and an outbox row an event. Events of a member stay in order: each
member belongs to one task.
"""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer
from points_ledger.rules.memory import Memory
from points_ledger.rules.term_memory import TermMemory
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from tenure.calendar import add_months, end_of_month
from tenure.contracts.event import Event
from tenure.contracts.points import PointsGranted
from tenure.contracts.policy import PremiumPaid
from tenure.spine import outbox
from tenure.spine.codec import decode, encode, event_key, event_of
from tenure.spine.kafka_settings import KafkaSettings
from uuid_utils import uuid7

from tenure_bench.children import Driver
from tenure_bench.legs.ledger import faults
from tenure_bench.measure import Measured, Meter
from tenure_bench.orm import Account, Inbox, Lot, Outbox, Transfer
from tenure_bench.world import Place

GROUP: Final = "bench.naive-orm"
EXPIRY_MONTHS: Final = 24
_memory: Final = msgspec.msgpack.Decoder(Memory)
_pack: Final = msgspec.msgpack.Encoder()


async def run(place: Place, driver: Driver, *, topic: str, events: int, tasks: int) -> Measured:
    """Consume the first `events` of a topic with so many tasks."""
    del driver
    settings = place.settings()
    url = f"{place.database_url}/{place.database}".replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, pool_size=tasks, max_overflow=0)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    client = AIOKafkaConsumer(topic, **KafkaSettings.from_address(settings.kafka).consumer(GROUP))
    await client.start()
    done = 0
    meter = Meter(place.trees)
    while done < events:
        polled = await client.getmany(timeout_ms=500, max_records=min(500, events - done))
        records = [r for part in polled.values() for r in part]
        await _in_tasks(sessions, [decode(r.headers, r.value) for r in records], tasks)
        if records:
            await client.commit()
        done += len(records)
    cost = meter.stop()
    await client.stop()
    await engine.dispose()
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    wrong = await faults(conn, events=events)
    await conn.close()
    return Measured(events, cost, wrong)


async def _in_tasks(sessions: async_sessionmaker[AsyncSession], events: Sequence[Event], tasks: int) -> None:
    lanes: list[list[Event]] = [[] for _ in range(tasks)]
    for event in events:
        lanes[zlib.crc32(event.key.encode()) % tasks].append(event)
    await asyncio.gather(*(_lane(sessions, lane) for lane in lanes if lane))


async def _lane(sessions: async_sessionmaker[AsyncSession], events: Sequence[Event]) -> None:
    for event in events:
        async with sessions() as session, session.begin():
            await handle(session, event)


async def handle(session: AsyncSession, event: Event) -> None:
    """One event, as one would write it first."""
    key = event_key(event.source, event.id)
    if await session.get(Inbox, key) is not None:
        return
    session.add(Inbox(event_key=key))
    account = await session.get(Account, event.key, with_for_update=True)
    if account is None:
        account = Account(member_id=event.key, lots_no=0, transfers_no=0, points_pending=0)
        session.add(account)
    lot = _earn(account, event)
    session.add(lot)
    session.add(_transfer(lot, event))
    told = encode(event_of(_granted(lot), id=str(uuid7()), source="/tenure/points-ledger", time=event.time))
    session.add(Outbox(records=outbox.pack([told]), events=1))


def _earn(account: Account, event: Event) -> Lot:
    paid, term = event.data, event.data.term
    points, active = paid.amount_fen // 100, max(paid.effective, term.cooling_off_end)
    account.lots_no += 1
    account.transfers_no += 1
    account.points_pending += points
    account.lived_to = paid.effective
    account.due_on = min(account.due_on or active, active)
    account.memory = _remembered(account, event.data)
    return Lot(
        member_id=event.key,
        lot_no=account.lots_no,
        fact=f"{term.id}#{paid.instalment_no}",
        granted=points,
        remaining=points,
        base=points,
        earned_on=paid.effective,
        activates_on=active,
        expires_on=end_of_month(add_months(active, EXPIRY_MONTHS)),
        source_id=event.id,
        policy_no=term.policy_no,
        term_no=term.term_no,
    )


def _remembered(account: Account, paid: PremiumPaid) -> bytes:
    """The terms it knows, as the ledger keeps them."""
    memory = _memory.decode(account.memory) if account.memory else Memory()
    term, key = paid.term, paid.term.id
    before = memory.terms[key].paid if key in memory.terms else {}
    now = TermMemory(
        version=term.version,
        start=term.start,
        written_end=term.written_end,
        person=term.natural_person,
        premium_fen=term.premium_fen,
        paid={**before, paid.instalment_no: paid.amount_fen},
    )
    return _pack.encode(Memory(terms={**memory.terms, key: now}))


def _transfer(lot: Lot, event: Event) -> Transfer:
    return Transfer(
        member_id=lot.member_id,
        transfer_no=lot.lot_no,
        amount=lot.granted,
        lot_no=lot.lot_no,
        effective=lot.earned_on,
        cause=event.id,
    )


def _granted(lot: Lot) -> PointsGranted:
    name = f"{lot.member_id}:{lot.lot_no}"
    return PointsGranted(
        member_id=lot.member_id,
        wallet="points",
        amount=lot.granted,
        effective=lot.earned_on,
        lot_id=name,
        entry_id=name,
        rule="premium",
        rules_version=1,
        activates_on=lot.activates_on,
        expires_on=lot.expires_on,
        source_type="premium.paid",
        reference=lot.fact,
    )
