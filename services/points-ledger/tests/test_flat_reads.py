"""A balance, a page of the statement and one of what came to nothing cost the same for a member with ten entries and for one with
a hundred thousand.

Flat by what PostgreSQL touches (pages of tables and indexes), not by a stop-watch; the times of the long form are only told.
"""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
import structlog
from points_ledger import reads, statement, unpaid
from points_ledger.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .long_forms import sized
from .world import D

log = structlog.get_logger(__name__)
ENTRIES = (10, 1_000, sized(20_000, 100_000))
OPEN, TODAY, TIMES = 5, D("2028-01-31"), sized(10, 300)
PAGES_MORE_MAX = 12  # an index grows by a level or two, and lots lie on a page each

WRITE = (
    """INSERT INTO accounts (member_id, lived_to, due_on, lots_no, transfers_no, points_available)
       SELECT 'B-' || $1::int, DATE '2028-01-15', DATE '2029-01-01', $1 / 2, $1, 500""",
    """INSERT INTO lots (member_id, lot_no, wallet, rule, fact, granted, remaining, earned_on, activates_on, expires_on,
                         rules_version, source_type, source_id, remembered_until, base, held, spent, reversed, expired,
                         policy_no, term_no, status, status_percent, line_percent, campaign_percent, revoked, taken, origin)
       SELECT 'B-' || $1::int, k, 'points', 'quiz', 'q-' || k, 100, CASE WHEN k > $1 / 2 - 5 THEN 100 ELSE 0 END, DATE '2026-01-01',
              DATE '2026-01-01', DATE '2029-01-01', 1, 'activity.completed', 'e-' || k, DATE '2026-02-01', 100, 0,
              CASE WHEN k > $1 / 2 - 5 THEN 0 ELSE 100 END, 0, 0, NULL, NULL, '', 100, 100, 100, false, '[]', ''
       FROM generate_series(1, $1 / 2) k""",
    """INSERT INTO transfers (member_id, transfer_no, wallet, debit, credit, amount, lot_no, kind, effective, cause, hold_id)
       SELECT 'B-' || $1::int, k, 'points', 'issuance', 'available', 100, (k + 1) / 2, 'grant', DATE '2026-01-01', 'e-' || k, ''
       FROM generate_series(1, $1) k""",
)

NOTHING = """
    INSERT INTO unpaid (member_id, day, kind, fact, activity_id, reason, limited_by, rules_version)
    SELECT 'U-' || $1::int, DATE '2026-01-01' + k % 92, 'quiz', 'q-' || k, 'q-' || k, 'limit', '1 a day', 1
    FROM generate_series(1, $1) k"""


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    async with under_test(SERVICE, settings) as under:
        for entries in ENTRIES:
            for sql in WRITE:
                await under.pool.execute(sql, entries)
        await under.pool.execute("ANALYZE")
        yield under


async def touched(t: Under, sql: str) -> int:
    """Pages of tables and indexes that a statement touches."""
    (row,) = await t.pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}")
    top = msgspec.json.decode(row[0])[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


def filled(sql: str, *values: str) -> str:
    for n in range(len(values), 0, -1):
        sql = sql.replace(f"${n}", values[n - 1])
    return sql


async def test_a_balance_costs_the_same_whatever_lies_behind_it(t: Under) -> None:
    pages = [await touched(t, filled(reads.WALLET, f"'B-{n}'", f"date '{TODAY}'")) for n in ENTRIES]
    views = [(await reads.wallet(t.pool, f"B-{n}", TODAY)).wallets["points"].available for n in ENTRIES]
    assert views == [OPEN * 100] * len(ENTRIES)
    log.info("measured", pages=pages, p50_us=await times(t, lambda n: reads.wallet(t.pool, f"B-{n}", TODAY)))
    assert max(pages) <= min(pages) + PAGES_MORE_MAX, pages


async def test_a_page_of_the_statement_costs_the_same_wherever_it_lies(t: Under) -> None:
    nulls = ["NULL"] * 4
    newest = [await touched(t, filled(statement.PAGE, f"'B-{n}'", "NULL", *nulls, "10")) for n in ENTRIES]
    oldest = [await touched(t, filled(statement.PAGE, f"'B-{n}'", "11", *nulls, "10")) for n in ENTRIES]
    log.info("measured", newest=newest, oldest=oldest)
    assert max(newest + oldest) <= min(newest + oldest) + 3 * PAGES_MORE_MAX, (newest, oldest)


async def test_a_page_of_what_came_to_nothing_costs_the_same_wherever_it_lies(t: Under) -> None:
    for entries in ENTRIES:
        await t.pool.execute(NOTHING, entries)
    await t.pool.execute("VACUUM ANALYZE unpaid")
    whose = [(f"ARRAY['U-{n}']", f"ARRAY['U-{n}']", f"'U-{n}'") for n in ENTRIES]
    newest = [await touched(t, filled(unpaid.PAGE, *both, "date 'infinity'", *["''"] * 3, "11")) for *both, _ in whose]
    place = ("date '2026-01-03'", "'quiz'", "'q-9'")
    oldest = [await touched(t, filled(unpaid.PAGE, *both, *place, one, "11")) for *both, one in whose]
    log.info("measured", newest=newest, oldest=oldest)
    assert max(newest + oldest) <= min(newest + oldest) + 3 * PAGES_MORE_MAX, (newest, oldest)


async def times(t: Under, read: Callable[[int], Awaitable[object]]) -> list[int]:
    """Microseconds at the median, for each number of entries."""
    found = []
    for n in ENTRIES:
        taken = []
        for _ in range(TIMES):
            began = time.perf_counter()
            await read(n)
            taken.append(time.perf_counter() - began)
        found.append(round(1e6 * statistics.median(taken)))
    return found
