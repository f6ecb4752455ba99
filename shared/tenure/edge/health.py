"""Health and metrics over HTTP, for whoever runs it: whether it lives, whether it can serve, and its figures.

The invariant: what is down elsewhere is no reason to end a process, only to send it nothing; and no answer waits for what hangs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Response

from tenure.telemetry import exposition

CHECK_DEADLINE_S: Final = 1.0
Check = Callable[[], Awaitable[Mapping[str, Any]]]
"""One health check: what it found; `failed: true` in it, or an exception, means not ready."""
Life = Callable[[], Mapping[str, Any]]
"""How one consumer is, without asking anybody; `stalled: true` in it means that it hangs."""


def router(checks: Mapping[str, Check], lives: Mapping[str, Life]) -> APIRouter:
    """The routes of whoever runs it."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/health/live")
    async def live() -> Response:
        """Whether nothing in it hangs: how long ago each consumer polled well, and how far behind the log it is.

        503 says that only a new process helps. A broker or database that is down does not make it so: that is waited for.
        """
        found = {name: life() for name, life in lives.items()}
        stalled = any(one.get("stalled") for one in found.values())
        body = {"status": "stalled" if stalled else "live"} | ({"consumers": found} if found else {})
        return _json(body, 503 if stalled else 200)

    @routes.get("/health/ready")
    async def ready() -> Response:
        """Whether it can serve: each check with what it found."""
        found = dict(zip(checks, await asyncio.gather(*map(_found, checks.values())), strict=True))
        failed = any(result.get("failed") for result in found.values())
        return _json({"status": "not_ready" if failed else "ready", "checks": found}, 503 if failed else 200)

    @routes.get("/metrics", include_in_schema=False)
    async def all_metrics() -> Response:
        text = await asyncio.to_thread(exposition)  # a thousand series take longer than anything may hold the loop
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


async def _found(check: Check) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(CHECK_DEADLINE_S):
            return await check()
    except Exception as error:  # noqa: BLE001 - a check that fails is the finding
        return {"failed": True, "reason": type(error).__name__}


def _json(body: Mapping[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
