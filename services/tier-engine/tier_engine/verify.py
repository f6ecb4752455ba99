"""What must hold for every member, looked at from the stored rows; operators, the demo and the tests ask for it.

A member's row, what was told last and what falls due next are each compared with a life lived anew from the member's terms
and growth, so nothing that was stored is taken on trust. Members come in pages, each page one snapshot; requests of others
get their turn between two pages.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, Final

import msgspec
from tenure.calendar import DAY
from tenure.contracts.programme import Programme
from tenure.contracts.tier import Step

from tier_engine import store
from tier_engine.rules import Life, Member, live

PAGE_ROWS: Final = 250
"""So many members are judged before other requests get a turn (about ten milliseconds)."""

_PAGE: Final = """
SELECT m.member_id, m.state, m.tier, m.tier_since, m.lived_to, m.due_on, m.merged_into, told.timeline
FROM (SELECT * FROM members WHERE member_id > $1 AND state IS NOT NULL ORDER BY member_id LIMIT $2) m
LEFT JOIN LATERAL (SELECT change->'timeline' AS timeline FROM decisions d
                   WHERE d.member_id = m.member_id ORDER BY seq DESC LIMIT 1) told ON true
ORDER BY m.member_id"""
_DUE: Final = "SELECT NOT EXISTS (SELECT FROM members WHERE due_on <= (SELECT day FROM calendar))"
_steps: Final = msgspec.json.Decoder(tuple[Step, ...]).decode


class Stored(msgspec.Struct, frozen=True):
    """A member as stored, its columns, and the timeline that was told last (none: nothing ever was)."""

    member: Member
    columns: tuple[str | None, date | None, date | None, date | None, str | None]
    told: tuple[Step, ...]


async def verify(pool: Any, programme: Programme) -> dict[str, bool]:
    """Each sentence and whether it holds for everyone."""
    holds = dict.fromkeys(CHECKS, True)
    async for stored in _everyone(pool):
        member = stored.member
        life = live(member.terms, member.growth, programme.tiers)
        for name, check in CHECKS.items():
            holds[name] = holds[name] and check(stored, life)
    return {**holds, "nothing_due_is_left": bool(await pool.fetchval(_DUE))}


def timelines_recompute_alike(stored: Stored, life: Life) -> bool:
    """The timeline is what terms and growth imply up to the day lived to; an id that was merged away has none."""
    member = stored.member
    if member.merged_into is not None or member.lived_to is None:
        return member.timeline == ()
    return member.timeline == life.until(member.lived_to)


def next_changes_are_due(stored: Stored, life: Life) -> bool:
    """What comes by time alone stands in the calendar of due work; so do terms that wait to be handed over, and the first day that
    what is known from history alone lives.
    """
    member = stored.member
    if member.whose is not None or member.lived_to is None:
        return (member.due_on is not None) == member.has_its_turn
    return member.due_on == (member.lived_to + DAY if member.of_history else life.next_due(member.lived_to))


def newest_decisions_are_the_timelines(stored: Stored, life: Life) -> bool:  # noqa: ARG001 - the checks have one shape
    """Who was told of a tier was last told the timeline that is stored."""
    return stored.told == stored.member.timeline


def columns_say_the_state(stored: Stored, life: Life) -> bool:  # noqa: ARG001 - the checks have one shape
    """Those who look with SQL see what the state says."""
    m = stored.member
    last = m.timeline[-1] if m.timeline else None
    tier, since = (last.tier, last.effective) if last else (None, None)
    return stored.columns == (tier, since, m.lived_to, m.due_on, m.whose)


CHECKS: Final[Mapping[str, Callable[[Stored, Life], bool]]] = MappingProxyType(
    {
        "timelines_recompute_alike": timelines_recompute_alike,
        "next_changes_are_due": next_changes_are_due,
        "newest_decisions_are_the_timelines": newest_decisions_are_the_timelines,
        "columns_say_the_state": columns_say_the_state,
    }
)


async def _everyone(pool: Any) -> AsyncIterator[Stored]:
    after = ""
    while rows := await pool.fetch(_PAGE, after, PAGE_ROWS):
        for member_id, state, *columns, told in rows:
            yield Stored(store.unpack(state), tuple(columns), _steps(told) if told else ())
            after = member_id
        await asyncio.sleep(0)
