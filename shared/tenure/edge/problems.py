"""Every refusal is an RFC 9457 problem with a stable `code`, in English and Chinese, and says nothing it should not.

The invariants: no stack, no SQL and no input value stands in an answer; whatever fails is the caller's fault (4xx), a
rule's refusal (4xx by its code), the world being down (503 with Retry-After), or our fault (500, logged).
"""

import asyncio
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

import asyncpg
import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from tenure.contracts.event import WrongEventError
from tenure.edge.catalogue import REFUSED, Catalogue, Entry
from tenure.edge.validation import FieldError, field_errors
from tenure.edge.whole import GivenTwiceError
from tenure.spine.gather import OverloadedError
from tenure.spine.retry import DATABASE_DOWN

log: Final = structlog.get_logger(__name__)
MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
_CODE_OF_STATUS: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "validation_failed",
    429: "rate_limited",
    503: "unavailable",
}
WORLD_DOWN: Final[tuple[type[BaseException], ...]] = (ConnectionError, TimeoutError, socket.gaierror, *DATABASE_DOWN)


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An answer that is not the one asked for. `code` is in the catalogue; details default to its titles there."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        detail_zh: str = "",
        status: int | None = None,
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code, self.detail, self.detail_zh = code, detail, detail_zh
        self.status, self.errors = status, errors
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(max(1, retry_after_s))


class Asked(NamedTuple):
    """What an answer needs to know of the request."""

    instance: str
    accept_language: str


class ProblemBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The JSON of a problem."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    detail_zh: str
    instance: str
    errors: Sequence[FieldError] = ()


_encode: Final = msgspec.json.Encoder().encode


def problem_of(wrong: WrongEventError, catalogue: Catalogue) -> Problem:
    """The problem for a rule's refusal. A code no catalogue knows keeps its name and is answered as `refused`."""
    if wrong.code in catalogue:
        return Problem(wrong.code, wrong.detail)
    return Problem(wrong.code, wrong.detail, status=catalogue[REFUSED][0])


def render(problem: Problem, catalogue: Catalogue, asked: Asked) -> Response:
    """The answer for a problem, its title in the language the caller likes better."""
    status, title, title_zh = _entry(problem, catalogue)
    chinese = prefers_chinese(asked.accept_language)
    body = ProblemBody(
        type=f"/problems/{problem.code}",
        title=title_zh if chinese else title,
        status=status,
        code=problem.code,
        detail=problem.detail or title,
        detail_zh=problem.detail_zh or title_zh,
        instance=asked.instance,
        errors=problem.errors,
    )
    headers = {"Content-Language": "zh-CN" if chinese else "en", "Vary": "Accept-Language", **problem.headers}
    return Response(_encode(body), status, headers, MEDIA_TYPE)


def _entry(problem: Problem, catalogue: Catalogue) -> Entry:
    status, title, title_zh = catalogue.get(problem.code) or catalogue[REFUSED]
    return problem.status or status, title, title_zh


_LANGUAGE: Final = re.compile(r"\s*([A-Za-z*-]+)[^,;]*(?:;\s*q=([01](?:\.\d{0,3})?))?")


def prefers_chinese(accept_language: str) -> bool:
    """Whether an Accept-Language header likes Chinese better than English. English where it says nothing."""
    liking = {"zh": 0.0, "en": 0.0}
    for part in accept_language[:256].split(","):
        matched = _LANGUAGE.match(part)
        if matched and (language := matched[1][:2].lower()) in liking:
            liking[language] = max(liking[language], float(matched[2] or 1))
    return liking["zh"] > liking["en"]


def asked(request: Request) -> Asked:
    return Asked(request.url.path, request.headers.get("accept-language", ""))


def problem_of_error(error: Exception, catalogue: Catalogue) -> Problem:
    """Which problem an exception is."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, WrongEventError):
        return problem_of(error, catalogue)
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return _of_http(error)
    return _of_ours(error)


def _of_ours(error: Exception) -> Problem:
    if isinstance(error, OverloadedError):
        return Problem("overloaded", retry_after_s=error.retry_after_s)
    if isinstance(error, (asyncpg.DataError, asyncpg.exceptions.DataError)):
        return Problem("data_refused")
    if is_world_down(error):
        return Problem("unavailable", retry_after_s=RETRY_AFTER_S)
    return Problem("internal")


def is_world_down(error: BaseException) -> bool:
    """Whether the database or network is down or too busy, rather than our code wrong."""
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return False
    # "Multiple exceptions: connect call failed" is a plain OSError; a missing file is a subclass, and our fault.
    return isinstance(error, WORLD_DOWN) or type(error) is OSError


def _of_validation(error: RequestValidationError) -> Problem:
    if isinstance(error.__cause__, GivenTwiceError):
        return Problem("validation_failed", errors=error.__cause__.errors)
    raw = error.errors()
    if any(e["type"] == "json_invalid" for e in raw):
        at = raw[0]["loc"][-1]
        return Problem(
            "malformed_json",
            f"The body is not valid JSON at character {at}.",
            detail_zh=f"请求体在第 {at} 个字符处不是有效的 JSON。",
        )
    if isinstance(error.body, bytes) and any(tuple(e["loc"]) == ("body",) for e in raw):
        return Problem("unsupported_media_type")
    return Problem("validation_failed", errors=field_errors(raw, error.body))


def _of_http(error: HTTPException) -> Problem:
    if error.status_code == HTTPStatus.BAD_REQUEST and "parsing the body" in str(error.detail):
        return Problem("malformed_json")
    code = _CODE_OF_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")  # noqa: PLR2004
    return Problem(code, status=error.status_code, headers=error.headers)


def answer_to(error: Exception, catalogue: Catalogue, asked: Asked) -> Response:
    """The answer for an exception; what is ours to mend is logged."""
    problem = problem_of_error(error, catalogue)
    if problem.code == "internal":
        log.error("request_failed", exc_info=error)
    elif is_world_down(error):
        log.warning("world_down", reason=type(error).__name__)
    return render(problem, catalogue, asked)


def allowed(routes: Iterable[BaseRoute]) -> dict[int, str]:
    """By a route's `id`: all methods of its path, which may be on several routes."""
    found = [route for route in routes if isinstance(route, APIRoute)]
    methods: dict[str, set[str]] = {}
    for route in found:
        methods.setdefault(route.path, set()).update(route.methods or ())
    return {id(route): ", ".join(sorted(methods[route.path])) for route in found}


def install(app: FastAPI, catalogue: Catalogue) -> None:
    """Let every exception leave as a problem; what is no class named here is left to `limits.LastResort`."""

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allow = request.app.state.allow.get(id(request.scope.get("route")))
            error.headers = {"Allow": allow} if allow else error.headers
        return answer_to(error, catalogue, asked(request))

    for cls in (
        Problem,
        WrongEventError,
        RequestValidationError,
        HTTPException,
        OverloadedError,
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        asyncio.TimeoutError,
    ):
        app.add_exception_handler(cls, handle)
