"""Accounts read from PostgreSQL: a few set-based statements, however many accounts a batch touches.

The invariants: accounts are locked in order of their ids, before anything else is read; a lot is loaded while it holds points or
while another fact may depend on it, so the work does not grow with what is long over. An account is there from its first change on;
`saving` writes what changed.
"""

from collections.abc import Callable, Sequence
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TypeVar

import msgspec
from asyncpg import Record
from asyncpg.connection import Connection

from points_ledger import budgets, hand_overs
from points_ledger import columns as c
from points_ledger.rules.account import (
    BALANCES,
    DEBT,
    EXPIRED_KEPT_DAYS,
    Account,
    BudgetNews,
    Hold,
    Lot,
    Proposal,
    ReferralNews,
)
from points_ledger.rules.memory import Memory

T = TypeVar("T")
State = Account
_memory_of: Final = msgspec.msgpack.Decoder(Memory).decode
# Rows carry the fields in the structs' own order; `columns` asserts as many, the tests that they are the same.
_account_of: Final[Callable[..., Account]] = Account
_lot_of: Final[Callable[..., Lot]] = Lot
_hold_of: Final[Callable[..., Hold]] = Hold
_TAKEN: Final = list(c.LOT).index("taken")
_LOT_ENDS: Final = 1 + len(c.LOT)

LOCK: Final = f"SELECT {c.listed(c.ACCOUNT)} FROM accounts WHERE member_id = ANY($1) ORDER BY member_id FOR UPDATE"
LOTS: Final = f"""
    SELECT l.member_id, {c.listed(c.LOT, "l.")}, any_rare
    FROM (SELECT EXISTS (SELECT FROM holds WHERE member_id = ANY($1) AND state IN ('held', 'captured'))
              OR EXISTS (SELECT FROM adjustments WHERE member_id = ANY($1) AND state = 'proposed')
              OR EXISTS (SELECT FROM referral_news WHERE member_id = ANY($1))
              OR EXISTS (SELECT FROM budget_news WHERE member_id = ANY($1)) AS any_rare) AS rare
    LEFT JOIN (lots l JOIN accounts a USING (member_id))
      ON l.member_id = ANY($1)
         AND (l.remaining > 0 OR l.held > 0 OR l.remembered_until >= coalesce(a.lived_to, '-infinity')
              OR (l.expired > 0 AND coalesce(l.cut_on, l.expires_on) > a.lived_to - {EXPIRED_KEPT_DAYS}))
    ORDER BY l.member_id, l.lot_no"""
HOLDS: Final = f"""
    SELECT h.member_id, {c.listed(c.HOLD, "h.")} FROM holds h JOIN accounts a USING (member_id)
    WHERE h.member_id = ANY($1) AND h.state IN ('held', 'captured')
      AND (h.state = 'held' OR h.refundable_until >= coalesce(a.lived_to, '-infinity'))
    ORDER BY h.member_id, h.hold_id"""
PROPOSALS: Final = f"""
    SELECT member_id, {c.listed(c.PROPOSAL)} FROM adjustments WHERE member_id = ANY($1) AND state = 'proposed'
    ORDER BY member_id, adjustment_id"""
NEWS: Final = f"SELECT {c.listed(c.NEWS)} FROM referral_news WHERE member_id = ANY($1) ORDER BY member_id, policy_no"
ALLOTTED: Final = f"SELECT {c.listed(c.ALLOTTED)} FROM budget_news WHERE member_id = ANY($1) ORDER BY member_id, lot_id"
LOTS_WANTED: Final = f"""
    SELECT member_id, {c.listed(c.LOT)} FROM lots
    WHERE (member_id, lot_no) IN (SELECT * FROM unnest($1::text[], $2::int[])) ORDER BY member_id, lot_no"""

