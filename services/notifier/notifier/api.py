"""The notifier over HTTP: a member's messages and preferences, providers' receipts, and figures for operators."""

from datetime import datetime
from operator import itemgetter
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import StringConstraints
from tenure.contracts.programme.messages import Language
from tenure.edge import (
    App,
    Body,
    Caller,
    Cursor,
    Id,
    IdempotencyKey,
    Limit,
    MemberId,
    Page,
    Problem,
    Text,
    answers,
    caller,
    decode_cursor,
    json_response,
    page_of,
)

from notifier import reads, store
from notifier.channels.sms_file import SmsFile
from notifier.commands import ReadMessage, RecordReceipt, SetPreferences
from notifier.rules.letters import key_of
from notifier.rules.preferences import shown

PROVIDERS: Final = frozenset({SmsFile.name})

Reader = Annotated[Caller, Depends(caller("member", "agent", "operator", "service"))]
Owner = Annotated[Caller, Depends(caller("member", "agent"))]
Provider = Annotated[Caller, Depends(caller("core", "service"))]
Operator = Annotated[Caller, Depends(caller("operator", "sre", "service"))]


class PreferencesBody(Body):
    """What is left out stays as it is."""

    marketing: bool | None = None
    language: Language | None = None
    sms: bool | None = None


class ReceiptBody(Body):
    message_id: Id
    status: Literal["delivered", "failed"]
    reason: Annotated[Text, StringConstraints(max_length=200)] = ""


def router(app: App) -> APIRouter:
    routes = APIRouter()
    _messages(routes, app)
    _preferences(routes, app)
    _operations(routes, app)
    return routes


def _messages(routes: APIRouter, app: App) -> None:
    @routes.get("/messages", openapi_extra=answers(Page[reads.Shown]))
    async def messages(
        who: Reader,
        member_id: MemberId | None = None,
        lang: Language | None = None,
        unread: bool = False,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        """The caller's messages, or a member's for those who may see it, newest first."""
        owner = member_id or who.subject
        who.must_see(owner)
        after = decode_cursor(cursor, tuple[datetime, datetime, str])
        rows = await reads.page(app.pool, owner, after=after, unread=unread, rows_max=limit + 1)
        place = itemgetter("sent_at", "asked_at", "message_id")
        found = page_of(rows, limit, key=place, show=lambda row: reads.show(row, lang))
        return json_response(found)

    @routes.post("/messages/{message_id}/read")
    async def read(request: Request, message_id: Id, who: Owner, _: IdempotencyKey = None) -> Response:
        """Mark one of the caller's messages as read."""
        command = ReadMessage(member_id=who.subject, message_id=message_id)
        return await app.write(request, command, key=key_of(message_id), caller=who)

    @routes.post("/receipts/{provider}")
    async def receipt(
        request: Request, provider: Id, body: ReceiptBody, who: Provider, _: IdempotencyKey = None
    ) -> Response:
        """What a provider says became of a text message; its first word counts."""
        if provider not in PROVIDERS:
            raise Problem("not_found")
        command = RecordReceipt(message_id=body.message_id, status=body.status, reason=body.reason)
        return await app.write(request, command, key=key_of(body.message_id), caller=who)


def _preferences(routes: APIRouter, app: App) -> None:
    @routes.get("/preferences")
    async def preferences(who: Owner) -> Response:
        """Whether the caller wants marketing and text messages, and in which language; the defaults until they say so."""
        if (await store.book_of(app.pool, who.subject)).merged_into is not None:
            raise Problem("not_found")
        row = await reads.preferences(app.pool, who.subject)
        if row is None:
            return json_response(shown(marketing=False, language="zh", sms=True))
        return json_response(shown(row["marketing"], row["language"], sms=row["sms"]))

    @routes.put("/preferences")
    async def prefer(request: Request, body: PreferencesBody, who: Owner, _: IdempotencyKey = None) -> Response:
        """Change the caller's preferences; what is left out or null stays as it is."""
        command = SetPreferences(member_id=who.subject, marketing=body.marketing, language=body.language, sms=body.sms)
        return await app.write(request, command, key=who.subject, caller=who)


def _operations(routes: APIRouter, app: App) -> None:
    @routes.get("/messages/totals")
    async def totals(_: Operator) -> Response:
        """How many messages were told, suppressed (by reason) and still wait."""
        return Response(await reads.totals(app.pool), media_type="application/json")

    @routes.get("/messages/verify", openapi_extra=answers(dict[str, bool]))
    async def verify(_: Operator) -> Response:
        """What must hold for all messages, each sentence with whether it does."""
        return await app.verified(lambda conn: reads.verify(conn, app.programme))

    @routes.get("/messages/unknown")
    async def unknown(_: Operator) -> Response:
        """Text messages that may or may not have gone out."""
        return json_response({"items": await reads.unsettled(app.pool)})
