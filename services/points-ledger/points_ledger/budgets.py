"""Budgets that all members share, allotted without making anybody who earns wait.

A fact under a budget earns without its campaign at once and leaves a claim. Here claims are served in the order of their
numbers, by one transaction at a time (the budget's row is locked here and nowhere else), and the answer is left for the account.

The invariants: what is allotted of a campaign never exceeds its budget, to the point (a constraint of the table as well); a claim
is served once; the first claim that finds less than it asks for gets what is left, later ones nothing. Each claim has the budget of
the rules of its fact's day, so what it gets does not depend on which others are served with it.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import asyncpg
from asyncpg.connection import Connection

from points_ledger import columns as c
from points_ledger import places

WAITING: Final = "SELECT EXISTS (SELECT FROM budget_claims)"
# Rows another allotter works on are not skipped but waited for: order matters more here than haste.
TAKE: Final = """
    WITH taken AS (
      DELETE FROM budget_claims WHERE claim_no IN (SELECT claim_no FROM budget_claims ORDER BY claim_no LIMIT $1 FOR UPDATE)
      RETURNING claim_no, campaign, member_id, lot_id, points, budget_points_max)
    SELECT * FROM taken ORDER BY campaign, claim_no"""
OPEN: Final = """
    INSERT INTO budgets (campaign, points_max, allotted) VALUES ($1, 0, 0)
    ON CONFLICT (campaign) DO UPDATE SET allotted = budgets.allotted RETURNING allotted"""
SPEND: Final = "UPDATE budgets SET allotted = $2, points_max = greatest($3::bigint, $2::bigint) WHERE campaign = $1"
GONE: Final = """
    SELECT asked.member_id, asked.lot_no, asked.member_id || ':' || asked.lot_no AS id
    FROM unnest($1::text[], $2::int[]) AS asked(member_id, lot_no) LEFT JOIN lots USING (member_id, lot_no)
    WHERE lots.lot_no IS NULL"""
LEAVE: Final = c.inserted("budget_news", c.ALLOTTED)
News = tuple[str, str, int, int]
"""Whose lot, which, what it got, and what it had asked for."""


def allot(claims: Iterable[tuple[int, int]], allotted: int) -> list[int]:
    """What each gets, in their order. A claim is what it asks for and the whole budget by the rules of its day."""
    got: list[int] = []
    for asked, budget in claims:
        got.append(min(asked, max(0, budget - allotted)))
        allotted += got[-1]
    return got


async def serve(conn: Connection, claims_max: int) -> None:
    """Allot the oldest claims, inside the caller's transaction."""
    if not await conn.fetchval(WAITING):
        return
    claims: list[asyncpg.Record] = await conn.fetch(TAKE, claims_max)
    news: list[News] = []
    for campaign, group in groupby(claims, key=itemgetter("campaign")):
        of_one = list(group)
        allotted: int = await conn.fetchval(OPEN, campaign)
        got = allot([(claim["points"], claim["budget_points_max"]) for claim in of_one], allotted)
        await conn.execute(SPEND, campaign, allotted + sum(got), of_one[-1]["budget_points_max"])
        news += [(one["member_id"], one["lot_id"], n, one["points"]) for one, n in zip(of_one, got, strict=True)]
    if news:
        await conn.execute(LEAVE, *c.arrays(await _where_they_are(conn, news)))


async def _where_they_are(conn: Connection, news: Sequence[News]) -> Sequence[News]:
    """A lot that went to another number since it claimed, or came back from one, is told of where it is."""
    numbers = [int(lot_id.rpartition(":")[2]) for _, lot_id, _, _ in news]
    rows = await conn.fetch(GONE, [one[0] for one in news], numbers)
    gone = {f"{row['member_id']}:{row['lot_no']}": await places.now(conn, row["member_id"], row["id"]) for row in rows}
    return [(there[0], f"{there[0]}:{there[1]}", *one[2:]) if (there := gone.get(one[1])) else one for one in news]
