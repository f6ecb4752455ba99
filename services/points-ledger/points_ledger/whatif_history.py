"""What the app and the agent platform reported over REST, read back from the lots it earned: it never was in the log.

The invariant: read only. What earned nothing (beyond a limit, too late, refused) left no lot and is not known here; a measured
value is known to have reached its threshold, and no more.
"""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import date
from typing import Any, Final

from tenure.calendar import start_of
from tenure.contracts.activity import ActivityCompleted, AgentServiceRecorded, ReferralConverted
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme
from tenure.contracts.programme.earning import Rule
from tenure.contracts.topics import TYPE_OF

from points_ledger.whatif_known import NO_FACTS

SOURCE: Final = "/tenure/points-ledger/lots"
UNKNOWN: Final = "referee-of-"
MEMBERS_AT_ONCE: Final = 1_000
MEMBERS: Final = "SELECT member_id FROM accounts WHERE member_id > $1 ORDER BY member_id LIMIT $2"
# A top-up repeats the first lot of its fact; a fact that was taken back did not hold.
REPORTED: Final = """
    SELECT member_id, rule, fact, earned_on, activates_on, status FROM (
      SELECT DISTINCT ON (member_id, rule, fact) member_id, rule, fact, earned_on, activates_on, status, revoked
      FROM lots WHERE member_id = ANY ($1) AND source_type IN ('RecordActivity', 'ReferralConverted')
        AND wallet <> 'growth' AND base > 0
      ORDER BY member_id, rule, fact, lot_no) first
    WHERE NOT revoked ORDER BY earned_on, member_id"""
# As `whatif_known.earnings` counts them.
EARNED: Final = """
    SELECT earned_on, count(*) FROM (
      SELECT min(earned_on) AS earned_on FROM lots
      WHERE member_id = ANY ($1) AND wallet <> 'growth' AND granted > 0 AND NOT revoked AND rule <> ALL ($2)
      GROUP BY member_id, rule, fact) facts
    GROUP BY 1"""


async def earned(pool: Any) -> Counter[date]:
    """How many facts earned, by their day, from wherever they were heard: what the log no longer tells of stands here, too."""
    found = Counter[date]()
    async for members in _members(pool):
        found.update({row[0]: row[1] for row in await pool.fetch(EARNED, members, sorted(NO_FACTS))})
    return found


async def reported(pool: Any, programme: Programme) -> AsyncIterator[list[Event]]:
    """The reports that earned, some members' at a time, by date."""
    async for members in _members(pool):
        rows = await pool.fetch(REPORTED, members)
        yield [event for row in rows if (event := event_of(row, programme)) is not None]


async def _members(pool: Any) -> AsyncIterator[list[str]]:
    last = ""
    while members := [row[0] for row in await pool.fetch(MEMBERS, last, MEMBERS_AT_ONCE)]:
        last = members[-1]
        yield members


def event_of(row: Any, programme: Programme) -> Event | None:
    """The report that a lot tells of; None for what is derived from others (streaks) or is not under any rule now."""
    rule = programme.earning.at(row["earned_on"]).find(row["rule"])
    data = None if rule is None else _data(row, rule)
    if data is None:
        return None
    key = row["member_id"]
    name = f"{key}/{row['rule']}/{row['fact']}"
    return Event(id=name, source=SOURCE, type=TYPE_OF[type(data)], key=key, time=start_of(row["earned_on"]), data=data)


def _data(row: Any, rule: Rule) -> Data | None:
    owner, fact, on = row["member_id"], row["fact"], row["earned_on"]
    match rule.trigger:
        case "activity.completed":
            line = next(iter(sorted(rule.product_lines)), None) if rule.product_lines else None
            return ActivityCompleted(
                member_id=owner, activity_id=fact, kind=rule.code, on=on, value=rule.value_min or 0,  # type: ignore[arg-type]
                session_id=fact if rule.per_session else None, product_line=line,
            )  # fmt: skip
        case "agent_service.recorded":
            rank = row["status"] or "agent"
            return AgentServiceRecorded(agent_id=owner, activity_id=fact, kind=rule.code, on=on, rank=rank)  # type: ignore[arg-type]
        case "referral.converted":
            return ReferralConverted(
                member_id=owner, referee_id=UNKNOWN + fact, policy_no=fact, on=on, cooling_off_end=row["activates_on"]
            )
    return None
