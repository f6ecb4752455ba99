"""What a caller was answered under an Idempotency-Key: asked again with the same body, the same answer comes.

The invariant: an answer commits with the effect it tells of. A refusal that will pass is not kept: the same request may be answered
otherwise tomorrow.
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
TURNED_AWAY: Final = frozenset({parking.BEHIND, "rule_failed"})


async def given_before(conn: Connection, asked: Sequence[tuple[str, str]]) -> list[asyncpg.Record]:
    """The answers of those `(caller, key)` that have one."""
    return await conn.fetch(ANSWERED, [caller for caller, _ in asked], [key for _, key in asked])


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
    final = sorted(((w, o) for w, o in outcomes if _is_final(o)), key=lambda pair: (pair[0].caller, pair[0].key))
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


def _is_final(outcome: Outcome) -> bool:
    return outcome.wrong is None or outcome.wrong.code not in TURNED_AWAY
