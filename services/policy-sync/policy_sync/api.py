"""policy-sync over REST: facts in, policies, claims, contact data and counts out."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from msgspec.structs import replace
from pydantic import StringConstraints
from tenure.calendar import DAY, FIRST_DAY, LAST_DAY, start_of
from tenure.contracts.event import Event
from tenure.edge import Page, answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Body, Day, Id, MemberId
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import IdempotencyKey
from tenure.edge.paging import LIMIT_DEFAULT, Cursor, Limit, decode_cursor, page_of
from tenure.edge.problems import Problem
from tenure.spine.codec import latest_of
from tenure.spine.transact import Item

from policy_sync import beliefs, own, pushed, reads, resent, verify
from policy_sync.commands import KeepContact
from policy_sync.contact import Contact, Seal, phone_of

_FACTS_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": pushed.FACTS_MAX,
                    "items": {"type": "object", "required": ["id", "source", "type", "data"]},
                }
            }
        },
    }
}
Pusher = Annotated[Caller, Depends(caller("core", "operator"))]
Reader = Annotated[Caller, Depends(caller("member", "agent", "operator", "core", "service"))]
Keeper = Annotated[Caller, Depends(caller("member", "core", "operator", "service"))]
Staff = Annotated[Caller, Depends(caller("operator", "core", "service"))]
Counter = Annotated[Caller, Depends(caller("operator", "core", "sre", "service"))]


Recorded = Annotated[
    str,
    Query(
        max_length=40,
        description="A day (all that was heard until its end) or an instant like 2026-03-01T09:00:00+08:00",
    ),
]


def heard_until(text: str | None) -> datetime | None:
    """The instant up to which facts were heard: a day is taken with all of it. Raises Problem recorded_invalid."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-03-01"):
            when = start_of(date.fromisoformat(text) + DAY)
        else:
            when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise Problem("recorded_invalid") from None
    if when.tzinfo is None or not FIRST_DAY.year <= when.year <= LAST_DAY.year:
        raise Problem("recorded_invalid")
    return when


class ContactBody(Body):
    phone: Annotated[str, StringConstraints(min_length=3, max_length=32)]
    language: Literal["zh", "en"] = "zh"


def router(app: App) -> APIRouter:
    routes = APIRouter()
    _facts(routes, app)
    _policies(routes, app)
    _claims(routes, app)
    _contacts(routes, app)
    return routes


def _facts(routes: APIRouter, app: App) -> None:
    @routes.post("/facts", openapi_extra={**answers(pushed.Results), **_FACTS_BODY})
    async def push_facts(request: Request, _: Pusher) -> Response:
        """Push 1 to 1,000 facts as CloudEvents; each is answered. Pushing again is safe: ids make it so."""
        elements = pushed.split(await request.body())
        moment = await app.moment()
        latest = latest_of(app.settings.clock, app.now())
        read = [
            pushed.read(raw, moment=moment, latest=latest, traceparent=request.state.traceparent) for raw in elements
        ]
        events = [event for event in read if isinstance(event, Event)]
        done = await app.submit([Item(event, once=True) for event in events])
        outcomes = await resent.judged(app.pool, events, done, is_timed=False)
        return json_response(pushed.results(read, outcomes, app.catalogue))

    @routes.get(
        "/facts/verify", openapi_extra=answers(dict[str, bool]), dependencies=[Depends(caller("operator", "sre"))]
    )
    async def verify_all() -> Response:
        """What must hold for all policies, each sentence with whether it does. Reads every fact: not for every minute."""
        return await app.verified(verify.verify)

    @routes.get("/reconciliation", openapi_extra=answers(reads.Reconciliation))
    async def reconcile(_: Counter, on: Day | None = None) -> Response:
        """Counts of facts, and policies, terms and premium in force on a day, per product line."""
        return json_response(await reads.reconciliation(app.pool, on or await app.today()))


