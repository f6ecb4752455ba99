"""Each invariant that `GET /v1/ledger/verify` names fails by itself when somebody with all rights breaks it."""

from collections.abc import AsyncIterator

import pytest
from points_ledger import audit
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .sealed_ledger import hold, unguarded
from .world import D, did


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    """A check-up's 500 points, of which 100 are reserved."""
    async with under_test(SERVICE, settings.model_copy(update={"clock": "events"})) as under:
        await under.feed(did("check_up", "2026-01-10"))
        await under.day(D("2026-01-11"))
        await hold(under, 100, "H-1")
        yield under


BROKEN_BY = {
    "every_transfer_moves_something": "UPDATE transfers SET amount = 0 WHERE kind = 'grant'",
    "what_was_granted_is_accounted_for": "UPDATE transfers SET kind = 'release' WHERE kind = 'grant'",
    "balances_are_the_sums_of_the_journal": "UPDATE accounts SET points_pending = 1",
    "balances_are_the_sums_of_the_lots": "UPDATE lots SET remaining = remaining - 1, held = held + 1",
    "every_lot_holds_what_its_transfers_left": "UPDATE lots SET remaining = remaining - 1, spent = spent + 1",
    "every_lot_is_conserved": "UPDATE lots SET granted = granted + 1",
    "no_balance_is_negative": "UPDATE accounts SET growth_debt = -1",
    "a_debt_leaves_nothing_available": "UPDATE accounts SET points_debt = 1",
    "mergers_move_and_make_nothing": "UPDATE transfers SET credit = 'merger' WHERE kind = 'hold'",
    "held_points_are_the_open_holds": "UPDATE holds SET state = 'released'",
}


async def test_each_invariant_of_the_books_fails_when_it_is_broken(t: Under) -> None:
    conn, missed = await unguarded(t), []
    assert await audit.verify(conn) == dict.fromkeys(BROKEN_BY, True)
    for name, change in BROKEN_BY.items():
        undone = conn.transaction()
        await undone.start()
        await conn.execute(change)
        missed += [name] if (await audit.verify(conn))[name] else []
        await undone.rollback()
    await conn.close()
    assert missed == []
