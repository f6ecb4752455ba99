"""Bad input of every kind gets one clear problem, in two languages, and disturbs nothing else."""

import asyncio
import time
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.exceptions import HTTPException
from tenure.contracts.event import WrongEventError
from tenure.edge import create_app
from tenure.edge.catalogue import CATALOGUE, merged
from tenure.edge.problems import Asked, Problem, prefers_chinese, problem_of, problem_of_error, render
from tenure.edge.validation import field_errors, pointer
from tenure.service import Service
from tenure.spine.gather import OverloadedError
from tenure.spine.transact import Door
from tenure.testing import Under

PATH = "/v1/counters/M1/add"
DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "status", "code", "at"),
    [
        (b'{"amount": 5', 400, "malformed_json", None),
        (b'{"amount": 5,}', 400, "malformed_json", None),
        (b"amount=5", 400, "malformed_json", None),
        (b'{"amount": "\xff"}', 400, "malformed_json", None),
        (DEEP, 400, "malformed_json", None),
        (b"", 422, "validation_failed", "#"),
        (b"null", 422, "validation_failed", "#"),
        (b"[]", 422, "validation_failed", "#"),
        (b"{}", 422, "validation_failed", "#/amount"),
        (b'{"amount": null}', 422, "validation_failed", "#/amount"),
        (b'{"amount": "5"}', 422, "validation_failed", "#/amount"),
        (b'{"amount": 1.5}', 422, "validation_failed", "#/amount"),
        (b'{"amount": 5.0}', 422, "validation_failed", "#/amount"),
        (b'{"amount": NaN}', 422, "validation_failed", "#/amount"),
        (b'{"amount": true}', 422, "validation_failed", "#/amount"),
        (b'{"amount": "CNY 5.00"}', 422, "validation_failed", "#/amount"),
        (b'{"amount": 5, "amount_fen": 500}', 422, "validation_failed", "#/amount_fen"),
        (b'{"amount": 5, "a/b~c": 1}', 422, "validation_failed", "#/a~1b~0c"),
        (b'{"amount": 5, "amount": 6}', 422, "validation_failed", "#/amount"),
        (b'{"amount": 5, "amount": 5}', 422, "validation_failed", "#/amount"),
        (
            b'{"amount": 5, "lines": [{"a/b": 1}, {"a/b": 1, "c": {}, "a/b": 2}]}',
            422,
            "validation_failed",
            "#/lines/1/a~1b",
        ),
    ],
)
async def test_bad_bodies(offline: Under, body: bytes, status: int, code: str, at: str | None) -> None:
    problem = await refused(offline, body, status, code)
    assert [e["pointer"] for e in problem.get("errors", [])] == ([at] if at else [])


@pytest.mark.parametrize(
    ("amount", "status", "code"),
    [
        (100, 409, "too_much"),
        (99, 422, "nobody_declared_this"),
        (1313, 422, "data_refused"),
        (99999999999999999999, 422, "data_refused"),
    ],
)
async def test_refusals_change_nothing(under: Under, totals: Any, amount: int, status: int, code: str) -> None:
    await refused(under, b'{"amount": %d}' % amount, status, code)
    assert await totals() == {}


async def refused(under: Under, body: bytes, status: int, code: str) -> dict[str, Any]:
    """Send a body that must be refused. The problem, whose shape is always the same."""
    headers = {**under.auth("member", subject="M1"), "Content-Type": "application/json"}
    answer = await under.http.post(PATH, content=body, headers=headers)
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"], problem["status"]) == (status, code, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["type"], problem["instance"]) == (f"/problems/{code}", PATH)
    assert all(problem[text] for text in ("title", "detail", "detail_zh"))
    assert not any(word in answer.text for word in ("Traceback", "asyncpg", "INSERT", "pydantic"))
    return problem


