"""Accounts written to PostgreSQL: one statement a table that something touched, by COPY where rows are new.

The invariant: the journal is only ever appended to; who meets another transaction in creating an account does its own again, whole,
for its rules had not seen what the other wrote.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, TypeVar

import msgspec
from asyncpg import SerializationError, UniqueViolationError
from asyncpg.connection import Connection
from tenure.service import Saved

from points_ledger import columns as c
from points_ledger import day_limits, hand_overs, unpaid
from points_ledger.rules.account import (
    BALANCES,
    Account,
    AccountChange,
    AdjustmentUse,
    BudgetClaim,
    BudgetNews,
    Hold,
    Lot,
    MovedLot,
    Proposal,
    ReferralNews,
    Transfer,
    Unpaid,
)

T = TypeVar("T")
Pairs = Sequence[tuple[Account | None, Account]]
"""Each account as it was, if it was there, and as it is now."""
_TAKEN: Final = list(c.LOT).index("taken")
_pack: Final = msgspec.msgpack.Encoder().encode

_OWNED_LOT: Final = {"member_id": "text", **c.LOT}
_LOT_CHANGES: Final = {name: _OWNED_LOT[name] for name in ("member_id", "lot_no", *c.LOT_CHANGES)}
UPDATE_LOTS: Final = c.updated("lots", _LOT_CHANGES, ("member_id", "lot_no"))
DELETE_LOTS: Final = "DELETE FROM lots WHERE (member_id, lot_no) IN (SELECT * FROM unnest($1::text[], $2::int[]))"
_OWNED_HOLD: Final = {"member_id": "text", **c.HOLD}
INSERT_HOLDS: Final = c.inserted("holds", _OWNED_HOLD)
_HOLD_CHANGES: Final = {name: _OWNED_HOLD[name] for name in ("hold_id", *c.HOLD_CHANGES)}
UPDATE_HOLDS: Final = c.updated("holds", _HOLD_CHANGES, ("hold_id",))
_hold_changes: Final = itemgetter(*(list(_OWNED_HOLD).index(name) for name in _HOLD_CHANGES))
_OWNED_PROPOSAL: Final = {"member_id": "text", **c.PROPOSAL}
INSERT_PROPOSALS: Final = c.inserted("adjustments", _OWNED_PROPOSAL)
UPDATE_PROPOSALS: Final = c.updated("adjustments", _OWNED_PROPOSAL, ("adjustment_id",))
LEAVE_NEWS: Final = c.inserted(
    "referral_news", c.NEWS, "ON CONFLICT (member_id, policy_no) DO UPDATE SET void = excluded.void"
)
DROP_NEWS: Final = f"""
    DELETE FROM referral_news n USING {c.unnested(c.NEWS)}
    WHERE n.member_id = t.member_id AND n.policy_no = t.policy_no AND n.void = t.void"""
INSERT_CLAIMS: Final = c.inserted("budget_claims", c.CLAIM)
LEAVE_ALLOTTED: Final = c.inserted("budget_news", c.ALLOTTED)
DROP_ALLOTTED: Final = f"""
    DELETE FROM budget_news n USING {c.unnested(c.ALLOTTED)} WHERE n.member_id = t.member_id AND n.lot_id = t.lot_id"""


async def save(conn: Connection, saved: Saved[Account]) -> None:
    """Write what changed: one statement a table, and none for a table that nothing touched."""
    pairs = [(saved.before.get(key), after) for key, after in saved.after.items()]
    changed = list(_changed_lots(pairs))
    transfers = [msgspec.structs.astuple(row) for row in saved.rows if isinstance(row, Transfer)]
    left = {(row.member_id, row.policy_no): row.void for row in saved.rows if isinstance(row, ReferralNews)}
    read = [news for before, after in pairs if before and not after.news for news in before.news]
    # First of all: whoever meets another in creating an account meets them here, and not as a lot that is there already.
    await _create_accounts(conn, sorted(_account_row(after) for before, after in pairs if before is None))
    # Lots that moved to another account leave before they arrive there; the rest is in no particular order.
    await _write(conn, DELETE_LOTS, [(member, no) for member, no, lot in changed if lot is None])
    await _pass_lots(conn, saved)
    await _append(conn, "lots", _OWNED_LOT, list(_new_lots(pairs)))
    await _write(conn, UPDATE_LOTS, [_changes(member, lot) for member, _, lot in changed if lot is not None])
    await _append(conn, "transfers", c.TRANSFER, transfers)
    await _update_accounts(conn, [(before, after) for before, after in pairs if before is not None])
    holds = _changed_of(pairs, lambda account: account.holds, _hold_row)
    await _write_named(conn, INSERT_HOLDS, UPDATE_HOLDS, holds, changes=_hold_changes)
    proposals = _changed_of(pairs, lambda account: account.proposals, _proposal_row)
    await _write_named(conn, INSERT_PROPOSALS, UPDATE_PROPOSALS, proposals)
    await _write(conn, DROP_NEWS, [msgspec.structs.astuple(news) for news in read])
    await _write(conn, LEAVE_NEWS, [(*key, void) for key, void in left.items()])
    await _save_rare(conn, saved, pairs)


async def _pass_lots(conn: Connection, saved: Saved[Account]) -> None:
    """A lot that came and went on within one batch is written where it was on its way: its entries name it there."""
    for row in saved.rows:
        if isinstance(row, MovedLot) and row.lot.no not in _lots_before(saved.before.get(row.member_id)):
            await _append(conn, "lots", _OWNED_LOT, [_lot_row(row.member_id, row.lot)])
            await _write(conn, DELETE_LOTS, [(row.member_id, row.lot.no)])


async def _save_rare(conn: Connection, saved: Saved[Account], pairs: Pairs) -> None:
    """The audit; what came to nothing; claims of budgets, allotments read, and those that go on to who a customer became."""
    rows = [row for row in saved.rows if not isinstance(row, Transfer)]
    read = [news for before, after in pairs if before and not after.allotted for news in before.allotted]
    await _write(conn, DROP_ALLOTTED, [msgspec.structs.astuple(news) for news in read])
    changes = [msgspec.structs.astuple(row) for row in rows if isinstance(row, AccountChange)]
    await _append(conn, "account_changes", c.CHANGE, changes)
    await _write(conn, unpaid.KEEP, [msgspec.structs.astuple(row) for row in rows if isinstance(row, Unpaid)])
    await hand_overs.keep(conn, rows)
    await day_limits.count(conn, (row for row in rows if isinstance(row, AdjustmentUse)))
    for kind, sql in ((BudgetClaim, INSERT_CLAIMS), (BudgetNews, LEAVE_ALLOTTED)):
        await _write(conn, sql, [msgspec.structs.astuple(row) for row in rows if isinstance(row, kind)])


async def _append(conn: Connection, table: str, columns: Iterable[str], rows: Sequence[Sequence[Any]]) -> None:
    """New rows, by COPY."""
    if rows:
        await conn.copy_records_to_table(table, records=rows, columns=list(columns))


async def _create_accounts(conn: Connection, rows: Sequence[Sequence[Any]]) -> None:
    """In order of their ids, so that two transactions that create the same accounts cannot wait for one another in a ring."""
    try:
        await _append(conn, "accounts", c.ACCOUNT, rows)
    except UniqueViolationError as error:
        raise SerializationError("an account was created meanwhile") from error


async def _update_accounts(conn: Connection, pairs: Sequence[tuple[Account, Account]]) -> None:
    """Of the balances only those that changed in any of them are sent: of three wallets that is mostly one."""
    if not pairs:
        return
    was, now = (zip(*(account.balances.values() for account in side), strict=True) for side in zip(*pairs, strict=True))
    balances = {name: new for name, old, new in zip(BALANCES, was, now, strict=True) if old != new}
    columns = {name: kind for name, kind in c.ACCOUNT.items() if name not in BALANCES or name in balances}
    heads = c.arrays([_account_head(after) for _, after in pairs])
    await conn.execute(c.updated("accounts", columns, ("member_id",)), *heads, *balances.values())


async def _write(conn: Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        await conn.execute(sql, *c.arrays(rows))


async def _write_named(
    conn: Connection,
    insert: str,
    update: str,
    rows: Iterator[tuple[bool, Sequence[Any]]],
    *,
    changes: Callable[[Sequence[Any]], Sequence[Any]] = tuple,
) -> None:
    """What has an id that a caller may have chosen is inserted when new, so that nobody's row can be taken over."""
    new: list[Sequence[Any]] = []
    known: list[Sequence[Any]] = []
    for is_known, row in rows:
        if is_known:
            known.append(changes(row))
        else:
            new.append(row)
    await _write(conn, insert, new)
    await _write(conn, update, known)


