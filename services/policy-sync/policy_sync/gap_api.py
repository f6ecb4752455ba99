"""Facts that wait, over REST: what each waits for, and which of them an operator took out for good."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field
from tenure.edge import Page, answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Body, Id, Text, Words
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import IdempotencyKey
from tenure.edge.paging import LIMIT_DEFAULT, Cursor, Limit, decode_cursor, page_of

from policy_sync import gap_reads, gap_store
from policy_sync.commands import DismissGap

Counter = Annotated[Caller, Depends(caller("operator", "core", "sre", "service"))]
Desk = Annotated[Caller, Depends(caller("operator", "sre"))]
FactName = Annotated[Text, Field(min_length=1, max_length=512)]


class DismissBody(Body):
    """A fact that waits, by the policy and id it is listed under, and why it is never to count."""

    policy_no: Id
    id: FactName
    source: FactName | None = None
    reason: Annotated[Words, Field(min_length=1, max_length=500)]


def router(app: App) -> APIRouter:
    routes = APIRouter()

    @routes.get("/reconciliation/gaps", openapi_extra=answers(Page[gap_reads.GapView]))
    async def gaps(_: Counter, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Response:
        """Policies with facts that came before what they stand on, or have no room, the longest waiting first."""
        after = decode_cursor(cursor, tuple[datetime, str])
        found = await gap_reads.open_gaps(app.pool, after=after, rows_max=limit + 1)
        return json_response(page_of(found, limit, key=lambda g: (g.waiting_since, g.policy_no), show=lambda g: g))

    @routes.get("/reconciliation/gaps/dismissals", openapi_extra=answers(Page[gap_store.Dismissal]))
    async def dismissals(_: Counter, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Response:
        """Which waiting facts were dismissed, by whom and why, the newest first."""
        found = await gap_store.dismissed(app.pool, before=decode_cursor(cursor, int), rows_max=limit + 1)
        return json_response(page_of(found, limit, key=lambda d: d.seq, show=lambda d: d))

    @routes.post("/reconciliation/gaps/dismissals")
    async def dismiss(request: Request, body: DismissBody, who: Desk, _: IdempotencyKey = None) -> Response:
        """Take a fact that waits out for good: it never counts, whatever is heard later. Who did it and why is kept."""
        command = DismissGap(
            policy_no=body.policy_no,
            fact_id=body.id,
            source=body.source,
            dismissed_by=who.subject,
            reason=body.reason,
        )
        return await app.write(request, command, key=body.policy_no, caller=who)

    return routes
