"""Rules published by two persons, over REST: every service that owns a kind of rules serves the same routes for it.

The invariants: a step is decided, written, logged and told (`programme.v1`) in one transaction, with its answer; who proposes does
not approve; nothing is published into the past.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from asyncpg.connection import Connection
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field
from uuid_utils import uuid7

from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Body, Text, Words
from tenure.edge.idempotency import IdempotencyKey
from tenure.edge.openapi import answers
from tenure.edge.paging import LIMIT_DEFAULT, Cursor, Limit, Page, decode_cursor, page_of
from tenure.edge.problems import Problem
from tenure.rulebook import drafts, tables
from tenure.rulebook.drafts import Draft, Known, State
from tenure.rulebook.telling import tell

if TYPE_CHECKING:
    from tenure.edge.http import App

SEQ_MAX: Final = 2**63 - 1
Operator = Annotated[Caller, Depends(caller("operator"))]
Seer = Annotated[Caller, Depends(caller("operator", "sre"))]
DraftId = Annotated[Text, Path(min_length=1, max_length=64, description="the draft's id")]
OnlyState = Annotated[State | None, Query(description="only drafts in this state")]
Reason = Annotated[Words, Field(min_length=1, max_length=500)]
Step = Callable[[Draft, Known], Draft]
_encode: Final = msgspec.json.Encoder().encode


class Proposal(Body):
    """A version of the rules, without its number, and the day it is to come into force."""

    rules: dict[str, Any]
    effective: date
    reason: Reason


class Because(Body):
    """Why."""

    reason: Reason


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version; `draft_id` says who published it, null where it stands in the reviewed files."""

    version: int
    effective: date
    in_force: bool
    draft_id: str | None
    rules: Any


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All versions of one kind by the day they come into force; `in_force` on exactly one, that of `today`."""

    kind: str
    today: date
    versions: Sequence[Version]
    waiting: Sequence[Draft]


class DraftWhole(msgspec.Struct, frozen=True, kw_only=True):
    """A draft and its log."""

    draft: Draft
    log: Sequence[tables.Entry]


def router(app: "App") -> APIRouter:
    routes = APIRouter()
    for kind in app.service.rulebooks:
        _Desk(app, kind).serve(routes)
    return routes


class _Desk:
    """The routes of one kind of rules."""

    def __init__(self, app: "App", kind: str) -> None:
        self.app, self.kind = app, kind

    def serve(self, routes: APIRouter) -> None:
        kind, at = self.kind, f"/rules/{self.kind}"

        @routes.get(at, openapi_extra=answers(Rules), operation_id=f"rules_{kind}")
        async def rules(_: Seer) -> Response:
            """Every version, in the files or published, the one in force today, and the drafts that wait."""
            return self._json(await self._rules())

        @routes.get(f"{at}/drafts", openapi_extra=answers(Page[Draft]), operation_id=f"rules_{kind}_drafts")
        async def listed(
            _: Seer, state: OnlyState = None, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
        ) -> Response:
            """All drafts there ever were, the newest first."""
            before = decode_cursor(cursor, int) or SEQ_MAX
            rows = await tables.page(self.app.pool, kind, before=before, state=state, rows_max=limit + 1)
            return self._json(page_of(rows, limit, key=lambda row: row[0], show=lambda row: row[1]))

        @routes.get(f"{at}/drafts/{{draft_id}}", openapi_extra=answers(DraftWhole), operation_id=f"rules_{kind}_draft")
        async def shown(draft_id: DraftId, _: Seer) -> Response:
            """A draft whole, with who did what to it."""
            one = await tables.draft(self.app.pool, kind, draft_id)
            if one is None:
                raise Problem("not_found")
            return self._json(DraftWhole(draft=one, log=await tables.entries(self.app.pool, draft_id)))

        self._writes(routes, at)

    def _writes(self, routes: APIRouter, at: str) -> None:
        kind, made = self.kind, answers(Draft, status=201)

        @routes.post(f"{at}/drafts", status_code=201, openapi_extra=made, operation_id=f"rules_{kind}_propose")
        async def propose(request: Request, body: Proposal, who: Operator, _key: IdempotencyKey = None) -> Response:
            """Propose rules: they are checked as the files are, and wait for another person's approval."""
            return await self._proposed(request, body, who)

        @routes.post(
            f"{at}/drafts/{{draft_id}}/approve", openapi_extra=answers(Draft), operation_id=f"rules_{kind}_approve"
        )
        async def approve(
            request: Request, draft_id: DraftId, body: Because, who: Operator, _key: IdempotencyKey = None
        ) -> Response:
            """Approve what another person proposed: it gets its number, and comes into force on its day."""
            at, by = self.app.now(), who.subject

            def step(draft: Draft, known: Known) -> Draft:
                return drafts.approved(draft, known, by=by, at=at)

            return await self._taken(request, draft_id, step, who=who, reason=body.reason)

        @routes.post(
            f"{at}/drafts/{{draft_id}}/withdraw", openapi_extra=answers(Draft), operation_id=f"rules_{kind}_withdraw"
        )
        async def withdraw(
            request: Request, draft_id: DraftId, body: Because, who: Operator, _key: IdempotencyKey = None
        ) -> Response:
            """Take a draft back before its day, approved or not. Any operator may: it is the safe direction."""
            at, by = self.app.now(), who.subject

            def step(draft: Draft, known: Known) -> Draft:
                return drafts.withdrawn(draft, known, by=by, at=at, why=body.reason)

            return await self._taken(request, draft_id, step, who=who, reason=body.reason)

    async def _proposed(self, request: Request, body: Proposal, who: Caller) -> Response:
        at = self.app.now()
        one = Draft(
            draft_id=f"R-{uuid7()}",
            kind=self.kind,
            state="proposed",
            effective=body.effective,
            document=body.rules,
            reason=body.reason,
            proposed_by=who.subject,
            proposed_at=at,
        )
        today = await self.app.today()

        async def do(conn: Connection) -> Draft:
            await tables.take_turns(conn)
            return drafts.proposed(one, await self._known(conn, today))

        return await self._once(request, who, do, reason=body.reason, status=201)

    async def _taken(self, request: Request, draft_id: str, step: Step, *, who: Caller, reason: str) -> Response:
        today = await self.app.today()

        async def do(conn: Connection) -> Draft:
            await tables.take_turns(conn)
            one = await tables.draft(conn, self.kind, draft_id)
            if one is None:
                raise Problem("not_found")
            return step(one, await self._known(conn, today))

        return await self._once(request, who, do, reason=reason)

    async def _once(
        self,
        request: Request,
        who: Caller,
        do: Callable[[Connection], Awaitable[Draft]],
        *,
        reason: str,
        status: int = 200,
    ) -> Response:
        idempotency, at = await self.app.idempotency(request, who), self.app.now()
        trace, door = getattr(request.state, "traceparent", ""), self.app.door

        async def written(conn: Connection) -> bytes:
            draft = await do(conn)
            await tables.keep(conn, draft, actor=who.subject, reason=reason, at=at)
            await tell(conn, draft, source=door.source, time=at, traceparent=trace)
            return _encode(draft)

        with self.app.in_flight.hold(idempotency):
            answered = await door.answer_once(idempotency, written)
            door.on_told()
            return self.app.answer(answered, status=status)

    async def _known(self, conn: Connection, today: date) -> Known:
        programme = await self.app.rules(conn)
        versions = getattr(programme, self.kind)
        number_max, waiting = await tables.counts(conn, self.kind)
        highest = max(number_max, *(version.version for version in versions.all))
        files = getattr(self.app.door.rulebook.base, self.kind)
        return Known(versions=versions, files=files, number_max=highest, waiting=waiting, today=today)

    async def _rules(self) -> Rules:
        today = await self.app.today()
        async with self.app.connection() as conn:
            versions = getattr(await self.app.rules(conn), self.kind)
            by_number = {one.version: one.draft_id for one in await tables.published(conn) if one.kind == self.kind}
            waiting = await tables.page(
                conn, self.kind, before=SEQ_MAX, state="proposed", rows_max=drafts.DRAFTS_OPEN_MAX
            )
        return Rules(
            kind=self.kind,
            today=today,
            versions=[_shown(one, by_number, versions.at(today)) for one in versions.all],
            waiting=[draft for _, draft in waiting],
        )

    def _json(self, obj: Any) -> Response:
        return Response(_encode(obj), media_type="application/json")


def _shown(version: Any, by_number: Mapping[int, str], now: Any) -> Version:
    return Version(
        version=version.version,
        effective=version.effective,
        in_force=version is now,
        draft_id=by_number.get(version.version),
        rules=version,
    )