@pytest.mark.parametrize("body", [b'{"amount": 5', b"x" * 100, DEEP])
async def test_who_asks_comes_before_what_is_asked(offline: Under, body: bytes) -> None:
    """A stranger learns nothing of what a body should be, and an expensive one is not even read."""
    headers = {"Content-Type": "application/json"}
    stranger = await offline.http.post(PATH, content=body, headers=headers)
    assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthenticated")
    wrong_role = await offline.http.post(PATH, content=body, headers={**headers, **offline.auth("sre", subject="s")})
    assert (wrong_role.status_code, wrong_role.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("found", "body", "where"),
    [
        (("missing", ("body", "walk", "on")), {"steps": 5}, "#/on"),
        (("int_type", ("body", "walk", "steps")), {"steps": "5"}, "#/steps"),
        (("int_type", ("body", "batch", 1, "walk", "steps")), [{}, {"steps": "5"}], "#/1/steps"),
        (("missing", ("body", "batch", 1, "walk", "on")), [{}, {"steps": 5}], "#/1/on"),
        (("too_long", ("body", "batch")), [{}, {}], "#"),
        (("model_type", ("body", "walk")), 5, "#"),
        (("extra_forbidden", ("body", "walk", "naps")), {"naps": 1}, "#/naps"),
        (("greater_than_equal", ("query", "limit")), None, "query/limit"),
    ],
)
def test_a_pointer_is_a_place_in_what_was_sent(found: tuple[str, tuple[Any, ...]], body: Any, where: str) -> None:
    """Where a body may have one of several shapes, the shape's name is no part of it."""
    kind, loc = found
    assert [e.pointer for e in field_errors([{"type": kind, "loc": loc, "msg": "no"}], body)] == [where]


async def test_a_405_names_every_method_of_the_path(offline: Under) -> None:
    answer = await offline.http.delete("/v1/twice")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PUT")


async def test_the_input_is_never_echoed(offline: Under) -> None:
    headers = offline.auth("member", subject="M1")
    answer = await offline.http.post(PATH, json={"amount": "13800138000", "note": 11010519491231}, headers=headers)
    assert len(answer.json()["errors"]) == 2
    assert "13800138000" not in answer.text
    assert "11010519491231" not in answer.text


async def test_findings_are_bounded(offline: Under) -> None:
    body = {f"unknown_{n}": 1 for n in range(500)}
    answer = await offline.http.post(PATH, json=body, headers=offline.auth("member", subject="M1"))
    assert len(answer.json()["errors"]) == 50


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("DELETE", "/v1/counters/M1", 405, "method_not_allowed"),
        ("GET", "/v1/counters/" + "M" * 65, 422, "validation_failed"),
        ("GET", "/v1/counters/M%001", 422, "validation_failed"),
        ("GET", "/v1/counters/M%201", 422, "validation_failed"),
        ("GET", "/v1/counters?limit=0", 422, "validation_failed"),
        ("GET", "/v1/counters?limit=201", 422, "validation_failed"),
        ("GET", "/v1/counters?limit=ten", 422, "validation_failed"),
        ("GET", "/v1/counters?cursor=%00", 400, "cursor_invalid"),
        ("GET", "/v1/broken", 500, "internal"),
    ],
)
async def test_bad_requests(offline: Under, method: str, path: str, status: int, code: str) -> None:
    answer = await offline.http.request(method, path, headers=offline.auth("operator"))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "secret" not in answer.text


async def test_another_media_type_is_said_to_be_one(offline: Under) -> None:
    headers = {**offline.auth("member", subject="M1"), "Content-Type": "text/csv"}
    answer = await offline.http.post(PATH, content=b"amount\n5", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("accept", "title", "language"),
    [
        (None, "That is too much at once.", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "一次太多。", "zh-CN"),
        ("en;q=0.3, zh;q=0.7", "一次太多。", "zh-CN"),
        ("zh;q=0, en", "That is too much at once.", "en"),
        ("fr", "That is too much at once.", "en"),
        (";;q=zh,,=", "That is too much at once.", "en"),
    ],
)
async def test_the_title_is_in_the_caller_s_language(
    under: Under, accept: str | None, title: str, language: str
) -> None:
    headers = {**under.auth("member", subject="M1"), **({"Accept-Language": accept} if accept else {})}
    answer = await under.http.post(PATH, json={"amount": 100}, headers=headers)
    assert (answer.json()["title"], answer.headers["content-language"]) == (title, language)
    assert answer.json()["detail"] == "a hundred at once is too much"
    assert answer.json()["detail_zh"] == "一次太多。"


