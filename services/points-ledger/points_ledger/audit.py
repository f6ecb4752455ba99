"""The books, read as an auditor reads them: everything from the journal, then compared with what is stored.

In every wallet and for every member: granted + adjusted = pending + available + held - debt + spent + reversed + expired.
"""

from typing import Any, Final

import msgspec

from points_ledger.rules.account import BUCKETS, WALLETS

_NET: Final = (
    "coalesce(sum(CASE WHEN t.credit = '{0}' THEN t.amount WHEN t.debit = '{0}' THEN -t.amount END), 0)::bigint"
)


def _net(account: str) -> str:
    """What an account holds by the journal: credits less debits."""
    return _NET.format(account)


# What the programme's own accounts hold is derived, never stored: one row for all members would make them wait for one another.
SUMS: Final = f"""
    {_net("pending")} AS pending, {_net("available")} AS available, {_net("held")} AS held, -{_net("debt")} AS debt,
    coalesce(sum(t.amount) FILTER (WHERE t.kind = 'grant'), 0)::bigint AS granted,
    {_net("redemption")} AS spent,
    (coalesce(sum(t.amount) FILTER (WHERE t.kind = 'reverse'), 0)
      - coalesce(sum(t.amount) FILTER (WHERE t.kind = 'restore'), 0))::bigint AS reversed,
    {_net("breakage")} AS expired,
    -{_net("adjustment")} AS adjusted"""
WALLETS_PAGE: Final = f"""
    SELECT m.member_id, t.wallet, {SUMS}
    FROM (SELECT member_id FROM accounts WHERE member_id > $1 ORDER BY member_id LIMIT $2) m
    LEFT JOIN transfers t USING (member_id) GROUP BY 1, 2 ORDER BY 1, 2"""
TOTALS: Final = f"SELECT t.wallet, {SUMS} FROM transfers t GROUP BY 1"
_STORED: Final = " UNION ALL ".join(
    f"SELECT member_id, '{wallet}' AS wallet, {', '.join(f'{wallet}_{bucket}' for bucket in BUCKETS)} FROM accounts"
    for wallet in WALLETS
)
# Joins are counted rather than tried for one row: the planner then expects to read all of both sides, and hashes them.
VERIFY: Final = f"""
WITH journal AS (SELECT t.member_id, t.wallet, {SUMS} FROM transfers t GROUP BY 1, 2),
stored (member_id, wallet, pending, available, held, debt) AS ({_STORED}),
per_lot AS (
  SELECT member_id, wallet, coalesce(sum(remaining), 0)::bigint AS remaining, coalesce(sum(held), 0)::bigint AS held
  FROM lots GROUP BY 1, 2),
lot_journal AS (
  SELECT member_id, lot_no,
         sum(CASE WHEN credit IN ('pending', 'available', 'held') THEN amount ELSE 0 END
           - CASE WHEN debit IN ('pending', 'available', 'held') THEN amount ELSE 0 END) AS net
  FROM transfers GROUP BY 1, 2)
SELECT
  NOT EXISTS (SELECT FROM transfers WHERE amount <= 0 OR debit = credit) AS every_transfer_moves_something,
  NOT EXISTS (SELECT FROM journal
    WHERE granted + adjusted <> pending + available + held - debt + spent + reversed + expired
      AND NOT EXISTS (SELECT FROM transfers m WHERE m.member_id = journal.member_id AND m.kind = 'merge')
  ) AS what_was_granted_is_accounted_for,
  (SELECT count(*) = 0 FROM stored s LEFT JOIN journal j USING (member_id, wallet)
    WHERE (s.pending, s.available, s.held, s.debt)
      <> (coalesce(j.pending, 0), coalesce(j.available, 0), coalesce(j.held, 0), coalesce(j.debt, 0))
  ) AS balances_are_the_sums_of_the_journal,
  (SELECT count(*) = 0 FROM stored s LEFT JOIN per_lot l USING (member_id, wallet)
    WHERE s.pending + s.available <> coalesce(l.remaining, 0) OR s.held <> coalesce(l.held, 0)
  ) AS balances_are_the_sums_of_the_lots,
  (SELECT count(*) = 0 FROM lots l FULL JOIN lot_journal j USING (member_id, lot_no)
    WHERE lot_no <> 0 AND coalesce(l.remaining + l.held, 0) <> coalesce(j.net, 0)
  ) AS every_lot_holds_what_its_transfers_left,
  NOT EXISTS (SELECT FROM lots WHERE granted <> remaining + held + spent + reversed + expired) AS every_lot_is_conserved,
  NOT EXISTS (SELECT FROM stored WHERE least(pending, available, held, debt) < 0) AS no_balance_is_negative,
  NOT EXISTS (SELECT FROM stored WHERE debt > 0 AND available > 0) AS a_debt_leaves_nothing_available,
  (SELECT coalesce(sum(net), 0) = 0 FROM (SELECT amount AS net FROM transfers WHERE credit = 'merger'
     UNION ALL SELECT -amount FROM transfers WHERE debit = 'merger') m) AS mergers_move_and_make_nothing,
  (SELECT count(*) = 0 FROM (
    SELECT h.member_id, h.wallet, sum(h.points)::bigint AS held FROM holds h WHERE h.state = 'held' GROUP BY 1, 2) h
    FULL JOIN stored s USING (member_id, wallet) WHERE coalesce(h.held, 0) <> coalesce(s.held, 0)
  ) AS held_points_are_the_open_holds"""


class WalletRow(msgspec.Struct, frozen=True):
    """One wallet of one member, by the journal."""

    member_id: str
    wallet: str
    pending: int
    available: int
    held: int
    debt: int
    granted: int
    spent: int
    reversed: int
    expired: int
    adjusted: int


class WalletPage(msgspec.Struct, frozen=True):
    items: list[WalletRow]
    next_after: str | None


class Totals(msgspec.Struct, frozen=True):
    """`active` = available; the rest by its own name."""

    granted: int = 0
    pending: int = 0
    active: int = 0
    held: int = 0
    debt: int = 0
    spent: int = 0
    reversed: int = 0
    expired: int = 0
    adjusted: int = 0


async def wallets(pool: Any, after: str, members_max: int) -> WalletPage:
    """The wallets of the next members. A member whose wallet never moved has no row."""
    rows = await pool.fetch(WALLETS_PAGE, after, members_max)
    members = len({row["member_id"] for row in rows})
    items = [WalletRow(**row) for row in rows if row["wallet"] is not None]
    return WalletPage(items, rows[-1]["member_id"] if members == members_max else None)


async def totals(pool: Any) -> dict[str, Totals]:
    found = {row["wallet"]: row for row in await pool.fetch(TOTALS)}
    return {wallet: _totals(found[wallet]) if wallet in found else Totals() for wallet in WALLETS}


def _totals(row: Any) -> Totals:
    named = {name: row[name] for name in Totals.__struct_fields__ if name != "active"}
    return Totals(active=row["available"], **named)


async def verify(pool: Any) -> dict[str, bool]:
    """Each invariant of the books by name, and whether it holds."""
    return dict(await pool.fetchrow(VERIFY))
