"""Reconciliation over REST: the core's control file, what differs, and one call to ask again or to take the core's version."""

from datetime import date
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, StringConstraints
from tenure.contracts.event import Event
from tenure.contracts.topics import TYPE_OF
from tenure.edge import Page, answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Body, Id
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import IdempotencyKey
from tenure.edge.paging import Cursor, decode_cursor, page_of
from tenure.edge.problems import Problem
from tenure.spine.transact import Item, Outcome
from uuid_utils import uuid7

from policy_sync import commands, control_store
from policy_sync.holding import as_held
from policy_sync.rules.controls import DIFFERENCES_MAX, ControlTerm, Difference, corrections, differences, since
from policy_sync.rules.corrections import CHANGED_SINCE, SOURCE, fact_id
from policy_sync.rules.refusals import EARLIEST, LATEST

TERMS_AT_ONCE_MAX: Final = 5_000
POLICIES_AT_ONCE_MAX: Final = 500
LINES_MAX: Final = 100
Fen = Annotated[int, Field(ge=-(10**15), le=10**15)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Line = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Controller = Annotated[Caller, Depends(caller("core", "operator"))]
Watcher = Annotated[Caller, Depends(caller("core", "operator", "sre"))]
Policies = Annotated[list[Id], Field(min_length=1, max_length=POLICIES_AT_ONCE_MAX)]


class LineBody(Body):
    product_line: Line
    policies: Count
    terms: Count
    premium_fen: Fen


class ControlBody(Body):
    """`lines`: counts and premium sums of the terms in force on the day; a snapshot's terms may follow."""

    on: date
    lines: Annotated[list[LineBody], Field(default_factory=list, max_length=LINES_MAX)]


class TermBody(Body):
    policy_no: Id
    term_no: Annotated[int, Field(ge=0, le=9_999)]
    member_id: Id
    product_line: Line
    start: date
    end: date
    premium_fen: Annotated[int, Field(ge=0, le=10**12)]


class TermsBody(Body):
    terms: Annotated[list[TermBody], Field(min_length=1, max_length=TERMS_AT_ONCE_MAX)]


class RequestBody(Body):
    policy_nos: Policies


class AcceptBody(RequestBody):
    """`reason` stays beside what it settled."""

    reason: Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f]*$")] = ""


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one difference: `corrected`, `agrees` (it stands as the core has it by now), `refused` (with why),
    `changed_since` (by what was heard after the comparison, or just now: compare anew), or `ask_the_core` where only its own
    facts can tell.

    Only what was corrected, or agrees, is settled.
    """

    policy_no: str
    term_no: int
    kind: str
    status: str
    code: str = ""


def router(app: App) -> APIRouter:
    routes = APIRouter()
    _files(routes, app)
    _differences(routes, app)
    _settling(routes, app)
    return routes


def _in_range(*days: date) -> None:
    if not all(EARLIEST <= day < LATEST for day in days):
        raise Problem("control_day_out_of_range")


def _files(routes: APIRouter, app: App) -> None:
    @routes.post("/reconciliation/controls", status_code=201)
    async def open_control(request: Request, body: ControlBody, who: Controller, _: IdempotencyKey = None) -> Response:
        """The core's control file of a day: counts per product line, and then, if it has them, its terms."""
        _in_range(body.on)
        names = [line.product_line for line in body.lines]
        if twice := ", ".join(sorted({name for name in names if names.count(name) > 1})):
            raise Problem("validation_failed", f"Counted more than once: {twice}.", detail_zh=f"产品线重复：{twice}。")
        command = commands.OpenControl(
            control_id=str(uuid7()),
            on=body.on,
            lines=msgspec.json.encode([line.model_dump() for line in body.lines]).decode(),
            opened_by=who.subject,
        )
        return await app.write(request, command, key="control", caller=who, status=201)

    @routes.post("/reconciliation/controls/{control_id}/terms")
    async def keep_terms(
        request: Request, control_id: Id, body: TermsBody, who: Controller, _: IdempotencyKey = None
    ) -> Response:
        """Up to 5,000 terms in force that day; a snapshot is as many calls as it takes."""
        for term in body.terms:
            _in_range(term.start, term.end)
        terms = tuple(ControlTerm(**term.model_dump()) for term in body.terms)
        command = commands.KeepControlTerms(control_id=control_id, terms=terms)
        return await app.write(request, command, key="control", caller=who)

    @routes.post("/reconciliation/controls/{control_id}/compare")
    async def compare(request: Request, control_id: Id, who: Controller, _: IdempotencyKey = None) -> Response:
        """Compare a control file that is whole: terms of its snapshot against terms in force here on that day.

        Of many differences the first 10,000 are kept, by policy number, and it `has_more`: once they are settled, compare anew.
        """
        seen = await control_store.view(app.pool, control_id)
        if seen is None:
            raise Problem("no_such_control")
        has_terms = await control_store.has_snapshot(app.pool, control_id)
        if not (has_terms or seen.lines or seen.is_compared):
            raise Problem("nothing_to_compare")
        differ = await _compared(app, control_id, seen.on) if has_terms else []
        command = commands.CompareControl(control_id=control_id, differences=tuple(differ))
        return await app.write(request, command, key="control", caller=who)


