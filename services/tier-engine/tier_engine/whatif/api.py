"""Simulations over REST: ask, look how far it is, read what it came to and whom it changes. Operators only."""

from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from asyncpg.connection import Connection
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field
from tenure.contracts.event import WrongEventError
from tenure.contracts.programme import Programme
from tenure.edge import (
    App,
    Body,
    Caller,
    Cursor,
    IdempotencyKey,
    Limit,
    Page,
    Problem,
    Text,
    answers,
    caller,
    decode_cursor,
    json_response,
    page_of,
)  # fmt: skip
from tenure.edge.paging import LIMIT_DEFAULT
from tenure.rulebook.kinds import version_of
from uuid_utils import uuid7

from tier_engine.rules.compare import Changed, Effect, Question
from tier_engine.rules.value import YearlyPoints
from tier_engine.whatif import store
from tier_engine.whatif.report import Result
from tier_engine.whatif.store import Shown

MONTHS_MAX: Final = 60
MONTHS: Final = 12
AHEAD_DAYS_MAX: Final = 3_660
BACK_TO: Final = date(1900, 1, 1)
SEQ_MAX: Final = 2**63 - 1


Operator = Annotated[Caller, Depends(caller("operator"))]
SimulationId = Annotated[Text, Path(min_length=1, max_length=64, description="the simulation's id")]
OnlyEffect = Annotated[Effect | None, Query(description="only members the draft helps, or harms")]


class Asked(Body):
    """Draft rules, and what to compare. Without `effective` it is as if they had always been in force, instead of all versions."""

    kind: Literal["tiers"] = "tiers"
    rules: dict[str, Any]
    effective: date | None = None
    as_of: date | None = None
    months: Annotated[int, Field(ge=0, le=MONTHS_MAX)] = MONTHS
    renewals: bool = True


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """`members_done` of `members_total` are weighed (null: not counted yet); `result` is there when `state` is done."""

    simulation_id: str
    state: str
    asked: msgspec.Raw
    asked_by: str
    asked_at: str
    members_total: int | None
    members_done: int
    result: msgspec.Raw | None
    error: str | None
    finished_at: str | None


class SimulationView(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation as it is answered."""

    simulation_id: str
    state: Literal["waiting", "running", "done", "failed"]
    asked: dict[str, Any]
    asked_by: str
    asked_at: str
    members_total: int | None
    members_done: int
    result: Result | None
    error: str | None
    finished_at: str | None


def router(app: App) -> APIRouter:
    routes = APIRouter()

    @routes.post("/simulations", status_code=202, openapi_extra=answers(SimulationView, status=202))
    async def ask(request: Request, body: Asked, who: Operator, _key: IdempotencyKey = None) -> Response:
        """Let draft tier rules judge the real history of all members. Nothing live is touched; look at the answer's id later."""
        asked = body.model_dump(mode="json")
        question = question_of(body, await app.rules(), await app.today())
        idempotency, at, simulation_id = await app.idempotency(request, who), app.now(), f"S-{uuid7()}"

        async def do(conn: Connection) -> bytes:
            kept = msgspec.json.encode(asked)
            if not await store.add(conn, simulation_id, asked=kept, question=question, by=who.subject, at=at):
                raise WrongEventError("too_many_simulations", f"{store.WAITING_MAX} simulations wait or run already")
            made = await store.shown(conn, simulation_id)
            assert made is not None
            return msgspec.json.encode(_view(made))

        with app.in_flight.hold(idempotency):
            return app.answer(await app.door.answer_once(idempotency, do), status=202)

    @routes.get("/simulations", openapi_extra=answers(Page[SimulationView]))
    async def listed(_: Operator, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Response:
        """The simulations that are kept, the newest first."""
        before = decode_cursor(cursor, int) or SEQ_MAX
        rows = await store.listed(app.pool, before=before, rows_max=limit + 1)
        return json_response(page_of(rows, limit, key=lambda row: row.seq, show=_view))

    @routes.get("/simulations/{simulation_id}", openapi_extra=answers(SimulationView))
    async def one(simulation_id: SimulationId, _: Operator) -> Response:
        """How far a simulation is; and when it is done, what it came to."""
        return json_response(_view(await found(simulation_id)))

    @routes.get("/simulations/{simulation_id}/members", openapi_extra=answers(Page[Changed]))
    async def changed(
        simulation_id: SimulationId,
        _: Operator,
        effect: OnlyEffect = None,
        limit: Limit = LIMIT_DEFAULT,
        cursor: Cursor = None,
    ) -> Response:
        """Whom the draft helps or harms: the first day with another tier, and both tiers of that day; by member id."""
        await found(simulation_id)
        after = decode_cursor(cursor, str) or ""
        rows = await store.members(app.pool, simulation_id, effect=effect, after=after, rows_max=limit + 1)
        return json_response(page_of(rows, limit, key=lambda row: row.member_id, show=_named))

    async def found(simulation_id: str) -> Shown:
        row = await store.shown(app.pool, simulation_id)
        if row is None:
            raise Problem("not_found")
        return row

    return routes


def question_of(body: Asked, programme: Programme, today: date) -> Question:
    """Raises WrongEventError rules_invalid, simulated_day_out_of_range."""
    as_of = body.as_of or max(today, body.effective or today)
    if not BACK_TO <= as_of <= today + timedelta(days=AHEAD_DAYS_MAX):
        raise WrongEventError(
            "simulated_day_out_of_range", f"as_of lies between {BACK_TO} and {AHEAD_DAYS_MAX} days from today"
        )
    current = programme.tiers.all
    number = max(rules.version for rules in current) + 1
    draft = version_of("tiers", body.rules, version=number, effective=body.effective or current[0].effective)
    beside = [rules for rules in current if rules.effective != body.effective] if body.effective else []
    return Question(
        current=tuple(current),
        draft=(*beside, draft),
        as_of=as_of,
        months=body.months,
        renewals=body.renewals,
        points=YearlyPoints.by(programme.earning.at(as_of)),
        asked_on=today,
    )


def _view(row: Shown) -> Simulation:
    return Simulation(
        simulation_id=row.simulation_id,
        state=row.state,
        asked=msgspec.Raw(row.asked.encode()),
        asked_by=row.asked_by,
        asked_at=row.asked_at.isoformat(),
        members_total=row.members_total,
        members_done=row.members_done,
        result=msgspec.Raw(row.result.encode()) if row.result is not None else None,
        error=row.error,
        finished_at=row.finished_at.isoformat() if row.finished_at else None,
    )


def _named(row: Changed) -> dict[str, Any]:
    return dict(zip(row.__struct_fields__, msgspec.structs.astuple(row), strict=True))
