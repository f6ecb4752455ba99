"""What policy-sync answers about policies and claims: single statements on the tables that the fold wrote."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec
from tenure.calendar import Period

from policy_sync import ties
from policy_sync.rules.mergers import numbers

HOUSEHOLD_MAX: Final = 200
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


class TermView(msgspec.Struct, frozen=True, kw_only=True):
    term_no: int
    start: date
    end: date
    written_end: date
    premium_fen: int
    status: str
    covers: Sequence[Period]
    cooling_off_end: date | None


class PolicyView(msgspec.Struct, frozen=True, kw_only=True):
    """`member_id`: who holds it; `member_ids`: everyone who ever held it; `waiting`: facts that have no ground yet.

    A member is answered with their own part: the terms, covers and numbers that are theirs.
    """

    policy_no: str
    member_id: str
    member_ids: Sequence[str]
    product_line: str
    inception: date
    version: int
    waiting: int
    terms: Sequence[TermView]


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    claim_no: str
    policy_no: str
    member_id: str
    product_line: str
    loss_date: date
    status: str
    amount_fen: int
    paid_fen: int
    breaks_no_claim_year: bool
    kind: str
    updated_on: date


class Household(msgspec.Struct, frozen=True):
    household_id: str
    member_ids: Sequence[str]


class InForce(msgspec.Struct, frozen=True):
    """One product line on a day: `premium_fen` is the sum of the premiums of the terms in force, as sold and since changed."""

    product_line: str
    policies: int
    terms: int
    premium_fen: int


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """Counts to compare with the core's own, and what is in force on a day."""

    on: date
    facts: dict[str, int]
    duplicates: int
    waiting: int
    parked: int
    policies: int
    in_force: Sequence[InForce]


_POLICY: Final = """
SELECT p.policy_no, p.member_id, p.member_ids, p.product_line, p.inception, p.version, p.waiting,
       (SELECT json_agg(json_build_object(
          'term_no', t.term_no, 'start', t.start, 'end', t."end", 'written_end', t.written_end,
          'premium_fen', t.premium_fen, 'status', t.status, 'cooling_off_end', t.cooling_off_end,
          'covers', array(SELECT json_build_array(lower(c), upper(c)) FROM unnest(t.covers) c ORDER BY c)) ORDER BY t.start)
        FROM terms t WHERE t.policy_no = p.policy_no) AS terms
FROM policies p WHERE p.product_line IS NOT NULL
"""
_terms: Final = msgspec.json.Decoder(list[TermView])
_CLAIM: Final = "SELECT c.*, p.product_line FROM claims c JOIN policies p USING (policy_no) WHERE true"


async def policy(pool: Pool, policy_no: str) -> PolicyView | None:
    row = await pool.fetchrow(_POLICY + " AND p.policy_no = $1", policy_no)
    return _policy(row) if row else None


async def policies(pool: Pool, member_id: str, *, after: str | None, rows_max: int) -> list[PolicyView]:
    """Policies this member holds or held, in order of their number."""
    rows = await pool.fetch(
        _POLICY + " AND p.member_ids @> ARRAY[$1] AND p.policy_no > $2 ORDER BY p.policy_no LIMIT $3",
        member_id,
        after or "",
        rows_max,
    )
    return [_policy(row) for row in rows]


async def claims(pool: Pool, claim_no: str) -> list[ClaimView]:
    """Claims of this number: one, unless two policies of the core use the same."""
    rows = await pool.fetch(_CLAIM + " AND c.claim_no = $1 ORDER BY c.policy_no", claim_no)
    return [_claim(row) for row in rows]


async def claims_of(
    pool: Pool, member_id: str, *, after: tuple[date, str, str] | None, rows_max: int
) -> list[ClaimView]:
    """A member's claims, by day of loss."""
    rows = await pool.fetch(
        _CLAIM
        + """ AND c.member_id = $1 AND (c.loss_date, c.claim_no, c.policy_no) > ($2, $3, $4)
              ORDER BY c.loss_date, c.claim_no, c.policy_no LIMIT $5""",
        member_id,
        *(after or (date.min, "", "")),
        rows_max,
    )
    return [_claim(row) for row in rows]


async def household(pool: Pool, household_id: str) -> list[str]:
    rows = await pool.fetch(
        "SELECT member_id FROM members WHERE household_id = $1 ORDER BY member_id LIMIT $2", household_id, HOUSEHOLD_MAX
    )
    return [row["member_id"] for row in rows]


async def sealed_contact(pool: Pool, member_id: str) -> tuple[str, bytes] | None:
    """How to reach the person of this number: the number it was given for last, and what was sealed for that."""
    async with pool.acquire() as conn:
        known = await ties.of(conn, {member_id}, is_locked=False)  # type: ignore[arg-type]
        web = await ties.around(conn, {member_id}, known)  # type: ignore[arg-type]
        row = await conn.fetchrow(
            "SELECT member_id, sealed FROM contacts WHERE member_id = ANY ($1::text[]) ORDER BY kept_at DESC LIMIT 1",
            numbers(member_id, web),
        )
    return (row["member_id"], row["sealed"]) if row else None


async def reconciliation(pool: Pool, on: date) -> Reconciliation:
    counts = await pool.fetch("SELECT type, count(*) AS n FROM facts GROUP BY type ORDER BY type")
    row = await pool.fetchrow(
        """SELECT (SELECT count(*) FROM duplicates) AS duplicates, (SELECT count(*) FROM parked) AS parked,
                  count(*) FILTER (WHERE product_line IS NOT NULL) AS policies, coalesce(sum(waiting), 0) AS waiting
           FROM policies"""
    )
    assert row is not None
    lines = await pool.fetch(
        """SELECT p.product_line, count(DISTINCT policy_no) AS policies, count(*) AS terms,
                  sum(t.premium_fen)::bigint AS premium_fen
           FROM terms t JOIN policies p USING (policy_no) WHERE t.covers @> $1::date
           GROUP BY p.product_line ORDER BY p.product_line""",
        on,
    )
    return Reconciliation(
        on=on,
        facts={r["type"]: r["n"] for r in counts},
        duplicates=row["duplicates"],
        waiting=row["waiting"],
        parked=row["parked"],
        policies=row["policies"],
        in_force=[InForce(*r.values()) for r in lines],
    )


def _policy(row: Any) -> PolicyView:
    return PolicyView(**{k: v for k, v in row.items() if k != "terms"}, terms=_terms.decode(row["terms"]))


def _claim(row: Any) -> ClaimView:
    return ClaimView(
        claim_no=row["claim_no"],
        policy_no=row["policy_no"],
        member_id=row["member_id"],
        product_line=row["product_line"],
        loss_date=row["loss_date"],
        status=row["status"],
        amount_fen=row["amount_fen"],
        paid_fen=row["paid_fen"],
        breaks_no_claim_year=row["counts"],
        kind=row["kind"],
        updated_on=row["effective"],
    )
