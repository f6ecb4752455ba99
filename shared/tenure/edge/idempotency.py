"""`Idempotency-Key`: a write asked twice is done once and answered twice alike.

The answer is kept in the transaction that holds the effect (`spine.transact`); this module reads the header, takes the
fingerprint of the request, and tells a second asker to wait while the first is still served in this process.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import asyncpg
from fastapi import Header, Request

from tenure.edge.problems import Problem
from tenure.spine.transact import Idempotency

HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotency-Replayed"
KEY_CHARS_MAX: Final = 128
_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,128}")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="Yours to choose: the same key and request get the same answer, and the effect happens once.",
    ),
]
"""For a route's signature, so that the API's description names the header; `App.write` checks it."""


def key_of(request: Request) -> str:
    """The request's key. Raises Problem idempotency_key_required or idempotency_key_invalid."""
    keys = request.headers.getlist(HEADER)
    if not keys:
        raise Problem("idempotency_key_required")
    if len(keys) > 1 or not _VISIBLE.fullmatch(keys[0]):
        raise Problem("idempotency_key_invalid")
    return keys[0]


async def idempotency_of(request: Request, caller: str) -> Idempotency:
    """Who asks, under which key, for what: method, path with its query, and body."""
    key = key_of(request)
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\0".encode())
    digest.update(await request.body())
    return Idempotency(caller=caller, key=key, fingerprint=digest.digest())


class InFlight:
    """The writes being served in this process right now."""

    def __init__(self) -> None:
        self._held: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def hold(self, idempotency: Idempotency) -> Iterator[None]:
        """Raises Problem idempotency_key_in_flight while the same caller's same key is held."""
        pair = (idempotency.caller, idempotency.key)
        if pair in self._held:
            raise in_flight()
        self._held.add(pair)
        try:
            yield
        finally:
            self._held.discard(pair)


@contextmanager
def locked_is_in_flight() -> Iterator[None]:
    """Another process is writing what this touches. Raises Problem idempotency_key_in_flight."""
    try:
        yield
    except asyncpg.LockNotAvailableError:
        raise in_flight() from None


def in_flight() -> Problem:
    return Problem("idempotency_key_in_flight", retry_after_s=1)
