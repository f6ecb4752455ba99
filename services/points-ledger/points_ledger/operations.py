"""The ledger over HTTP for operators: manual adjustments by two persons, all wallets, liability, totals, and the books checked."""

import hashlib
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from tenure.edge import answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import After, Day, Id
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import IdempotencyKey, idempotency_of
from tenure.edge.problems import Problem

from points_ledger import audit, reads
from points_ledger.bodies import AdjustmentIn
from points_ledger.commands import ApproveAdjustment, ProposeAdjustment
from points_ledger.rules.adjustments import AdjustmentView

WALLETS_MAX: Final = 5_000
Operates = Annotated[Caller, Depends(caller("operator"))]
Audits = Annotated[Caller, Depends(caller("operator", "sre"))]


def router(app: App) -> APIRouter:
    """Adjustments and the books."""
    routes = APIRouter()
    _adjustments(routes, app)
    _books(routes, app)
    return routes


def _adjustments(routes: APIRouter, app: App) -> None:
    @routes.post("/adjustments", status_code=201, openapi_extra=answers(AdjustmentView, status=201))
    async def propose(request: Request, body: AdjustmentIn, who: Operates, _key: IdempotencyKey = None) -> Response:
        """Propose to add or deduct points; nothing moves until a second person approves."""
        asked = await idempotency_of(request, who.subject)
        digest = hashlib.sha256(f"{asked.caller}\0{asked.key}".encode()).hexdigest()
        command = ProposeAdjustment(adjustment_id=f"J-{digest[:24]}", proposed_by=who.subject, **body.model_dump())
        return await app.write(request, command, key=body.member_id, caller=who, status=201)

    @routes.post("/adjustments/{adjustment_id}/approve", openapi_extra=answers(AdjustmentView))
    async def approve(request: Request, adjustment_id: Id, who: Operates, _key: IdempotencyKey = None) -> Response:
        """Approve what another proposed."""
        member_id = await reads.adjusted(app.pool, adjustment_id)
        if member_id is None:
            raise Problem("not_found")
        command = ApproveAdjustment(adjustment_id=adjustment_id, approved_by=who.subject)
        return await app.write(request, command, key=member_id, caller=who)


def _books(routes: APIRouter, app: App) -> None:
    @routes.get("/wallets", openapi_extra=answers(audit.WalletPage))
    async def wallets(
        who: Audits,
        after: After = "",
        limit: Annotated[int, Query(ge=1, le=WALLETS_MAX)] = 1_000,
    ) -> Response:
        """All wallets by member id, from the journal: `limit` members after `after`; go on with `next_after`."""
        del who
        return json_response(await audit.wallets(app.pool, after, limit))

    @routes.get("/liability", openapi_extra=answers(audit.Liability))
    async def liability(who: Audits, as_of: Day | None = None) -> Response:
        """What is owed to members, by the month it was earned in."""
        del who
        return json_response(await audit.liability(app.pool, as_of or await app.today()))

    @routes.get("/ledger/totals", openapi_extra=answers(dict[str, audit.Totals]))
    async def totals(who: Audits) -> Response:
        """What was ever granted, and what became of it, by wallet, from the journal."""
        del who
        return json_response(await audit.totals(app.pool))

    @routes.get("/ledger/verify", openapi_extra=answers(dict[str, bool]))
    async def verify(who: Audits) -> Response:
        """Whether the books hold: each invariant by name."""
        del who
        return app.verified(await audit.verify(app.pool))
