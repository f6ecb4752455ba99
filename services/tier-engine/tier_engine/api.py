"""The REST door of tier-engine: reads only. What is asked is computed from the facts, never from a copy of an answer."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Response
from tenure.edge import After, App, Caller, Day, MemberId, Problem, answers, caller, json_response

from tier_engine import explain, store, views
from tier_engine.rules import Member
from tier_engine.verify import verify

ROWS_MAX: Final = 5_000
SLICE_ROWS: Final = 250
"""So many members are judged before other requests get a turn (about ten milliseconds)."""


Seer = Annotated[Caller, Depends(caller("member", "agent", "operator", "core", "sre", "service"))]
MemberPath = Annotated[MemberId, Path(description="the member's number")]
PolicyNo = Annotated[MemberId, Query(description="the policy to renew")]
On = Annotated[Day | None, Query(description="by the end of which day it had been told; today without it")]
AsOf = Annotated[Day | None, Query(description="the day asked about; today without it")]


def router(app: App) -> APIRouter:
    routes = APIRouter()

    async def seen(member_id: str, who: Caller) -> Member:
        who.must_see(member_id)
        async with app.connection() as conn:
            member = await store.member(conn, member_id)
        if member is None:
            raise Problem("not_found")
        return member

    @routes.get("/tiers", dependencies=[Depends(caller("operator", "sre"))], openapi_extra=answers(views.Rows))
    async def all_tiers(
        as_of: AsOf = None,
        after: After = "",
        limit: Annotated[int, Query(ge=1, le=ROWS_MAX)] = 1_000,
    ) -> Response:
        """Every member's standing on a day, by member id: go on with `after` = `next_after` until that is null."""
        day = as_of or await app.today()
        async with app.connection() as conn:
            members, programme = await store.members(conn, after, limit), await app.rules(conn)
        items: list[views.Row] = []
        for start in range(0, len(members), SLICE_ROWS):
            items += [views.row(m, programme, day) for m in members[start : start + SLICE_ROWS]]
            await asyncio.sleep(0)
        last = items[-1].member_id if len(items) == limit else None
        return json_response(views.Rows(as_of=day, items=items, next_after=last))

    @routes.get(
        "/tiers/verify", openapi_extra=answers(dict[str, bool]), dependencies=[Depends(caller("operator", "sre"))]
    )
    async def verify_all() -> Response:
        """What must hold for all members, each sentence with whether it does. Reads every member: not for every minute."""
        rules = await app.rules()
        return await app.verified(lambda conn: verify(conn, rules))

    @routes.get("/tiers/{member_id}", openapi_extra=answers(views.TierView))
    async def tier(member_id: MemberPath, who: Seer, as_of: AsOf = None) -> Response:
        """A member's tier, what it rests on, its whole history, and what comes next by time alone."""
        member = await seen(member_id, who)
        return json_response(views.tier_view(member, await app.rules(), as_of or await app.today()))

    @routes.get("/tiers/{member_id}/why", openapi_extra=answers(explain.Why))
    async def why(member_id: MemberPath, who: Seer, as_of: AsOf = None) -> Response:
        """Why the tier is what it is: each change with its reasons as sentences in Chinese and English."""
        member = await seen(member_id, who)
        async with app.connection() as conn:
            said = await store.decisions(conn, member_id)
        return json_response(explain.why(member, await app.rules(), as_of or await app.today(), said))

    @routes.get("/tiers/{member_id}/told", openapi_extra=answers(explain.Told))
    async def told(member_id: MemberPath, who: Seer, on: On = None, as_of: AsOf = None) -> Response:
        """What had been told by the end of one day about another, as it was told: decisions are append-only."""
        member, today = await seen(member_id, who), await app.today()
        by = on or today
        newest = await store.told_by(app.pool, member_id, by, wall=app.settings.clock == "wall")
        view = explain.told(member, await app.rules(), on=by, as_of=as_of or by, newest=newest)
        return json_response(view)

    @routes.get("/tiers/{member_id}/renewal", openapi_extra=answers(views.Renewal))
    async def renewal(member_id: MemberPath, who: Seer, policy_no: PolicyNo, as_of: AsOf = None) -> Response:
        """What renewing a policy for the same length and premium would bring, by the rules of the real upgrade."""
        member = await seen(member_id, who)
        preview = views.renewal(member, policy_no, await app.rules(), as_of or await app.today())
        if preview is None:
            raise Problem("not_renewable")
        return json_response(preview)

    return routes
