"""What the app, the agent platform and the mall read. Each answer is one statement, so it shows one moment; only the way to an
entry that moved with a merged customer takes more.
"""

from collections.abc import Callable
from datetime import date
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from tenure.contracts.points import Wallet
from tenure.contracts.programme import Programme

from points_ledger import places, words
from points_ledger.columns import HOLD, LOT, listed, pairs_of_json
from points_ledger.rules.account import DEBT, WALLETS, Hold
from points_ledger.rules.holds import HoldView, view
from points_ledger.rules.memory import Memory

# Of somebody who owes, the lots that became active since the account last lived come one by one, in the order they do. Whose the
# number is now is asked only where it has no points: a number given up has none.
WALLET: Final = """
    SELECT a.points_debt, a.growth_debt, a.agent_debt, l.*,
           CASE WHEN row_number() OVER (ORDER BY l.wallet, l.repays_on, l.lot_no, l.expires_on) = 1 THEN a.memory END AS memory
    FROM accounts a LEFT JOIN LATERAL (
      SELECT wallet, activates_on > $2 AS pending, coalesce(cut_on, expires_on) AS expires_on,
             CASE WHEN repays THEN activates_on END AS repays_on, CASE WHEN repays THEN lot_no END AS lot_no,
             sum(remaining)::bigint AS remaining, sum(held)::bigint AS held
      FROM lots, LATERAL (SELECT a.points_debt + a.growth_debt + a.agent_debt > 0
                            AND activates_on > a.lived_to AND activates_on <= $2 AS repays) r
      WHERE member_id = $1 AND (remaining > 0 OR held > 0) GROUP BY 1, 2, 3, 4, 5
    ) l ON true WHERE a.member_id = $1 ORDER BY l.wallet, l.repays_on, l.lot_no, l.expires_on"""
WHY: Final = f"""
    SELECT member_id, {listed(LOT)}, (SELECT memory FROM accounts WHERE member_id = $1) AS memory
    FROM lots WHERE member_id = $1 AND lot_no = $2"""
FIRST: Final = "SELECT min(lot_no) FROM lots WHERE member_id = $1 AND rule = $2 AND wallet = $3 AND fact = $4"
# What left an entry for no order and for no reversal of its own, also where it stood before a merger, or its undoing.
WENT: Final = """
    SELECT coalesce(sum(t.amount) FILTER (WHERE t.kind = 'repay'), 0)::bigint AS repaid,
           coalesce(sum(t.amount) FILTER (WHERE t.kind = 'adjust' AND t.credit = 'adjustment'), 0)::bigint AS deducted
    FROM transfers t JOIN unnest($1::text[], $2::int[]) AS place(member_id, lot_no) USING (member_id, lot_no)"""


_memory_of: Final = msgspec.msgpack.Decoder(Memory).decode
_hold_of: Final[Callable[..., Hold]] = Hold


class Expiring(msgspec.Struct, frozen=True):
    """So many points expire at the start of `expires_on`."""

    expires_on: date
    points: int


class Balance(msgspec.Struct):
    available: int = 0
    pending: int = 0
    held: int = 0
    debt: int = 0
    expiring: list[Expiring] = []


class WalletView(msgspec.Struct, frozen=True):
    """`merged_into`: the number this one was given up for; the points are there. `frozen`: nothing of it can be redeemed."""

    member_id: str
    as_of: date
    wallets: dict[Wallet, Balance]
    merged_into: str | None = None
    frozen: bool = False


class Why(msgspec.Struct, frozen=True):
    """An entry explained: base times the percents, floored, is what was granted (with the entry that it `tops_up`, if it came later
    for the same fact); and what became of it.

    `capped_by` names the cap, campaign or budget that left less: by the campaign at most `extra_max` more, in all `amount_max`.
    Of what was `taken_back` for it, some came `from_others` (other entries), some `as_debt`; the rest it had itself. What else it
    lost was `repaid` to a debt, `deducted` by hand, or taken `for_others`.
    `says_zh` and `says_en` say all this in a sentence.
    """

    entry_id: str
    member_id: str
    wallet: str
    rule: str
    label_zh: str
    label_en: str
    rules_version: int
    reference: str
    policy_no: str | None
    term_no: int | None
    source_type: str
    source_id: str
    base: int
    tier_or_rank: str
    status_percent: int
    product_line_percent: int
    campaign_percent: int
    campaign: str
    extra_max: int | None
    amount_max: int | None
    capped_by: str
    granted: int
    remaining: int
    held: int
    spent: int
    reversed: int
    expired: int
    revoked: bool
    taken_back: int
    earned_on: date
    activates_on: date
    expires_on: date | None
    cut_on: date | None
    origin: str
    tops_up: str | None = None
    from_others: int = 0
    as_debt: int = 0
    repaid: int = 0
    deducted: int = 0
    for_others: int = 0
    says_zh: str = ""
    says_en: str = ""


