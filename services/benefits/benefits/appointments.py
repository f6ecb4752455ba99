"""Appointments: a use with a date to come. Making one takes it from the quota at once; cancelling gives it back.

How many visits a provider can do in a region on a day is the provider's to know; it is not limited here.
"""

from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from tenure.edge import (
    App,
    Body,
    Caller,
    Cursor,
    Day,
    Id,
    IdempotencyKey,
    Limit,
    MemberId,
    Problem,
    answers,
    caller,
    decode_cursor,
    json_response,
    page_of,
)
from tenure.edge.paging import LIMIT_DEFAULT

from benefits.api import USERS, GrantId, UseId, holder, holder_of_grant, is_member_alone
from benefits.commands import ReleaseUse, UseBenefit
from benefits.rules.use import Used

STAFF: Final = frozenset({"operator", "service"})


class AppointmentBody(Body):
    """`region`: an administrative code, never an address."""

    grant_id: GrantId
    slot_date: date
    region: Id | None = None


def router(app: App) -> APIRouter:
    routes = APIRouter()

    @routes.post("/appointments", status_code=201, openapi_extra=answers(Used, status=201))
    async def book(
        body: AppointmentBody,
        request: Request,
        who: Annotated[Caller, Depends(caller(*USERS))],
        key: IdempotencyKey = None,  # noqa: ARG001 - App.write reads it
    ) -> Response:
        """Book a service for a day from today on, within the grant's period."""
        member = await holder_of_grant(app, body.grant_id, who)
        today = await app.today()
        if body.slot_date < today:
            raise Problem("slot_in_past")
        command = UseBenefit(
            member_id=member.member_id,
            grant_id=body.grant_id,
            reference="",
            on=body.slot_date,
            today=today,
            is_appointment=True,
            slot_region=body.region,
        )
        return await app.write(request, command, key=member.member_id, caller=who, status=201)

    @routes.post("/appointments/{use_id}/cancel", openapi_extra=answers(Used))
    async def cancel(
        use_id: UseId,
        request: Request,
        who: Annotated[Caller, Depends(caller(*USERS))],
        key: IdempotencyKey = None,  # noqa: ARG001
    ) -> Response:
        """Cancel an appointment; its use is given back. A member does so until its day is over, whoever serves them also later."""
        booked_by = await app.pool.fetchval("SELECT member_id FROM appointments WHERE use_id = $1", use_id)
        if booked_by is None:
            raise Problem("not_found")
        member = await holder(app, booked_by, who)
        command = ReleaseUse(
            member_id=member.member_id, use_id=use_id, today=await app.today(), is_by_member=is_member_alone(who)
        )
        return await app.write(request, command, key=member.member_id, caller=who)

    @routes.get("/appointments")
    async def list_appointments(
        who: Annotated[Caller, Depends(caller(*USERS))],
        member_id: Annotated[MemberId | None, Query()] = None,
        day: Annotated[Day | None, Query()] = None,
        region: Annotated[Id | None, Query()] = None,
        cursor: Cursor = None,
        limit: Limit = LIMIT_DEFAULT,
    ) -> Response:
        """A member's appointments, or, for staff, everyone's of a day and region."""
        if member_id is not None:
            who.must_see(member_id)
        elif not who.roles & STAFF:
            raise Problem("forbidden")
        after = decode_cursor(cursor, tuple[date, str]) or (date.min, "")
        rows = await app.pool.fetch(_LIST, member_id, day, region, *after, limit + 1)
        page = page_of(rows, limit, key=lambda r: (r["slot_date"], r["use_id"]), show=dict)
        return json_response(page)

    return routes


_LIST: Final = """SELECT use_id, grant_id, member_id, benefit, slot_date, region, status FROM appointments
    WHERE ($1::text IS NULL OR member_id = $1) AND ($2::date IS NULL OR slot_date = $2) AND ($3::text IS NULL OR region = $3)
      AND (slot_date, use_id) > ($4::date, $5::text)
    ORDER BY slot_date, use_id LIMIT $6"""
