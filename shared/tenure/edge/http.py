"""One service's HTTP edge, or all services' on one port: the same function builds both.

The invariants: a write goes through the Gatherer (or, where many stand or fall together, straight) and the write door, under an
Idempotency-Key, and in no other way; no two services claim one path; whatever fails leaves as a problem (`problems`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from functools import cached_property
from typing import Any, Final

import asyncpg
import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from uuid_utils import uuid7

from tenure import database
from tenure.contracts.event import Data, Event
from tenure.contracts.programme import Programme
from tenure.edge import docs, health, limits, parked, problems, published
from tenure.edge.access import Caller, Gate, gate_first
from tenure.edge.catalogue import Catalogue, merged
from tenure.edge.health import Check, Life
from tenure.edge.idempotency import REPLAYED_HEADER, InFlight, idempotency_of, locked_is_in_flight
from tenure.edge.openapi import ABOUT, describe_problems
from tenure.edge.pulse import OnPulse, Pulse
from tenure.edge.query import answer_only_what_is_asked
from tenure.edge.whole import take_bodies_whole
from tenure.service import Service
from tenure.settings import Settings
from tenure.spine import clock
from tenure.spine.answers import is_final
from tenure.spine.codec import utc_now
from tenure.spine.gather import Gatherer
from tenure.spine.transact import Door, Idempotency, Item, OtherBodyError, Outcome
from tenure.telemetry import metrics, tell_verified

PREFIX: Final = "/v1"

_encode: Final = msgspec.json.Encoder().encode


def json_response(obj: Any, status: int = 200) -> Response:
    """An answer of msgspec structs, dates and plain values, encoded once."""
    return Response(_encode(obj), status, media_type="application/json")


class App:
    """What a router of a service is built from."""

    def __init__(self, service: Service[Any], door: Door, settings: Settings) -> None:
        self.service, self.door, self.settings = service, door, settings
        self.catalogue: Catalogue = merged([service.problems])
        self.in_flight = InFlight()
        self.source = f"/tenure/{service.name}/http"

    @cached_property
    def routers(self) -> tuple[APIRouter, ...]:
        """The service's own, those of the rules it owns, and its park."""
        rulebooks = (published.router,) if self.service.rulebooks else ()
        return tuple(build(self) for build in (*self.service.routers(), *rulebooks, parked.router))

    @property
    def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        return self.door.pool

    @property
    def programme(self) -> Programme:
        programme: Programme = self.door.programme
        return programme

    async def rules(self, reader: Any = None) -> Programme:
        """The programme with whatever was published, for reads of a service that owns rules or goes by those of others."""
        programme: Programme = await self.door.recent_rules(reader or self.pool)
        return programme

    @cached_property
    def gatherer(self) -> Gatherer:
        gatherer = Gatherer(
            self.door,
            batch_items_max=self.settings.gather_items_max,
            queue_items_max=self.settings.queue_items_max,
            wait_s_max=self.settings.answer_timeout_s,
            gathered=metrics.gathered_items.labels(self.service.name).observe,
        )
        metrics.gather_waiting_items.labels(self.service.name).set_function(lambda: gatherer.queued_items)
        return gatherer

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection for reads that take more than one statement; 503 if none is free in time."""
        async with self.pool.acquire(timeout=self.settings.pool_acquire_timeout_s) as conn:
            yield conn

    async def today(self) -> date:
        """The business date: where the calendar stands (clock "events"), or the wall's date if that is later."""
        return await clock.today(self.pool, self.settings)

    def now(self) -> datetime:
        """The wall's instant, aware, for timers of operations. Rules are given `moment`."""
        return utc_now()

    async def moment(self) -> datetime:
        """When a command happens: on the business date, at the wall's time of day."""
        return await clock.moment(self.pool, self.settings)

    async def event(self, request: Request, command: Data, *, key: str) -> Event:
        """The event of a command that came over HTTP."""
        return Event(
            id=str(uuid7()),
            source=self.source,
            type=type(command).__name__,
            key=key,
            time=await self.moment(),
            data=command,
            traceparent=getattr(request.state, "traceparent", ""),
        )

    async def write(self, request: Request, command: Data, *, key: str, caller: Caller, status: int = 200) -> Response:
        """Let a rule decide a command; its reply is the body. The same Idempotency-Key and request get the same answer.

        Raises Problem: the rule's refusal, idempotency_key_*, overloaded, unavailable.
        """
        idempotency = await idempotency_of(request, caller.subject)
        event = await self.event(request, command, key=key)
        with self.in_flight.hold(idempotency), locked_is_in_flight():
            (outcome,) = await self.submit([Item(event, idempotency=idempotency)])
        return self.answer(outcome, status=status)

    async def submit(self, items: Sequence[Item]) -> list[Outcome]:
        """Do these in the next transaction, each standing or falling alone. One outcome per item."""
        return await self.gatherer.submit(items)

    async def answer_many(
        self, asked: Idempotency, items: Sequence[Item], show: Callable[[list[Outcome]], Awaitable[Any]]
    ) -> Response:
        """Do these, each standing or falling alone under its part of the key, and answer what `show` makes of the outcomes.

        The whole answer is kept under the key, unless one of the outcomes will pass.
        """
        if (before := await self.door.claim(asked)) is not None:
            return self.answer(before)
        with locked_is_in_flight():
            outcomes = await self.submit(items)
        body = _encode(await show(outcomes))
        if not all(map(is_final, outcomes)):
            return self.answer(Outcome(body=body))
        return self.answer(await self.door.keep_answer(asked, body))

    async def idempotency(self, request: Request, caller: Caller) -> Idempotency:
        """For routes that build their own items. Raises Problem idempotency_key_required, idempotency_key_invalid."""
        return await idempotency_of(request, caller.subject)

    async def verified(self, audit: Callable[[Any], Awaitable[Mapping[str, bool]]]) -> Response:
        """The response of an audit: each invariant of the service's books, and whether it holds. Alerts watch it, too."""
        async with database.patient(self.settings, self.pool) as conn:
            found = await audit(conn)
        tell_verified(self.service.name, found)
        return json_response(found)

    def answer(self, outcome: Outcome, *, status: int = 200) -> Response:
        """The response of an outcome. Raises Problem when the rule refused."""
        replayed = outcome.seen and not isinstance(outcome.wrong, OtherBodyError)
        headers = {REPLAYED_HEADER: "true"} if replayed else {}
        if outcome.wrong is not None:
            problem = problems.problem_of(outcome.wrong, self.catalogue)
            problem.headers |= headers
            raise problem
        return Response(outcome.body, status, headers, "application/json")