def _lots_before(account: Account | None) -> dict[int, Lot]:
    return account.lots if account else {}


def _changed_lots(pairs: Pairs) -> Iterator[tuple[str, int, Lot | None]]:
    """Lots that were there before and are not the same any more; None for one that moved away."""
    for before, after in pairs:
        if before is not None and before.lots is not after.lots:
            for no, lot in before.lots.items():
                if after.lots.get(no) is not lot:
                    yield after.member_id, no, after.lots.get(no)


def _new_lots(pairs: Pairs) -> Iterator[tuple[Any, ...]]:
    for before, after in pairs:
        known = _lots_before(before)
        for no in sorted(after.lots.keys() - known.keys()):
            yield _lot_row(after.member_id, after.lots[no])


def _lot_row(member_id: str, lot: Lot) -> tuple[Any, ...]:
    fields = list(msgspec.structs.astuple(lot))
    fields[_TAKEN] = c.pairs_to_json(fields[_TAKEN])
    return (member_id, *fields)


def _changes(member_id: str, lot: Lot) -> tuple[Any, ...]:
    numbers = (lot.remaining, lot.held, lot.spent, lot.reversed, lot.expired)
    caps = (lot.extra_max, lot.amount_max, lot.capped_by, lot.cut_on)
    return (member_id, lot.no, *numbers, lot.revoked, c.pairs_to_json(lot.taken), *caps)


def _account_row(account: Account) -> tuple[Any, ...]:
    return (*_account_head(account), *(account.balances[name] for name in BALANCES))


def _account_head(account: Account) -> tuple[Any, ...]:
    """Everything but the balances."""
    return (
        account.member_id,
        account.lived_to,
        account.due_on,
        account.lots_no,
        account.transfers_no,
        _pack(account.memory),
    )


def _changed_of(
    pairs: Pairs, part: Callable[[Account], dict[str, T]], row: Callable[[str, T], Sequence[Any]]
) -> Iterator[tuple[bool, Sequence[Any]]]:
    """Rows that changed, be it their account only; and whether each was there before, be it in another account."""
    known = {key for before, _ in pairs if before is not None for key in part(before)}
    for before, after in pairs:
        own = part(before) if before is not None else {}
        yield from (
            (key in known, row(after.member_id, one)) for key, one in part(after).items() if own.get(key) is not one
        )


def _hold_row(member_id: str, hold: Hold) -> tuple[Any, ...]:
    fields = list(msgspec.structs.astuple(hold))
    fields[5] = c.pairs_to_json(hold.parts)
    return (member_id, *fields)


def _proposal_row(member_id: str, proposal: Proposal) -> tuple[Any, ...]:
    return (member_id, *msgspec.structs.astuple(proposal))
