"""Callers hear within a second that the database does not answer, whether it is away or hangs with its connections open.

A connection of its own asks five times a second. When there is no answer in time, requests under way are answered 503 and left
(what they had begun may or may not be done: the caller asks again under its Idempotency-Key), and new ones are not begun, until it
answers again. Nothing is torn down: consumers and the relay have limits of their own, and a database that was only slow goes on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import structlog
from asyncpg.connection import Connection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenure.edge.catalogue import Catalogue
from tenure.edge.limits import asked_of
from tenure.edge.problems import RETRY_AFTER_S, Problem, render

log: Final = structlog.get_logger(__name__)
ASK_EVERY_S: Final = 0.2
ANSWER_S_MAX: Final = 0.6
SECOND_LOOK_S: Final = 0.1
_AWAY: Final[tuple[type[BaseException], ...]] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
)


class Pulse:
    """Of one database server: a process has its databases on one. `answers` is what the newest question found."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers = True
        self.under_way: set[UnderWay] = set()

    @asynccontextmanager
    async def felt(self) -> AsyncIterator[None]:
        """Feel it meanwhile; without a url there is nothing to feel."""
        feeling = asyncio.create_task(self.run(), name="pulse") if self.url else None
        try:
            yield
        finally:
            if feeling is not None:
                feeling.cancel()
                await asyncio.wait([feeling])

    async def run(self) -> None:
        conn: Connection | None = None
        try:
            while True:
                conn = await self._ask(conn)
                await asyncio.sleep(ASK_EVERY_S)
        finally:
            if conn is not None:
                conn.terminate()

    async def _ask(self, conn: Connection | None) -> Connection | None:
        """Ask, on this connection or a new one. Returns the one to ask on next."""
        question = asyncio.create_task(_question(self.url, conn))
        try:
            await asyncio.wait([question], timeout=ANSWER_S_MAX)
            if not question.done():  # this process may have been held up, and the answer be here already
                await asyncio.wait([question], timeout=SECOND_LOOK_S)
            if not question.done():
                self._lost(TimeoutError())
                return None
            answered = question.result()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody answered; who asks must outlive it
            if conn is not None and not isinstance(error, TimeoutError):
                return await self._ask(None)  # somebody may have ended this one session
            self._lost(error)
            return None
        finally:
            question.cancel()
        self._found()
        return answered

    def _lost(self, error: BaseException) -> None:
        if self.answers:
            log.warning("database_does_not_answer", reason=type(error).__name__, requests=len(self.under_way))
        self.answers = False
        for request in tuple(self.under_way):
            request.leave()

    def _found(self) -> None:
        if not self.answers:
            log.info("database_answers_again")
        self.answers = True


async def _question(url: str, conn: Connection | None) -> Connection | None:
    """The connection that answered; None where the server did, if only to say no."""
    try:
        conn = conn or await asyncpg.connect(url)
        await conn.fetchval("SELECT 1")
    except BaseException as error:
        if conn is not None:
            conn.terminate()
        if isinstance(error, asyncpg.PostgresError) and not isinstance(error, _AWAY):
            return None
        raise
    return conn


@dataclass(eq=False, slots=True)
class UnderWay:
    """A request at work. Whoever speaks first is its answer: the route, or `leave`."""

    scope: Scope
    receive: Receive
    send: Send
    catalogue: Catalogue
    task: "asyncio.Task[object] | None" = field(default_factory=asyncio.current_task)
    started: bool = False
    left: "asyncio.Task[None] | None" = None

    async def answer(self, message: Message) -> None:
        if self.left is None:
            self.started = True
            await self.send(message)

    def leave(self) -> None:
        """Answer in its place, and let it end by itself: it may be waiting for a database that says nothing."""
        if not self.started and self.left is None and self.task is not None:
            self.left = asyncio.create_task(refuse(self.scope, self.receive, self.send, self.catalogue))
            self.task.cancel()


async def refuse(scope: Scope, receive: Receive, send: Send, catalogue: Catalogue) -> None:
    problem = Problem("unavailable", retry_after_s=RETRY_AFTER_S)
    with suppress(OSError):  # the caller may be gone
        await render(problem, catalogue, asked_of(scope))(scope, receive, send)


class OnPulse:
    """The middleware: requests to routes are answered 503 as soon as the pulse is lost."""

    def __init__(self, app: ASGIApp, *, pulse: Pulse, prefix: str, catalogue: Catalogue) -> None:
        self.app, self.pulse, self.prefix, self.catalogue = app, pulse, prefix, catalogue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self.prefix):
            await self.app(scope, receive, send)
        elif not self.pulse.answers:
            await refuse(scope, receive, send, self.catalogue)
        else:
            await self._watched(UnderWay(scope, receive, send, self.catalogue))

    async def _watched(self, request: UnderWay) -> None:
        self.pulse.under_way.add(request)
        try:
            await self.app(request.scope, request.receive, request.answer)
        except (Exception, asyncio.CancelledError) as error:
            if request.left is None:
                raise
            if isinstance(error, asyncio.CancelledError) and request.task is not None:
                request.task.uncancel()
        finally:
            self.pulse.under_way.discard(request)
        if request.left is not None:
            await request.left
