"""policy-sync's SQL: facts are only ever added; terms, claims and milestones are written as they come out of the fold.

The invariants: every state is read under its row's lock, policies before members and each in order; a batch costs a fixed
number of statements, however many policies it touches.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec
from asyncpg.connection import Connection
from tenure.contracts.topics import TYPE_OF, TYPES
from tenure.service import Saved

from policy_sync import control_store, gap_store, import_store, projection, ties
from policy_sync.rules.chains import Links
from policy_sync.rules.controls import ControlState, control_key, control_of
from policy_sync.rules.customers import MemberState, member_key, member_of
from policy_sync.rules.facts import Fact, fact
from policy_sync.rules.fold import fold, named_ids
from policy_sync.rules.imports import ImportState, import_key, import_of
from policy_sync.rules.milestones import Milestone
from policy_sync.rules.persons import WEB, Web
from policy_sync.rules.policies import PolicyState
from policy_sync.rules.recorded import (
    ContactForgotten,
    ContactKept,
    ControlTermsKept,
    Duplicate,
    GapDismissed,
    Recorded,
)

State = PolicyState | MemberState | Web | ImportState | ControlState

_decoders: Final[Mapping[str, msgspec.json.Decoder[Any]]] = MappingProxyType(
    {name: msgspec.json.Decoder(cls) for name, cls in TYPES.items()}
)
_COLUMNS: Final = (
    "policy_no, previous_policy_no, live_from, lived_to, due_on, heard_on, (SELECT day FROM calendar) AS calendar, "
    "links::text AS links, survivors::text AS survivors, reheld"
)
_NO_POLICY: Final[Mapping[str, Any]] = MappingProxyType(
    dict.fromkeys(("previous_policy_no", "live_from", "lived_to", "due_on", "heard_on", "calendar", "stale"))
    | {"links": "[]", "survivors": "{}", "reheld": 0}
)
# Read before what they are about: what a note says is out of date is then never older than what is read after it.
_NOTES: Final = """, (SELECT json_agg(json_build_array(s.id, s.merged_id, s.survivor_id) ORDER BY s.id)
   FROM stale s WHERE s.policy_no = policies.policy_no) AS stale"""

_encode: Final = msgspec.json.Encoder().encode


async def load(conn: Connection, keys: Sequence[str]) -> dict[str, State]:
    """The states of these keys, locked; one that is new begins empty."""
    imports = [i for k in keys if (i := import_of(k)) is not None]
    controls = [c for k in keys if (c := control_of(k)) is not None]
    policies = [k for k in _policies(keys) if import_of(k) is None and control_of(k) is None]
    members = [m for k in keys if (m := member_of(k)) is not None]
    rows = await _locked_policies(conn, policies)
    enrolled = await _locked_members(conn, members)
    states = await _states(conn, rows, enrolled, is_with_web=WEB in keys, is_locked=True)
    if imports:
        states |= {import_key(i): s for i, s in (await import_store.load(conn, imports)).items()}
    if controls:
        states |= {control_key(c): s for c, s in (await control_store.load(conn, controls)).items()}
    return states


def _policies(keys: Sequence[str]) -> list[str]:
    return [k for k in keys if k != WEB and member_of(k) is None]


async def peek(conn: Connection, keys: Sequence[str]) -> dict[str, State]:
    """The states of these policies and members as they are, for looking only: nothing is locked, nothing begun."""
    policies = _policies(keys)
    members = [m for k in keys if (m := member_of(k)) is not None]
    rows = await conn.fetch(f"SELECT {_COLUMNS}{_NOTES} FROM policies WHERE policy_no = ANY ($1::text[])", policies)
    enrolled = await conn.fetch(
        "SELECT member_id, enrolled_on FROM members WHERE member_id = ANY ($1::text[])", members
    )
    found: dict[str, Any] = {no: dict(_NO_POLICY) | {"policy_no": no} for no in policies} | {
        r["policy_no"]: r for r in rows
    }
    since = dict.fromkeys(members) | {r["member_id"]: r["enrolled_on"] for r in enrolled}
    return await _states(conn, found, since, is_with_web=WEB in keys)


async def _states(
    conn: Connection,
    rows: Mapping[str, Any],
    enrolled: Mapping[str, date | None],
    *,
    is_with_web: bool,
    is_locked: bool = False,
) -> dict[str, State]:
    facts = await facts_of(conn, [*rows, *map(member_key, enrolled)])
    told = await _told(conn, list(rows))
    named = {member for no in rows for member in named_ids(facts.get(no, ()))}
    known = await ties.of(conn, named | enrolled.keys(), is_locked=is_locked)
    handed = await ties.handed(conn, {no for row in rows.values() if (no := row["previous_policy_no"]) is not None})
    given_up = ties.given_up(known)
    states: dict[str, State] = {
        no: _policy(row, facts.get(no, ()), told.get(no, {}), known, handed, given_up) for no, row in rows.items()
    }
    around = await ties.around(conn, enrolled, known)
    web = Web(ties=around, said=await ties.said_of(conn, around) if enrolled else {})
    for member, since in enrolled.items():
        own, tied = facts.get(member_key(member), ()), known.get(member, ())
        one = MemberState(member_id=member, enrolled_on=since, facts=own, ties=tied)
        states[member_key(member)] = one.among(web)
    return states | {WEB: web} if is_with_web else states


async def save(conn: Connection, saved: Saved[State]) -> None:
    await _add_facts(conn, [r for r in saved.rows if isinstance(r, Recorded)])
    await _count_duplicates(conn, [r for r in saved.rows if isinstance(r, Duplicate)])
    await gap_store.keep(conn, [r for r in saved.rows if isinstance(r, GapDismissed)])
    await _keep_contacts(conn, saved.rows)
    after = [s for s in saved.after.values() if isinstance(s, PolicyState)]
    before = {no: s for no, s in saved.before.items() if isinstance(s, PolicyState)}
    if after:
        await projection.write(conn, before, after)
    await ties.note(conn, before, after, saved.rows)
    imports = [s for s in saved.after.values() if isinstance(s, ImportState)]
    if imports:
        await import_store.save(conn, imports, saved.rows)
    controls = [s for s in saved.after.values() if isinstance(s, ControlState)]
    if controls or any(isinstance(r, ControlTermsKept) for r in saved.rows):
        await control_store.save(conn, controls, saved.rows)
    await _enrol(conn, [s for s in saved.after.values() if isinstance(s, MemberState)])


async def due(conn: Connection, day: date, keys_max: int) -> list[str]:
    rows = await conn.fetch(
        """SELECT policy_no FROM policies
           WHERE due_on <= $1 OR policy_no IN (SELECT policy_no FROM stale ORDER BY id LIMIT $2)
           ORDER BY due_on, policy_no LIMIT $2 FOR UPDATE SKIP LOCKED""",
        day,
        keys_max,
    )
    return [row["policy_no"] for row in rows]


async def _locked_policies(conn: Connection, policies: list[str]) -> dict[str, Any]:
    if not policies:
        return {}
    await conn.execute("INSERT INTO policies (policy_no) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", policies)
    rows = await conn.fetch(
        f"""SELECT {_COLUMNS}{_NOTES} FROM policies
           WHERE policy_no = ANY ($1::text[]) ORDER BY policy_no FOR UPDATE""",
        policies,
    )
    return {row["policy_no"]: row for row in rows}


async def _locked_members(conn: Connection, members: list[str]) -> dict[str, date | None]:
    if not members:
        return {}
    await conn.execute("INSERT INTO members (member_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", members)
    rows = await conn.fetch(
        "SELECT member_id, enrolled_on FROM members WHERE member_id = ANY ($1::text[]) ORDER BY member_id FOR UPDATE",
        members,
    )
    return {row["member_id"]: row["enrolled_on"] for row in rows}


async def facts_of(conn: Connection, keys: Sequence[str], until: datetime | None = None) -> dict[str, tuple[Fact, ...]]:
    """All facts of these keys, in the order they were recorded; as known at an instant, if one is given."""
    rows = await conn.fetch(
        f"""SELECT key, type, source, id, time, backfill, data, coalesce(d.heard, 0)
            FROM facts LEFT JOIN (SELECT key, source, id, heard FROM dismissals {"WHERE at <= $2" if until else ""}) d
              USING (key, source, id)
            WHERE key = ANY ($1::text[]) {"AND recorded_at <= $2" if until else ""} ORDER BY key, seq""",
        keys,
        *((until,) if until else ()),
    )
    found: dict[str, list[Fact]] = {}
    for key, name, source, id_, time, backfill, data, dismissed in rows:
        known = fact(id_, source, time, backfill=backfill, data=data_of(name, data), dismissed_after=dismissed)
        found.setdefault(key, []).append(known)
    return {key: tuple(facts) for key, facts in found.items()}


async def facts_until(conn: Connection, policy_no: str, recorded: datetime) -> tuple[Fact, ...]:
    """The facts of a policy that had been heard by then."""
    return (await facts_of(conn, [policy_no], recorded)).get(policy_no, ())


def data_of(name: str, body: str | bytes | msgspec.Raw) -> Any:
    """The stored body of a fact of this type."""
    return _decoders[name].decode(body)


async def _told(conn: Connection, policies: list[str]) -> dict[str, dict[Milestone, bool]]:
    rows = await conn.fetch(
        "SELECT policy_no, day, kind, number, stands FROM milestones WHERE policy_no = ANY ($1::text[])", policies
    )
    told: dict[str, dict[Milestone, bool]] = {}
    for policy_no, day, kind, number, stands in rows:
        told.setdefault(policy_no, {})[Milestone(day, kind, number)] = stands
    return told


def _policy(
    row: Any,
    facts: tuple[Fact, ...],
    told: dict[Milestone, bool],
    known: Mapping[str, tuple[Fact, ...]],
    handed: Mapping[str, Links],
    given_up: frozenset[str],
) -> PolicyState:
    then = ties.then(row)
    now = ties.now(row, then, facts, known, handed)
    return PolicyState(
        policy_no=row["policy_no"],
        facts=facts,
        policy=fold(row["policy_no"], facts, ties=then),
        ties=then,
        news=None if now == then else now,
        stale=ties.notes(row),
        given_up=given_up,
        live_from=row["live_from"],
        lived_to=row["lived_to"],
        told=told,
        due_on=row["due_on"],
        heard_on=row["heard_on"],
        calendar=row["calendar"],
    )


async def _add_facts(conn: Connection, rows: list[Recorded]) -> None:
    if not rows:
        return
    await conn.copy_records_to_table(
        "facts",
        columns=("key", "type", "source", "id", "time", "effective", "backfill", "data"),
        records=[
            (r.key, TYPE_OF[type(f.data)], f.source, f.id, f.time, f.effective, f.backfill, _json(f.data))
            for r in rows
            for f in (r.fact,)
        ],
    )


def _json(data: Any) -> str:
    return _encode(data).decode()


async def _count_duplicates(conn: Connection, rows: list[Duplicate]) -> None:
    if not rows:
        return
    await conn.execute(
        """INSERT INTO duplicates (key, source, id, original_source, original_id)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])""",
        [r.key for r in rows],
        [r.fact.source for r in rows],
        [r.fact.id for r in rows],
        [r.original.source for r in rows],
        [r.original.id for r in rows],
    )


async def _keep_contacts(conn: Connection, rows: Sequence[Any]) -> None:
    """The last word in the batch counts: contact data kept, or forgotten."""
    last = {r.member_id: r for r in rows if isinstance(r, (ContactKept, ContactForgotten))}
    if not last:
        return
    kept = [r for r in last.values() if isinstance(r, ContactKept)]
    await conn.execute(
        "DELETE FROM contacts WHERE member_id = ANY ($1::text[])",
        [m for m, r in last.items() if isinstance(r, ContactForgotten)],
    )
    await conn.execute(
        """INSERT INTO contacts (member_id, sealed, key_id) SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[])
           ON CONFLICT (member_id) DO UPDATE
           SET sealed = excluded.sealed, key_id = excluded.key_id, kept_at = now()""",
        [r.member_id for r in kept],
        [r.sealed for r in kept],
        [r.key_id for r in kept],
    )


async def _enrol(conn: Connection, members: list[MemberState]) -> None:
    if not members:
        return
    await conn.execute(
        """UPDATE members SET enrolled_on = t.enrolled_on, household_id = t.household_id
           FROM unnest($1::text[], $2::date[], $3::text[]) AS t (member_id, enrolled_on, household_id)
           WHERE members.member_id = t.member_id""",
        [m.member_id for m in members],
        [m.enrolled_on for m in members],
        [m.household_id for m in members],
    )
