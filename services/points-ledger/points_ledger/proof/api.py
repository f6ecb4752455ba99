"""Published roots, and statements that prove themselves under one of them."""

from datetime import date
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from tenure.edge import answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Day, MemberId
from tenure.edge.http import App, json_response
from tenure.edge.problems import Problem

from points_ledger.proof import entries, statement

LOOKS: Final = ("member", "agent", "operator", "core", "sre", "service")
ENTRY_NO_MAX: Final = 2**31 - 1
Looks = Annotated[Caller, Depends(caller(*LOOKS))]
After = Annotated[int, Query(ge=0, le=ENTRY_NO_MAX, description="`next_after` of the file before")]
NEWEST: Final = "SELECT max(day) FROM roots WHERE $1::date IS NULL OR day <= $1"


class PublishedRoot(msgspec.Struct, frozen=True):
    """The root over everything sealed up to a day: print it, post it, keep it where nobody of ours can change it."""

    day: date
    day_no: int
    entries: int
    root: str


def router(app: App) -> APIRouter:
    """Roots and proofs."""
    routes = APIRouter()

    async def root_on_or_before(day: date | None) -> entries.Root:
        newest: date | None = await app.pool.fetchval(NEWEST, day)
        found = await statement.root_of(app.pool, newest) if newest else None
        if found is None:
            raise Problem("no_root")
        return found

    @routes.get("/ledger/roots/newest", openapi_extra=answers(PublishedRoot))
    async def newest(who: Looks) -> Response:
        """The newest published root."""
        del who
        return json_response(_shown(await root_on_or_before(None)))

    @routes.get("/ledger/roots/{day}", openapi_extra=answers(PublishedRoot))
    async def root(day: Day, who: Looks) -> Response:
        """The root published for a day; a day on which nothing was sealed has none."""
        del who
        found = await statement.root_of(app.pool, day)
        if found is None:
            raise Problem("no_root")
        return json_response(_shown(found))

    @routes.get("/wallets/{member_id}/statement/proof", openapi_extra=answers(statement.ProvenStatement))
    async def proof(
        member_id: MemberId, who: Looks, day: Annotated[Day | None, Query()] = None, after: After = 0
    ) -> Response:
        """A member's entries, oldest first, with their proofs under the root of `day`, or the newest before it.

        `tenure verify statement FILE --root ROOT` verifies what is answered, without a database.
        """
        who.must_see(member_id)
        under = await root_on_or_before(day)
        try:
            found = await statement.prove(app.pool, member_id, under, after=after, lines_max=statement.LINES_MAX)
        except statement.NotProvenError as error:
            raise Problem("entry_changed", str(error)) from None
        return json_response(found)

    return routes


def _shown(root: entries.Root) -> PublishedRoot:
    return PublishedRoot(root.day, root.day_no, root.entries, root.root.hex())
