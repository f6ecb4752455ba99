"""Two customers' lives, step by step on PostgreSQL and in the pure rules: the same rows after every step, and the proof accuses nobody.

The rules remember every lot; the store loads only what may still matter. So this finds what was not loaded and did matter: what was
taken from activities long over and given back, what was cancelled as of a day before something expired, what one of two customers
brought and was rated anew when they became one, what goes back when they turn out to be two after all.
"""

from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from points_ledger import audit
from points_ledger.columns import LOT, listed
from points_ledger.liability import Vintage, report
from points_ledger.proof import replay
from points_ledger.rules.account import Account, lot_id
from points_ledger.service import SERVICE
from points_ledger.store import _lot, load
from tenure.contracts.decision import RefusedError
from tenure.contracts.event import Data
from tenure.contracts.programme import Programme
from tenure.settings import Settings
from tenure.spine.transact import Item
from tenure.testing import Under, under_test

from .two_lives import AGENT, LIVES, OTHER, Lives, with_limits
from .world import M, World


@pytest.mark.parametrize("seed", range(LIVES))
async def test_what_is_stored_is_what_the_rules_say_after_every_step(
    settings: Settings, rules: Programme, seed: int
) -> None:
    limited = with_limits(rules)
    world = World(limited)
    lives = Lives(world, seed)
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"}), limited) as t:
        for step, events in lives.steps():
            for data in events:
                await both(t, world, data, lives)
            there, meant = await stored(t), remembered(world)
            differ = {key for key in there | meant if there.get(key) != meant.get(key)}
            assert {key: (there.get(key), meant.get(key)) for key in differ} == {}, step
        assert await replay.differences(t.pool) == []
        assert [v for n in range(0, 1_000, 90) for v in await odd_vintages(t, lives.today - timedelta(n))] == []
        assert {name for name, holds in (await audit.verify(t.pool)).items() if not holds} == set()


async def odd_vintages(t: Under, day: date) -> list[Vintage]:
    """What of a day's liability does not add up, or was earned after it."""
    known_at = await t.pool.fetchval("SELECT clock_timestamp()")
    found = (await report(t.pool, day, known_at, points_per_cny=100)).vintages
    gone = {v: v.redeemed + v.expired + v.reversed + v.repaid + v.deducted for v in found}
    return [v for v in found if v.granted - gone[v] != v.outstanding + v.pending or v.month > day]


async def both(t: Under, world: World, data: Data, lives: Lives) -> None:
    """One event, to the rules and through the write door; both take it, or neither."""
    named = {getattr(data, name, "") for name in ("hold_id", "adjustment_id")}
    owners = [
        name for name, account in world.accounts.items() if named & (account.holds.keys() | account.proposals.keys())
    ]
    event = world.event(data, lives.today, key=owners[0] if owners else M)
    (outcome,) = await t.door.transact([Item(event)])
    refused = None
    try:
        world.apply(event)
    except RefusedError as error:
        refused = error.code
    assert refused == (outcome.wrong and outcome.wrong.code)


def _said(account: Account) -> tuple[Any, ...]:
    """All but which orders came with the other number: one that can be refunded no more is not read, and did not come."""
    absorbed = {name: replace(one, holds=frozenset()) for name, one in account.memory.absorbed.items()}
    memory = replace(account.memory, absorbed=absorbed)
    return account.balances, account.lots_no, account.transfers_no, account.lived_to, account.due_on, memory


async def stored(t: Under) -> dict[str, Any]:
    """Every account that ever had a lot, and every lot there is, loaded or not."""
    async with t.pool.acquire() as conn:
        accounts = await load(conn, [AGENT, M, OTHER])  # type: ignore[arg-type]
    rows = await t.pool.fetch(f"SELECT member_id, {listed(LOT)}, false FROM lots")
    lots = {f"{row['member_id']}:{row['lot_no']}": _lot(row) for row in rows}
    return lots | {name: _said(account) for name, account in accounts.items() if account.lots_no}


def remembered(world: World) -> dict[str, Any]:
    known = [account for account in world.accounts.values() if account.lots_no]
    lots = {lot_id(account.member_id, no): lot for account in known for no, lot in account.lots.items()}
    return lots | {account.member_id: _said(account) for account in known}
