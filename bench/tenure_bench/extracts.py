"""A core's extracts of home policies as files, and a past of such policies, written by PostgreSQL itself.

The invariant: a policy of the past is what an import of its first term would have made of it, so that a file of second terms meets
the same states in a small and in a large database.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

ROWS_PER_POLICY: Final = 7
"""Two facts, two of the inbox, a policy, a term and a customer."""
_HEAD: Final = "Policy;Term;Customer;Sold;Start;End;Premium;Channel;Region;Paid;Cancelled;How\n"

FACTS: Final = """
INSERT INTO facts (key, type, source, id, time, effective, backfill, data)
SELECT 'H-' || n, f.type, '/core/homeins', 'H-' || n || f.suffix, TIMESTAMPTZ '2024-02-10 09:00+08', f.effective, true,
       replace(replace(f.data, '%p', 'H-' || n), '%c', 'C-' || n)::json
FROM generate_series(0, $1 - 1) n, (VALUES
  ('PolicyIssued', '-1-issued', DATE '2024-03-01', '{"policy_no":"%p","member_id":"%c","product_line":"home",
    "start":"2024-03-01","end":"2025-03-01","premium_fen":30001}'),
  ('PremiumPaid', '-1-paid', DATE '2024-02-10', '{"policy_no":"%p","amount_fen":30001,"paid_on":"2024-02-10"}'))
  AS f (type, suffix, effective, data)
"""
POLICIES: Final = """
INSERT INTO policies (policy_no, product_line, member_id, member_ids, inception, version, due_on)
SELECT 'H-' || n, 'home', 'C-' || n, ARRAY['C-' || n], DATE '2024-03-01', 2, DATE '2024-02-11'
FROM generate_series(0, $1 - 1) n
"""
TERMS: Final = """
INSERT INTO terms (policy_no, term_no, start, "end", written_end, premium_fen, status, covers)
SELECT 'H-' || n, 1, DATE '2024-03-01', DATE '2025-03-01', DATE '2025-03-01', 30001, 'in_force',
       datemultirange(daterange('2024-03-01', '2025-03-01'))
FROM generate_series(0, $1 - 1) n
"""
MEMBERS: Final = """
INSERT INTO members (member_id, enrolled_on) SELECT 'C-' || n, DATE '2024-03-01' FROM generate_series(0, $1 - 1) n
"""
INBOX: Final = "INSERT INTO inbox (event_key) SELECT gen_random_uuid() FROM generate_series(0, 2 * $1 - 1) n"


async def write_past(conn: asyncpg.Connection, policies: int) -> None:
    """Policies `H-0` and on, one term each."""
    for statement in (FACTS, POLICIES, TERMS, MEMBERS, INBOX):
        await conn.execute(statement, policies)
    await conn.execute("VACUUM ANALYZE")
    await conn.execute("CHECKPOINT")


def write_file(path: Path, policies: range, *, terms: Sequence[int]) -> int:
    """A row for each of these terms of each policy, sorted as an extract is. Returns how many rows."""
    with path.open("w", encoding="utf-8") as file:
        file.write(_HEAD)
        for n in policies:
            for term in terms:
                sold, year = f"{n % 28 + 1:02}/02/{2023 + term}", 2023 + term
                file.write(
                    f"H-{n};{term};C-{n};{sold};01/03/{year};01/03/{year + 1};300.01;A;;{sold};;\n",
                )
    return len(policies) * len(terms)
