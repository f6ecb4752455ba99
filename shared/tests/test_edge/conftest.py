"""A service as small as one can be, to drive the edge with: it counts per member, and refuses to pass a hundred."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import pytest
from asyncpg.connection import Connection
from fastapi import APIRouter, Depends, Request, Response
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Data, Event
from tenure.edge import (
    App,
    Body,
    Caller,
    Cursor,
    IdempotencyKey,
    Limit,
    MemberId,
    Problem,
    caller,
    decode_cursor,
    json_response,
    page_of,
)
from tenure.service import Saved, Service
from tenure.settings import Settings
from tenure.spine.transact import Door
from tenure.testing import Under, under_test

MIGRATION = '''
from alembic import op
from tenure.database import run_sql
from tenure.spine import tables

revision, down_revision = "0001", None

def upgrade():
    run_sql(op.get_bind(), tables.CREATE + """
        CREATE TABLE counter (member_id text PRIMARY KEY, total integer NOT NULL CHECK (total <> 1313));
        CREATE TABLE addition (member_id text NOT NULL, amount integer NOT NULL, at timestamptz NOT NULL);
    """)
'''


# The toy's rule reads no programme, so that a slip in a programme file fails its own tests only.
NO_RULES: Any = object()


class Add(Data, frozen=True, kw_only=True):
    member_id: str
    amount: int


class AddBody(Body):
    amount: Annotated[int, "how much"]
    note: str = ""


async def load(conn: Connection, keys: Sequence[str]) -> dict[str, int]:
    sql = "SELECT * FROM counter WHERE member_id = ANY ($1::text[]) ORDER BY member_id FOR UPDATE"
    return {row["member_id"]: row["total"] for row in await conn.fetch(sql, list(keys))}


async def save(conn: Connection, saved: Saved[int]) -> None:
    await conn.execute(
        """INSERT INTO counter SELECT * FROM unnest($1::text[], $2::int[])
           ON CONFLICT (member_id) DO UPDATE SET total = excluded.total""",
        list(saved.after),
        list(saved.after.values()),
    )
    await conn.copy_records_to_table("addition", records=saved.rows)


def add(total: int | None, event: Event, _: Any) -> Decision[int]:
    after = (total or 0) + event.data.amount
    if event.data.amount == 100:
        raise RefusedError("too_much", "a hundred at once is too much")
    if event.data.amount == 99:
        raise RefusedError("nobody_declared_this", "a refusal without an entry in a catalogue")
    return Decision(state=after, rows=((event.key, event.data.amount, event.time),), reply={"total": after})


def routes(app: App) -> APIRouter:
    router = APIRouter()

    @router.post("/counters/{member_id}/add", status_code=201)
    async def post(
        request: Request,
        member_id: MemberId,
        body: AddBody,
        who: Annotated[Caller, Depends(caller("member", "agent", "operator"))],
        _: IdempotencyKey = None,
    ) -> Response:
        """Add to a counter. It begins at nothing."""
        who.must_see(member_id)
        command = Add(member_id=member_id, amount=body.amount)
        return await app.write(request, command, key=member_id, caller=who, status=201)

    @router.get("/counters")
    async def many(
        who: Annotated[Caller, Depends(caller("operator"))], limit: Limit = 50, cursor: Cursor = None
    ) -> Response:
        """All counters, by member."""
        after = decode_cursor(cursor, str) or ""
        async with app.connection() as conn:
            rows = await conn.fetch(
                "SELECT * FROM counter WHERE member_id > $1 ORDER BY member_id LIMIT $2", after, limit + 1
            )
        return json_response(page_of(rows, limit, key=lambda r: r["member_id"], show=dict))

    @router.get("/counters/{member_id}")
    async def one(
        member_id: MemberId, who: Annotated[Caller, Depends(caller("member", "agent", "operator"))]
    ) -> Response:
        """What the counter of a member, as of M-1.5, stands at; refused where there is none."""
        who.must_see(member_id)
        total = await app.pool.fetchval("SELECT total FROM counter WHERE member_id = $1", member_id)
        if total is None:
            raise Problem("counter_unknown", f"no counter of {member_id}")
        return json_response({"total": total})

    @router.put("/twice")
    async def write_twice() -> Response:
        """Write at one of two methods."""
        return json_response({})

    @router.get("/twice")
    async def read_twice() -> Response:
        """Read at one of two methods."""
        return json_response({})

    @router.get("/broken")
    async def broken() -> Response:
        """Fail by a mistake of ours."""
        raise RuntimeError("a secret of ours")

    return router


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Service[int]:
    migrations: Path = tmp_path_factory.mktemp("migrations")
    (migrations / "0001_counter.py").write_text(MIGRATION)
    return Service(
        name="toy",
        package="toy",
        rules={Add: add},
        load=load,
        save=save,
        routers=lambda: (routes,),
        problems={
            "too_much": (409, "That is too much at once.", "一次太多。"),
            "counter_unknown": (404, "There is no such counter.", "没有这个计数器。"),
        },
        migrations=migrations,
    )


@pytest.fixture
async def under(toy: Service[int], settings: Settings) -> AsyncIterator[Under]:
    async with under_test(toy, settings.model_copy(update={"lock_timeout_ms": 200}), NO_RULES) as under:
        yield under


@pytest.fixture
def totals(under: Under) -> Any:
    async def read() -> dict[str, int]:
        return {r["member_id"]: r["total"] for r in await under.pool.fetch("SELECT * FROM counter")}

    return read


@pytest.fixture
async def nowhere() -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """A pool whose database is down."""
    from tenure.embedded.server import free_port

    pool = asyncpg.create_pool(f"postgresql://postgres@127.0.0.1:{free_port()}/none", min_size=0, max_size=2)
    await pool
    yield pool
    await pool.close()


@pytest.fixture
async def offline(
    toy: Service[int], settings: Settings, nowhere: "asyncpg.Pool[asyncpg.Record]"
) -> AsyncIterator[Under]:
    """The toy without a database: what is answered here was refused before anything could be touched."""
    under = Under(Door(toy, nowhere, NO_RULES), settings)
    yield under
    await under.close()
