"""Keyset paging: a cursor names the last row seen, so a page costs the same however deep it lies, and no row twice.

A cursor is opaque to callers. Most hold sort keys only, which the caller has just been shown; whoever forges one can but
start elsewhere in what they may see anyway, so they are not signed, but their types are checked. One that carries what the next
page will show is signed (`Signed`), for whoever forged it would be shown what they wrote.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from fastapi import Query

from tenure.edge.problems import Problem

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200
CURSOR_CHARS_MAX: Final = 512
SIGNATURE_BYTES: Final = 16

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="how many items at most")]
Cursor = Annotated[str | None, Query(max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before")]

T = TypeVar("T")
K = TypeVar("K")
R = TypeVar("R")
_encode: Final = msgspec.json.Encoder().encode


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items, and where to go on; `next_cursor` is null on the last page."""

    items: Sequence[T]
    next_cursor: str | None = None


def encode_cursor(key: Any) -> str:
    """The cursor after a row with this sort key (a value or a tuple of values)."""
    return urlsafe_b64encode(_encode(key)).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, of: type[K]) -> K | None:
    """The sort key in a cursor, `None` without one. Raises Problem cursor_invalid."""
    return None if cursor is None else _typed(_bytes(cursor), of)


class Signed(NamedTuple):
    """Cursors that carry more than a place. `about` says whose page: one cursor is good for no other's."""

    secret: bytes
    about: str

    def encode(self, key: Any) -> str:
        body = _encode(key)
        return urlsafe_b64encode(self._signature(body) + body).rstrip(b"=").decode()

    def decode(self, cursor: str | None, of: type[K]) -> K | None:
        """What was encoded with the same secret about the same, `None` without a cursor. Raises Problem cursor_invalid."""
        if cursor is None:
            return None
        whole = _bytes(cursor)
        signature, body = whole[:SIGNATURE_BYTES], whole[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(body)):
            raise Problem("cursor_invalid")
        return _typed(body, of)

    def _signature(self, body: bytes) -> bytes:
        return hmac.digest(self.secret, b"%b\0%b" % (self.about.encode(), body), "sha256")[:SIGNATURE_BYTES]


def _bytes(cursor: str) -> bytes:
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise Problem("cursor_invalid") from None


def _typed(decoded: bytes, of: type[K]) -> K:
    if b"\\u0000" in decoded:  # no key of ours has one, and a database refuses it
        raise Problem("cursor_invalid")
    try:
        return msgspec.json.decode(decoded, type=of)
    except (ValueError, RecursionError, msgspec.DecodeError):
        raise Problem("cursor_invalid") from None


def page_of(
    rows: Sequence[R],
    limit: int,
    *,
    key: Callable[[R], Any],
    show: Callable[[R], T],
    encode: Callable[[Any], str] = encode_cursor,
) -> Page[T]:
    """A page from `limit + 1` rows: the one too many only tells that there is more."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page([show(row) for row in shown], encode(key(shown[-1])) if more else None)
