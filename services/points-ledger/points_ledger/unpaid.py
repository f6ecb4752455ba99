"""Activities that came to nothing: kept with the decision, read by whoever asks why, forgotten after a while.

The invariants: an activity has one row however often it is told, with the first reason there was; what earned after all, under
whichever number of the person, is not shown; a page reads no more than its rows, and the person's entries.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
from asyncpg.connection import Connection
from tenure.contracts.programme import Programme

from points_ledger import columns as c
from points_ledger import words
from points_ledger.rules.account import Reason
from points_ledger.rules.memory import Memory

UNPAID_KEPT_DAYS: Final = 92
"""How long it is known why something came to nothing, by the wall's clock."""
# In one order, so that two transactions that keep the same rows cannot wait for one another in a ring.
KEEP: Final = f"""
    INSERT INTO unpaid ({c.listed(c.UNPAID)}) SELECT * FROM {c.unnested(c.UNPAID)}
    ORDER BY member_id, day, kind, fact ON CONFLICT DO NOTHING"""
FORGET: Final = """
    WITH old AS (SELECT member_id, day, kind, fact FROM unpaid WHERE recorded_at < now() - make_interval(days => $1) LIMIT $2),
         gone AS (DELETE FROM unpaid u USING old o
                  WHERE (u.member_id, u.day, u.kind, u.fact) = (o.member_id, o.day, o.kind, o.fact) RETURNING 1)
    SELECT count(*) FROM gone"""
MEMORY: Final = "SELECT memory FROM accounts WHERE member_id = $1"
# Each number's newest come off its index; what the person's entries know to have earned is looked up once for all of them.
PAGE: Final = f"""
    SELECT u.* FROM unnest($1::text[]) AS n (member_id) CROSS JOIN LATERAL (
      SELECT {c.listed(c.UNPAID)}, recorded_at FROM unpaid
      WHERE member_id = n.member_id AND (day, kind, fact) <= ($3, $4, $5) AND (day, kind, fact, member_id) < ($3, $4, $5, $6)
        AND (kind, fact) NOT IN (
          SELECT rule, fact FROM lots WHERE member_id = ANY ($2) GROUP BY member_id, rule, wallet, fact
          HAVING sum(granted) > 0 AND NOT bool_or(revoked))
      ORDER BY day DESC, kind DESC, fact DESC LIMIT $7) u
    ORDER BY day DESC, kind DESC, fact DESC, member_id DESC LIMIT $7"""


class CameToNothing(msgspec.Struct, frozen=True):
    """An activity that earned nothing, and why.

    `limited_by` is what the `reason` is measured by: the limit ("1 a day"), after how many days it is too late, the value that
    counts, the days or the product lines a rule is for, since when an agent has left, the cap. `says_zh` and `says_en` say it in
    a sentence.
    """

    member_id: str
    on: date
    kind: str
    label_zh: str
    label_en: str
    activity_id: str
    reason: Reason
    limited_by: str
    rules_version: int
    recorded_at: datetime
    says_zh: str
    says_en: str


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a list goes on."""

    day: date
    kind: str
    fact: str
    member_id: str


BEGINNING: Final = Place(date.max, "", "", "")
_memory_of: Final = msgspec.msgpack.Decoder(Memory).decode


async def forget(conn: Connection, rows_max: int) -> int:
    """Retention: delete what is older than UNPAID_KEPT_DAYS, a bounded number. Returns rows."""
    return int(await conn.fetchval(FORGET, UNPAID_KEPT_DAYS, rows_max))


async def page(
    pool: Any, programme: Programme, member_id: str, after: Place, rows_max: int
) -> Sequence[tuple[CameToNothing, Place]]:
    """What came to nothing under a number and those merged into it, newest day first, each with where the list goes on after it."""
    memory = await _memory(pool, member_id)
    numbers = sorted({member_id, *_absorbed(memory)})
    owners = [*numbers, *await _became(pool, memory)]
    rows = await pool.fetch(PAGE, numbers, owners, *msgspec.structs.astuple(after), rows_max)
    return [(_shown(programme, row), Place(row["day"], row["kind"], row["fact"], row["member_id"])) for row in rows]


async def _memory(pool: Any, member_id: str) -> Memory:
    packed = await pool.fetchval(MEMORY, member_id)
    return _memory_of(packed) if packed else Memory()


def _absorbed(memory: Memory) -> Iterator[str]:
    """The numbers that were merged into one, and those that had been merged into them."""
    for number, one in memory.absorbed.items():
        yield number
        yield from _absorbed(one.memory)


async def _became(pool: Any, memory: Memory) -> list[str]:
    """Who a number given up is now: its entries are there."""
    became: list[str] = []
    while memory.merged_into and memory.merged_into not in became:
        became.append(memory.merged_into)
        memory = await _memory(pool, became[-1])
    return became


def _shown(programme: Programme, row: Any) -> CameToNothing:
    rule = programme.earning.at(row["day"]).find(row["kind"]) or programme.earning.newest.find(row["kind"])
    label = words.label_of(rule, row["kind"])
    said = words.of_nothing(row["day"], label, row["activity_id"], row["reason"], row["limited_by"])
    return CameToNothing(
        member_id=row["member_id"],
        on=row["day"],
        kind=row["kind"],
        label_zh=label.zh,
        label_en=label.en,
        activity_id=row["activity_id"],
        reason=row["reason"],
        limited_by=row["limited_by"],
        rules_version=row["rules_version"],
        recorded_at=row["recorded_at"],
        says_zh=said.zh,
        says_en=said.en,
    )
