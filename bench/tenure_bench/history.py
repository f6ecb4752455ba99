"""Members with a past, written by PostgreSQL itself: two lots and two transfers each, active and unspent."""

from typing import Final

import asyncpg

ROWS_PER_MEMBER: Final = 4
"""Lots and transfers; an account and two inbox rows come with them."""

ACCOUNTS: Final = """
INSERT INTO accounts (member_id, lived_to, due_on, lots_no, transfers_no, points_available)
SELECT 'H-' || lpad(n::text, 7, '0'), DATE '2025-03-01', DATE '2027-03-02', 2, 2, 600 FROM generate_series(0, $1 - 1) n
"""
LOTS: Final = """
INSERT INTO lots (member_id, lot_no, wallet, rule, fact, granted, remaining, earned_on, activates_on, expires_on, rules_version,
                  source_type, source_id, remembered_until, base, held, spent, reversed, expired, policy_no, term_no, status,
                  status_percent, line_percent, campaign_percent, revoked, taken, origin)
SELECT 'H-' || lpad(n::text, 7, '0'), k, 'points', 'premium', 'P-H-' || lpad(n::text, 7, '0') || '/0#' || k, 300, 300,
       DATE '2025-02-01', DATE '2025-03-01', DATE '2027-04-01', 1, 'premium.paid', 'history', DATE '9999-12-31', 300, 0, 0, 0, 0,
       'P-H-' || lpad(n::text, 7, '0'), 0, '', 100, 100, 100, false, '[]', ''
FROM generate_series(0, $1 - 1) n, generate_series(1, 2) k
"""
TRANSFERS: Final = """
INSERT INTO transfers (member_id, transfer_no, wallet, debit, credit, amount, lot_no, kind, effective, cause, hold_id)
SELECT 'H-' || lpad(n::text, 7, '0'), k, 'points', 'issuance', 'available', 300, k, 'grant', DATE '2025-03-01', 'history', ''
FROM generate_series(0, $1 - 1) n, generate_series(1, 2) k
"""
INBOX: Final = """
INSERT INTO inbox (event_key)
SELECT uuidv7(interval '-30 days' + make_interval(secs => n / 1000.0)) FROM generate_series(0, 2 * $1 - 1) n
"""


async def write(conn: asyncpg.Connection, members: int) -> None:
    """Members `H-0000000` and on."""
    for statement in (ACCOUNTS, LOTS, TRANSFERS, INBOX):
        await conn.execute(statement, members)
    await conn.execute("VACUUM ANALYZE")
    await conn.execute("CHECKPOINT")