def _policies(routes: APIRouter, app: App) -> None:
    async def own_parts(found: Sequence[reads.PolicyView], who: Caller) -> list[reads.PolicyView]:
        on = await app.today()
        async with app.connection() as conn:
            return await own.parts(conn, found, who, on=on)

    @routes.get("/policies/{policy_no}", openapi_extra=answers(reads.PolicyView))
    async def policy(policy_no: Id, who: Reader) -> Response:
        """A policy with its terms, for whoever sees one of those who hold or held it; a member reads their own part of it."""
        found = await reads.policy(app.pool, policy_no)
        mine = await own_parts([found] if found else [], who)
        if not mine:
            raise Problem("not_found")
        return json_response(mine[0])

    @routes.get("/policies/{policy_no}/belief", openapi_extra=answers(beliefs.Belief))
    async def belief(
        policy_no: Id, who: Reader, effective: Day | None = None, recorded: Recorded | None = None
    ) -> Response:
        """What was believed at one time (`recorded`: a day with all of it, or an instant) about a day; both default to now."""
        until, on = heard_until(recorded) or app.now(), effective or await app.today()
        async with app.connection() as conn:
            found = await beliefs.believed(conn, policy_no, effective=on, recorded=until, who=who)
        if found is None:
            raise Problem("not_found")
        return json_response(found)

    @routes.get(
        "/households/{household_id}",
        openapi_extra=answers(reads.Household),
        dependencies=[Depends(caller("operator", "core", "service"))],
    )
    async def household(household_id: Id) -> Response:
        """Who lives in a household, by the newest word of the core."""
        members = await reads.household(app.pool, household_id)
        if not members:
            raise Problem("not_found")
        return json_response(reads.Household(household_id, members))

    @routes.get("/policies", openapi_extra=answers(Page[reads.PolicyView]))
    async def policies(
        who: Reader, member_id: MemberId, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
    ) -> Response:
        """The policies a member holds or held; of each a member reads their own part."""
        who.must_see(member_id)
        after = decode_cursor(cursor, str)
        found = await reads.policies(app.pool, member_id, after=after, rows_max=limit + 1)
        page = page_of(found, limit, key=lambda p: p.policy_no, show=lambda p: p)
        return json_response(replace(page, items=await own_parts(page.items, who)))


def _claims(routes: APIRouter, app: App) -> None:
    @routes.get("/claims/{claim_no}", openapi_extra=answers(reads.ClaimView))
    async def claim(claim_no: Id, who: Reader) -> Response:
        """A claim as it stands."""
        found = next((c for c in await reads.claims(app.pool, claim_no) if who.sees(c.member_id)), None)
        if found is None:
            raise Problem("not_found")
        return json_response(found)

    @routes.get("/members/{member_id}/claims", openapi_extra=answers(Page[reads.ClaimView]))
    async def claims(member_id: MemberId, who: Reader, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Response:
        """A member's claims, by day of loss."""
        who.must_see(member_id)
        after = decode_cursor(cursor, tuple[date, str, str])
        found = await reads.claims_of(app.pool, member_id, after=after, rows_max=limit + 1)
        page = page_of(found, limit, key=lambda c: (c.loss_date, c.claim_no, c.policy_no), show=lambda c: c)
        return json_response(page)


def _contacts(routes: APIRouter, app: App) -> None:
    @routes.put("/members/{member_id}/contact")
    async def keep_contact(
        request: Request, member_id: MemberId, body: ContactBody, who: Keeper, _: IdempotencyKey = None
    ) -> Response:
        """Keep how to reach a member. It is stored encrypted, and told to no other service."""
        who.must_see(member_id)
        seal = Seal(app.settings.contact_key)
        sealed = seal.seal(member_id, Contact(phone_of(body.phone), body.language))
        command = KeepContact(member_id=member_id, sealed=sealed, key_id=seal.key_id)
        return await app.write(request, command, key=member_id, caller=who)

    @routes.get("/members/{member_id}/contact", openapi_extra=answers(Contact))
    async def contact(member_id: MemberId, _: Staff) -> Response:
        """How to reach a member, for those who deliver."""
        kept = await reads.sealed_contact(app.pool, member_id)
        if kept is None:
            raise Problem("not_found")
        return json_response(Seal(app.settings.contact_key).open(*kept))
