"""Manual adjustments over HTTP: proposed by one operator, approved or rejected by another, one by one or from a file."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import asyncpg
import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from tenure.contracts.decision import RefusedError
from tenure.contracts.event import Data, Event, WrongEventError
from tenure.edge import Page, answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Id, MemberId
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import IdempotencyKey, idempotency_of
from tenure.edge.paging import Cursor, Limit, decode_cursor, page_of
from tenure.edge.problems import Problem
from tenure.spine.transact import Idempotency, Item, Outcome

from points_ledger import adjustment_files, day_limits, desk, store
from points_ledger.adjustment_files import FileAnswer, Row
from points_ledger.bodies import AdjustmentIn, RejectionIn
from points_ledger.commands import ApproveAdjustment, ProposeAdjustment, RejectAdjustment
from points_ledger.rules.adjustments import AdjustmentView

Operates = Annotated[Caller, Depends(caller("operator"))]
State = Annotated[Literal["proposed", "approved", "rejected"] | None, Query(description="only those that stand so")]
DryRun = Annotated[bool, Query(description="say what would happen, and do nothing")]
_CSV: Final = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}


class BatchAnswer(AdjustmentView, frozen=True):
    """One adjustment of a file after it was decided; `code` says why it was not."""

    code: str = ""


def router(app: App) -> APIRouter:
    """Adjustments."""
    routes = APIRouter()
    _reads(routes, app)
    _one_by_one(routes, app)
    _files(routes, app)
    return routes


def _reads(routes: APIRouter, app: App) -> None:
    @routes.get("/adjustments", openapi_extra=answers(Page[AdjustmentView]))
    async def listed(
        who: Operates,
        state: State = None,
        batch: Id | None = None,
        member_id: MemberId | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        """Adjustments, newest first."""
        del who
        rows = await desk.adjustments(
            app.pool,
            state=state,
            batch=batch,
            member_id=member_id,
            after=decode_cursor(cursor, desk.Place),
            rows_max=limit + 1,
        )
        return json_response(page_of(rows, limit, key=lambda row: row[1], show=lambda row: row[0]))


def _one_by_one(routes: APIRouter, app: App) -> None:
    async def decide(request: Request, who: Caller, adjustment_id: str, command: Data) -> Response:
        member_id = await desk.adjusted(app.pool, adjustment_id)
        if member_id is None:
            raise Problem("not_found")
        return await app.write(request, command, key=member_id, caller=who)

    @routes.post("/adjustments", status_code=201, openapi_extra=answers(AdjustmentView, status=201))
    async def propose(request: Request, body: AdjustmentIn, who: Operates, _key: IdempotencyKey = None) -> Response:
        """Propose to add or deduct points, to write off a debt, to freeze or release; a second person must approve."""
        asked = await idempotency_of(request, who.subject)
        command = _proposal(body, who, _digest(asked))
        await _must_fit_into_the_day(app, [command])
        try:
            return await app.write(request, command, key=body.member_id, caller=who, status=201)
        except Problem as problem:
            if problem.code != "data_refused":
                raise
        await _must_fit_into_the_day(app, [command])  # another took what was left of the day meanwhile
        return await app.write(request, command, key=body.member_id, caller=who, status=201)  # or the day was just over

    @routes.post("/adjustments/{adjustment_id}/approve", openapi_extra=answers(AdjustmentView))
    async def approve(request: Request, adjustment_id: Id, who: Operates, _key: IdempotencyKey = None) -> Response:
        """Approve what another proposed."""
        command = ApproveAdjustment(adjustment_id=adjustment_id, approved_by=who.subject)
        return await decide(request, who, adjustment_id, command)

    @routes.post("/adjustments/{adjustment_id}/reject", openapi_extra=answers(AdjustmentView))
    async def reject(
        request: Request, adjustment_id: Id, body: RejectionIn, who: Operates, _key: IdempotencyKey = None
    ) -> Response:
        """Reject what another proposed, or withdraw one's own."""
        command = RejectAdjustment(adjustment_id=adjustment_id, rejected_by=who.subject, reason=body.reason)
        return await decide(request, who, adjustment_id, command)


def _files(routes: APIRouter, app: App) -> None:
    @routes.post("/adjustment-files", openapi_extra=answers(FileAnswer) | _CSV)
    async def take(request: Request, who: Operates, dry_run: DryRun = False, _key: IdempotencyKey = None) -> Response:
        """Propose the rows of a CSV file: member_id, points, reason, ticket, and if need be wallet and purpose.

        A refusal is not kept: nothing was taken, and the same key may bring the file again, also a corrected one.
        """
        asked = await idempotency_of(request, who.subject)
        rows = adjustment_files.read(await request.body())
        with app.in_flight.hold(asked):
            if not dry_run and (before := await app.door.answered(asked)) is not None:
                return app.answer(before)
            batch = f"B-{_digest(asked)[:20]}"
            proposals = {n: row for n, row in enumerate(rows, 2) if isinstance(row, AdjustmentIn)}
            events = {n: await _event(app, request, who, one, asked.part(n), batch) for n, one in proposals.items()}
            said = await _judge(app, events)
            answer = _answer(rows, said, events, batch, dry_run=dry_run)
            if answer.taken:
                return await _keep(app, asked, answer, list(events.values()))
            # Another process may have proposed the same file while this one judged it.
            before = None if dry_run else await app.door.answered(asked)
            return json_response(answer) if before is None else app.answer(before)

    @routes.post("/adjustment-files/{batch}/approve", openapi_extra=answers(Page[BatchAnswer]))
    async def approve(request: Request, batch: Id, who: Operates, _key: IdempotencyKey = None) -> Response:
        """Approve what of a file still waits; each row by itself, for an account may have changed meanwhile."""
        asked = await idempotency_of(request, who.subject)
        with app.in_flight.hold(asked):
            waiting = await desk.open_of_batch(app.pool, batch)
            if not waiting and not await app.door.is_claimed(asked):
                raise Problem("not_found")
            items = []
            for adjustment_id, member_id in waiting:
                command = ApproveAdjustment(adjustment_id=adjustment_id, approved_by=who.subject)
                event = await app.event(request, command, key=member_id)
                items.append(Item(event, idempotency=asked.part(adjustment_id)))

            async def show(outcomes: list[Outcome]) -> Page[BatchAnswer]:
                codes = {one[0]: o.wrong.code if o.wrong else "" for one, o in zip(waiting, outcomes, strict=True)}
                return await _decided(app, batch, codes)

            return await app.answer_many(asked, items, show)


