"""The application as a whole: one or many services on a port, what operations ask of it, and how it stops."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import APIRouter
from tenure.calendar import local_date
from tenure.edge import App, Page, answers, create_app, json_response, serve
from tenure.embedded.server import free_port
from tenure.service import Service
from tenure.settings import Settings
from tenure.testing import Under

PATH = "/v1/counters/M1/add"


async def test_health_shows_each_check_with_what_it_found(under: Under) -> None:
    async def fine() -> Mapping[str, Any]:
        return {"lag": 3}

    async def failed() -> Mapping[str, Any]:
        return {"failed": True, "reason": "no poll for an hour"}

    async def stuck() -> Mapping[str, Any]:
        raise RuntimeError("a secret of ours")

    async def ready(**checks: Any) -> httpx.Response:
        app = create_app([(under.door.service, under.door)], under.settings, checks=checks)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:
            return await http.get("/health/ready")

    good = await ready(fine=fine)
    assert (good.status_code, good.json()) == (
        200,
        {"status": "ready", "checks": {"toy.database": {"ok": True}, "fine": {"lag": 3}}},
    )
    bad = await ready(fine=fine, failed=failed, stuck=stuck)
    assert (bad.status_code, bad.json()["status"]) == (503, "not_ready")
    assert bad.json()["checks"]["failed"]["reason"] == "no poll for an hour"
    assert bad.json()["checks"]["stuck"] == {"failed": True, "reason": "RuntimeError"}


async def test_metrics_name_the_route_and_never_an_id(under: Under) -> None:
    await under.http.post(PATH, json={"amount": 5}, headers=under.auth("member", subject="M1"))
    await under.http.get("/v1/counters/M-SECRET-9", headers=under.auth("operator"))
    await under.http.get("/v1/no/such/M-SECRET-9")
    text = (await under.http.get("/metrics")).text
    assert 'tenure_http_request_seconds_count{route="/v1/counters/{member_id}/add",service="toy",status="201"}' in text
    assert 'tenure_http_request_seconds_count{route="none",service="edge",status="404"}' in text
    assert 'tenure_gathered_items_bucket{le="1.0",service="toy"}' in text
    assert "M-SECRET-9" not in text


async def test_the_description_of_the_api_names_token_and_key(under: Under) -> None:
    api = (await under.http.get("/openapi.json")).json()
    post = api["paths"]["/v1/counters/{member_id}/add"]["post"]
    assert post["tags"] == ["toy"]
    assert post["security"] == [{"token": []}]
    (key,) = [p for p in post["parameters"] if p["name"] == "Idempotency-Key"]
    assert (key["required"], key["schema"]["maxLength"]) == (True, 128)
    assert "Idempotency-Key" in api["info"]["description"]
    assert api["components"]["schemas"]["AddBody"]["additionalProperties"] is False
    problem = post["responses"]["4XX"]["content"]["application/problem+json"]["schema"]
    assert problem["$ref"].endswith("/ProblemBody")
    assert "HTTPValidationError" not in api["components"]["schemas"]
    assert {"code", "detail_zh"} <= set(api["components"]["schemas"]["ProblemBody"]["required"])


async def test_every_operation_is_titled_by_the_first_sentence_about_it(under: Under) -> None:
    paths = (await under.http.get("/openapi.json")).json()["paths"]
    assert paths["/v1/counters/{member_id}/add"]["post"]["summary"] == "Add to a counter"
    assert paths["/v1/counters/{member_id}"]["get"]["summary"] == "What the counter of a member, as of M-1.5, stands at"
    titles = [
        (path, operation) for path, item in paths.items() if path.startswith("/v1/") for operation in item.values()
    ]
    for path, operation in titles:
        said = " ".join(operation["description"].split())
        assert said.startswith(operation["summary"]), path
        assert len(operation["summary"].split()) > 2, f"{path}: a title in words"


def test_two_services_must_not_claim_one_path(toy: Service[int], settings: Settings) -> None:
    other = replace(toy, name="other")
    with pytest.raises(AssertionError, match="two services claim"):
        create_app([(toy, None), (other, None)], settings)  # type: ignore[list-item]


async def test_the_business_date_follows_the_clock(under: Under) -> None:
    wall = local_date(datetime.now(UTC))
    events = App(under.door.service, under.door, under.settings.model_copy(update={"clock": "events"}))
    walled = App(under.door.service, under.door, under.settings.model_copy(update={"clock": "wall"}))
    assert await events.today() == await walled.today() == wall
    await under.day(date(2016, 3, 1))
    assert (await events.today(), await walled.today()) == (date(2016, 3, 1), wall)
    assert local_date(await events.moment()) == date(2016, 3, 1)
    assert local_date(await walled.moment()) == wall
    await under.day(date(2999, 1, 1))
    assert await events.today() == await walled.today() == date(2999, 1, 1)


async def test_a_command_in_a_replay_happens_on_the_replay_s_day(under: Under) -> None:
    await under.day(date(2016, 3, 1))
    replaying = under.settings.model_copy(update={"clock": "events"})
    app = create_app([(under.door.service, under.door)], replaying)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:
        await http.post(PATH, json={"amount": 5}, headers=under.auth("member", subject="M1"))
    assert local_date(await under.pool.fetchval("SELECT at FROM addition")) == date(2016, 3, 1)


def test_json_answers_write_dates_and_structs_as_they_are() -> None:
    answer = json_response({"on": date(2026, 1, 31), "points": 5}, 202)
    assert (answer.status_code, answer.body) == (202, b'{"on":"2026-01-31","points":5}')


@pytest.fixture
async def served(under: Under) -> Any:
    """The real server on a real socket: (base URL, stop)."""
    stopping, port = asyncio.Event(), free_port()
    app = create_app([(under.door.service, under.door)], under.settings)
    server = asyncio.create_task(serve(app, "127.0.0.1", port, stopping=stopping))
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, transport=httpx.AsyncHTTPTransport(retries=10)) as http:
        yield http, stopping, server
    stopping.set()
    await server


async def test_over_a_real_socket_a_10_mb_body_is_refused_and_the_next_request_served(
    under: Under, served: Any
) -> None:
    http, _, _ = served

    async def chunks() -> Any:
        for _ in range(160):
            yield b" " * 65_536

    headers = {**under.auth("member", subject="M1"), "Content-Type": "application/json"}
    for content in (b" " * 10_485_760, chunks()):
        answer = await http.post(PATH, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert (await http.post(PATH, json={"amount": 5}, headers=headers)).status_code == 201


async def test_it_ends_within_the_grace_with_requests_under_way(under: Under, served: Any) -> None:
    http, stopping, server = served
    async with under.pool.acquire() as conn, conn.transaction():
        await conn.execute("LOCK TABLE counter IN SHARE MODE")
        asked = asyncio.create_task(http.post(PATH, json={"amount": 5}, headers=under.auth("member", subject="M1")))
        while not await under.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            pass
        stopping.set()
        assert not server.done()
    assert (await asked).json() == {"total": 5}
    async with asyncio.timeout(10):
        await server


class Counted(msgspec.Struct):
    total: int


def test_an_answer_is_described_by_its_type() -> None:
    described = answers(Page[Counted], status=201)
    assert described["responses"]["201"]["content"]["application/json"]["schema"]["$ref"].endswith("Page_Counted_")
    names = [name.rpartition(".")[2] for name in described["x-parts"]]
    assert sorted(names) == ["Counted", "Page_Counted_"]
    plain = answers(dict[str, bool])["responses"]["200"]["content"]["application/json"]["schema"]
    assert plain == {"type": "object", "additionalProperties": {"type": "boolean"}}


def test_a_route_that_does_not_say_what_it_is_for_fails_where_it_is_mounted(
    toy: Service[int], settings: Settings
) -> None:
    def silent(_: App) -> APIRouter:
        router = APIRouter()

        @router.get("/silence")
        async def silence() -> None:
            pass

        return router

    mute = replace(toy, routers=lambda: (silent,))
    with pytest.raises(AssertionError, match=r"/v1/silence.*need a docstring"):
        create_app([(mute, None)], settings)  # type: ignore[list-item]
