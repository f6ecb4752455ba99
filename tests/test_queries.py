"""On every route of every service nothing of query or body is passed over: what is given twice, or unknown, is told as a problem.

The routes are read off the services' routers, so a new one is asked here without being named; all of them on one port, as the
embedded gateway has them.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, NamedTuple, cast

import httpx
import pytest
from fastapi.routing import APIRoute
from tenure.contracts.programme import Programme
from tenure.edge import create_app
from tenure.edge.access import ROLES
from tenure.edge.query import lists_of
from tenure.settings import Settings
from tenure.spine.transact import Door
from tenure.testing import Under
from tenure_local.services import SERVICES

from .scripts import script

OWNERS: Final = script("gateway")


class Asked(NamedTuple):
    """A route, and whether each of its parameters may be given more than once."""

    method: str
    path: str
    lists: dict[str, bool]
    has_body: bool


def every_route() -> Iterator[Asked]:
    for service in SERVICES:
        for router in OWNERS.routers(service):
            for route in router.routes:
                assert isinstance(route, APIRoute)
                path = OWNERS.PREFIX + OWNERS._PARAMETER.sub("1", route.path)
                yield from (
                    Asked(method, path, dict(lists_of(route)), route.body_field is not None)
                    for method in route.methods or ()
                )


JSON: Final = {"Content-Type": "application/json"}
ALL: Final = list(every_route())
LISTS: Final = {(one.path, name) for one in ALL for name, is_list in one.lists.items() if is_list}


@pytest.fixture
async def t(settings: Settings, rules: Programme) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, str]]]:
    """All services on one port, without a database: what is refused here touches none."""
    doors: list[Any] = [(service, Door(service, cast("Any", None), rules)) for service in SERVICES]
    transport = httpx.ASGITransport(create_app(doors, settings), raise_app_exceptions=False)
    headers = Under(doors[0][1], settings).auth(*sorted(ROLES), subject="M-1")
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as http:
        yield http, headers


async def refused(t: tuple[httpx.AsyncClient, dict[str, str]], asked: Asked, query: str) -> list[str]:
    http, headers = t
    answer = await http.request(asked.method, f"{asked.path}?{query}", headers=headers)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "validation_failed"), f"{asked}: {answer.text}"
    return [one["pointer"] for one in problem["errors"]]


async def test_a_parameter_given_twice_is_a_problem_on_every_route(t: Any) -> None:
    for asked in ALL:
        for name, is_list in asked.lists.items():
            if not is_list:
                assert await refused(t, asked, f"{name}=1&{name}=2") == [f"query/{name}"], asked


async def test_a_parameter_that_no_route_has_is_a_problem_on_every_route(t: Any) -> None:
    for asked in ALL:
        assert await refused(t, asked, "limt=5") == ["query/limt"], asked


async def test_a_name_that_a_body_gives_twice_is_a_problem_on_every_route(t: Any) -> None:
    http, headers = t
    for asked in ALL:
        if asked.has_body:
            answer = await http.request(
                asked.method, asked.path, content=b'{"a": {"b": 1, "b": 1}}', headers=headers | JSON
            )
            found = [(one["pointer"], one["message_zh"]) for one in answer.json()["errors"]]
            assert (answer.status_code, found) == (422, [("#/a/b", "字段重复")]), f"{asked}: {answer.text}"


async def test_a_path_with_a_slash_too_many_is_not_found(t: Any) -> None:
    """A redirect would name the scheme this process is asked by, and take a token from https to http."""
    http, headers = t
    answer = await http.get("/v1/me/", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_lists_are_those_of_statements() -> None:
    paths = ("/v1/wallets/1/statement", "/v1/wallets/1/statement/file")
    assert {(path, "kind") for path in paths} == LISTS, "a list goes on being one; a new one is named here"
