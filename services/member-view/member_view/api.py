"""member-view over HTTP. A read is one value of one row, sent as it stands but for the words of new rules."""

import asyncio
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from tenure.edge import After, App, Caller, MemberId, Problem, caller

from member_view import reads
from member_view.streams import EventStream, Streams

LISTED_MAX: Final = 5_000
JSON: Final = "application/json"
Reader = Annotated[Caller, Depends(caller("agent", "operator", "member", "service"))]
Owner = Annotated[Caller, Depends(caller("member", "agent"))]
Operator = Annotated[Caller, Depends(caller("operator", "service"))]
Listed = Annotated[int, Query(ge=1, le=LISTED_MAX)]


def router(app: App) -> APIRouter:
    routes = APIRouter()
    _one(routes, app)
    _many(routes, app)
    return routes


def _one(routes: APIRouter, app: App) -> None:
    streams = Streams(app.pool, todays=partial(reads.todays, app))

    @routes.get("/members/{member_id}/status")
    async def status(member_id: MemberId, who: Reader) -> Response:
        """What an agent needs while the phone rings; the summaries are one line each."""
        who.must_see(member_id)
        return await _row(app, member_id)

    @routes.get("/me")
    async def me(who: Owner) -> Response:
        """The caller's own row: tier, progress, points, benefits, what expires soon, open claims."""
        return await _row(app, who.subject)

    @routes.get("/me/stream", response_class=EventStream, status_code=200)
    async def stream(request: Request, who: Owner) -> EventStream:
        """The caller's own row now, and again whenever it changes (`text/event-stream`). It ends at times; come again then."""
        if await reads.one(app, who.subject) is None:
            raise Problem("not_found")
        stopping: asyncio.Event | None = getattr(request.app.state, "stopping", None)
        return EventStream(streams, streams.subscribe(who.subject), stopping)


async def _row(app: App, member_id: str) -> Response:
    rendered = await reads.one(app, member_id)
    if rendered is None:
        raise Problem("not_found")
    return Response(rendered, media_type=JSON)


def _many(routes: APIRouter, app: App) -> None:
    @routes.get("/members")
    async def members(_: Operator, after: After = "", limit: Listed = 1_000) -> Response:
        """All members in the order of their ids."""
        return Response(await reads.many(app, after=after, rows_max=limit), media_type=JSON)

    @routes.get("/insights")
    async def insights(_: Operator) -> Response:
        """Members per tier, points outstanding, new members, open claims: as of now, on the business date."""
        return Response(await reads.insights(app.pool, await app.today()), media_type=JSON)
