"""The ledger over HTTP for operators: all wallets, liability, totals, and the books checked."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response
from tenure.edge import answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import After, Day
from tenure.edge.http import App, json_response

from points_ledger import audit

WALLETS_MAX: Final = 5_000
Audits = Annotated[Caller, Depends(caller("operator", "sre"))]


def router(app: App) -> APIRouter:
    """The books."""
    routes = APIRouter()
    _books(routes, app)
    return routes


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
