"""Accounts as such over HTTP: agents who leave, return or are customers, too; what happened to an account; debts by age."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from tenure.edge import answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import After, MemberId
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import IdempotencyKey

from points_ledger import desk, owed
from points_ledger.bodies import DayIn, MembershipIn
from points_ledger.commands import LeaveAgent, LinkMembership, ReturnAgent
from points_ledger.rules.standing import Standing

DEBTS_MAX = 1_000
Staffs = Annotated[Caller, Depends(caller("core", "service", "operator"))]
Audits = Annotated[Caller, Depends(caller("operator", "sre"))]


def router(app: App) -> APIRouter:
    """Agents, audits, debts."""
    routes = APIRouter()
    _agents(routes, app)
    _audits(routes, app)
    return routes


def _agents(routes: APIRouter, app: App) -> None:
    @routes.post("/agents/{agent_id}/leave", openapi_extra=answers(Standing))
    async def leave(
        request: Request, agent_id: MemberId, body: DayIn, who: Staffs, _key: IdempotencyKey = None
    ) -> Response:
        """The agent left: the points are frozen, and expire some months later. Services from that day on do not count."""
        command = LeaveAgent(agent_id=agent_id, on=body.on, actor=who.subject)
        return await app.write(request, command, key=agent_id, caller=who)

    @routes.post("/agents/{agent_id}/return", openapi_extra=answers(Standing))
    async def come_back(
        request: Request, agent_id: MemberId, body: DayIn, who: Staffs, _key: IdempotencyKey = None
    ) -> Response:
        """The agent is back: what has not expired is released and lasts as long as it would have."""
        command = ReturnAgent(agent_id=agent_id, on=body.on, actor=who.subject)
        return await app.write(request, command, key=agent_id, caller=who)

    @routes.post("/agents/{agent_id}/membership", openapi_extra=answers(Standing))
    async def link(
        request: Request, agent_id: MemberId, body: MembershipIn, who: Staffs, _key: IdempotencyKey = None
    ) -> Response:
        """The agent is a customer, too: two memberships, one person, who refers and adjusts neither for the other."""
        command = LinkMembership(agent_id=agent_id, member_id=body.member_id, actor=who.subject)
        return await app.write(request, command, key=agent_id, caller=who)


def _audits(routes: APIRouter, app: App) -> None:
    @routes.get("/wallets/{member_id}/changes", openapi_extra=answers(desk.AccountStory))
    async def changes(member_id: MemberId, who: Audits) -> Response:
        """Whether the account is frozen, and its audit: frozen, left, linked, merged, written off; newest first."""
        del who
        return json_response(await desk.story(app.pool, member_id))

    @routes.get("/budgets", openapi_extra=answers(list[desk.Budget]))
    async def budgets(who: Audits) -> Response:
        """Campaigns with a budget: what of it is allotted, and what waits for a moment."""
        del who
        return json_response(await desk.budgets(app.pool))

    @routes.get("/debts", openapi_extra=answers(owed.DebtPage))
    async def debts(who: Audits, after: After = "", limit: Annotated[int, Query(ge=3, le=DEBTS_MAX)] = 200) -> Response:
        """Who owes points since when; `put_forward` once a debt is older than the rules let it grow."""
        del who
        today = await app.today()
        age_days_max = (await app.rules()).earning.at(today).debt_age_days_max
        found = await owed.page(app.pool, today, age_days_max=age_days_max, after=after, rows_max=limit)
        return json_response(found)
