"""The ledger over HTTP, for members, agents and the mall: wallets and why, activities, holds.

Reads answer as of today even where the day's tick has not come; writes pass the one door under an Idempotency-Key.
"""

import hashlib
from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from pydantic import StringConstraints
from tenure.contracts.event import Data
from tenure.contracts.keys import key_of
from tenure.edge import answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Id, MemberId
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import IdempotencyKey, idempotency_of
from tenure.edge.problems import Problem
from tenure.spine.transact import Idempotency, Item, Outcome

from points_ledger import reads
from points_ledger.bodies import Activities, ActivityIn, AnyActivity, HoldIn, PartIn, ReferralIn
from points_ledger.commands import CaptureHold, PlaceHold, RecordActivity, RefundHold, ReleaseHold
from points_ledger.rules.holds import HoldView

LOOKS: Final = ("member", "agent", "operator", "core", "sre", "service")
STAFF: Final = frozenset({"core", "service", "operator"})
WITNESSED: Final = frozenset(
    {"check_up", "class", "wealth_lecture", "safe_driving", "good_review", "referral_success", "teamwork", "mentoring"}
)
"""What somebody else has seen, or judges: who did it must not be the one who reports it, or points could be made up."""
EntryId = Annotated[str, StringConstraints(min_length=1, max_length=96, pattern=r"^[^\s\x00-\x1f\x7f-\x9f/]+$")]
Looks = Annotated[Caller, Depends(caller(*LOOKS))]
Reports = Annotated[Caller, Depends(caller("member", "agent", "core", "service"))]
Redeems = Annotated[Caller, Depends(caller("service"))]


class Refusal(msgspec.Struct, frozen=True):
    """Why one activity of a batch was refused; the others stand."""

    activity_id: str
    code: str
    detail: str


def router(app: App) -> APIRouter:
    """Wallets, activities and holds."""
    routes = APIRouter()
    _wallets(routes, app)
    _activities(routes, app)
    _holds(routes, app)
    return routes


def _wallets(routes: APIRouter, app: App) -> None:
    @routes.get("/wallets/{member_id}", openapi_extra=answers(reads.WalletView))
    async def wallet(member_id: MemberId, who: Looks) -> Response:
        """Balances by wallet, and what expires when."""
        who.must_see(member_id)
        return json_response(await reads.wallet(app.pool, member_id, await app.today()))

    @routes.get("/entries/{entry_id}/why", openapi_extra=answers(reads.Why))
    async def why(entry_id: EntryId, who: Looks) -> Response:
        """By which rule, for which fact, with which multipliers an entry was granted, and what became of it."""
        found = await reads.why(app.pool, await app.rules(), entry_id)
        if found is None:
            raise Problem("not_found")
        who.must_see(found.member_id)
        return json_response(found)


def _activities(routes: APIRouter, app: App) -> None:
    @routes.post("/activities")
    async def record(request: Request, body: Activities, who: Reports, _key: IdempotencyKey = None) -> Response:
        """One activity, or up to 500 that stand or fall alone."""
        activities = body if isinstance(body, list) else [body]
        for activity in activities:
            _must_be_theirs(who, activity)
        asked = await idempotency_of(request, who.subject)
        with app.in_flight.hold(asked):
            if not isinstance(body, list):
                (outcome,) = await app.submit([await _item(app, request, body, asked)])
                return app.answer(outcome)
            items = [await _item(app, request, a, asked.part(n)) for n, a in enumerate(activities)]

            async def show(outcomes: list[Outcome]) -> Any:
                return {"items": [_shown(a, o) for a, o in zip(activities, outcomes, strict=True)]}

            return await app.answer_many(asked, items, show)


