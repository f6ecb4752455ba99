"""The mall's tables: a locked read and a set-based write, a few statements however many orders a transaction holds.

Locks are taken in one order everywhere: members, shelves, orders; codes only by skipping what is locked. So no two transactions
wait for each other in a ring. Persons are read last, without locks: an order is only placed under the number a person goes by,
whose row is locked, and what was taken under their others can but become less.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from asyncpg.connection import Connection
from tenure.contracts.tier import Step
from tenure.service import Saved

from mall.keys import CODE, MEMBER, ORDER, PERSON, SHELF, code_of, key_of
from mall.persons import persons
from mall.states import (
    Code,
    CodesReturned,
    CodesTaken,
    Member,
    Order,
    Quote,
    QuoteMade,
    QuotesSwept,
    Restocked,
    Shelf,
    State,
    Stepped,
)
from mall.suppliers import codes

T = TypeVar("T")
_encode: Final = msgspec.json.Encoder().encode
_timeline: Final = msgspec.json.Decoder(tuple[Step, ...])
_taken: Final = msgspec.json.Decoder(dict[str, int])

ORDER_COLUMNS: Final[Mapping[str, str]] = {
    "order_id": "text",
    "member_id": "text",
    "sku": "text",
    "kind": "text",
    "quantity": "int",
    "points": "bigint",
    "cash_fen": "bigint",
    "catalogue_version": "int",
    "status": "text",
    "reason": "text",
    "placed_on": "date",
    "viewed_on": "date",
    "taken_under": "text",
    "attempts": "int",
    "next_try_at": "timestamptz",
    "give_up_at": "timestamptz",
}
QUOTE_COLUMNS: Final[Mapping[str, str]] = {
    "quote_id": "text",
    "member_id": "text",
    "sku": "text",
    "kind": "text",
    "quantity": "int",
    "points": "bigint",
    "cash_fen": "bigint",
    "catalogue_version": "int",
    "quoted_on": "date",
    "valid_until": "timestamptz",
}
_MOVING: Final = ("status", "reason", "viewed_on", "attempts", "next_try_at")


def _insert(table: str, columns: Mapping[str, str], then: str = "") -> str:
    arrays = ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(columns.values(), 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays}) {then}"


_SAVE_ORDERS: Final = _insert(
    "orders",
    ORDER_COLUMNS,
    "ON CONFLICT (order_id) DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in _MOVING),
)
_ADD_QUOTES: Final = _insert("quotes", QUOTE_COLUMNS)


ORDERS: Final = "SELECT o.*, m.merged_into FROM orders o LEFT JOIN members m USING (member_id)"
"""How orders are read: with a word on whether the number they were placed under was given up."""


async def orders_of(conn: Any, rows: Sequence[Any], held: Mapping[str, Sequence[str]] = {}) -> list[Order]:
    """The orders of these rows of `ORDERS`, each with whose it is now."""
    given_up = {row["member_id"] for row in rows if row["merged_into"] is not None}
    known = await persons(conn, given_up) if given_up else {}
    return [
        Order(
            **{column: row[column] for column in ORDER_COLUMNS},
            codes=tuple(held.get(row["order_id"], ())),
            goes_by=known[row["member_id"]].goes_by if row["member_id"] in known else None,
        )
        for row in rows
    ]


def quote_of(row: Any) -> Quote:
    return Quote(**{column: row[column] for column in QUOTE_COLUMNS})


async def load(conn: Connection, keys: Sequence[str]) -> dict[str, State]:
    """The states of these keys, locked until the transaction ends."""
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for key in sorted(keys):
        wanted[key[:2]].append(key[2:])
    found: dict[str, State] = {}
    found |= await _load_members(conn, wanted[MEMBER])
    found |= await _load_shelves(conn, wanted[SHELF])
    found |= await _load_orders(conn, wanted[ORDER])
    found |= await _load_codes(conn, wanted[CODE])
    found |= await _load_persons(conn, wanted[PERSON])
    return found


async def _load_members(conn: Connection, ids: list[str]) -> dict[str, State]:
    if not ids:
        return {}
    await conn.execute("INSERT INTO members (member_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", ids)
    rows = await conn.fetch(
        "SELECT * FROM members WHERE member_id = ANY ($1::text[]) ORDER BY member_id FOR UPDATE", ids
    )
    members = (
        Member(
            member_id=r["member_id"],
            timeline=_timeline.decode(r["timeline"]),
            taken=_taken.decode(r["taken"]),
            merged_into=r["merged_into"],
            tied_at=r["tied_at"],
            ties_no=r["ties_no"],
        )
        for r in rows
    )
    return {key_of(member): member for member in members}


async def _load_shelves(conn: Connection, skus: list[str]) -> dict[str, State]:
    if not skus:
        return {}
    await conn.execute("INSERT INTO shelves (sku) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", skus)
    rows = await conn.fetch("SELECT * FROM shelves WHERE sku = ANY ($1::text[]) ORDER BY sku FOR UPDATE", skus)
    shelves = (Shelf(sku=r["sku"], stocked=r["stocked"], available=r["available"], opened=r["opened"]) for r in rows)
    return {key_of(shelf): shelf for shelf in shelves}


async def _load_orders(conn: Connection, ids: list[str]) -> dict[str, State]:
    """An order that does not exist needs no row to lock: it is only ever placed under the lock of its member."""
    if not ids:
        return {}
    rows = await conn.fetch(f"{ORDERS} WHERE order_id = ANY ($1::text[]) ORDER BY order_id FOR UPDATE OF o", ids)
    held = await codes.held_by(conn, [r["order_id"] for r in rows if r["kind"] == "code" and r["status"] != "placed"])
    return {key_of(order): order for order in await orders_of(conn, rows, held)}


async def _load_codes(conn: Connection, keys: list[str]) -> dict[str, State]:
    if not keys:
        return {}
    return {key_of(code): code for code in await codes.known(conn, [code_of(key) for key in keys])}


async def _load_persons(conn: Connection, ids: list[str]) -> dict[str, State]:
    if not ids:
        return {}
    return {key_of(person): person for person in (await persons(conn, ids)).values()}


async def save(conn: Connection, saved: Saved[State]) -> None:
    after = list(saved.after.values())
    await _save_members(conn, _only(Member, after))
    await _save_shelves(conn, _only(Shelf, after))
    if orders := _only(Order, after):
        await conn.execute(_SAVE_ORDERS, *_arrays(orders, ORDER_COLUMNS))
    if new := _only(Code, after):
        await codes.add(conn, new)
    await _save_rows(conn, saved.rows)


async def _save_members(conn: Connection, members: list[Member]) -> None:
    if members:
        await conn.execute(
            """UPDATE members SET timeline = t.timeline, taken = t.taken, merged_into = t.merged_into, tied_at = t.tied_at,
                 ties_no = t.ties_no
               FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::int[], $5::bytea[], $6::bytea[])
                 AS t (member_id, merged_into, tied_at, ties_no, timeline, taken)
               WHERE members.member_id = t.member_id""",
            *_arrays(members, ("member_id", "merged_into", "tied_at", "ties_no")),
            [_encode(m.timeline) for m in members],
            [_encode(m.taken) for m in members],
        )


async def _save_shelves(conn: Connection, shelves: list[Shelf]) -> None:
    if shelves:
        await conn.execute(
            """UPDATE shelves SET stocked = t.stocked, available = t.available, opened = t.opened
               FROM unnest($1::text[], $2::int[], $3::int[], $4::bool[]) AS t (sku, stocked, available, opened)
               WHERE shelves.sku = t.sku""",
            *_arrays(shelves, ("sku", "stocked", "available", "opened")),
        )


async def _save_rows(conn: Connection, rows: Sequence[Any]) -> None:
    """Codes that come back are free before others are taken."""
    if restocked := _only(Restocked, rows):
        await conn.execute(
            """INSERT INTO shelf_entries (sku, units, reason, by)
               SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[])""",
            *_arrays(restocked, ("sku", "units", "reason", "by")),
        )
    if quotes := [made.quote for made in _only(QuoteMade, rows)]:
        await conn.execute(_ADD_QUOTES, *_arrays(quotes, QUOTE_COLUMNS))
    if returned := _only(CodesReturned, rows):
        await codes.give_back(conn, [r.order_id for r in returned])
    if taken := _only(CodesTaken, rows):
        await codes.take(conn, taken)
    if steps := _only(Stepped, rows):
        await conn.execute(
            """INSERT INTO order_steps (order_id, status, reason, "on")
               SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[])""",
            *_arrays(steps, ("order_id", "status", "reason", "on")),
        )
    if swept := _only(QuotesSwept, rows):
        await conn.execute("DELETE FROM quotes WHERE valid_until < $1", max(s.before for s in swept))


def _only(kind: type[T], things: Iterable[Any]) -> list[T]:
    return [thing for thing in things if isinstance(thing, kind)]


def _arrays(things: Sequence[Any], names: Iterable[str]) -> list[list[Any]]:
    return [[getattr(thing, name) for thing in things] for name in names]
