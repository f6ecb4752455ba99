"""Numbers that were given up: by the core's mergers and their undoing, and by what each service keeps under them.

The invariant: whatever the order in which a merger was heard, nothing is left under a number that is another's now, and each
service that knows whose it is knows the same person as policy-sync, whose ties are in the core's own order.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from benefits.store import decode as entitled
from member_view.store import decode as shown
from notifier.rules.member import Book
from points_ledger.rules.account import BALANCES
from points_ledger.rules.memory import Memory
from policy_sync import ties
from policy_sync.rules.mergers import survivor
from tier_engine.store import unpack as judged

NUMBERS_AT_ONCE: Final = 100
CHAIN_MAX: Final = 16
Connections = Mapping[str, asyncpg.Connection]
_memory: Final = msgspec.msgpack.Decoder(Memory).decode
_book: Final = msgspec.msgpack.Decoder(Book).decode
_GIVEN_UP: Final = "SELECT DISTINCT merged_id FROM mergers WHERE merged_id > $1 ORDER BY merged_id LIMIT $2"
_POINTS: Final = f"SELECT member_id FROM accounts WHERE member_id = ANY ($1::text[]) AND ({' + '.join(BALANCES)}) <> 0"
_HOLDS: Final = "SELECT member_id FROM holds WHERE member_id = ANY ($1::text[]) AND state = 'held'"
_CLAIMS: Final = "SELECT member_id FROM claims WHERE member_id = ANY ($1::text[])"
_VISITS: Final = "SELECT member_id FROM appointments WHERE member_id = ANY ($1::text[])"
_MESSAGES: Final = """
SELECT m.member_id FROM unnest($1::text[], $2::text[]) AS t (number, person) JOIN message m ON m.member_id = t.number
WHERE NOT EXISTS (SELECT FROM message o WHERE o.member_id = t.person AND o.dedupe = m.dedupe)
"""
_WAITING: Final = "SELECT member_id FROM member WHERE member_id = ANY ($1::text[]) AND waiting > 0"
_PAGES: Final = "SELECT member_id FROM member_view WHERE member_id = ANY ($1::text[]) AND rendered IS NOT NULL"
_WHAT: Final = {
    _POINTS: "points",
    _HOLDS: "holds",
    _CLAIMS: "claims",
    _VISITS: "visits",
    _WAITING: "messages that wait",
    _PAGES: "a page",
}
_LEFT: Final[Sequence[tuple[str, str]]] = (
    *(("points-ledger", sql) for sql in (_POINTS, _HOLDS)),
    *(("benefits", sql) for sql in (_CLAIMS, _VISITS)),
    ("notifier", _WAITING),
    ("member-view", _PAGES),
)
_MEMBERS: Final = "SELECT member_id, state FROM members WHERE member_id = ANY ($1::text[]) AND length(state) > 0"
_VIEWS: Final = "SELECT member_id, state FROM member_view WHERE member_id = ANY ($1::text[]) AND state <> ''"
_SHOPPERS: Final = "SELECT member_id, merged_into FROM members WHERE member_id = ANY ($1::text[])"
_ADDRESSED: Final = (
    "SELECT member_id, book FROM member WHERE member_id = ANY ($1::text[]) AND book <> '' AND NOT erased"
)
_ACCOUNTS: Final = "SELECT member_id, memory FROM accounts WHERE member_id = ANY ($1::text[])"


async def hold(connections: Connections) -> dict[str, bool]:
    """Each sentence and whether it holds for every number that is another's now."""
    holds = {"numbers_given_up_hold_nothing": True, "numbers_given_up_lead_to_their_person": True}
    async for persons in _given_up(connections["policy-sync"]):
        if [kept async for kept in left_under(connections, persons)]:
            holds["numbers_given_up_hold_nothing"] = False
        if [other async for other in astray(connections, persons)]:
            holds["numbers_given_up_lead_to_their_person"] = False
    return holds


async def left_under(connections: Connections, persons: Mapping[str, str]) -> AsyncIterator[str]:
    """What a service still keeps under these. A message that the person had been told, too, stays where it was told."""
    numbers = list(persons)
    for row in await connections["notifier"].fetch(_MESSAGES, numbers, list(persons.values())):
        yield f"{row['member_id']}: notifier keeps messages"
    for service, sql in _LEFT:
        for row in await connections[service].fetch(sql, numbers):
            yield f"{row['member_id']}: {service} keeps {_WHAT[sql]}"
    for number, state in (await _states(connections["benefits"], _MEMBERS, numbers, entitled)).items():
        if state.uses or state.claims or state.reports:
            yield f"{number}: benefits keeps uses, claims or reports"


async def astray(connections: Connections, persons: Mapping[str, str]) -> AsyncIterator[str]:
    """Numbers that a service takes for another's than policy-sync does, or for nobody else's."""
    readers = (
        ("tier-engine", _MEMBERS, lambda raw: judged(raw).merged_into),
        ("points-ledger", _ACCOUNTS, lambda raw: _memory(raw).merged_into if raw else ""),
        ("benefits", _MEMBERS, lambda raw: entitled(raw).merged_into),
        ("member-view", _VIEWS, _shown_as),
        ("notifier", _ADDRESSED, lambda raw: _book(raw).merged_into),
        ("mall", _SHOPPERS, lambda raw: raw),
    )
    for service, sql, read in readers:
        known = await _followed(connections[service], sql, read, list(persons))
        for number in persons.keys() & known.keys():
            if _end_of(number, known) != persons[number]:
                yield f"{number}: {service} takes it for {_end_of(number, known)}'s, not {persons[number]}'s"


async def _followed(conn: asyncpg.Connection, sql: str, read: Any, numbers: list[str]) -> dict[str, str | None]:
    """Whom each of these is merged into, and whom those are, as far as it goes on."""
    known: dict[str, str | None] = {}
    for _ in range(CHAIN_MAX):
        found = await _states(conn, sql, numbers, read)
        known |= found
        numbers = sorted({number for number in found.values() if number} - known.keys())
        if not numbers:
            break
    return known


def _shown_as(raw: bytes) -> Any:
    """A page that was erased does not say whose its number was."""
    view = shown(raw)
    return msgspec.UNSET if view.erased else view.merged_into


def _end_of(number: str, known: Mapping[str, str | None]) -> str:
    return next(reversed(list(_way(number, known))))


def _way(number: str, known: Mapping[str, str | None]) -> Iterator[str]:
    seen = set[str]()
    here: str | None = number
    while here and here not in seen:
        seen.add(here)
        yield here
        here = known.get(here)


async def _given_up(conn: asyncpg.Connection) -> AsyncIterator[dict[str, str]]:
    """Numbers that are another's now, each with whose."""
    after = ""
    while rows := await conn.fetch(_GIVEN_UP, after, NUMBERS_AT_ONCE):
        numbers = [row["merged_id"] for row in rows]
        known = await ties.of(conn, numbers, is_locked=False)
        persons = {number: survivor(number, known) for number in numbers}
        yield {number: person for number, person in persons.items() if person != number}
        after = numbers[-1]


async def _states(conn: asyncpg.Connection, sql: str, numbers: list[str], read: Any) -> dict[str, Any]:
    found = {row[0]: read(row[1]) for row in await conn.fetch(sql, numbers)}
    return {number: state for number, state in found.items() if state is not msgspec.UNSET}
