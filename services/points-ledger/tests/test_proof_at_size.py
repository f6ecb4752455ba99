"""A large journal is sealed, replayed and found whole within its time, and one changed row of it is found.

By default 20,000 entries; with TENURE_LEDGER_LONG=1 a million, in at most 60 s.
"""

import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
import structlog
from points_ledger.proof import check
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .long_forms import LONG, sized
from .sealed_ledger import seal, unguarded
from .world import D

log = structlog.get_logger(__name__)
MEMBERS = sized(4_000, 200_000)
ENTRIES_EACH = 5
VERIFY_S_MAX = 60.0
DAY, AFTER = D("2026-03-01"), D("2026-03-02")

WRITE = (
    """INSERT INTO accounts (member_id, lived_to, due_on, lots_no, transfers_no, points_available)
       SELECT 'S-' || n, DATE '2026-02-01', DATE '2028-02-01', 2, 5, 540 FROM generate_series(1, $1::int) n""",
    """INSERT INTO lots (member_id, lot_no, wallet, rule, fact, granted, remaining, earned_on, activates_on, expires_on,
                         rules_version, source_type, source_id, remembered_until, base, held, spent, reversed, expired,
                         policy_no, term_no, status, status_percent, line_percent, campaign_percent, revoked, taken, origin)
       SELECT 'S-' || n, k, 'points', 'premium', 'P-' || n || '/1#' || k, 300, 300 - 60 * (2 - k), DATE '2026-01-01',
              DATE '2026-01-16', DATE '2028-02-01', 1, 'premium.paid', 'e-' || n || '-' || k, 'infinity', 300, 0, 60 * (2 - k), 0, 0,
              'P-' || n, 1, 'gold', 120, 100, 100, false, '[]', ''
       FROM generate_series(1, $1::int) n, generate_series(1, 2) k""",
    """INSERT INTO transfers (member_id, transfer_no, wallet, debit, credit, amount, lot_no, kind, effective, cause, hold_id)
       SELECT 'S-' || n, no, 'points', debit, credit, amount, lot_no, kind, day, 'e-' || n || '-' || no, CASE WHEN no > 2 THEN 'H-' || n ELSE '' END
       FROM generate_series(1, $1::int) n, (VALUES
         (1, 'issuance', 'available', 300, 1, 'grant', DATE '2026-01-16'), (2, 'issuance', 'available', 300, 2, 'grant', DATE '2026-01-16'),
         (3, 'available', 'held', 100, 1, 'hold', DATE '2026-02-01'), (4, 'held', 'redemption', 60, 1, 'capture', DATE '2026-02-01'),
         (5, 'held', 'available', 40, 1, 'release', DATE '2026-02-01')) t (no, debit, credit, amount, lot_no, kind, day)""",
    """INSERT INTO holds (hold_id, member_id, wallet, points, reference, state, parts, placed_on, expires_at, refundable_until, captured, refunded)
       SELECT 'H-' || n, 'S-' || n, 'points', 100, 'O-' || n, 'captured', '[[1, 60]]', DATE '2026-02-01', '2026-02-01', '2027-02-01', 60, 0
       FROM generate_series(1, $1::int) n""",
)


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    patient = {"clock": "events", "statement_timeout_ms": 300_000, "idle_in_transaction_timeout_ms": 300_000}
    async with under_test(SERVICE, settings.model_copy(update=patient)) as under:
        yield under


@pytest.mark.timeout(900 if LONG else 120)
async def test_a_large_journal_is_replayed_in_its_time_and_one_changed_row_is_found(t: Under) -> None:
    conn = await direct(t)
    for statement in WRITE:
        await conn.execute(statement, MEMBERS)
    await conn.execute("VACUUM ANALYZE")
    began = time.perf_counter()
    sealed = await seal(t, DAY, publish=AFTER)
    sealing_s, began = time.perf_counter() - began, time.perf_counter()
    report = await check.examine(conn)
    verify_s = time.perf_counter() - began
    log.info("measured", entries=sealed, sealing_s=round(sealing_s, 1), verify_s=round(verify_s, 1))
    assert (report.wrong, report.entries, report.sealed) == ([], MEMBERS * ENTRIES_EACH, sealed)
    assert verify_s <= VERIFY_S_MAX
    await conn.close()
    conn = await unguarded(t)
    await conn.execute(f"UPDATE transfers SET cause = 'e-x' WHERE member_id = 'S-{MEMBERS // 2}' AND transfer_no = 1")
    assert any(f"entry S-{MEMBERS // 2}/1 is not as it was sealed" in w for w in (await check.examine(conn)).wrong)
    await conn.close()


async def direct(t: Under) -> asyncpg.Connection:
    """A session without the limits of a service's."""
    return await asyncpg.connect(f"{t.settings.database_url}/{await t.pool.fetchval('SELECT current_database()')}")
