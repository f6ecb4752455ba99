"""What a policy takes from elsewhere, in the database: the policy it continues, and whose its holders' numbers are now.

The invariant: whoever changes either leaves a note (`stale`) for every policy it concerns, in the same transaction; a note goes
when the policy was decided upon by what was read with it or after it, so no change is lost between two transactions.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec
from asyncpg.connection import Connection
from msgspec.structs import replace
from tenure.calendar import Period
from tenure.contracts import core
from tenure.contracts.topics import TYPE_OF

from policy_sync.rules.chains import Link, Links, received
from policy_sync.rules.customers import member_key, member_of
from policy_sync.rules.facts import Fact, fact
from policy_sync.rules.fold import Ties, named_ids
from policy_sync.rules.mergers import Tie, survivor
from policy_sync.rules.policies import PolicyState, handed_on
from policy_sync.rules.recorded import Recorded, Reheld
from policy_sync.rules.reheld import Note

CHAIN_MAX: Final = 16
_TYPES: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        cls.__name__: cls
        for cls in (core.CustomerMerged, core.CustomerUnmerged, core.CustomerErased, core.ConsentChanged)
    }
)
_notes: Final = msgspec.json.Decoder(tuple[Note, ...]).decode
_OF: Final = """
SELECT merged_id, type, source, id, time, backfill, data::text FROM mergers
WHERE merged_id = ANY ($1::text[]) AND ($2::timestamptz IS NULL OR recorded_at <= $2) ORDER BY seq
"""
_TIED: Final = """
INSERT INTO mergers (merged_id, survivor_id, type, source, id, time, backfill, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_HOLD: Final = "SELECT FROM members WHERE member_id = ANY ($1::text[]) ORDER BY member_id FOR SHARE"
# Every number that is, or ever was, merged into this one, however far down.
_REHELD: Final = """
WITH RECURSIVE merged (id) AS (
  SELECT $1::text
  UNION SELECT g.merged_id FROM merged m JOIN mergers g ON g.survivor_id = m.id)
INSERT INTO stale (policy_no, merged_id, survivor_id)
SELECT policy_no, $1, $2 FROM policies WHERE member_ids && (SELECT array_agg(id) FROM merged) ORDER BY policy_no
"""
_BELOW: Final = """
WITH RECURSIVE merged (id) AS (
  SELECT unnest($1::text[])
  UNION SELECT g.merged_id FROM merged m JOIN mergers g ON g.survivor_id = m.id)
SELECT id FROM merged
"""
_SAID: Final = """
SELECT key, type, source, id, time, backfill, data::text FROM facts
WHERE key = ANY ($1::text[]) AND type IN ('CustomerErased', 'ConsentChanged') ORDER BY seq
"""
_CONTINUED: Final = """
INSERT INTO stale (policy_no)
SELECT policy_no FROM policies WHERE previous_policy_no = ANY ($1::text[]) ORDER BY policy_no
"""
_HANDED: Final = """
SELECT p.policy_no, p.live_from, p.links::text,
  (SELECT json_agg(json_build_array(lower(c), upper(c)) ORDER BY c)::text
   FROM (SELECT unnest(range_agg(t.covers)) AS c FROM terms t WHERE t.policy_no = p.policy_no) AS periods),
  (SELECT json_agg(json_build_array(c.claim_no, c.loss_date) ORDER BY c.claim_no COLLATE "C")::text
   FROM claims c WHERE c.policy_no = p.policy_no AND c.counts)
FROM policies p WHERE p.policy_no = ANY ($1::text[]) AND p.inception IS NOT NULL
"""
_links: Final = msgspec.json.Decoder(Links).decode
_read_covers: Final = msgspec.json.Decoder(tuple[Period, ...]).decode
_read_losses: Final = msgspec.json.Decoder(tuple[tuple[str, date], ...]).decode


async def of(
    conn: Connection, members: Collection[str], *, is_locked: bool, until: datetime | None = None
) -> dict[str, tuple[Fact, ...]]:
    """Mergers and undoings by the number that was given up, as far as they lead on from these members.

    A chain that is followed is held still until the end of the transaction, if it is `is_locked`. `until`: as known then.
    """
    found: dict[str, tuple[Fact, ...]] = {}
    asked, new = set[str](), set(members)
    for _ in range(CHAIN_MAX):
        if not new:
            break
        asked |= new
        rows = await conn.fetch(_OF, sorted(new), until)
        if rows and is_locked:
            await conn.fetch(_HOLD, sorted({r["merged_id"] for r in rows} | _kept(_read(rows))))
            rows = await conn.fetch(_OF, sorted(new), until)
        known = _read(rows)
        found |= known
        new = _kept(known) - asked
    return found


async def around(
    conn: Connection, members: Collection[str], known: Mapping[str, tuple[Fact, ...]]
) -> dict[str, tuple[Fact, ...]]:
    """The ties of every number that leads to the same persons as these members. `known`: those that lead on from the members."""
    persons = {survivor(member, known) for member in members}
    tied = [row["id"] for row in await conn.fetch(_BELOW, sorted(persons))] if persons else []
    return {**known, **await of(conn, set(tied) - known.keys() - persons, is_locked=False)}


async def said_of(conn: Connection, known: Mapping[str, Sequence[Fact]]) -> dict[str, tuple[Fact, ...]]:
    """What was said of erasure and consent under the numbers that are tied to another."""
    keys = [member_key(n) for n in {*known, *_kept(known)}]
    said = _read(await conn.fetch(_SAID, keys)) if keys else {}
    return {str(member_of(key)): facts for key, facts in said.items()}


def _read(rows: Sequence[Any]) -> dict[str, tuple[Fact, ...]]:
    known: dict[str, list[Fact]] = {}
    for key, name, source, id_, time, backfill, data in rows:
        body = msgspec.json.decode(data, type=_TYPES[name])
        known.setdefault(key, []).append(fact(id_, source, time, backfill=backfill, data=body))
    return {key: tuple(facts) for key, facts in known.items()}


def _kept(known: Mapping[str, Sequence[Fact]]) -> set[str]:
    return {f.data.member_id for facts in known.values() for f in facts}


def given_up(known: Mapping[str, Sequence[Fact]]) -> frozenset[str]:
    """Those of the numbers that are others' now."""
    return frozenset(number for number in known if survivor(number, known) != number)


def notes(row: Any) -> tuple[Note, ...]:
    """Why a policy is to be looked at again."""
    return _notes(row["stale"]) if row["stale"] else ()


def then(row: Any) -> Ties:
    """The ties by which a policy's row was last told."""
    return Ties(_links(row["links"]), msgspec.json.decode(row["survivors"]), row["reheld"])


async def handed(conn: Connection, policies: Collection[str]) -> dict[str, Links]:
    """What the policies that continue these take of them, by policy. To be asked after the notes about it were read."""
    rows = await conn.fetch(_HANDED, sorted(policies)) if policies else []
    return {
        no: (Link(no, _read_covers(covers or "[]"), _read_losses(losses or "[]"), live_from), *_links(links))
        for no, live_from, links, covers, losses in rows
    }


def now(
    row: Any, then: Ties, facts: Sequence[Fact], known: Mapping[str, Sequence[Fact]], handed: Mapping[str, Links]
) -> Ties:
    """The ties as they are."""
    persons = {member: survivor(member, known) for member in named_ids(facts)} if known else {}
    survivors = {member: person for member, person in persons.items() if person != member}
    links = handed.get(row["previous_policy_no"])
    taken = then.links if links is None else received(row["policy_no"], links)
    return replace(then, links=taken, survivors=survivors)


async def note(
    conn: Connection, before: Mapping[str, PolicyState], after: Sequence[PolicyState], rows: Sequence[Any]
) -> None:
    """Note whom a changed policy that they continue, or a merger, concerns, when the notes that these states answer are gone."""
    if answered := [id_ for state in after for id_ in state.answered]:
        await conn.execute("DELETE FROM stale WHERE id = ANY ($1::bigint[])", answered)
    moved = [s.policy_no for s in after if handed_on(s) != handed_on(before[s.policy_no])]
    if moved:
        await conn.execute(_CONTINUED, moved)
    if tied := [r.fact for r in rows if isinstance(r, Recorded) and isinstance(r.fact.data, Tie)]:
        await conn.executemany(_TIED, [_row(f) for f in tied])
    if reheld := [r for r in rows if isinstance(r, Reheld)]:
        await conn.executemany(_REHELD, reheld)


def _row(tie: Fact) -> tuple[Any, ...]:
    data = tie.data
    body = msgspec.json.encode(data).decode()
    return data.merged_id, data.member_id, TYPE_OF[type(data)], tie.source, tie.id, tie.time, tie.backfill, body
