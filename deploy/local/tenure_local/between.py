"""What must hold between the services: what one told, the others took, once, and made of it what it said.

Read from the services' databases alone. What the outboxes retain is compared event by event; what they no longer retain is compared
by what it left behind (cover, lots, timelines, holds, messages). Meant for a platform that is drained.
"""

from collections import Counter
from collections.abc import AsyncIterator, Container, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
from tenure.contracts.event import Event
from tenure.contracts.message import MessageSent
from tenure.contracts.policy import PremiumPaid
from tenure.contracts.programme import Programme
from tenure.contracts.tier import Step
from tenure.contracts.topics import TOPIC_OF
from tenure.spine import outbox
from tenure.spine.codec import decode, event_key

from tenure_local import given_up, whose_cover
from tenure_local.services import SERVICES
from tenure_local.standings import standings_hold

ROWS_AT_ONCE: Final = 500
FEN_PER_CNY: Final = 100
Connections = Mapping[str, asyncpg.Connection]
_steps: Final = msgspec.json.Decoder(tuple[Step, ...]).decode
_READERS: Final = {
    name: [s for s in SERVICES if s.name in topic.consumers and name not in s.ignores and name != "day.started"]
    for name, topic in TOPIC_OF.items()
}


class Retained(NamedTuple):
    """What the outboxes still tell: premiums paid by event id, messages sent by (message, channel); how much was not taken."""

    premiums: dict[str, Event]
    sent: Counter[tuple[str, str]]
    not_taken: int


async def hold_between(connections: Connections, sms: Path, files: Programme) -> dict[str, bool]:
    """Each sentence and whether it holds. `files`: the programme without what was published since."""
    told = await _retained(connections)
    return {
        "what_is_told_is_taken": told.not_taken == 0,
        **await _facts_hold(connections, told),
        **await whose_cover.hold(connections),
        **await given_up.hold(connections),
        **await _tiers_hold(connections),
        **await standings_hold(connections, files),
        **await _orders_hold(connections),
        **await messages_hold(connections["notifier"], told, sms),
    }


async def _retained(connections: Connections) -> Retained:
    found = Retained({}, Counter(), 0)
    for service in SERVICES:
        async for events in _told(connections[service.name]):
            found.premiums.update({e.id: e for e in events if isinstance(e.data, PremiumPaid) and not e.backfill})
            found.sent.update((e.data.message_id, e.data.channel) for e in events if isinstance(e.data, MessageSent))
            found = found._replace(not_taken=found.not_taken + await _not_taken(connections, events))
    return found


async def _told(conn: asyncpg.Connection) -> AsyncIterator[list[Event]]:
    after = 0
    while rows := await conn.fetch(
        "SELECT seq, records FROM outbox WHERE seq > $1 ORDER BY seq LIMIT $2", after, ROWS_AT_ONCE
    ):
        yield [decode(r.headers, r.value) for row in rows for r in outbox.unpack(row["records"])]
        after = rows[-1]["seq"]


async def _not_taken(connections: Connections, events: Iterable[Event]) -> int:
    """Events that a service should have taken and has neither in its inbox nor parked (or discarded from there)."""
    by_reader: dict[str, list[Any]] = {}
    for event in events:
        for reader in _READERS[event.type]:
            by_reader.setdefault(reader.name, []).append(event_key(event.source, event.id))
    return sum([await _unknown(connections[name], keys) for name, keys in by_reader.items()])


async def _unknown(conn: asyncpg.Connection, keys: list[Any]) -> int:
    return int(
        await conn.fetchval(
            """SELECT count(*) FROM unnest($1::uuid[]) AS k (event_key)
               WHERE NOT EXISTS (SELECT FROM inbox i WHERE i.event_key = k.event_key)
                 AND NOT EXISTS (SELECT FROM parked p WHERE p.event_key = k.event_key)
                 AND NOT EXISTS (SELECT FROM parked_log l WHERE l.event_key = k.event_key)""",
            keys,
        )
    )


async def _facts_hold(connections: Connections, told: Retained) -> dict[str, bool]:
    """Each premium the core told is told on once, and earned once."""
    since = await connections["policy-sync"].fetchval("SELECT min(emitted_at) FROM outbox")
    paid = await connections["policy-sync"].fetchval(
        """SELECT count(*) FROM facts f JOIN policies p ON p.policy_no = f.key
           WHERE f.type = 'PremiumPaid' AND NOT f.backfill AND p.waiting = 0 AND f.recorded_at >= $1
                  AND NOT EXISTS (SELECT FROM dismissals d WHERE (d.key, d.source, d.id) = (f.key, f.source, f.id))""",
        since,
    )
    earned = Counter(
        row["fact"]
        for row in await connections["points-ledger"].fetch(
            "SELECT fact FROM lots WHERE source_type = 'premium.paid' AND wallet = 'points'"
        )
    )
    premiums = [e.data for e in told.premiums.values()]
    due = {_fact_of(p) for p in premiums if p.amount_fen >= FEN_PER_CNY and p.term.natural_person}
    return {
        "each_premium_is_told_on": len(premiums) >= paid and len({_fact_of(p) for p in premiums}) == len(premiums),
        "each_premium_is_earned_once": all(earned[fact] == 1 for fact in due),
    }


