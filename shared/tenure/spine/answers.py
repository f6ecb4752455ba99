"""What a caller was answered under an Idempotency-Key: asked again with the same body, the same answer comes.

The invariants: an answer commits with the effect it tells of. A refusal that will pass is not kept: the same request may be
answered otherwise tomorrow. What takes several transactions claims its key before them (`claim`), so no other body comes between.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg
import msgspec
from asyncpg.connection import Connection

from tenure.contracts.event import WrongEventError
from tenure.spine import parking
from tenure.spine.item import Idempotency, OtherBodyError, Outcome

_json: Final = msgspec.json.Encoder()
ANSWERED: Final = """
SELECT i.* FROM idempotency i JOIN unnest($1::text[], $2::text[]) AS t (caller, key) USING (caller, key)
"""
ANSWER: Final = """
INSERT INTO idempotency (caller, key, fingerprint, ok, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bool[], $5::bytea[])
"""
CLAIM: Final = """
INSERT INTO idempotency (caller, key, fingerprint, ok, body) VALUES ($1, $2, $3, true, '') ON CONFLICT DO NOTHING
"""
END: Final = (
    "UPDATE idempotency SET body = $3, answered_at = now() WHERE caller = $1 AND key = $2 AND body = '' RETURNING 1"
)
TURNED_AWAY: Final = frozenset({parking.BEHIND, "rule_failed", "data_refused"})


async def given_before(conn: Connection, asked: Sequence[tuple[str, str]]) -> list[asyncpg.Record]:
    """The answers of those `(caller, key)` that have one."""
    return await conn.fetch(ANSWERED, [caller for caller, _ in asked], [key for _, key in asked])


async def claim(conn: Connection, asked: Idempotency) -> None:
    """Claim a key without an answer, unless it is known; waits for whoever is just writing it."""
    await conn.execute(CLAIM, asked.caller, asked.key, asked.fingerprint)


async def end(conn: Connection, asked: Idempotency, body: bytes) -> None:
    """Keep an answer, also to what was only claimed. Raises UniqueViolationError when somebody was quicker."""
    if await conn.fetchval(END, asked.caller, asked.key, body) is None:
        await keep(conn, [(asked, Outcome(body=body))])


def is_claimed(row: asyncpg.Record, asked: Idempotency) -> bool:
    """Whether this very request was claimed, and has no answer yet."""
    return not row["body"] and bytes(row["fingerprint"]) == asked.fingerprint


def again(row: asyncpg.Record, idempotency: Idempotency | None) -> Outcome:
    assert idempotency is not None
    if bytes(row["fingerprint"]) != idempotency.fingerprint:
        return Outcome(wrong=OtherBodyError(), seen=True)
    if row["ok"]:
        return Outcome(body=bytes(row["body"]), seen=True)
    code, detail = msgspec.json.decode(row["body"], type=tuple[str, str])
    return Outcome(wrong=WrongEventError(code, detail), seen=True)


async def keep(conn: Connection, outcomes: Iterable[tuple[Idempotency, Outcome]]) -> None:
    """In order of their keys, so that two who answer the same cannot wait for one another in a ring."""
    final = sorted(((w, o) for w, o in outcomes if is_final(o)), key=lambda pair: (pair[0].caller, pair[0].key))
    if not final:
        return
    await conn.execute(
        ANSWER,
        [w.caller for w, _ in final],
        [w.key for w, _ in final],
        [w.fingerprint for w, _ in final],
        [o.wrong is None for _, o in final],
        [_json.encode([o.wrong.code, o.wrong.detail]) if o.wrong else o.body for _, o in final],
    )


def is_final(outcome: Outcome) -> bool:
    """Whether asking again would be answered the same."""
    return outcome.wrong is None or outcome.wrong.code not in TURNED_AWAY