def create_app(
    services: Sequence[tuple[Service[Any], Door]],
    settings: Settings,
    *,
    checks: Mapping[str, Check] | None = None,
    lives: Mapping[str, Life] | None = None,
) -> FastAPI:
    """The ASGI application of these services. /health/ready shows `checks` beside each service's database, /health/live `lives`.

    Raises KeyFileError, and AssertionError for services that do not fit together.
    """
    apps = [App(service, door, settings) for service, door in services]
    catalogue = merged(service.problems for service, _ in services)
    pulse = Pulse(database.url_of(settings, apps[0].service.database) if apps else "")
    app = FastAPI(
        title="Tenure",
        version="1",
        description=ABOUT,
        lifespan=_lifespan(apps, pulse),
        strict_content_type=False,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.gate, app.state.apps = Gate.of(settings), apps
    problems.install(app, catalogue)
    names = _mount(app, apps)
    app.state.allow = problems.allowed(route for one in apps for router in one.routers for route in router.routes)
    app.include_router(docs.router())
    databases = {one.service.name + ".database": _database(one, pulse) for one in apps}
    app.include_router(health.router({**databases, **(checks or {})}, lives or {}))
    buckets = limits.Buckets(
        rate_per_s=settings.rate_per_s, burst=settings.rate_burst, callers_max=settings.rate_callers_max
    )
    # The last one added stands outermost.
    app.add_middleware(OnPulse, pulse=pulse, prefix=PREFIX + "/", catalogue=catalogue)
    app.add_middleware(limits.BodyLimit, bytes_max=settings.body_bytes_max, catalogue=catalogue)
    app.add_middleware(limits.RateLimit, buckets=buckets, gate=app.state.gate, catalogue=catalogue)
    app.add_middleware(limits.LastResort, catalogue=catalogue)
    app.add_middleware(limits.Trace, name_of=lambda r: names.get(id(r)) or ("edge", getattr(r, "path", "none")))
    describe_problems(app)
    return app


def _mount(app: FastAPI, apps: Sequence[App]) -> dict[int, tuple[str, str]]:
    """Put every router under /v1. Returns the service and the pattern of each route, by the route's `id`."""
    names: dict[int, tuple[str, str]] = {}
    claimed: set[tuple[str, str]] = set()
    for one in apps:
        for router in one.routers:
            for route in router.routes:
                assert isinstance(route, APIRoute), f"a router of {one.service.name} holds {route}: keep routers flat"
                paths = {(method, PREFIX + route.path) for method in route.methods or ()}
                assert not claimed & paths, f"two services claim {sorted(claimed & paths)}"
                assert route.description, (
                    f"{sorted(paths)} need a docstring: its first sentence is their title on the API's pages"
                )
                claimed |= paths
                names[id(route)] = (one.service.name, PREFIX + route.path_format)
                take_bodies_whole(route)
                answer_only_what_is_asked(route)
                gate_first(route)
            app.include_router(router, prefix=PREFIX, tags=[one.service.name])
    return names


def _lifespan(apps: Sequence[App], pulse: Pulse) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pulse.felt():
            yield
        await asyncio.gather(*(one.gatherer.close() for one in apps))

    return lifespan


def _database(app: App, pulse: Pulse) -> Check:
    async def check() -> Mapping[str, Any]:
        if not pulse.answers:
            raise ConnectionError
        async with app.connection() as conn:
            await conn.fetchval("SELECT 1")
        return {"ok": True}

    return check
