"""What operators read: adjustments, how accounts stand and what happened to them, budgets."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec

from points_ledger.rules.adjustments import AdjustmentView
from points_ledger.rules.memory import Memory

CHANGES_MAX: Final = 200
ADJUSTMENTS: Final = """
    SELECT adjustment_id, member_id, wallet, points, reason, ticket, state, proposed_by, approved_by, purpose, batch, recorded_at
    FROM adjustments
    WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR batch = $2) AND ($3::text IS NULL OR member_id = $3)
      AND ($4::timestamptz IS NULL OR (recorded_at, adjustment_id) < ($4, $5))
    ORDER BY recorded_at DESC, adjustment_id DESC LIMIT $6"""
OPEN_OF_BATCH: Final = """
    SELECT adjustment_id, member_id FROM adjustments WHERE batch = $1 AND state = 'proposed' ORDER BY adjustment_id"""
CHANGES: Final = """
    SELECT what, reason, actor, cause, effective, recorded_at FROM account_changes
    WHERE member_id = $1 ORDER BY change_no DESC LIMIT $2"""
MEMORY: Final = "SELECT memory FROM accounts WHERE member_id = $1"
BUDGETS: Final = """
    SELECT coalesce(b.campaign, w.campaign), coalesce(b.points_max, w.points_max), coalesce(b.allotted, 0)::bigint,
           coalesce(w.claims, 0)::bigint, coalesce(w.points, 0)::bigint
    FROM budgets b FULL JOIN (
      SELECT campaign, max(budget_points_max) AS points_max, count(*) AS claims, sum(points) AS points FROM budget_claims GROUP BY 1
    ) w USING (campaign) ORDER BY 1"""


_memory_of: Final = msgspec.msgpack.Decoder(Memory).decode


class Change(msgspec.Struct, frozen=True):
    """What happened to an account as such. `cause` is the event's id."""

    what: str
    reason: str
    actor: str
    cause: str
    effective: date
    recorded_at: datetime


class AccountStory(msgspec.Struct, frozen=True):
    """Whether nothing can be redeemed from an account, and its audit, newest first."""

    member_id: str
    frozen: bool
    changes: list[Change]


class Budget(msgspec.Struct, frozen=True):
    """What a campaign may add for all members together, what of it is allotted, and what still waits to be."""

    campaign: str
    points_max: int
    allotted: int
    waiting_claims: int
    waiting_points: int


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a list of adjustments goes on."""

    recorded_at: datetime
    adjustment_id: str


async def adjusted(pool: Any, adjustment_id: str) -> str | None:
    """Whose account an adjustment is for."""
    sql = "SELECT member_id FROM adjustments WHERE adjustment_id = $1"
    member_id: str | None = await pool.fetchval(sql, adjustment_id)
    return member_id


async def adjustments(
    pool: Any, *, state: str | None, batch: str | None, member_id: str | None, after: Place | None, rows_max: int
) -> Sequence[tuple[AdjustmentView, Place]]:
    """The newest adjustments, each with where the list goes on after it."""
    place = (after.recorded_at, after.adjustment_id) if after else (None, None)
    rows = await pool.fetch(ADJUSTMENTS, state, batch, member_id, *place, rows_max)
    names = AdjustmentView.__struct_fields__
    return [
        (AdjustmentView(**{name: row[name] for name in names}), Place(row["recorded_at"], row["adjustment_id"]))
        for row in rows
    ]


async def open_of_batch(pool: Any, batch: str) -> list[tuple[str, str]]:
    """The adjustments of a file that wait, each with whose account it is for."""
    return [(row[0], row[1]) for row in await pool.fetch(OPEN_OF_BATCH, batch)]


async def story(pool: Any, member_id: str) -> AccountStory:
    memory = await pool.fetchval(MEMORY, member_id)
    rows = await pool.fetch(CHANGES, member_id, CHANGES_MAX)
    return AccountStory(member_id, bool(memory and _memory_of(memory).frozen), [Change(*row) for row in rows])


async def budgets(pool: Any) -> list[Budget]:
    return [Budget(*row) for row in await pool.fetch(BUDGETS)]