def _must_be_theirs(who: Caller, activity: AnyActivity) -> None:
    """Members report for themselves, agents their own services at the rank everybody has. Platforms for anyone.

    Raises Problem not_found, forbidden, not_by_oneself.
    """
    if who.roles & STAFF:
        return
    if isinstance(activity, ReferralIn):
        raise Problem("forbidden")
    owner, role = (activity.member_id, "member") if isinstance(activity, ActivityIn) else (activity.agent_id, "agent")
    if role not in who.roles or who.subject != owner:
        raise Problem("not_found")
    if activity.kind in WITNESSED:
        raise Problem("not_by_oneself")
    if not isinstance(activity, ActivityIn) and activity.rank not in ("trainee", "agent"):
        raise Problem("forbidden")


async def _item(app: App, request: Request, activity: AnyActivity, asked: Idempotency) -> Item:
    data = activity.data()
    command: Data = data if isinstance(activity, ReferralIn) else RecordActivity(activity=data)  # type: ignore[arg-type]
    event = await app.event(request, command, key=key_of(data))
    return Item(event, idempotency=asked)


def _shown(activity: AnyActivity, outcome: Outcome) -> Any:
    if outcome.wrong is None:
        return msgspec.Raw(outcome.body)
    activity_id = activity.policy_no if isinstance(activity, ReferralIn) else activity.activity_id
    return Refusal(activity_id, outcome.wrong.code, outcome.wrong.detail)


def _holds(routes: APIRouter, app: App) -> None:
    async def decide(request: Request, who: Caller, hold_id: str, command: Data) -> Response:
        member_id = await reads.holder(app.pool, hold_id)
        if member_id is None:
            raise Problem("not_found")
        return await app.write(request, command, key=member_id, caller=who)

    @routes.post("/holds", status_code=201, openapi_extra=answers(HoldView, status=201))
    async def place(request: Request, body: HoldIn, who: Redeems, _key: IdempotencyKey = None) -> Response:
        """Reserve points, earliest expiry first, until captured, released, or timed out."""
        asked = await idempotency_of(request, who.subject)
        command = PlaceHold(
            hold_id=body.hold_id or _hold_id(asked),
            member_id=body.member_id,
            wallet=body.wallet,
            points=body.points,
            reference=body.reference,
            expires_at=app.now() + timedelta(seconds=body.ttl_s or app.settings.hold_ttl_s),
        )
        try:
            return await app.write(request, command, key=body.member_id, caller=who, status=201)
        except Problem as problem:
            if problem.code == "data_refused" and await reads.holder(app.pool, command.hold_id) is not None:
                raise Problem("hold_exists") from None  # one that is over, or another member's: no account knows it
            raise

    @routes.get("/holds/{hold_id}", openapi_extra=answers(HoldView))
    async def show(hold_id: Id, who: Redeems) -> Response:
        """A hold as it stands, for a mall that missed an answer."""
        del who
        found = await reads.hold(app.pool, hold_id)
        if found is None:
            raise Problem("not_found")
        return json_response(found)

    @routes.post("/holds/{hold_id}/capture", openapi_extra=answers(HoldView))
    async def capture(
        request: Request, hold_id: Id, who: Redeems, body: PartIn | None = None, _key: IdempotencyKey = None
    ) -> Response:
        """Spend the points, or some of them; the rest is released."""
        return await decide(request, who, hold_id, CaptureHold(hold_id=hold_id, points=body.points if body else None))

    @routes.post("/holds/{hold_id}/release", openapi_extra=answers(HoldView))
    async def release(request: Request, hold_id: Id, who: Redeems, _key: IdempotencyKey = None) -> Response:
        """Set the points free."""
        return await decide(request, who, hold_id, ReleaseHold(hold_id=hold_id))

    @routes.post("/holds/{hold_id}/refund", openapi_extra=answers(HoldView))
    async def refund(
        request: Request, hold_id: Id, who: Redeems, body: PartIn | None = None, _key: IdempotencyKey = None
    ) -> Response:
        """Give captured points back to the lots they came from."""
        return await decide(request, who, hold_id, RefundHold(hold_id=hold_id, points=body.points if body else None))


def _hold_id(asked: Idempotency) -> str:
    """The same request has the same hold, however often it is sent."""
    return "H-" + hashlib.sha256(f"{asked.caller}\0{asked.key}".encode()).hexdigest()[:24]
