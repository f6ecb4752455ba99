"""Databases of tests: each test has one as its service's migrations leave it, and nobody else has it meanwhile.

The invariant: a database is handed on only if no test can tell it from a new one. What a test wrote is emptied, what the migrations
wrote stands there again, sequences begin anew, who is still connected is sent away; where anything was defined, altered or dropped,
the database is dropped instead. Emptying one costs a fraction of a new one, which is hundreds of files.
"""

import os
import uuid
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from asyncpg.connection import Connection

from tenure import database
from tenure.service import Service
from tenure.settings import Settings

_CATALOGS: Final = ("attribute", "attrdef", "constraint", "trigger", "proc", "index", "namespace", "rewrite", "type")
_NEWEST: Final = " UNION ALL ".join(
    f"SELECT '{one} ' || count(*) || ' ' || max(xmin::text::bigint) AS line FROM pg_{one}" for one in _CATALOGS
)
STATE: Final = f"""
SELECT (SELECT string_agg(line, ', ' ORDER BY line) FROM ({_NEWEST})) AS definitions,
       EXISTS (SELECT FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
               WHERE datname = current_database()) AS is_set,
       EXISTS (SELECT FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL) AS has_drawn,
       (SELECT array_agg(relname::text) FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
              AND pg_relation_size(oid) > 0) AS written
"""
"""Whatever is defined, altered or dropped moves `definitions`."""
SEND_AWAY: Final = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
BEGIN_ANEW: Final = """
SELECT setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL
"""


@dataclass(slots=True)
class Template:
    """What databases of one service are copied from, on one server."""

    name: str
    definitions: str = ""
    can_be_emptied: bool = False  # the migrations draw from no sequence: each begins at its start
    rows: dict[str, list[asyncpg.Record]] = field(default_factory=dict)  # what the migrations write
    spare: list[str] = field(default_factory=list)


_templates: Final[dict[tuple[str, str], Template]] = {}


@asynccontextmanager
async def database_for(service: Service[Any], settings: Settings) -> AsyncIterator[str]:
    """The name of a database for the time being."""
    template = await _template(service, settings)
    name = template.spare.pop() if template.spare else await _created(settings, template)
    try:
        yield name
    finally:
        if await _emptied(settings, template, name):
            template.spare.append(name)
        else:
            await drop(settings, name)


async def create(service: Service[Any], settings: Settings, name: str) -> None:
    """A new database of this name, for whoever drops it."""
    await _copy(settings, await _template(service, settings), name)


async def drop(settings: Settings, name: str) -> None:
    conn = await asyncpg.connect(database.url_of(settings, "postgres"))
    try:
        await conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await conn.close()


def forget(url: str) -> list[str]:
    """A server goes, or another may come at its address. Returns the databases that were kept on it."""
    gone = [_templates.pop(key) for key in list(_templates) if key[0] == url]
    return [name for template in gone for name in (template.name, *template.spare)]


async def _template(service: Service[Any], settings: Settings) -> Template:
    # Two services of one name (a toy borrows a real one's topics) have migrations of their own, and so a template each.
    name = f"template_{os.getpid()}_{zlib.crc32(str(service.migrations).encode()):08x}"
    known = _templates.get((settings.database_url, name))
    if known is None:
        await database.migrate(settings, name, service.migrations)
        known = _templates[settings.database_url, name] = Template(name)
    return known


async def _created(settings: Settings, template: Template) -> str:
    name = f"t_{uuid.uuid4().hex[:16]}"
    await _copy(settings, template, name)
    if not template.definitions:
        conn = await asyncpg.connect(database.url_of(settings, name))
        state = await _state(conn)
        template.rows = {table: await conn.fetch(f'SELECT * FROM "{table}"') for table in state["written"] or ()}
        await conn.close()
        template.definitions, template.can_be_emptied = state["definitions"], not state["has_drawn"]
    return name


async def _copy(settings: Settings, template: Template, name: str) -> None:
    conn = await asyncpg.connect(database.url_of(settings, "postgres"))
    try:
        # On a server that need not survive, copying files takes a third of what writing them to its journal does.
        await conn.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template.name}" STRATEGY file_copy')
    finally:
        await conn.close()


async def _state(conn: Connection) -> asyncpg.Record:
    state = await conn.fetchrow(STATE)
    assert state is not None
    return state


async def _emptied(settings: Settings, template: Template, name: str) -> bool:
    """False if this cannot be as new again."""
    if not template.can_be_emptied:
        return False
    try:
        conn = await asyncpg.connect(database.url_of(settings, name))
    except (asyncpg.PostgresError, OSError):
        return False
    try:
        await conn.execute(SEND_AWAY)
        state = await _state(conn)
        if state["is_set"] or state["definitions"] != template.definitions:
            return False
        await conn.execute("SET session_replication_role = replica")  # no trigger keeps a journal from being emptied
        if state["written"]:
            tables = ", ".join(f'"{table}"' for table in state["written"])
            await conn.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        for table, rows in template.rows.items():
            await conn.copy_records_to_table(table, records=list(map(tuple, rows)))
        await conn.execute(BEGIN_ANEW)
        return True
    finally:
        await conn.close()
