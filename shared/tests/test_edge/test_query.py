"""A query holds what its route has, each once unless it is a list; whatever else it holds is told, not passed over."""

from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, Query
from fastapi.routing import APIRoute
from tenure.edge import Cursor, Limit
from tenure.edge.query import lists_of, wrong
from tenure.testing import Under

PATH = "/v1/counters"
AGAIN, UNKNOWN = "Given more than once", "The route has no such parameter"


async def ask(under: Under, query: str, *roles: str) -> httpx.Response:
    return await under.http.get(f"{PATH}?{query}", headers=under.auth(*(roles or ("operator",)), subject="M1"))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("limit=5&limit=6", [("query/limit", AGAIN)]),
        ("limit=5&limit=5", [("query/limit", AGAIN)]),
        ("limit=&limit=5", [("query/limit", AGAIN)]),
        ("limit=5&limit=5&limit=5&cursor=a&cursor=b", [("query/limit", AGAIN), ("query/cursor", AGAIN)]),
        ("limt=5", [("query/limt", UNKNOWN)]),
        ("LIMIT=5", [("query/LIMIT", UNKNOWN)]),
        ("limt=5&limt=6", [("query/limt", UNKNOWN)]),
        ("limit=5&a/b=1&limit=6", [("query/a~1b", UNKNOWN), ("query/limit", AGAIN)]),
        ("limt", [("query/limt", UNKNOWN)]),
    ],
)
async def test_a_query_that_would_not_be_taken_whole_is_refused(
    offline: Under, query: str, found: list[tuple[str, str]]
) -> None:
    answer = await ask(offline, query)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "validation_failed")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [(one["pointer"], one["message"]) for one in problem["errors"]] == found
    assert all("\u4e00" <= one["message_zh"][-1] <= "\u9fff" for one in problem["errors"])


@pytest.mark.parametrize("query", ["", "limit=5", "cursor=", "limit=5&", "&&limit=5"])
async def test_what_the_route_has_is_asked_as_before(under: Under, query: str) -> None:
    assert (await ask(under, query)).status_code == (400 if "cursor" in query else 200)


async def test_a_stranger_is_not_told_what_a_query_should_be(offline: Under) -> None:
    assert (await offline.http.get(f"{PATH}?limt=5")).status_code == 401
    assert (await ask(offline, "limt=5", "member")).status_code == 403


async def test_a_write_with_a_mistyped_parameter_does_nothing(under: Under) -> None:
    headers = under.auth("member", subject="M1")
    answer = await under.http.post(f"{PATH}/M1/add?dryrun=true", json={"amount": 5}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query/dryrun")
    assert await under.pool.fetchval("SELECT count(*) FROM counter") == 0


async def test_findings_are_bounded(offline: Under) -> None:
    answer = await ask(offline, "&".join(f"unknown_{n}=1" for n in range(500)))
    assert len(answer.json()["errors"]) == 50


async def of_a_dependency(since: str = "") -> str:
    return since


def test_lists_are_known_by_their_type_and_may_be_repeated() -> None:
    routes = APIRouter()

    @routes.get("/x/{of}")
    async def x(
        of: str,
        since: Annotated[str, Depends(of_a_dependency)],
        kind: Annotated[list[str] | None, Query()] = None,
        other: Annotated[list[int], Query(alias="of-kind")] = [],  # noqa: B006
        limit: Limit = 5,
        cursor: Cursor = None,
    ) -> None: ...

    (route,) = routes.routes
    assert isinstance(route, APIRoute)
    lists = lists_of(route)
    assert lists == {"kind": True, "of-kind": True, "limit": False, "cursor": False, "since": False}
    assert wrong([("kind", "a"), ("of-kind", "1"), ("kind", "b"), ("limit", "1")], lists) == []
