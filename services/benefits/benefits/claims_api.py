"""What is asked about a claim, a renewal, a year's report and a quarter's class: reads that decide nothing.

The renewal preview takes the tiers from tier-engine, by whose rules the real upgrade will happen, and adds what they unlock by the
rules the real grant will follow.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Annotated

import httpx
import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from tenure.contracts.programme import Programme
from tenure.contracts.programme.benefits import KnowledgeClass
from tenure.edge import App, Caller, Id, MemberId, Problem, answers, caller, json_response

from benefits import store
from benefits.ports import HttpTierEngine, Renewal, TierEngineUnreachableError
from benefits.rules.claims import Entitlements, entitlements
from benefits.rules.preview import Unlocked, unlocked

Quarter = Annotated[str | None, Query(pattern=r"^[12][0-9]{3}Q[1-4]$", description="like 2026Q3; default: this one")]
REPORTS_MAX = 100
RETRY_AFTER_S = 2


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What renewing brings: the tiers and measures, and the benefits they add to today's."""

    renewal: Renewal
    adds_at_start: tuple[Unlocked, ...]
    adds_at_end: tuple[Unlocked, ...]


def router(app: App, *, transport: httpx.AsyncBaseTransport | None = None) -> APIRouter:
    tier_engine = HttpTierEngine(app.settings, transport)

    @asynccontextmanager
    async def closing(_: FastAPI) -> AsyncIterator[None]:
        yield
        await tier_engine.close()

    routes = APIRouter(lifespan=closing)

    @routes.get("/claims/{claim_no}/entitlements", openapi_extra=answers(Entitlements))
    async def of_claim(
        claim_no: Id, who: Annotated[Caller, Depends(caller("member", "agent", "operator", "core", "service"))]
    ) -> Response:
        """What the member's tier on the day of the report grants for this claim, with the reasons in both languages."""
        owner = await store.owner_of_claim(app.pool, claim_no)
        if owner is None:
            raise Problem("not_found")
        who.must_see(owner)
        state = await store.state_of(app.pool, owner)
        if state is None or claim_no not in state.claims:
            raise Problem("not_found")
        return json_response(entitlements(state, state.claims[claim_no], await app.rules()))

    @routes.get("/members/{member_id}/renewal-preview", openapi_extra=answers(Preview))
    async def preview(
        member_id: MemberId,
        policy_no: Annotated[Id, Query()],
        request: Request,
        who: Annotated[Caller, Depends(caller("member", "agent", "operator", "service"))],
    ) -> Response:
        """What renewing this policy unlocks, for the same length and premium from its current end."""
        who.must_see(member_id)
        authorization = request.headers.get("authorization", "")
        try:
            renewal = await tier_engine.renewal(member_id, policy_no, authorization=authorization)
        except TierEngineUnreachableError:
            raise Problem("tier_engine_unreachable", retry_after_s=RETRY_AFTER_S) from None
        if renewal is None:
            raise Problem("not_found")
        return json_response(_preview(await app.rules(), renewal))

    @routes.get("/benefits/{member_id}/reports")
    async def reports(
        member_id: MemberId, who: Annotated[Caller, Depends(caller("member", "agent", "operator", "service"))]
    ) -> Response:
        """The member's home-safety diagnoses, the newest first."""
        who.must_see(member_id)
        rows = await app.pool.fetch(
            "SELECT body FROM reports WHERE member_id = $1 ORDER BY made_on DESC, report_id LIMIT $2",
            member_id,
            REPORTS_MAX,
        )
        return json_response({"items": [msgspec.Raw(row["body"]) for row in rows]})

    @routes.get("/classes")
    async def classes(
        who: Annotated[Caller, Depends(caller("member", "agent", "operator", "service"))],  # noqa: ARG001
        quarter: Quarter = None,
    ) -> Response:
        """The classes of a quarter. Attending one is an activity (`class`) that the ledger rewards, by `session`."""
        asked = quarter or _quarter_of(await app.today())
        rules = app.programme.benefits.at(date(int(asked[:4]), int(asked[5]) * 3, 1))
        items = [_class(c, asked) for c in rules.classes if c.quarter == int(asked[5])]
        return json_response({"quarter": asked, "items": items})

    return routes


def _preview(programme: Programme, renewal: Renewal) -> Preview:
    def adds(tier: str, day: date) -> tuple[Unlocked, ...]:
        return unlocked(renewal.tier_now, tier, programme, day)

    return Preview(
        renewal=renewal,
        adds_at_start=adds(renewal.tier_at_start, renewal.renewed_from),
        adds_at_end=adds(renewal.tier_at_end, renewal.renewed_to),
    )


def _quarter_of(day: date) -> str:
    return f"{day.year:04}Q{(day.month + 2) // 3}"


def _class(held: KnowledgeClass, quarter: str) -> dict[str, str]:
    return {
        "session": f"{held.code}-{quarter}",
        "code": held.code,
        "label_zh": held.label_zh,
        "label_en": held.label_en,
        "about_zh": held.about_zh,
        "about_en": held.about_en,
    }