def _differences(routes: APIRouter, app: App) -> None:
    @routes.get("/reconciliation/controls/{control_id}", openapi_extra=answers(control_store.ControlView))
    async def control(control_id: Id, _: Watcher) -> Response:
        """A control file: each product line's counts beside ours of now, and how many differences are open."""
        seen = await control_store.view(app.pool, control_id)
        if seen is None:
            raise Problem("no_such_control")
        return json_response(seen)

    @routes.get(
        "/reconciliation/controls/{control_id}/differences", openapi_extra=answers(Page[control_store.DifferenceView])
    )
    async def differences(
        control_id: Id, _: Watcher, limit: Annotated[int, Query(ge=1, le=1_000)] = 200, cursor: Cursor = None
    ) -> Response:
        """What differs, by policy number: as we have it, as the core has it, and whether it was settled."""
        after = decode_cursor(cursor, int) or 0
        rows = await control_store.found(
            app.pool, control_id, policy_nos=None, is_open=False, after=after, rows_max=limit + 1
        )
        return json_response(page_of(rows, limit, key=lambda d: d.n, show=lambda d: d))


def _settling(routes: APIRouter, app: App) -> None:
    @routes.post("/reconciliation/requests")
    async def ask_again(request: Request, body: RequestBody, who: Controller, _: IdempotencyKey = None) -> Response:
        """Ask the core for all facts of these policies again (`facts.requested` on reconciliation.v1), whatever the reason."""
        command = _asking("", body, who, is_control=False)
        return await app.write(request, command, key="control", caller=who)

    @routes.post("/reconciliation/controls/{control_id}/requests")
    async def ask_about(
        request: Request, control_id: Id, body: RequestBody, who: Controller, _: IdempotencyKey = None
    ) -> Response:
        """Ask the core for the facts of policies that differ; the event says in which respects."""
        command = _asking(control_id, body, who, is_control=True)
        return await app.write(request, command, key="control", caller=who)

    @routes.post("/reconciliation/controls/{control_id}/corrections")
    async def accept(
        request: Request, control_id: Id, body: AcceptBody, who: Controller, _: IdempotencyKey = None
    ) -> Response:
        """Take the core's version of these policies as correcting facts; each difference is answered. Again it changes nothing,
        and neither does what was changed here after the comparison.
        """
        seen = await control_store.view(app.pool, control_id)
        if seen is None:
            raise Problem("no_such_control")
        if (before := await app.door.answered(await app.idempotency(request, who))) is not None:
            return app.answer(before)  # another body is refused before anything is corrected
        if not seen.is_compared:
            raise Problem("control_not_compared")
        fates = await _corrected(app, control_id, seen.on, body.policy_nos)
        command = commands.SettleDifferences(
            control_id=control_id,
            policy_nos=tuple(body.policy_nos),
            corrected=_settled(body.policy_nos, fates),
            accepted_by=who.subject,
            reason=body.reason,
            reply={"corrections": fates},
        )
        return await app.write(request, command, key="control", caller=who)