def _fact_of(paid: PremiumPaid) -> str:
    """What a premium is known by: its term and which instalment it is."""
    return f"{paid.term.id}#{paid.instalment_no}"


async def _tiers_hold(connections: Connections) -> dict[str, bool]:
    """Who hears of tiers has, for every member, the timeline that was told last."""
    rows = await connections["tier-engine"].fetch(
        """SELECT DISTINCT ON (member_id) member_id, change->'timeline' AS timeline FROM decisions
           ORDER BY member_id, seq DESC"""
    )
    told = {row["member_id"]: _steps(row["timeline"]) for row in rows}
    benefits = await connections["benefits"].fetch("SELECT member_id, state FROM members WHERE state <> ''")
    entitled = {row["member_id"]: msgspec.json.decode(row["state"], type=_Timeline).timeline for row in benefits}
    mall = await connections["mall"].fetch("SELECT member_id, timeline FROM members")
    shopping = {row["member_id"]: _steps(row["timeline"]) for row in mall}
    return {
        "benefits_follow_the_tiers": all(entitled.get(member, ()) == steps for member, steps in told.items()),
        "the_mall_follows_the_tiers": all(shopping.get(member, ()) == steps for member, steps in told.items()),
    }


class _Timeline(msgspec.Struct):
    timeline: tuple[Step, ...] = ()


_Ending = tuple[str | None, int, int]
_SETTLED: Final[Mapping[str, frozenset[_Ending]]] = {
    # What an order's status says of its hold: (state, captured, refunded), in shares of the order's points.
    "fulfilled": frozenset({("captured", 1, 0)}),
    "shipped": frozenset({("captured", 1, 0)}),
    "closed": frozenset({("captured", 1, 0)}),
    "refunded": frozenset({("captured", 1, 1)}),
    "failed": frozenset({(None, 0, 0), ("released", 0, 0), ("timed_out", 0, 0)}),
}


async def _orders_hold(connections: Connections) -> dict[str, bool]:
    """An order and its hold tell one story, to the point; no points are kept for an order that nobody placed."""
    orders = await connections["mall"].fetch("SELECT order_id, member_id, status, points FROM orders")
    rows = await connections["points-ledger"].fetch(
        """SELECT h.hold_id, h.member_id, h.state, h.points, h.captured, h.refunded,
                  coalesce(sum(t.amount) FILTER (WHERE t.kind = 'capture'), 0)::bigint AS moved
           FROM holds h LEFT JOIN transfers t ON t.hold_id = h.hold_id WHERE h.hold_id LIKE 'O-%' GROUP BY h.hold_id"""
    )
    holds = {row["hold_id"]: row for row in rows}
    return {
        "orders_settle_their_holds": all(_is_settled(order, holds.get(order["order_id"])) for order in orders),
        "every_hold_has_its_order": holds.keys() <= {order["order_id"] for order in orders},
        "no_hold_is_captured_twice": all(row["moved"] == row["captured"] <= row["points"] for row in rows),
    }


def _is_settled(order: asyncpg.Record, hold: asyncpg.Record | None) -> bool:
    """An order that is under way is not asked yet."""
    if order["status"] not in _SETTLED:
        return True
    points = order["points"]
    found = (hold["state"], hold["captured"], hold["refunded"]) if hold else (None, 0, 0)
    return found in {
        (state, captured * points, refunded * points) for state, captured, refunded in _SETTLED[order["status"]]
    }


async def messages_hold(conn: asyncpg.Connection, told: Retained, sms: Path) -> dict[str, bool]:
    """Each message was announced once, and what went to the SMS channel went there once; of the erased nobody keeps which."""
    since = await conn.fetchval("SELECT min(emitted_at) FROM outbox")
    rows = await conn.fetch("SELECT message_id, sms, recorded_at FROM message")
    erased = {row["member_id"] for row in await conn.fetch("SELECT member_id FROM member WHERE erased")}
    texts = _texts(sms, erased)
    return {
        "each_message_is_announced_once": all(
            told.sent[row["message_id"], "in_app"] == 1 for row in rows if since is None or row["recorded_at"] >= since
        ),
        "no_text_is_sent_twice": all(count == 1 for count in texts.values()),
        "texts_sent_are_those_of_messages": texts.keys() <= {row["message_id"] for row in rows if row["sms"] != "none"}
        and {row["message_id"] for row in rows if row["sms"] in ("sent", "delivered")} <= texts.keys(),
    }


def _texts(sms: Path, erased: Container[str]) -> Counter[str]:
    """How often each message stands in the file of the SMS channel, those to the erased aside."""
    lines = map(msgspec.json.decode, sms.read_bytes().splitlines() if sms.exists() else [])
    return Counter(line["message_id"] for line in lines if line["member_id"] not in erased)
