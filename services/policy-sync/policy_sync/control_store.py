"""Control files in the database: the core's terms of one day beside ours, and what of them differs."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec
from asyncpg.connection import Connection

from policy_sync.rules.controls import ControlState, ControlTerm, Difference, Kind
from policy_sync.rules.corrections import SOURCE, own_facts
from policy_sync.rules.recorded import ControlTermsKept, DifferenceFound, DifferencesSettled

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
_encode: Final = msgspec.json.Encoder().encode
_term: Final = msgspec.json.Decoder(ControlTerm | None)
_COLUMNS: Final = 'policy_no, term_no, member_id, product_line, start, "end", premium_fen'
_OURS: Final = """
SELECT t.policy_no, t.term_no, p.member_id, p.product_line, t.start, t."end", t.premium_fen
FROM terms t JOIN policies p USING (policy_no) WHERE t.covers @> $2::date
"""
# Both sides' terms in force on the day, one beside the other; ours with whoever has the policy in the end.
_BESIDE: Final = f"""
WITH theirs AS (SELECT {_COLUMNS} FROM control_terms WHERE control_id = $1), ours AS ({_OURS})
SELECT policy_no, term_no, to_json(ours.*) AS ours, to_json(theirs.*) AS theirs
FROM theirs FULL JOIN ours USING (policy_no, term_no)
WHERE theirs IS DISTINCT FROM ours ORDER BY policy_no, term_no LIMIT $3
"""


class LineCount(msgspec.Struct, frozen=True):
    """One product line in force on a day."""

    product_line: str
    policies: int
    terms: int
    premium_fen: int


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """A product line as the core counts it and as we do; null where one side has none."""

    product_line: str
    agrees: bool
    ours: LineCount | None
    theirs: LineCount | None


class ControlView(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison: `lines` now against the file's; `differences` kept, and how many of them are still open.

    `has_more`: it differs in more than is kept, so it does not agree whatever is settled; nor does what was not compared yet.
    """

    control_id: str
    on: date
    opened_by: str
    opened_at: datetime
    is_compared: bool
    agrees: bool
    lines: Sequence[LineView]
    differences: int
    open: int
    has_more: bool


class DifferenceView(msgspec.Struct, frozen=True, kw_only=True):
    n: int
    policy_no: str
    term_no: int
    kind: Kind
    ours: ControlTerm | None
    theirs: ControlTerm | None
    settled: str | None
    settled_by: str | None
    settled_why: str | None


async def load(conn: Connection, ids: Sequence[str]) -> dict[str, ControlState]:
    """The control files of these ids, locked; one that is new begins empty."""
    rows = await conn.fetch(
        """SELECT *, lines::text AS lines_text FROM controls WHERE control_id = ANY ($1::text[])
           ORDER BY control_id FOR UPDATE""",
        list(ids),
    )
    found = {id_: ControlState(id=id_) for id_ in ids}
    for row in rows:
        found[row["control_id"]] = ControlState(
            id=row["control_id"],
            on=row["on"],
            lines=row["lines_text"],
            opened_by=row["opened_by"],
            opened_at=row["opened_at"],
            is_compared=row["is_compared"],
            has_more=row["has_more"],
            open=await _open(conn, row["control_id"]),
        )
    return found


async def _open(conn: Connection, control_id: str) -> dict[str, tuple[Kind, ...]]:
    rows = await conn.fetch(
        """SELECT policy_no, array_agg(kind ORDER BY n) AS kinds FROM differences
           WHERE control_id = $1 AND settled IS NULL GROUP BY 1""",
        control_id,
    )
    return {row["policy_no"]: tuple(row["kinds"]) for row in rows}


async def save(conn: Connection, states: Sequence[ControlState], rows: Sequence[Any]) -> None:
    await conn.executemany(
        """INSERT INTO controls (control_id, "on", lines, opened_by, opened_at, is_compared, has_more)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (control_id) DO UPDATE SET is_compared = excluded.is_compared, has_more = excluded.has_more""",
        [(s.id, s.on, s.lines, s.opened_by, s.opened_at, s.is_compared, s.has_more) for s in states if s.opened_at],
    )
    for kept in rows:
        if isinstance(kept, ControlTermsKept):
            await _keep(conn, kept)
        elif isinstance(kept, DifferencesSettled):
            await conn.execute(
                """UPDATE differences SET settled = $3, settled_by = $4, settled_why = nullif($5, ''), settled_at = now()
                   WHERE control_id = $1 AND policy_no = ANY ($2::text[]) AND settled IS NULL""",
                kept.control_id,
                list(kept.policy_nos),
                kept.how,
                kept.by,
                kept.why,
            )
    await conn.executemany(
        "INSERT INTO differences (control_id, policy_no, term_no, kind, ours, theirs) VALUES ($1, $2, $3, $4, $5, $6)",
        [
            (r.control_id, d.policy_no, d.term_no, d.kind, _json(d.ours), _json(d.theirs))
            for r in rows
            if isinstance(r, DifferenceFound) and isinstance(d := r.difference, Difference)
        ],
    )
    compared = [s.id for s in states if s.is_compared]
    await conn.execute("DELETE FROM control_terms WHERE control_id = ANY ($1::text[])", compared)


