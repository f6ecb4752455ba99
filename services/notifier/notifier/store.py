"""Members and their messages in PostgreSQL: one locked read, a few set-based statements, whatever a batch's size.

Two kinds of keys: a member's id, and `message <id>` for what happens to one message after it was told (`rules.letters`).
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import msgspec
from asyncpg import Record
from asyncpg.connection import Connection
from msgspec.structs import replace
from tenure.calendar import local_date, start_of
from tenure.rows import Rows
from tenure.service import Saved

from notifier.channels import in_app
from notifier.rules.asking import id_of
from notifier.rules.letters import KEY_PREFIX, Letter, key_of
from notifier.rules.member import Book, Member, Suppressed
from notifier.rules.mergers import Hand, HandBack
from notifier.rules.preferences import Forget
from notifier.rules.release import Told

State = Member | Letter
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Book).decode

_KEPT: Final = ("member_id", "language", "language_at", "marketing", "marketing_at", "sms", "erased", "backfilled")
_MEMBERS: Final = f"""
SELECT {", ".join(_KEPT)}, book
FROM member WHERE member_id = ANY ($1::text[]) ORDER BY member_id FOR UPDATE
"""
_TAKEN: Final = """
WITH t AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS t (member_id, dedupe, message_id))
SELECT t.member_id, t.dedupe FROM t JOIN message m ON m.member_id = t.member_id AND m.dedupe = t.dedupe
UNION ALL SELECT t.member_id, t.dedupe FROM t JOIN message m ON m.message_id = t.message_id
"""
_TOLD: Final = """
SELECT t.member_id, t.since, count(*) AS told FROM unnest($1::text[], $2::timestamptz[]) AS t (member_id, since)
JOIN message m ON m.member_id = t.member_id AND m.sent_at >= t.since AND m.sent_at < t.since + interval '24 hours'
WHERE m.capped GROUP BY 1, 2
"""
_LETTERS: Final = """
SELECT message_id, member_id, template, sent_at, read_at, sms, sms_at, sms_reason
FROM message WHERE message_id = ANY ($1::text[]) ORDER BY message_id FOR UPDATE
"""
_ROWS: Final = Rows(
    "member",
    {
        "member_id": "text",
        "language": "text",
        "language_at": "timestamptz",
        "marketing": "bool",
        "marketing_at": "timestamptz",
        "sms": "bool",
        "erased": "bool",
        "backfilled": "bigint",
        "book": "bytea",
        "send_at": "timestamptz",
        "waiting": "int",
        "astray": "bool",
    },
    blank="kept.book = ''",
    touched="touched_at = now()",
)
_SAVE_LETTERS: Final = """
UPDATE message SET read_at = t.read_at, sms = t.sms, sms_at = t.sms_at, sms_reason = t.reason
FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::text[])
  AS t (message_id, read_at, sms, sms_at, reason)
WHERE message.message_id = t.message_id
"""
_HAND: Final = """
UPDATE message SET member_id = $2, handed_by = CASE WHEN $2 = ANY (handed_by)
  THEN handed_by[: array_position(handed_by, $2) - 1] ELSE handed_by || $1 END
WHERE member_id = $1 AND NOT EXISTS (SELECT 1 FROM message o WHERE o.member_id = $2 AND o.dedupe = message.dedupe)
"""
_HAND_BACK: Final = """
UPDATE message SET member_id = $2, handed_by = handed_by[: array_position(handed_by, $2) - 1]
WHERE member_id = $1 AND $2 = ANY (handed_by)
  AND NOT EXISTS (SELECT 1 FROM message o WHERE o.member_id = $2 AND o.dedupe = message.dedupe)
