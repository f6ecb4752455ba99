"""The liability of very many lots, over HTTP, under a service's own limits: right to the point, and the same when asked again.

By default 4,000 lots; with TENURE_LEDGER_LONG=1 a million lots of 24 vintages, of which a third were redeemed in part.
"""

import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import structlog
from points_ledger.service import SERVICE
from tenure.database import AUDIT_S_MAX
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .long_forms import LONG, sized
from .world import D

log = structlog.get_logger(__name__)
MEMBERS, LOTS_EACH = sized(1_000, 250_000), 4
SHORT_MS = 2_000
"""A service whose statements may take no longer still answers with its report."""
WRITE = (
    """INSERT INTO lots (member_id, lot_no, wallet, rule, fact, granted, remaining, earned_on, activates_on, expires_on,
                         rules_version, source_type, source_id, remembered_until, base, held, spent, reversed, expired,
                         policy_no, term_no, status, status_percent, line_percent, campaign_percent, revoked, taken, origin)
       SELECT 'S-' || n, k, 'points', 'quiz', 'q-' || k, 100, 100 - redeemed, day, day, date '2029-01-01', 1, 'activity.completed',
              'e-' || n || '-' || k, day, 100, 0, redeemed, 0, 0, NULL, NULL, '', 100, 100, 100, false, '[]', ''
       FROM generate_series(1, $1::int) n, generate_series(1, 4) k,
            LATERAL (SELECT date '2026-01-10' + 30 * ((n + 6 * k) % 24) AS day, CASE WHEN k = 1 AND n % 3 = 0 THEN 40 ELSE 0 END AS redeemed) v""",
    """INSERT INTO transfers (member_id, transfer_no, wallet, debit, credit, amount, lot_no, kind, effective, cause, hold_id)
       SELECT member_id, lot_no, 'points', 'issuance', 'available', 100, lot_no, 'grant', earned_on, source_id, '' FROM lots""",
    """INSERT INTO transfers (member_id, transfer_no, wallet, debit, credit, amount, lot_no, kind, effective, cause, hold_id)
       SELECT member_id, 4 + step, 'points', (ARRAY['available', 'held'])[step], (ARRAY['held', 'redemption'])[step], 40, lot_no,
              (ARRAY['hold', 'capture'])[step], earned_on + 40, 'c', 'H-' || member_id
       FROM lots, generate_series(1, 2) step WHERE spent > 0""",
)


@pytest.fixture
async def t(settings: Settings) -> AsyncIterator[Under]:
    limits = {"clock": "events", "statement_timeout_ms": sized(settings.statement_timeout_ms, SHORT_MS)}
    async with under_test(SERVICE, settings.model_copy(update=limits)) as under:
        yield under


async def report(t: Under, query: str) -> Any:
    answer = await t.http.get(f"/v1/liability?{query}", headers=t.auth("operator"), timeout=AUDIT_S_MAX)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.timeout(900 if LONG else 120)
async def test_a_large_liability_is_told_in_time_and_for_any_day(t: Under) -> None:
    conn = await asyncpg.connect(f"{t.settings.database_url}/{await t.pool.fetchval('SELECT current_database()')}")
    for statement in WRITE:
        await conn.execute(statement, *([MEMBERS] if "$1" in statement else []))
    await conn.execute("VACUUM ANALYZE")
    await conn.close()
    await t.day(D("2028-02-01"))
    began = time.perf_counter()
    found = await report(t, "as_of=2028-01-31")
    took_s = time.perf_counter() - began
    log.info("measured", lots=MEMBERS * LOTS_EACH, seconds=round(took_s, 1))
    redeemed = MEMBERS // 3 * 40
    assert found["outstanding"] == MEMBERS * LOTS_EACH * 100 - redeemed
    assert len(found["vintages"]) == 24
    assert sum(v["redeemed"] for v in found["vintages"]) == redeemed
    assert 0 < found["redemption_curve"][1]["redeemed_ppm"] < 400_000, "redeemed in their second month"
    known = found["known_at"].replace("+", "%2B")
    assert await report(t, f"as_of=2028-01-31&known_at={known}") == found
    middle = await report(t, f"as_of=2027-01-31&known_at={known}")
    assert 0 < middle["outstanding"] < found["outstanding"]
