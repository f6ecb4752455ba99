"""The API's description says what really comes back: problems, not the framework's own error shapes."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from tenure.edge.problems import MEDIA_TYPE, ProblemBody

_REF: Final = "#/components/schemas/{name}"
_FRAMEWORK_S: Final = ("HTTPValidationError", "ValidationError")
_METHODS: Final = frozenset({"get", "put", "post", "patch", "delete"})


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
            operation["responses"].pop("422", None)
            operation["responses"] |= {"4XX": _answer("Refused.", problem), "5XX": _answer("Cannot answer.", problem)}
        return whole

    app.openapi = openapi  # type: ignore[method-assign]


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _operations(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, item in whole["paths"].items():
        if path.startswith("/v1/"):
            yield from (operation for method, operation in item.items() if method in _METHODS)