async def _keep(conn: Connection, kept: ControlTermsKept) -> None:
    await conn.executemany(
        f"""INSERT INTO control_terms (control_id, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (control_id, policy_no, term_no) DO UPDATE
            SET member_id = excluded.member_id, product_line = excluded.product_line, start = excluded.start,
                "end" = excluded."end", premium_fen = excluded.premium_fen""",
        [
            (kept.control_id, t.policy_no, t.term_no, t.member_id, t.product_line, t.start, t.end, t.premium_fen)
            for t in kept.terms
        ],
    )


def _json(term: ControlTerm | None) -> str | None:
    return None if term is None else _encode(term).decode()


async def beside(
    pool: Pool, control_id: str, on: date, rows_max: int
) -> list[tuple[ControlTerm | None, ControlTerm | None]]:
    """Where a snapshot differs from the tables: our term beside theirs, by policy number."""
    rows = await pool.fetch(_BESIDE, control_id, on, rows_max)
    return [(_term.decode(row["ours"] or "null"), _term.decode(row["theirs"] or "null")) for row in rows]


async def has_snapshot(pool: Pool, control_id: str) -> bool:
    return bool(await pool.fetchval("SELECT EXISTS (SELECT FROM control_terms WHERE control_id = $1)", control_id))


async def view(pool: Pool, control_id: str) -> ControlView | None:
    row = await pool.fetchrow(
        """SELECT c.control_id, c."on", c.opened_by, c.opened_at, c.is_compared, c.has_more, c.lines::text AS lines,
                  (SELECT count(*) FROM differences d WHERE d.control_id = c.control_id) AS differences,
                  (SELECT count(*) FROM differences d WHERE d.control_id = c.control_id AND settled IS NULL) AS open
           FROM controls c WHERE control_id = $1""",
        control_id,
    )
    if row is None:
        return None
    theirs = {line.product_line: line for line in msgspec.json.decode(row["lines"], type=list[LineCount])}
    ours = {line.product_line: line for line in await _lines(pool, row["on"])} if theirs else {}
    lines = [
        LineView(
            product_line=name, agrees=ours.get(name) == theirs.get(name), ours=ours.get(name), theirs=theirs.get(name)
        )
        for name in sorted(ours | theirs)
    ]
    agrees = row["is_compared"] and all(line.agrees for line in lines) and not row["open"] and not row["has_more"]
    known = {k: v for k, v in row.items() if k != "lines"}
    return ControlView(**known, lines=lines, agrees=agrees)


async def _lines(pool: Pool, on: date) -> list[LineCount]:
    rows = await pool.fetch(
        """SELECT p.product_line, count(DISTINCT policy_no) AS policies, count(*) AS terms,
                  sum(t.premium_fen)::bigint AS premium_fen
           FROM terms t JOIN policies p USING (policy_no) WHERE t.covers @> $1::date GROUP BY 1 ORDER BY 1""",
        on,
    )
    return [LineCount(*row.values()) for row in rows]


async def found(
    pool: Pool, control_id: str, *, policy_nos: Sequence[str] | None, is_open: bool, after: int, rows_max: int
) -> list[DifferenceView]:
    """Differences in order; of some policies only, if named."""
    rows = await pool.fetch(
        """SELECT n, policy_no, term_no, kind, ours::text AS ours, theirs::text AS theirs, settled, settled_by, settled_why
           FROM differences
           WHERE control_id = $1 AND n > $2 AND ($3::text[] IS NULL OR policy_no = ANY ($3))
             AND (NOT $4 OR settled IS NULL) ORDER BY n LIMIT $5""",
        control_id,
        after,
        policy_nos,
        is_open,
        rows_max,
    )
    return [_difference(row) for row in rows]


def _difference(row: Any) -> DifferenceView:
    ours, theirs = _term.decode(row["ours"] or "null"), _term.decode(row["theirs"] or "null")
    return DifferenceView(**dict(row.items()) | {"ours": ours, "theirs": theirs})


async def in_force(pool: Pool, policy_nos: Sequence[str], on: date) -> list[ControlTerm]:
    """The terms of these policies that are in force here on a day."""
    rows = await pool.fetch(_OURS + " AND t.policy_no = ANY ($1::text[])", list(policy_nos), on)
    return [ControlTerm(*row.values()) for row in rows]


async def known_terms(pool: Pool, policy_nos: Sequence[str]) -> set[tuple[str, int]]:
    """Every term of these policies that was heard of here, in force or not."""
    rows = await pool.fetch("SELECT policy_no, term_no FROM terms WHERE policy_no = ANY ($1::text[])", list(policy_nos))
    return {(row["policy_no"], row["term_no"]) for row in rows}


async def heard(pool: Pool, control_id: str, policy_nos: Sequence[str]) -> dict[str, int]:
    """How many facts of these policies are known but for what this control file's differences came to."""
    rows = await pool.fetch(
        """SELECT key, count(*) FROM facts
           WHERE key = ANY ($1::text[]) AND NOT (source = $2 AND starts_with(id, $3)) GROUP BY key""",
        list(policy_nos),
        SOURCE,
        own_facts(control_id),
    )
    return {row["key"]: row["count"] for row in rows}
