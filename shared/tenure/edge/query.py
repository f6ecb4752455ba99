"""What a query may hold: parameters that the route has, and each once unless it is a list; the rest is refused, as in a body.

The invariant: nothing that was asked is passed over. Of `?dry_run=true&dry_run=false` the framework takes the last, and it takes
`?dryrun=true` for nothing, so that what was meant to be tried would be done.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, get_args, get_origin

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from tenure.edge.access import gates_of
from tenure.edge.problems import Problem
from tenure.edge.validation import ERRORS_MAX, FieldError, pointer

_LISTS: Final = (list, tuple, set, frozenset)


def answer_only_what_is_asked(route: APIRoute) -> None:
    """Refuse a query that the route would not take whole, once it is known who calls."""
    build, lists, gates = route.get_route_handler, lists_of(route), gates_of(route)

    def strict() -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = build()

        async def handle(request: Request) -> Response:
            if request.scope["query_string"] and (errors := wrong(request.query_params.multi_items(), lists)):
                for gate in gates:
                    await gate(request)
                raise Problem("validation_failed", errors=errors)
            return await handler(request)

        return handle

    route.get_route_handler = strict  # type: ignore[method-assign]


def lists_of(route: APIRoute) -> Mapping[str, bool]:
    """The parameters of a route's query, each with whether it may be given more than once."""
    return {field.alias: _is_list(field.field_info.annotation) for field in _fields(route.dependant)}


def wrong(given: Iterable[tuple[str, str]], lists: Mapping[str, bool]) -> Sequence[FieldError]:
    """At most ERRORS_MAX findings, one a name: what is given again, and what the route does not have."""
    found: dict[str, FieldError] = {}
    seen: set[str] = set()
    for name, _ in given:
        if name not in lists:
            found[name] = _error(name, "The route has no such parameter", "没有此参数")
        elif name in seen and not lists[name]:
            found[name] = _error(name, "Given more than once", "参数重复")
        seen.add(name)
    return list(found.values())[:ERRORS_MAX]


def _error(name: str, english: str, chinese: str) -> FieldError:
    return FieldError(pointer(("query", name)), english, chinese)


def _fields(dependant: Dependant) -> Iterator[Any]:
    yield from dependant.query_params
    for one in dependant.dependencies:
        yield from _fields(one)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in _LISTS or annotation in _LISTS or any(map(_is_list, get_args(annotation)))
