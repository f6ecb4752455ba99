"""A JSON body is taken whole or refused: a name that an object gives twice is told with its place.

The invariant: nothing that was sent is passed over. Of `{"points": 10, "points": 1000}` the framework takes the last, and whoever
looked at the request on its way may have taken the first.
"""

import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from tenure.edge.validation import ERRORS_MAX, FieldError, pointer

Place = tuple[int | str, ...]
_BODY: Final[Place] = ("body",)


class GivenTwiceError(json.JSONDecodeError):
    """Names that stand more than once in one object; an error of reading JSON, so that the framework lets it through as one."""

    def __init__(self, places: Sequence[Place]) -> None:
        super().__init__("given more than once", "", 0)
        self.errors = [FieldError(pointer(place), "Given more than once", "字段重复") for place in places]


class WholeRequest(Request):
    """A request whose JSON is read whole. Raises GivenTwiceError, JSONDecodeError."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = _read(await self.body())
        return self._json


class _Pairs(tuple[tuple[str, Any], ...]):
    """An object as it was written."""

    __slots__ = ()


def take_bodies_whole(route: APIRoute) -> None:
    """Refuse a JSON body in which a name is given twice."""
    build = route.get_route_handler

    def whole() -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = build()

        async def handle(request: Request) -> Response:
            return await handler(WholeRequest(request.scope, request.receive))

        return handle

    if route.body_field is not None:
        route.get_route_handler = whole  # type: ignore[method-assign]


def given_twice(text: bytes) -> list[Place]:
    """Where JSON names something more than once: the first of these places. Raises JSONDecodeError, RecursionError."""
    return _read_once(text)[1]


def _read(body: bytes) -> Any:
    read, places = _read_once(body)
    if places:
        raise GivenTwiceError([(*_BODY, *place) for place in places])
    return read


def _read_once(text: bytes) -> tuple[Any, list[Place]]:
    is_whole = True

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal is_whole
        found = dict(pairs)
        is_whole = is_whole and len(found) == len(pairs)
        return found

    read = json.loads(text, object_pairs_hook=once)
    if is_whole:
        return read, []
    return read, list(islice(_given_twice(json.loads(text, object_pairs_hook=_Pairs), ()), ERRORS_MAX))


def _given_twice(node: Any, place: Place) -> Iterator[Place]:
    if isinstance(node, _Pairs):
        seen: set[str] = set()
        for name, value in node:
            if name in seen:
                yield (*place, name)
            seen.add(name)
            yield from _given_twice(value, (*place, name))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _given_twice(value, (*place, index))
