"""The park over REST: every service lets operators see what is parked there, send it through again, or take it out with a reason.

The invariant: whoever takes something out is written down with it, in the same transaction; nothing personal is shown.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field

from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Body, Instant, Text, Words
from tenure.edge.idempotency import IdempotencyKey
from tenure.edge.openapi import answers
from tenure.edge.paging import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, page_of
from tenure.edge.problems import Problem
from tenure.spine import park, park_view
from tenure.spine.codec import latest_of
from tenure.spine.park import Replayed, Which, replayed
from tenure.spine.park_view import Left, ParkedCode, ParkedRow, ParkedWhole

if TYPE_CHECKING:
    from tenure.edge.http import App

REPLAY_S_MAX: Final = 5.0
DISCARDS_MAX: Final = 1_000
SEQ_MAX: Final = 2**53 - 1  # what every reader of JSON can tell from its neighbours

Desk = Annotated[Caller, Depends(caller("operator", "sre"))]
Seq = Annotated[int, Path(ge=1, le=SEQ_MAX, description="the event's number in this park")]
Key = Annotated[Text | None, Query(max_length=512, description="only this member, policy or agent")]
Code = Annotated[Text | None, Query(max_length=64, description="only what is parked under this code")]
Before = Annotated[Instant | None, Query(description="only what was parked before this instant")]


class Again(Body):
    """Which events to send through again: those of a key, of the keys a code blocks, of one event's key up to it, or all."""

    key: Annotated[Text, Field(min_length=1, max_length=512)] | None = None
    code: Annotated[Text, Field(min_length=1, max_length=64)] | None = None
    seq: Annotated[int, Field(ge=1, le=SEQ_MAX)] | None = None


class Discards(Body):
    """Events to take out for good, and why."""

    seqs: Annotated[list[Annotated[int, Field(ge=1, le=SEQ_MAX)]], Field(min_length=1, max_length=DISCARDS_MAX)]
    reason: Annotated[Words, Field(min_length=1, max_length=500)]


class Discarded(msgspec.Struct, frozen=True):
    """How many were there to take out. What waits behind them passes with the next replay."""

    discarded: int


class ParkedNow(msgspec.Struct, frozen=True):
    """What is parked in this service, by code."""

    service: str
    events: int
    codes: list[ParkedCode]


def router(app: "App") -> APIRouter:
    """The same six routes for each service, under its name."""
    routes = APIRouter()
    _reads(routes, app)
    _writes(routes, app)
    return routes


def _reads(routes: APIRouter, app: "App") -> None:
    from tenure.edge.http import json_response

    name = app.service.name
    at = f"/parked/{name}"

    @routes.get(at, openapi_extra=answers(Page[ParkedRow]), operation_id=f"parked_list_{name}")
    async def list_parked(
        _: Desk,
        key: Key = None,
        code: Code = None,
        before: Before = None,
        limit: Limit = LIMIT_DEFAULT,
        cursor: Cursor = None,
    ) -> Response:
        """What is parked here, the oldest first, with why. `behind`: it waits for an earlier event of its key."""
        after = decode_cursor(cursor, int) or 0
        rows = await park_view.page(app.pool, after=after, key=key, code=code, before=before, rows_max=limit + 1)
        return json_response(page_of(rows, limit, key=lambda r: r.seq, show=lambda r: park_view.row_of(name, r)))

    @routes.get(f"{at}/summary", openapi_extra=answers(ParkedNow), operation_id=f"parked_summary_{name}")
    async def summary(_: Desk) -> Response:
        """How much is parked here, by code, and since when."""
        codes = await park_view.summary(app.pool)
        return json_response(ParkedNow(name, sum(c.events for c in codes), codes))

    @routes.get(f"{at}/log", openapi_extra=answers(Page[Left]), operation_id=f"parked_log_{name}")
    async def log(_: Desk, key: Key = None, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Response:
        """Who sent through again or discarded which event, when, and why; the newest first."""
        before = decode_cursor(cursor, tuple[datetime, int])
        rows = await park_view.audit(app.pool, name, key=key, before=before, rows_max=limit + 1)
        return json_response(page_of(rows, limit, key=lambda r: (r.at, r.seq), show=lambda r: r))

    @routes.get(f"{at}/{{seq:int}}", openapi_extra=answers(ParkedWhole), operation_id=f"parked_show_{name}")
    async def show(seq: Seq, _: Desk) -> Response:
        """One parked event whole. Of its value only fields that a contract declares are shown."""
        row = await park_view.one(app.pool, seq)
        if row is None:
            raise Problem("not_found")
        return json_response(park_view.whole_of(name, row))


def _writes(routes: APIRouter, app: "App") -> None:
    name = app.service.name
    at = f"/parked/{name}"

    @routes.post(f"{at}/replays", openapi_extra=answers(Replayed), operation_id=f"parked_replay_{name}")
    async def replay(request: Request, body: Again, who: Desk, _key: IdempotencyKey = None) -> Response:
        """Send parked events through their rules again, in order per key, for a few seconds at most.

        What is still wrong stays, with those behind it, and so does what lies ahead still; other keys do not wait for it. Not
        `complete`: ask again, with a new key.
        """
        idempotency = await app.idempotency(request, who)
        with app.in_flight.hold(idempotency):
            before = await app.door.answered(idempotency)
            if before is not None:
                return app.answer(before)
            which = Which(key=body.key, code=body.code, seq=body.seq)
            latest = latest_of(app.settings.clock, app.now())
            drained = await park.drain(app.door, which, by=who.subject, latest=latest, within_s=REPLAY_S_MAX)
            return app.answer(await app.door.keep_answer(idempotency, msgspec.json.encode(replayed(drained))))

    @routes.post(f"{at}/discards", openapi_extra=answers(Discarded), operation_id=f"parked_discard_{name}")
    async def discard(request: Request, body: Discards, who: Desk, _key: IdempotencyKey = None) -> Response:
        """Take events out for good; who did it and why is kept. Their redelivery does not bring them back."""
        idempotency = await app.idempotency(request, who)
        with app.in_flight.hold(idempotency):
            return app.answer(
                await app.door.discard(body.seqs, actor=who.subject, reason=body.reason, asked=idempotency)
            )