"""


async def load(conn: Connection, keys: Sequence[str]) -> dict[str, State]:
    """Lock and read. Who was never heard of is absent, as is a message that does not exist."""
    letters = [key.removeprefix(KEY_PREFIX) for key in keys if key.startswith(KEY_PREFIX)]
    members = [key for key in keys if not key.startswith(KEY_PREFIX)]
    found: dict[str, State] = {}
    if members:
        found.update(await _load_members(conn, members))
    if letters:
        found.update({key_of(row["message_id"]): _letter(row) for row in await conn.fetch(_LETTERS, letters)})
    return found


async def book_of(reader: Any, member_id: str) -> Book:
    """As saved last; a blank one for who was never heard of."""
    raw = await reader.fetchval("SELECT book FROM member WHERE member_id = $1", member_id)
    return _decode(raw) if raw else Book()


async def _load_members(conn: Connection, ids: Sequence[str]) -> dict[str, Member]:
    members = {row["member_id"]: _member(row) for row in await conn.fetch(_MEMBERS, ids) if row["book"]}
    await _look_up_queue(conn, members)
    return members


async def _look_up_queue(conn: Connection, members: dict[str, Member]) -> None:
    """What the inbox says about the queued messages: dedupe keys used up, and how many were told on those days.

    Used up is also what stands in another inbox under the message's own id: it was told before the member was merged into another.
    """
    queued = [(m.member_id, p) for m in members.values() for p in m.book.pending]
    if not queued:
        return
    taken: dict[str, set[str]] = {}
    ids = [id_of(m, p) for m, p in queued]
    for row in await conn.fetch(_TAKEN, [m for m, _ in queued], [p.dedupe for _, p in queued], ids):
        taken.setdefault(row["member_id"], set()).add(row["dedupe"])
    told: dict[str, dict[date, int]] = {}
    days = sorted({(m, start_of(local_date(p.send_at))) for m, p in queued})
    for row in await conn.fetch(_TOLD, [m for m, _ in days], [d for _, d in days]):
        told.setdefault(row["member_id"], {})[local_date(row["since"])] = row["told"]
    for one in {m for m, _ in queued}:
        members[one] = replace(members[one], taken=frozenset(taken.get(one, ())), told=told.get(one, {}))


def _member(row: Record) -> Member:
    *kept, book = row.values()
    return Member(**dict(zip(_KEPT, kept, strict=True)), book=_decode(book))


def _letter(row: Record) -> Letter:
    kept = dict(row)
    return Letter(reason=kept.pop("sms_reason"), **kept)


async def save(conn: Connection, saved: Saved[State]) -> None:
    """Members and messages that changed, what was told, and what was not."""
    await _ROWS.write(conn, [_row(s) for s in saved.after.values() if isinstance(s, Member)], known=saved.before)
    await _save_letters(conn, [s for s in saved.after.values() if isinstance(s, Letter)])
    await in_app.deliver(conn, [r for r in saved.rows if isinstance(r, Told)])
    await _record(conn, [r for r in saved.rows if isinstance(r, Suppressed)])
    for row in saved.rows:
        if isinstance(row, Hand | HandBack):
            await conn.execute(_HAND if isinstance(row, Hand) else _HAND_BACK, row.from_id, row.to_id)
    if forgotten := [r.member_id for r in saved.rows if isinstance(r, Forget)]:
        await conn.execute("DELETE FROM message WHERE member_id = ANY ($1::text[])", forgotten)


def _row(member: Member) -> tuple[Any, ...]:
    return (
        member.member_id,
        member.language,
        member.language_at,
        member.marketing,
        member.marketing_at,
        member.sms,
        member.erased,
        member.backfilled,
        _encode(member.book),
        member.send_at,
        len(member.book.pending),
        member.is_astray,
    )


async def _save_letters(conn: Connection, letters: Sequence[Letter]) -> None:
    if not letters:
        return
    await conn.execute(
        _SAVE_LETTERS,
        [m.message_id for m in letters],
        [m.read_at for m in letters],
        [m.sms for m in letters],
        [m.sms_at for m in letters],
        [m.reason for m in letters],
    )


async def _record(conn: Connection, suppressed: Sequence[Suppressed]) -> None:
    if not suppressed:
        return
    await conn.execute(
        """INSERT INTO suppression (member_id, message_id, template, reason, at)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])""",
        [s.member_id for s in suppressed],
        [id_of(s.member_id, s.pending) for s in suppressed],
        [s.pending.template for s in suppressed],
        [s.reason for s in suppressed],
        [s.at for s in suppressed],
    )
