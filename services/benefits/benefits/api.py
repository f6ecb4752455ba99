"""Benefits over HTTP: what a member has, using it, giving it back; and what operators look at.

A grant's id begins with its member's number, so a caller who may not see the member is answered as if there were no such grant.
"""

from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import StringConstraints
from tenure.contracts.codes import is_code
from tenure.edge import After, App, Body, Caller, IdempotencyKey, MemberId, Problem, answers, caller, json_response

from benefits import store, verify
from benefits.commands import ReleaseUse, UseBenefit
from benefits.rules.use import Used
from benefits.state import State
from benefits.views import Language, MemberView, member_view

LIST_MAX: Final = 5_000
USERS: Final = ("member", "agent", "operator", "service")

GrantId = Annotated[str, StringConstraints(min_length=1, max_length=160, pattern=r"^[^\s\x00-\x1f\x7f-\x9f/]+$")]
UseId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f\x7f-\x9f/]+$")]
Reference = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]


class UseBody(Body):
    """`reference`: the code of the work order, claim or shop receipt, never words; the same one twice is one use. `on`: default
    today, never later.
    """

    reference: Reference = ""
    on: date | None = None


def router(app: App) -> APIRouter:
    routes = APIRouter()
    _overviews(app, routes)
    _of_members(app, routes)
    _uses(app, routes)
    return routes


def _overviews(app: App, routes: APIRouter) -> None:
    @routes.get("/benefits")
    async def list_members(
        who: Annotated[Caller, Depends(caller("operator", "service"))],  # noqa: ARG001
        after: After = "",
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 500,
    ) -> Response:
        """All members in order of their numbers, with what stands open; `next_after` is null on the last page."""
        rows = await app.pool.fetch(
            """SELECT member_id, tier, open_grants, used FROM members WHERE member_id > $1 AND state <> ''
               ORDER BY member_id LIMIT $2""",
            after,
            limit,
        )
        items = [
            {"member_id": r["member_id"], "tier": r["tier"], "active_grants": r["open_grants"], "used": r["used"]}
            for r in rows
        ]
        return json_response({"items": items, "next_after": items[-1]["member_id"] if len(items) == limit else None})

    @routes.get("/benefits/totals")
    async def totals(who: Annotated[Caller, Depends(caller("operator", "service"))]) -> Response:  # noqa: ARG001
        """Members, open grants and uses, by tier."""
        rows = await app.pool.fetch(
            """SELECT tier, count(*) AS members, sum(open_grants)::bigint AS active_grants, sum(used)::bigint AS used
               FROM members WHERE state <> '' GROUP BY tier ORDER BY tier"""
        )
        return json_response({"by_tier": [dict(row) for row in rows]})

    @routes.get("/benefits/verify", openapi_extra=answers(dict[str, bool]))
    async def verify_all(who: Annotated[Caller, Depends(caller("operator", "sre"))]) -> Response:  # noqa: ARG001
        """What must hold, each sentence with whether it does. Reads every member: not for every minute."""
        rules = await app.rules()
        return await app.verified(lambda conn: verify.verify(conn, rules))


def _of_members(app: App, routes: APIRouter) -> None:
    @routes.get("/benefits/{member_id}", openapi_extra=answers(MemberView))
    async def of_member(
        member_id: MemberId,
        who: Annotated[Caller, Depends(caller("member", "agent", "operator", "core", "service"))],
        lang: Annotated[Language, Query()] = "zh",
        *,
        history: bool = False,
    ) -> Response:
        """A member's benefits today: what they are, how often they can still be used, until when."""
        who.must_see(member_id)
        state = await store.state_of(app.pool, member_id)
        if state is None:
            raise Problem("not_found")
        return json_response(member_view(state, await app.rules(), await app.today(), language=lang, history=history))


def _uses(app: App, routes: APIRouter) -> None:
    @routes.post("/benefits/{grant_id}/use", openapi_extra=answers(Used))
    async def use(
        grant_id: GrantId,
        body: UseBody,
        request: Request,
        who: Annotated[Caller, Depends(caller(*USERS))],
        key: IdempotencyKey = None,  # noqa: ARG001 - App.write reads it
    ) -> Response:
        """Use a benefit once. Refused when it is used up, taken back, not yet endorsed, or the member has no cover."""
        if body.reference and not is_code(body.reference):
            raise Problem("reference_not_a_code")
        holder = await holder_of_grant(app, grant_id, who)
        today = await app.today()
        on = body.on or today
        if on > today:
            raise Problem("use_in_future")
        command = UseBenefit(
            member_id=holder.member_id, grant_id=grant_id, reference=body.reference, on=on, today=today
        )
        return await app.write(request, command, key=holder.member_id, caller=who)

    @routes.post("/benefits/{grant_id}/uses/{use_id}/release", openapi_extra=answers(Used))
    async def release(
        grant_id: GrantId,
        use_id: UseId,
        request: Request,
        who: Annotated[Caller, Depends(caller(*USERS))],
        key: IdempotencyKey = None,  # noqa: ARG001
    ) -> Response:
        """Give a use back: it did not take place. A member says so until its day is over, whoever serves them also later."""
        holder = await holder_of_grant(app, grant_id, who)
        command = ReleaseUse(
            member_id=holder.member_id,
            grant_id=grant_id,
            use_id=use_id,
            today=await app.today(),
            is_by_member=is_member_alone(who),
        )
        return await app.write(request, command, key=holder.member_id, caller=who)


def is_member_alone(who: Caller) -> bool:
    return not who.roles - {"member"}


async def holder_of_grant(app: App, grant_id: str, who: Caller) -> State:
    """The member whose grant it is, or who took that member over. Raises Problem not_found for everyone who may not see it."""
    member_id, *rest = grant_id.rsplit(".", 2)
    if len(rest) != 2:  # noqa: PLR2004 - benefit and period
        raise Problem("not_found")
    return await holder(app, member_id, who)


async def holder(app: App, member_id: str, who: Caller) -> State:
    """The member's state, followed to the survivor of a merger. Raises Problem not_found."""
    state = await store.person_of(app.pool, member_id)
    if state is None:
        raise Problem("not_found")
    who.must_see(state.member_id)
    return state
