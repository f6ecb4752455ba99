"""What member-view shows: the rendered row as it stands, and figures over the rows.

The invariant: what tiers are called is always read by the rules in force on the day of the reading. A row is written anew only when
something happens to its member; one that was written by other rules than today's is put into their words on its way out.
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from tenure.edge import App
from tenure.spine.clock import business_date

from member_view.store import in_words_of

if TYPE_CHECKING:
    import asyncpg

    Pool = asyncpg.Pool[asyncpg.Record]

NEW_MEMBERS_DAYS: Final = 30
_ONE: Final = """
SELECT member_id, rendered, worded_by, (SELECT day FROM calendar) AS day FROM member_view WHERE member_id = $1
"""
_MANY: Final = """
SELECT member_id, rendered, worded_by FROM member_view WHERE member_id > $1 AND rendered IS NOT NULL ORDER BY member_id LIMIT $2
"""
_INSIGHTS: Final = """
WITH live AS (SELECT * FROM member_view WHERE rendered IS NOT NULL)
SELECT json_build_object(
  'as_of', $1::date,
  'members', (SELECT count(*) FROM live WHERE enrolled_on IS NOT NULL OR tier <> 'none'),
  'covered', (SELECT count(*) FROM live WHERE tier <> 'none' AND covered),
  'members_per_tier', (SELECT coalesce(json_object_agg(tier, n), '{}')
                       FROM (SELECT tier, count(*) n FROM live WHERE tier <> 'none' GROUP BY 1 ORDER BY 1) t),
  'points', (SELECT json_build_object('available', coalesce(sum(available), 0), 'pending', coalesce(sum(pending), 0),
                                      'held', coalesce(sum(held), 0), 'debt', coalesce(sum(debt), 0)) FROM live),
  'claims', (SELECT json_build_object('open', coalesce(sum(claims_open), 0), 'open_fen', coalesce(sum(claims_open_fen), 0))
             FROM live WHERE claims_open > 0),
  'new_members', (SELECT count(*) FROM live WHERE enrolled_on = $1),
  'new_members_by_day', (SELECT coalesce(json_object_agg(enrolled_on, n), '{}') FROM (
      SELECT enrolled_on, count(*) n FROM live WHERE enrolled_on > $1::date - $2::int AND enrolled_on <= $1
      GROUP BY 1 ORDER BY 1) d))::text
"""


async def one(app: App, member_id: str) -> bytes | None:
    """The member's row as JSON, None for who is unknown, erased or merged. One statement, unless other rules came into force."""
    row = await app.pool.fetchrow(_ONE, member_id)
    if row is None or row["rendered"] is None:
        return None
    return (await _on(app, [row], business_date(row["day"], app.settings)))[0]


async def many(app: App, *, after: str, rows_max: int) -> bytes:
    """Members in the order of their ids beyond `after`, with where to go on, as JSON."""
    rows = await app.pool.fetch(_MANY, after, rows_max + 1)
    shown = await todays(app, rows[:rows_max])
    cursor = _quoted(rows[rows_max - 1]["member_id"]) if len(rows) > rows_max else b"null"
    return b'{"items":[' + b",".join(filter(None, shown)) + b'],"next_after":' + cursor + b"}"


async def todays(app: App, rows: Sequence[Any]) -> list[bytes | None]:
    """Rows of member_view (member_id, rendered, worded_by) as they look today, in their order."""
    return await _on(app, rows, await app.today()) if rows else []


async def _on(app: App, rows: Sequence[Any], day: date) -> list[bytes | None]:
    tiers = (await app.rules()).tiers
    version = tiers.at(day).version
    others = [r["member_id"] for r in rows if r["rendered"] is not None and r["worded_by"] != version]
    anew = await in_words_of(app.pool, others, tiers, day) if others else {}
    return [anew.get(row["member_id"], row["rendered"]) for row in rows]


def _quoted(member_id: str) -> bytes:
    import msgspec

    return msgspec.json.encode(member_id)


async def insights(pool: "Pool", day: date) -> bytes:
    found: str = await pool.fetchval(_INSIGHTS, day, NEW_MEMBERS_DAYS)
    return found.encode()
