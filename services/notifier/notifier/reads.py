"""What the notifier's API shows, each in a single statement."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from msgspec import Struct
from tenure.contracts.programme import Programme
from tenure.contracts.programme.messages import Language

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
FIRST: Final = (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), "")
UNKNOWN_MAX: Final = 1_000

_PAGE: Final = """
SELECT message_id, template, purpose, title_zh, title_en, text_zh, text_en, language, sent_at, asked_at, read_at
FROM message WHERE member_id = $1 AND sent_at <= $2 AND (sent_at, asked_at, message_id) < ($2, $3, $4)
  AND (NOT $5 OR read_at IS NULL)
ORDER BY sent_at DESC, asked_at DESC, message_id DESC LIMIT $6
"""
_TOTALS: Final = """
SELECT json_build_object(
  'sent', (SELECT count(*) FROM message),
  'unread', (SELECT count(*) FROM message WHERE read_at IS NULL),
  'by_template', (SELECT coalesce(json_object_agg(template, n), '{}') FROM (SELECT template, count(*) n FROM message GROUP BY 1) t),
  'sms', (SELECT coalesce(json_object_agg(sms, n), '{}')
          FROM (SELECT sms, count(*) n FROM message WHERE sms <> 'none' GROUP BY 1) s),
  'suppressed', (SELECT coalesce(json_object_agg(reason, n), '{}') FROM (
      SELECT reason, count(*) n FROM suppression GROUP BY 1
      UNION ALL SELECT 'backfill', sum(backfilled)::bigint FROM member HAVING sum(backfilled) > 0) u),
  'waiting', (SELECT coalesce(sum(waiting), 0) FROM member WHERE send_at IS NOT NULL))::text
"""
_VERIFY: Final = """
WITH version AS (SELECT * FROM unnest($1::date[], $2::date[], $3::time[], $4::time[], $5::int[])
                   AS t (since, until, quiet_start, quiet_end, daily_max)),
     told AS (SELECT member_id, coalesce(handed_by[1], member_id) AS first_for, dedupe, capped,
                     backfill, asked_at, scheduled_for, sent_at,
                     (asked_at AT TIME ZONE 'Asia/Shanghai')::date AS asked_on,
                     (sent_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
                     (sent_at AT TIME ZONE 'Asia/Shanghai')::time AS at FROM message)
SELECT
  NOT EXISTS (SELECT 1 FROM told GROUP BY member_id, dedupe HAVING count(*) > 1) AS no_change_told_twice,
  NOT EXISTS (SELECT 1 FROM told JOIN version ON asked_on >= since AND asked_on < until
              WHERE CASE WHEN quiet_start < quiet_end THEN at >= quiet_start AND at < quiet_end
                         ELSE at >= quiet_start OR at < quiet_end END) AS none_in_quiet_hours,
  NOT EXISTS (SELECT 1 FROM told WHERE capped GROUP BY first_for, day
              HAVING count(*) > (SELECT max(daily_max) FROM version)) AS daily_cap_kept,
  NOT EXISTS (SELECT 1 FROM told WHERE backfill) AS none_from_backfill,
  NOT EXISTS (SELECT 1 FROM told WHERE sent_at < scheduled_for OR scheduled_for < asked_at) AS none_before_its_time,
  NOT EXISTS (SELECT 1 FROM told JOIN member USING (member_id) WHERE erased) AS none_to_the_erased
"""
_OPEN_SMS: Final = """
SELECT message_id, member_id, template, sms, sms_at, sms_reason AS reason FROM message
WHERE sms IN ('sending', 'unknown') ORDER BY sent_at LIMIT $1
"""


class Shown(Struct, frozen=True, kw_only=True):
    """A message as its reader sees it."""

    message_id: str
    template: str
    purpose: str
    title: str
    text: str
    sent_at: datetime
    unread: bool


def show(row: asyncpg.Record, language: Language | None) -> Shown:
    lang = language or row["language"]
    return Shown(
        message_id=row["message_id"],
        template=row["template"],
        purpose=row["purpose"],
        title=row[f"title_{lang}"],
        text=row[f"text_{lang}"],
        sent_at=row["sent_at"],
        unread=row["read_at"] is None,
    )


async def page(
    pool: "Pool", member_id: str, *, after: tuple[datetime, datetime, str] | None, unread: bool, rows_max: int
) -> list[asyncpg.Record]:
    """A member's messages, newest first, beginning after that (sent_at, asked_at, message_id)."""
    return await pool.fetch(_PAGE, member_id, *(after or FIRST), unread, rows_max)


async def totals(pool: "Pool") -> bytes:
    """Counts as JSON. `waiting` are messages that are decided and not yet told."""
    found: str = await pool.fetchval(_TOTALS)
    return found.encode()


async def verify(pool: Any, programme: Programme) -> dict[str, bool]:
    """Every promise of the notifier, checked against its tables: name to whether it holds."""
    versions = programme.messages.all
    ends = [*(v.effective for v in versions[1:]), date.max]
    starts = [date.min, *ends[:-1]]
    quiet = [v.quiet_start for v in versions], [v.quiet_end for v in versions]
    row = await pool.fetchrow(_VERIFY, starts, ends, *quiet, [v.daily_max for v in versions])
    assert row is not None
    return dict(row)


async def preferences(pool: "Pool", member_id: str) -> asyncpg.Record | None:
    return await pool.fetchrow("SELECT marketing, language, sms FROM member WHERE member_id = $1", member_id)


async def unsettled(pool: "Pool") -> list[dict[str, Any]]:
    """Text messages of which nobody knows whether they went out; they are not sent again."""
    return [dict(row) for row in await pool.fetch(_OPEN_SMS, UNKNOWN_MAX)]
