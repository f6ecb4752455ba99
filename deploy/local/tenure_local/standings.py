"""What must hold between tier-engine, which judges, and those who go by what it tells: who is covered, and whose tier is
about to drop, is so everywhere.

Each sentence is pure and asked of the states alone, so that `tenure verify` asks PostgreSQL and the simulation its model for the
same. Whose cover counts is asked of tier-engine's own terms, by the rules of the day.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import date
from typing import Any, Final

import asyncpg
from benefits import store as grants
from benefits.rules.plan import in_force
from benefits.state import State
from member_view import store as views
from member_view.rules.render import now
from member_view.rules.view import View
from member_view.rules.words import worded
from tenure.contracts.programme import Programme
from tenure.rulebook.book import Rulebook
from tenure.spine.transact import NEWEST_DAY
from tier_engine import store as tiers
from tier_engine.rules import Member, live
from tier_engine.rules.days import eligible
from tier_engine.rules.timeline import shares_that_count

MEMBERS_AT_ONCE: Final = 500
_GRANTS: Final = "SELECT member_id, state FROM members WHERE member_id = ANY ($1::text[]) AND state <> ''"
_VIEWS: Final = "SELECT member_id, state FROM member_view WHERE member_id = ANY ($1::text[]) AND state <> ''"


async def standings_hold(connections: Mapping[str, asyncpg.Connection], files: Programme) -> dict[str, bool]:
    """Each sentence and whether it holds for everyone. `files`: the programme without what was published since."""
    programme = await Rulebook(files).newest(connections["tier-engine"])
    today = await connections["tier-engine"].fetchval(NEWEST_DAY)
    holds = dict.fromkeys(
        ("benefits_know_who_is_covered", "views_show_who_has_lapsed", "views_show_tiers_at_risk"), True
    )
    async for member, held, view in _everyone(connections):
        if not covered_alike(member, held, programme, today):
            holds["benefits_know_who_is_covered"] = False
        if not lapse_is_shown(member, view, programme):
            holds["views_show_who_has_lapsed"] = False
        if not risk_is_shown(member, view, programme, today):
            holds["views_show_tiers_at_risk"] = False
    return holds


def covered_alike(member: Member, held: State | None, programme: Programme, today: date | None) -> bool:
    """Whether benefits can be used on the newest day is whether the member has cover that counts for the tier."""
    if member.lived_to is None:
        return True
    day = max(member.lived_to, today or member.lived_to)
    covered = any(start <= day < end for start, end in _counted(member, programme, day))
    return covered == (held is not None and in_force(held, programme, day))


def lapse_is_shown(member: Member, view: View | None, programme: Programme) -> bool:
    """The row says lapsed if no cover that counts is left on its day, none bought for later either."""
    if view is None or view.erased or view.merged_into is not None:
        return view is not None or not member.timeline
    day = view.lived_to
    covered = any(end > day for _, end in _counted(member, programme, day))
    return now(worded(view, programme.tiers, day)).covered == covered


def risk_is_shown(member: Member, view: View | None, programme: Programme, today: date | None) -> bool:
    """The row says that the tier is about to drop, to what and when, if that is so on the newest day."""
    if view is None or view.erased or view.merged_into is not None or member.lived_to is None:
        return True
    day = max(member.lived_to, today or member.lived_to)
    risk = live(member.terms, member.growth, programme.tiers).risk_at(day)
    return (view.standing.drops_to, view.standing.drops_on) == ((risk.to_tier, risk.drops_on) if risk else (None, None))


def _counted(member: Member, programme: Programme, day: date) -> list[tuple[date, date]]:
    rules = programme.tiers.at(day)
    return [period for term in shares_that_count(member.terms) if eligible(term, rules) for period in term.covers]


async def _everyone(
    connections: Mapping[str, asyncpg.Connection],
) -> AsyncIterator[tuple[Member, State | None, View | None]]:
    """All members as tier-engine, benefits and member-view have them, but for ids that were merged away."""
    after = ""
    while members := await tiers.members(connections["tier-engine"], after, MEMBERS_AT_ONCE):
        ids = [member.member_id for member in members]
        held = await _states(connections["benefits"], _GRANTS, ids, grants.decode)
        seen = await _states(connections["member-view"], _VIEWS, ids, views.decode)
        for member in members:
            yield member, held.get(member.member_id), seen.get(member.member_id)
        after = ids[-1]


async def _states(conn: asyncpg.Connection, statement: str, ids: list[str], decode: Any) -> dict[str, Any]:
    return {row["member_id"]: decode(row["state"]) for row in await conn.fetch(statement, ids)}