async def wallet(pool: Any, member_id: str, today: date) -> WalletView:
    """Balances on a day, whether or not its tick has come. Somebody unknown has nothing."""
    rows = await pool.fetch(WALLET, member_id, today)
    balances = {name: Balance(debt=rows[0][f"{name}_debt"] if rows else 0) for name in WALLETS}
    expiring: dict[tuple[Wallet, date], int] = {}
    for row in rows:
        wallet, ends_on = row["wallet"], row["expires_on"]
        points = _add(balances[wallet], row, today) if wallet is not None else 0
        if points and ends_on is not None:
            expiring[wallet, ends_on] = expiring.get((wallet, ends_on), 0) + points
    for (wallet, ends_on), points in sorted(expiring.items()):
        balances[wallet].expiring.append(Expiring(ends_on, points))
    memory = _memory_of(rows[0]["memory"]) if rows and rows[0]["memory"] else Memory()
    return WalletView(member_id, today, balances, memory.merged_into or None, bool(memory.frozen))


def _add(balance: Balance, row: Any, today: date) -> int:
    """Returns what is available of these lots: what became active repaid a debt first, and what expired since is gone."""
    points = row["remaining"]
    balance.held += row["held"]
    if row["pending"]:
        balance.pending += points
        return 0
    if row["repays_on"] is not None:
        repaid = min(balance.debt, points)
        balance.debt -= repaid
        points -= repaid
    if row["expires_on"] is not None and row["expires_on"] <= today:
        return 0
    balance.available += points
    return int(points)


async def why(pool: Any, programme: Programme, entry_id: str) -> Why | None:
    """An entry by its id, `member:number`. None if there is none."""
    member_id, _, number = entry_id.rpartition(":")
    if not member_id or not number.isascii() or not number.isdigit() or len(number) > 9:  # noqa: PLR2004 - fits an int
        return None
    row = await pool.fetchrow(WHY, member_id, int(number)) or await _moved(pool, member_id, entry_id)
    if row is None:
        return None
    rule = programme.earning.at(row["earned_on"]).find(row["rule"])
    label = words.label_of(rule, row["rule"])
    memory = _memory_of(row["memory"]) if row["memory"] else Memory()
    same = {name: row[name] for name in Why.__struct_fields__ if name in row.keys()}  # noqa: SIM118 - a Record is no dict
    found = Why(
        entry_id=f"{row['member_id']}:{row['lot_no']}",
        label_zh=label.zh,
        label_en=label.en,
        reference=row["fact"],
        tier_or_rank=row["status"],
        product_line_percent=row["line_percent"],
        **_taken(row),
        **same,
    )
    went = await _went(pool, row, found)
    found = replace(found, tops_up=await _topped_up(pool, row, found), **went)
    said = words.of_entry(found, memory, words.status_of(programme, found))
    return replace(found, says_zh=said.zh, says_en=said.en)


def _taken(row: Any) -> dict[str, Any]:
    """What was taken back for an entry, and what of that it did not have itself."""
    taken = pairs_of_json(row["taken"])
    return {
        "taken_back": sum(points for _, points in taken),
        "from_others": sum(points for no, points in taken if no not in (DEBT, row["lot_no"])),
        "as_debt": sum(points for no, points in taken if no == DEBT),
    }


async def _went(pool: Any, row: Any, found: Why) -> dict[str, int]:
    """What an entry lost beside that: what no correction by hand and no debt took went to reversals of other entries."""
    lost = found.reversed - (found.taken_back - found.from_others - found.as_debt)
    if not lost:
        return {}
    went = await pool.fetchrow(WENT, *await places.of(pool, row["member_id"], found.entry_id))
    return {**went, "for_others": lost - sum(went)}


async def _topped_up(pool: Any, row: Any, found: Why) -> str | None:
    """The first entry of the same fact, of which this is the rest: what both come to is the base by the percents."""
    whole = found.base * found.status_percent * found.product_line_percent * found.campaign_percent // 100**3
    if found.granted >= whole:
        return None
    first = await pool.fetchval(FIRST, row["member_id"], row["rule"], row["wallet"], row["fact"])
    return f"{row['member_id']}:{first}" if first < row["lot_no"] else None


async def _moved(pool: Any, member_id: str, entry_id: str) -> Any:
    """An entry that went to another number with its customer, or came back, as it stands there."""
    now = await places.now(pool, member_id, entry_id)
    return None if now is None else await pool.fetchrow(WHY, *now)


async def holder(pool: Any, hold_id: str) -> str | None:
    """Whose hold it is."""
    member_id: str | None = await pool.fetchval("SELECT member_id FROM holds WHERE hold_id = $1", hold_id)
    return member_id


async def hold(pool: Any, hold_id: str) -> HoldView | None:
    row: Any = await pool.fetchrow(f"SELECT member_id, {listed(HOLD)} FROM holds WHERE hold_id = $1", hold_id)
    if row is None:
        return None
    return view(row[0], _hold_of(*row[1:6], pairs_of_json(row[6]), *row[7:]))
