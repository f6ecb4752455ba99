"""The ledger over HTTP for operators: all wallets, liability, totals, and the books checked."""

import asyncio
from datetime import date, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response
from tenure import database
from tenure.edge import answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import After, Day, Instant
from tenure.edge.http import App, json_response

from points_ledger import audit, liability, sheets
from points_ledger.liability import Liability

WALLETS_MAX: Final = 5_000
Known = Annotated[Instant | None, Query(description="by what was recorded up to this instant")]
Audits = Annotated[Caller, Depends(caller("operator", "sre"))]


def router(app: App) -> APIRouter:
    """The books."""
    routes = APIRouter()
    _books(routes, app)
    return routes


async def _liability(app: App, as_of: date | None, known_at: datetime | None) -> Liability:
    day = as_of or await app.today()
    rules = (await app.rules()).earning.at(day)
    async with database.patient(app.settings, app.pool) as conn:
        return await liability.report(conn, day, known_at or app.now(), points_per_cny=rules.points_per_cny)


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

    @routes.get("/liability", openapi_extra=answers(Liability))
    async def owed(who: Audits, as_of: Day | None = None, known_at: Known = None) -> Response:
        """What was owed at the end of a day, by vintage, with the redemption curve and expected breakage. For ever the same for one
        `as_of` and `known_at`, if that lies a minute back: what is being written then may still come.
        """
        del who
        return json_response(await _liability(app, as_of, known_at))

    @routes.get("/liability/file", responses=sheets.FILES, response_class=Response)
    async def owed_file(
        who: Audits,
        as_of: Day | None = None,
        known_at: Known = None,
        form: Annotated[sheets.Format, Query(alias="format")] = "csv",
    ) -> Response:
        """The vintages of what was owed at the end of a day, as CSV or Excel."""
        del who
        found = await _liability(app, as_of, known_at)
        return await asyncio.to_thread(
            sheets.answer, form, "liability", liability.HEAD, liability.table(found), title="Liability"
        )

    @routes.get("/ledger/totals", openapi_extra=answers(dict[str, audit.Totals]))
    async def totals(who: Audits) -> Response:
        """What was ever granted, and what became of it, by wallet, from the journal."""
        del who
        return json_response(await audit.totals(app.pool))

    @routes.get("/ledger/verify", openapi_extra=answers(dict[str, bool]))
    async def verify(who: Audits) -> Response:
        """Whether the books hold: each invariant by name."""
        del who
        return await app.verified(audit.verify)