async def _decided(app: App, batch: str, codes: dict[str, str]) -> Page[BatchAnswer]:
    """The rows of a file as they stand, and why some were not approved."""
    rows = await desk.adjustments(
        app.pool, state=None, batch=batch, member_id=None, after=None, rows_max=adjustment_files.ROWS_MAX
    )
    return Page([_with_code(view, codes.get(view.adjustment_id, "")) for view, _ in rows])


async def _judge(app: App, events: dict[int, Event]) -> dict[int, WrongEventError | None]:
    """What the rules and the day's limits say to each row, after those before it."""
    async with app.connection() as conn:
        states = await store.load(conn, sorted({event.key for event in events.values()}))
    wrong = adjustment_files.tried(app.service, await app.rules(), states, list(events.values()))
    said = dict(zip(events, wrong, strict=True))
    fitting = {n: event.data for n, event in events.items() if said[n] is None}
    over = await _exceeding(app, list(fitting.values()))
    limited = {
        n: RefusedError("adjustment_day_limit", over[one.adjustment_id])
        for n, one in fitting.items()
        if one.adjustment_id in over
    }
    return said | limited


async def _exceeding(app: App, proposed: Sequence[ProposeAdjustment]) -> dict[str, str]:
    """What of these does not fit into the day any more, and why."""
    today = await app.today()
    return await day_limits.exceeding(app.pool, today, (await app.rules()).earning.at(today), proposed)


async def _must_fit_into_the_day(app: App, proposed: Sequence[ProposeAdjustment]) -> None:
    """Raises Problem adjustment_day_limit."""
    for why in (await _exceeding(app, proposed)).values():
        raise Problem("adjustment_day_limit", why)


def _digest(asked: Idempotency) -> str:
    return hashlib.sha256(f"{asked.caller}\0{asked.key}".encode()).hexdigest()


def _proposal(body: AdjustmentIn, who: Caller, digest: str, batch: str = "") -> ProposeAdjustment:
    return ProposeAdjustment(
        adjustment_id=f"J-{digest[:24]}", proposed_by=who.subject, batch=batch, **body.model_dump()
    )


async def _event(app: App, request: Request, who: Caller, row: AdjustmentIn, part: Idempotency, batch: str) -> Event:
    """Each row has an id of its own under the file's key."""
    return await app.event(request, _proposal(row, who, _digest(part), batch), key=row.member_id)


def _answer(
    rows: Sequence[AdjustmentIn | Row], said: dict[int, Any], events: dict[int, Event], batch: str, *, dry_run: bool
) -> FileAnswer:
    shown = [row if isinstance(row, Row) else _judged(n, row, said[n], events[n]) for n, row in enumerate(rows, 2)]
    refused = sum(1 for row in shown if row.code)
    return FileAnswer(
        batch=batch,
        dry_run=dry_run,
        taken=not dry_run and not refused,
        rows=shown,
        refused=refused,
        points_in=sum(row.points for row in shown if not row.code and row.points > 0),
        points_out=-sum(row.points for row in shown if not row.code and row.points < 0),
    )


def _judged(n: int, row: AdjustmentIn, wrong: Any, event: Event) -> Row:
    if wrong is not None:
        return Row(n, row.member_id, row.points, None, wrong.code, wrong.detail)
    return Row(n, row.member_id, row.points, event.data.adjustment_id)


async def _keep(app: App, asked: Idempotency, answer: FileAnswer, events: list[Event]) -> Response:
    """Keep the rows, and the answer with them; none, if accounts or the day became other meanwhile.

    Raises Problem.
    """
    body = msgspec.json.encode(answer)
    try:
        return app.answer(await app.door.transact_whole([Item(event) for event in events], asked, body))
    except WrongEventError as wrong:
        raise Problem(wrong.code) from None
    except asyncpg.IntegrityConstraintViolationError:  # another took what was left of the day meanwhile
        if (
            await desk.adjusted(app.pool, events[0].data.adjustment_id) is not None
        ):  # the key is forgotten, the file not
            raise Problem("adjustment_exists", f"This file was proposed before, as {answer.batch}.") from None
        await _must_fit_into_the_day(app, [event.data for event in events])
        raise Problem("conflict", "The day ended meanwhile, and nothing was taken: send it again.") from None


def _with_code(view: AdjustmentView, code: str) -> BatchAnswer:
    return BatchAnswer(**{name: getattr(view, name) for name in AdjustmentView.__struct_fields__}, code=code)