def _asking(control_id: str, body: RequestBody, who: Caller, *, is_control: bool) -> commands.RequestFacts:
    return commands.RequestFacts(
        control_id=control_id or "none",
        request_id=control_id or str(uuid7()),
        policy_nos=tuple(body.policy_nos),
        is_control=is_control,
        asked_by=who.subject,
    )


async def _corrected(app: App, control_id: str, on: date, policy_nos: list[str]) -> list[Correction]:
    open_ = await control_store.found(
        app.pool, control_id, policy_nos=policy_nos, is_open=True, after=0, rows_max=DIFFERENCES_MAX
    )
    if left := [no for no in policy_nos if no not in {one.policy_no for one in open_}]:
        about = ", ".join(left[:5])
        raise Problem(
            "no_such_difference", f"Nothing open concerns {about}.", detail_zh=f"以下保单没有未处理的差异：{about}。"
        )
    heard = await control_store.heard(app.pool, control_id, policy_nos)  # before what is judged by it
    terms = await control_store.known_terms(app.pool, policy_nos)
    standing = await _standing(app, policy_nos, on)
    known = {no for no, _ in terms}
    moment = await app.moment()
    items, judged = list[Item](), list[control_store.DifferenceView]()
    fates = list[Correction]()
    for view in open_:
        one = Difference(
            policy_no=view.policy_no, term_no=view.term_no, kind=view.kind, ours=view.ours, theirs=view.theirs
        )
        if (found := since(one, standing.get((one.policy_no, one.term_no)))) != "stands":
            fates.append(_fate(view, "agrees" if found == "agrees" else CHANGED_SINCE))
            continue
        facts = corrections(one, on=on, number=f"{control_id}-{view.n}", is_known=view.policy_no in known)
        if one.kind == "missing_here" and (one.policy_no, one.term_no) in terms:
            facts = ()  # it ended here (cancelled, say): the same words again do not bring it back
        if not facts:
            fates.append(_fate(view, "ask_the_core"))
        known.add(view.policy_no)
        said = [
            commands.Correct(control_id=control_id, fact=data, heard=heard.get(view.policy_no, 0)) for data in facts
        ]
        items += [Item(_event(one, view, moment), once=True) for one in said]
        judged += [view] * len(facts)
    fates += [_became(view, done) for view, done in zip(judged, await app.submit(items), strict=True)]
    return sorted(fates, key=lambda f: (f.policy_no, f.term_no, f.kind))


async def _compared(app: App, control_id: str, on: date) -> list[Difference]:
    """What differs between the snapshot and what stands here on its day, by policy number: one more than is kept, if it is more."""
    found = await control_store.beside(app.pool, control_id, on, DIFFERENCES_MAX + 1)
    async with app.connection() as conn:
        ours = await as_held(conn, [one for one, _ in found], on)
    return [one for own, (_, theirs) in zip(ours, found, strict=True) for one in differences(own, theirs)]


async def _standing(app: App, policy_nos: list[str], on: date) -> dict[tuple[str, int], ControlTerm]:
    found = await control_store.in_force(app.pool, policy_nos, on)
    async with app.connection() as conn:
        return {(one.policy_no, one.term_no): one for one in await as_held(conn, found, on) if one}


def _settled(policy_nos: list[str], fates: list[Correction]) -> tuple[str, ...]:
    """The policies of which nothing is left open."""
    left = {fate.policy_no for fate in fates if fate.status not in ("corrected", "agrees")}
    return tuple(no for no in policy_nos if no not in left)


def _became(view: control_store.DifferenceView, done: Outcome) -> Correction:
    if done.wrong is None:
        return _fate(view, "corrected")
    if done.wrong.code == CHANGED_SINCE:
        return _fate(view, CHANGED_SINCE)
    return _fate(view, "refused", done.wrong.code)


def _fate(view: control_store.DifferenceView, status: str, code: str = "") -> Correction:
    return Correction(policy_no=view.policy_no, term_no=view.term_no, kind=view.kind, status=status, code=code)


def _event(said: commands.Correct, view: control_store.DifferenceView, moment: Any) -> Event:
    id_, type_ = fact_id(said.control_id, view.n), TYPE_OF[type(said.fact)]
    return Event(id=id_, source=SOURCE, type=type_, key=view.policy_no, time=moment, data=said)
