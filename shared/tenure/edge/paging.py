"""Keyset paging: a cursor names the last row seen, so a page costs the same however deep it lies, and no row twice.

A cursor is opaque to callers. It holds sort keys only, which the caller has just been shown; whoever forges one can but
start elsewhere in what they may see anyway, so it is not signed, but its types are checked.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from fastapi import Query

from tenure.edge.problems import Problem

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200
CURSOR_CHARS_MAX: Final = 512

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
    if cursor is None:
        return None
    try:
        decoded = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if b"\\u0000" in decoded:  # no key of ours has one, and a database refuses it
            raise Problem("cursor_invalid")
        return msgspec.json.decode(decoded, type=of)
    except (ValueError, RecursionError, msgspec.DecodeError):
        raise Problem("cursor_invalid") from None


def page_of(rows: Sequence[R], limit: int, *, key: Callable[[R], Any], show: Callable[[R], T]) -> Page[T]:
    """A page from `limit + 1` rows: the one too many only tells that there is more."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page([show(row) for row in shown], encode_cursor(key(shown[-1])) if more else None)