DUE: Final = f"""
    WITH dated AS (
      SELECT member_id FROM accounts WHERE due_on <= $1 ORDER BY due_on, member_id LIMIT $2 FOR UPDATE SKIP LOCKED),
    told AS (
      SELECT member_id FROM accounts
      WHERE member_id IN (
        (SELECT member_id FROM referral_news LIMIT $2) UNION (SELECT member_id FROM budget_news LIMIT $2))
      FOR UPDATE SKIP LOCKED),
    given_up AS ({hand_overs.KEYS})
    SELECT member_id FROM dated UNION SELECT member_id FROM told UNION SELECT key FROM given_up LIMIT $2"""


async def load(conn: Connection, keys: Sequence[str]) -> dict[str, Account]:
    """Lock and read these accounts; those that do not exist yet are left out."""
    rows = await conn.fetch(LOCK, keys)
    found = await conn.fetch(LOTS, keys)  # one row at least, and in each the answer to whether there is anything rarer
    lots = _by_member(found if found[0][0] is not None else (), _lot)

    async def rarer(sql: str) -> Sequence[Record]:
        return await conn.fetch(sql, keys) if found[0][-1] else ()

    holds = _by_member(await rarer(HOLDS), _hold)
    proposals = _by_member(await rarer(PROPOSALS), lambda row: Proposal(*row[1:]))
    news = _by_member(await rarer(NEWS), lambda row: ReferralNews(*row))
    allotted = _by_member(await rarer(ALLOTTED), lambda row: BudgetNews(*row))
    wanted = {(m, no) for m, of_member in holds.items() for hold in of_member for no, _ in hold.parts}
    wanted |= {(m, no) for m, of_member in lots.items() for lot in of_member for no, _ in lot.taken if no != DEBT}
    wanted |= {(m, int(one.lot_id.rpartition(":")[2])) for m, of_member in allotted.items() for one in of_member}
    await _add_lots(conn, lots, wanted)
    return {
        member_id: _account_of(
            member_id,
            *clock_and_counters,
            dict(zip(BALANCES, balances, strict=True)),
            {lot.no: lot for lot in lots.get(member_id, ())},
            {hold.hold_id: hold for hold in holds.get(member_id, ())},
            {proposal.adjustment_id: proposal for proposal in proposals.get(member_id, ())},
            _memory_of(memory) if memory else Memory(),
            tuple(news.get(member_id, ())),
            tuple(allotted.get(member_id, ())),
        )
        for member_id, clock_and_counters, memory, balances in ((r[0], r[1:5], r[5], r[6:]) for r in rows)
    }


async def _add_lots(conn: Connection, lots: dict[str, list[Lot]], wanted: set[tuple[str, int]]) -> None:
    """However long ago they were used up: a refund needs the lots its hold took, a budget's share the lot it is for, and what was
    taken back for a fact returns to the lots it was taken from.
    """
    known = {(member, lot.no) for member, of_member in lots.items() for lot in of_member}
    if missing := wanted - known:
        rows = await conn.fetch(LOTS_WANTED, *c.arrays(sorted(missing)))
        for member, more in _by_member(rows, _lot).items():
            lots[member] = sorted([*lots.get(member, ()), *more], key=lambda lot: lot.no)


def _by_member(rows: Sequence[Record], read: Callable[[Any], T]) -> dict[str, list[T]]:
    return {member: [read(row) for row in group] for member, group in groupby(rows, key=itemgetter(0))}


def _lot(row: Any) -> Lot:
    fields = list(row[1:_LOT_ENDS])
    fields[_TAKEN] = c.pairs_of_json(fields[_TAKEN])
    return _lot_of(*fields)


def _hold(row: Any) -> Hold:
    return _hold_of(*row[1:6], c.pairs_of_json(row[6]), *row[7:])


async def due(conn: Connection, day: date, keys_max: int) -> list[str]:
    """Accounts to which `day` brings something, or for which news waits; numbers given up whose turn was asked for."""
    await budgets.serve(conn, keys_max)
    return [row["member_id"] for row in await conn.fetch(DUE, day, keys_max)]
