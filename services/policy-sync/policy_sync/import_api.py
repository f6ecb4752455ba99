"""Imports over REST: a file in parts, a start, and how far it is read, with every row that was refused and why."""

from datetime import date, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field, StringConstraints
from tenure.edge import Page, answers
from tenure.edge.access import Caller, caller
from tenure.edge.bodies import Body, Id
from tenure.edge.http import App, json_response
from tenure.edge.idempotency import IdempotencyKey
from tenure.edge.paging import LIMIT_DEFAULT, Cursor, Limit, decode_cursor, page_of
from tenure.edge.problems import Problem
from uuid_utils import uuid7

from policy_sync import commands, import_reads
from policy_sync.rules.imports import PARTS_MAX
from policy_sync.sources import catalogue
from policy_sync.sources.mapping import SourceError

_BYTES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
    }
}
Importer = Annotated[Caller, Depends(caller("core", "operator"))]
Watcher = Annotated[Caller, Depends(caller("core", "operator", "sre"))]
Part = Annotated[int, Path(ge=1, le=PARTS_MAX)]


class OpenBody(Body):
    """`live_from`: facts recorded before that day are history, those from it on live; without it all are history."""

    source: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    file_name: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f/\\]+$")]
    dry_run: bool = False
    live_from: date | None = None


class StartBody(Body):
    parts: Annotated[int, Field(ge=1, le=PARTS_MAX)]


def router(app: App) -> APIRouter:
    routes = APIRouter()
    _writes(routes, app)
    _reads(routes, app)
    return routes


def _writes(routes: APIRouter, app: App) -> None:
    @routes.post("/imports", status_code=201)
    async def open_import(request: Request, body: OpenBody, who: Importer, _: IdempotencyKey = None) -> Response:
        """Open an import of a declared source (`programme/sources`). Then come the file's parts, then the start."""
        try:
            declaration = catalogue.declaration_of(app.settings.programme_dir, body.source)
        except SourceError as error:
            raise Problem("source_unusable", str(error)) from None
        command = commands.OpenImport(
            import_id=str(uuid7()),
            source=body.source,
            declaration=declaration,
            file_name=body.file_name,
            dry_run=body.dry_run,
            live_from=body.live_from,
            opened_by=who.subject,
        )
        return await app.write(request, command, key="import", caller=who, status=201)

    @routes.put("/imports/{import_id}/parts/{part}", openapi_extra=_BYTES)
    async def keep_part(
        request: Request, import_id: Id, part: Part, who: Importer, _: IdempotencyKey = None
    ) -> Response:
        """One part of the file as it stands on the disk, numbered from 1; again, it replaces itself."""
        body = await request.body()
        if not body:
            raise Problem("part_empty")
        command = commands.KeepPart(import_id=import_id, part=part, body=body)
        return await app.write(request, command, key="import", caller=who)

    @routes.post("/imports/{import_id}/start")
    async def start_import(
        request: Request, import_id: Id, body: StartBody, who: Importer, _: IdempotencyKey = None
    ) -> Response:
        """Start an import whose file is whole. It goes on by itself, whatever is killed in between."""
        command = commands.StartImport(import_id=import_id, parts=body.parts)
        return await app.write(request, command, key="import", caller=who)


def _reads(routes: APIRouter, app: App) -> None:
    @routes.get("/imports", openapi_extra=answers(Page[import_reads.ImportView]))
    async def imports(_: Watcher, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Response:
        """All imports, the newest first."""
        after = decode_cursor(cursor, tuple[datetime, str])
        found = await import_reads.imports(app.pool, after=after, rows_max=limit + 1)
        return json_response(page_of(found, limit, key=lambda i: (i.opened_at, i.import_id), show=lambda i: i))

    @routes.get("/imports/{import_id}", openapi_extra=answers(import_reads.ImportView))
    async def one_import(import_id: Id, _: Watcher) -> Response:
        """How far it is, and what became of its rows and facts so far."""
        found = await import_reads.one(app.pool, import_id)
        if found is None:
            raise Problem("no_such_import")
        return json_response(found)

    @routes.get("/imports/{import_id}/findings", openapi_extra=answers(Page[import_reads.FindingView]))
    async def findings(
        import_id: Id, _: Watcher, limit: Annotated[int, Query(ge=1, le=1_000)] = 200, cursor: Cursor = None
    ) -> Response:
        """Every row that was (in a dry run: would be) refused, and why; the first 10,000 are kept."""
        after = decode_cursor(cursor, int)
        found = await import_reads.findings(app.pool, import_id, after=after or 0, rows_max=limit + 1)
        return json_response(page_of(found, limit, key=lambda f: f.n, show=lambda f: f))
