"""The API's description says what really comes back: problems, not the framework's own error shapes."""

import re
from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

import msgspec
from fastapi import FastAPI

from tenure.edge.idempotency import HEADER, KEY_CHARS_MAX
from tenure.edge.paging import Page
from tenure.edge.problems import MEDIA_TYPE, ProblemBody

ABOUT: Final = """\
**Token**: `Authorization: Bearer ...`, a JWT (RS256 or ES256) with `sub`, `roles`, for agents `book`, `aud` = `tenure`. Members see
themselves, agents their book; what a caller may not see is answered 404.

**Writes** carry an `Idempotency-Key` of your choice, 1 to 128 visible characters: the same key and request get the same answer, and
one effect. The same key with another request is 422, one that is still being worked on 409.

**Refusals** are RFC 9457 problems. Branch on `code`; show `detail` or `detail_zh`; `title` follows `Accept-Language`. On 409
`idempotency_key_in_flight`, 429 and 503 wait for `Retry-After` seconds and ask again with the same key.

**Queries** hold parameters that the route has, each once unless it is a list; anything else is refused with its name, and so is a
name that an object in a body gives twice.

**Lists** answer `items` and `next_cursor`; go on with `cursor` until it is null. Lists of all members, for operators, answer
`next_after`; go on with `after`.

**Units**: money in fen (`_fen`), points as integers, dates of Asia/Shanghai, periods from their start to before their end.
"""
_REF: Final = "#/components/schemas/{name}"
_PARTS: Final = "x-parts"
ACCEPTED: Final = 202
_SAYS: Final = {200: "As asked.", 201: "Made.", ACCEPTED: "It is still being worked on: look again."}
_FRAMEWORK_S: Final = ("HTTPValidationError", "ValidationError")
_METHODS: Final = frozenset({"get", "put", "post", "patch", "delete"})
_FIRST_SENTENCE: Final = re.compile(r"(?:[^.;?]|[.;?](?! |$))+")


def answers(of: Any, *, status: int = 200, or_later: bool = False) -> dict[str, Any]:
    """For a route's `openapi_extra`: its answer is JSON of this type, a msgspec struct or a `Page` of one.

    `or_later`: or 202 with the same, while it is still being worked on.
    """
    named = get_args(of)[0] if get_origin(of) is Page else of
    package = str(getattr(named, "__module__", "builtins")).partition(".")[0]
    (schema,), parts = msgspec.json.schema_components((of,), ref_template=_REF.format(name=package + ".{name}"))
    content = {"application/json": {"schema": schema}}
    statuses = (status, ACCEPTED) if or_later else (status,)
    responses = {str(code): {"description": _SAYS[code], "content": content} for code in statuses}
    return {"responses": responses, _PARTS: {f"{package}.{name}": part for name, part in parts.items()}}


def describe_problems(app: FastAPI) -> None:
    """Let every operation under /v1 answer 4XX and 5XX with a problem, in the description as in truth."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        whole = generate()
        schemas: dict[str, Any] = whole.setdefault("components", {}).setdefault("schemas", {})
        for name in _FRAMEWORK_S:
            schemas.pop(name, None)
        (problem,), parts = msgspec.json.schema_components((ProblemBody,), ref_template=_REF)
        schemas |= parts
        for operation in _operations(whole):
            operation["summary"] = _title(operation["description"])
            _require_key(operation)
            _gather_parts(operation, schemas)
            operation["responses"].pop("422", None)
            operation["responses"] |= {"4XX": _answer("Refused.", problem), "5XX": _answer("Cannot answer.", problem)}
        return whole

    app.openapi = openapi  # type: ignore[method-assign]


def _title(description: str) -> str:
    """Its first sentence, in one line: the framework would take the name of a function."""
    sentence = _FIRST_SENTENCE.match(" ".join(description.split()))
    assert sentence, "every operation says first what it is for"
    return sentence.group()


def _gather_parts(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    for name, part in operation.pop(_PARTS, {}).items():
        assert schemas.setdefault(name, part) == part, f"two types are called {name}"


def _require_key(operation: dict[str, Any]) -> None:
    """The framework must let a missing key pass, so that `idempotency` can say in two languages what it is for."""
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == HEADER:
            schema = {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX, "pattern": "^[!-~]+$"}
            parameter |= {"required": True, "schema": schema}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _operations(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, item in whole["paths"].items():
        if path.startswith("/v1/"):
            yield from (operation for method, operation in item.items() if method in _METHODS)