async def test_a_database_that_is_down_is_said_within_a_second(
    under: Under, toy: Service[int], nowhere: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    app = create_app([(toy, Door(toy, nowhere, None))], under.settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:
        began = time.monotonic()
        answers = [
            await http.post(PATH, json={"amount": 5}, headers=under.auth("member", subject="M1")),
            await http.get("/v1/counters/M1", headers=under.auth("member", subject="M1")),
            await http.get("/v1/counters", headers=under.auth("operator")),
        ]
        ready = await http.get("/health/ready")
        live = await http.get("/health/live")
    assert time.monotonic() - began < 1
    assert [(a.status_code, a.json()["code"], a.headers["retry-after"]) for a in answers] == [
        (503, "unavailable", "1")
    ] * 3
    assert (ready.status_code, ready.json()["checks"]["toy.database"]["failed"]) == (503, True)
    assert live.status_code == 200


async def test_no_free_connection_is_said_in_time(under: Under) -> None:
    settings = under.settings.model_copy(update={"pool_acquire_timeout_s": 0.05})
    app = create_app([(under.door.service, under.door)], settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:
        held = [await under.pool.acquire() for _ in range(under.pool.get_max_size())]
        try:
            answer = await http.get("/v1/counters", headers=under.auth("operator"))
        finally:
            await asyncio.gather(*(under.pool.release(c) for c in held))
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert (await http.get("/v1/counters", headers=under.auth("operator"))).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OverloadedError(), 503, "overloaded"),
        (TimeoutError(), 503, "unavailable"),
        (OSError("Multiple exceptions"), 503, "unavailable"),
        (ConnectionRefusedError(), 503, "unavailable"),
        (FileNotFoundError(), 500, "internal"),
        (asyncpg.TooManyConnectionsError(), 503, "unavailable"),
        (asyncpg.CannotConnectNowError(), 503, "unavailable"),
        (asyncpg.ConnectionDoesNotExistError(), 503, "unavailable"),
        (asyncpg.AdminShutdownError(), 503, "unavailable"),
        (asyncpg.InterfaceError("pool is closing"), 503, "unavailable"),
        (asyncpg.InternalClientError("cannot switch to state 12"), 503, "unavailable"),
        (asyncpg.QueryCanceledError(), 503, "unavailable"),
        (asyncpg.InvalidCachedStatementError(), 503, "unavailable"),
        (asyncpg.ObjectNotInPrerequisiteStateError(), 503, "unavailable"),
        (asyncpg.InvalidCatalogNameError(), 503, "unavailable"),
        (asyncpg.PostgresIOError(), 503, "unavailable"),
        (asyncpg.IdleInTransactionSessionTimeoutError(), 503, "unavailable"),
        (asyncpg.DeadlockDetectedError(), 503, "unavailable"),
        (asyncpg.CharacterNotInRepertoireError(), 422, "data_refused"),
        (asyncpg.UndefinedTableError(), 500, "internal"),
        (KeyError("x"), 500, "internal"),
        (ValueError("x"), 500, "internal"),
        (HTTPException(418), 418, "bad_request"),
        (HTTPException(507), 507, "internal"),
        (WrongEventError("too_large", "x"), 422, "too_large"),
    ],
)
def test_what_an_exception_becomes(error: Exception, status: int, code: str) -> None:
    answer = render(problem_of_error(error, CATALOGUE), CATALOGUE, Asked("/v1/x", ""))
    assert answer.status_code == status
    assert f'"code":"{code}"'.encode() in answer.body
    assert ("retry-after" in answer.headers) is (status == 503)


def test_a_service_s_own_code_keeps_its_status_and_words() -> None:
    catalogue = merged([{"sold_out": (409, "Sold out.", "售罄。")}])
    answer = render(problem_of(WrongEventError("sold_out", "SKU 7"), catalogue), catalogue, Asked("/", "zh"))
    assert answer.status_code == 409
    assert "售罄" in bytes(answer.body).decode()


def test_two_services_must_not_mean_different_things_by_one_code() -> None:
    same = {"sold_out": (409, "Sold out.", "售罄。")}
    assert merged([same, same])["sold_out"][0] == 409
    with pytest.raises(AssertionError, match="sold_out"):
        merged([same, {"sold_out": (404, "Gone.", "没有了。")}])


def test_every_entry_of_the_catalogue_speaks_both_languages() -> None:
    for code, (status, english, chinese) in CATALOGUE.items():
        assert 400 <= status < 600, code
        assert english.isascii(), code
        assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese), code


def test_a_problem_without_words_takes_the_catalogue_s() -> None:
    body = bytes(render(Problem("not_found"), CATALOGUE, Asked("/v1/x", "")).body).decode()
    assert CATALOGUE["not_found"][1] in body
    assert CATALOGUE["not_found"][2] in body


@pytest.mark.parametrize(
    ("loc", "where"),
    [(("body", "lines", 0, "n"), "#/lines/0/n"), (("query", "limit"), "query/limit"), (("body",), "#")],
)
def test_pointers(loc: tuple[Any, ...], where: str) -> None:
    assert pointer(loc) == where


def test_a_long_accept_language_is_cut_not_followed() -> None:
    assert not prefers_chinese("en," * 1_000_000 + "zh")
