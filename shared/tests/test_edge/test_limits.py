"""Limits on body and rate: over them the answer is a problem, below them nothing is felt."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tenure.edge import create_app
from tenure.edge.limits import Buckets
from tenure.testing import Under

PATH = "/v1/counters/M1/add"
TEN_MB = 10 * 1024 * 1024


async def chunks(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // 65_536):
        yield b" " * 65_536


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
async def test_a_10_mb_body_is_refused(under: Under, totals: Any, chunked: bool) -> None:
    headers = {**under.auth("member", subject="M1"), "Content-Type": "application/json", "Accept-Language": "zh"}
    answer = await under.http.post(PATH, content=chunks(TEN_MB) if chunked else b" " * TEN_MB, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert "1048576" in answer.json()["detail_zh"]
    assert await totals() == {}


@pytest.mark.parametrize(("extra", "status"), [(0, 201), (1, 413)])
async def test_the_limit_is_exact(under: Under, extra: int, status: int) -> None:
    body = b'{"amount": 5}'
    body += b" " * (under.settings.body_bytes_max - len(body) + extra)
    headers = {**under.auth("member", subject="M1"), "Content-Type": "application/json"}
    assert (await under.http.post(PATH, content=body, headers=headers)).status_code == status


async def test_a_length_that_is_no_number_is_not_believed(under: Under) -> None:
    headers = {**under.auth("member", subject="M1"), "Content-Type": "application/json", "Content-Length": "many"}
    answer = await under.http.post(PATH, content=chunks(TEN_MB), headers=headers)
    assert answer.status_code == 413


async def test_no_body_is_taken_from_who_is_not_known(under: Under) -> None:
    answer = await under.http.post(PATH, content=chunks(TEN_MB), headers={"Content-Type": "application/json"})
    assert answer.status_code in (401, 413)


def limited(under: Under, *, rate: int, burst: int) -> httpx.AsyncClient:
    settings = under.settings.model_copy(update={"rate_per_s": rate, "rate_burst": burst})
    app = create_app([(under.door.service, under.door)], settings)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t")


async def test_too_many_requests_of_one_caller_wait_and_others_do_not(under: Under) -> None:
    busy, calm = under.auth("operator", subject="busy"), under.auth("operator", subject="calm")
    async with limited(under, rate=1, burst=5) as http:
        answers = [await http.get("/v1/counters", headers=busy) for _ in range(6)]
        assert [a.status_code for a in answers] == [200] * 5 + [429]
        assert answers[-1].json()["code"] == "rate_limited"
        assert answers[-1].headers["retry-after"] == "1"
        assert (await http.get("/v1/counters", headers=calm)).status_code == 200
        renewed = under.auth("operator", subject="busy", ttl_s=900)
        assert (await http.get("/v1/counters", headers=renewed)).status_code == 429, "a new token is no new caller"


async def test_made_up_tokens_buy_no_allowance(under: Under) -> None:
    async with limited(under, rate=1, burst=5) as http:
        codes = [(await http.get("/v1/x", headers={"Authorization": f"Bearer {n}"})).status_code for n in range(6)]
    assert codes == [404] * 5 + [429]


async def test_services_among_themselves_and_health_are_not_limited(under: Under) -> None:
    async with limited(under, rate=1, burst=1) as http:
        service = [await http.get("/v1/counters/M1", headers=under.auth("service", subject="mall")) for _ in range(5)]
        health = [await http.get("/health/live") for _ in range(5)]
    assert {a.status_code for a in service} == {403}, "the toy's route is not for services; what counts is: never 429"
    assert {a.status_code for a in health} == {200}


def test_a_bucket_fills_with_time_and_never_over_its_brim() -> None:
    now = 0.0
    buckets = Buckets(rate_per_s=2, burst=3, callers_max=10, clock=lambda: now)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    now = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    now = 1_000.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0


def test_buckets_are_bounded() -> None:
    buckets = Buckets(rate_per_s=1, burst=1, callers_max=3)
    for n in range(100):
        buckets.take(str(n))
    assert len(buckets) == 3


async def test_answers_carry_security_headers_and_errors_too(under: Under) -> None:
    for path in ("/v1/counters/M1", "/v1/broken", "/health/live"):
        answer = await under.http.get(path, headers=under.auth("operator"))
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.headers["content-security-policy"].startswith("default-src 'none'"), path
        assert len(answer.headers["traceparent"]) == 55, path
        assert "server" not in answer.headers


async def test_a_slow_caller_holds_nobody_up(under: Under) -> None:
    """A body that never ends keeps its own request open only."""
    hold = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await hold.wait()

    headers = {**under.auth("member", subject="M1"), "Content-Type": "application/json"}
    slow = asyncio.create_task(under.http.post(PATH, content=endless(), headers=headers))
    answer = await under.http.post(PATH, json={"amount": 5}, headers=under.auth("member", subject="M1"))
    assert answer.status_code == 201
    assert not slow.done()
    hold.set()
    assert (await slow).json()["code"] == "malformed_json"
