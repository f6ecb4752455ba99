"""Databases: one per service, migrated by Alembic, reached through an asyncpg pool with limits on every statement.

Migrations are plain SQL in `services/<name>/migrations/NNNN_what.py`; the spine's own tables come with each service's first one.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog
from asyncpg.protocol import protocol

from tenure.pool import MeasuredPool
from tenure.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

log: Final = structlog.get_logger(__name__)
_LOCK: Final = 7_200_003
AUDIT_S_MAX: Final = 3_600
"""How long one statement of an audit or report may take: it reads whole tables, and whoever asks for it waits."""
AUDIT_WORK_MEMORY: Final = "128MB"
SILENCE: Final = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
ARRAYS: Final = (
    ("bool", 16, 1000),
    ("bytea", 17, 1001),
    ("int2", 21, 1005),
    ("int4", 23, 1007),
    ("int8", 20, 1016),
    ("float8", 701, 1022),
    ("json", 114, 199),
    ("jsonb", 3802, 3807),
    ("date", 1082, 1182),
    ("time", 1083, 1183),
    ("timestamptz", 1184, 1185),
    ("uuid", 2950, 2951),
)
"""An element's type, its number, and that of its array, as `pg_type` has them since they are there."""
CONTAINERS: Final[tuple[type, ...]] = (list, tuple, set, frozenset, type({}.keys()), type({}.values()))
"""What an array may be given as. The driver asks it of every element of every array, and asked two abstract classes, in Python."""
vars(protocol).update(IterableABC=CONTAINERS, SizedABC=object)
_ENVIRONMENT: Final = Path(__file__).parent / "migrations_env"


def url_of(settings: Settings, database: str) -> str:
    return f"{settings.database_url.rstrip('/')}/{database}"


async def create_if_missing(settings: Settings, database: str) -> bool:
    """Create a service's database. Returns whether it was new. Raises OSError or asyncpg errors while the server is down."""
    conn = await asyncpg.connect(url_of(settings, "postgres"), timeout=10)
    try:
        if await conn.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            return False
        await conn.execute(f'CREATE DATABASE "{database}"')
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        return False
    finally:
        await conn.close()
    return True


async def migrate(settings: Settings, database: str, migrations: Path) -> None:
    """Create the database if needed and bring it to the newest version. Safe to call at every start.

    One that a later release brought further is left as it is: an older process may have to start beside it, or in its place.
    Raises LockNotAvailableError where somebody is in the way for longer than the settings allow: who waits for a whole table keeps
    everybody else from it, so it is to be tried again and not waited for.
    """
    is_new = await create_if_missing(settings, database)
    conn = await asyncpg.connect(url_of(settings, database), timeout=10)
    try:
        if not is_new and await _has_all(conn, database, migrations):
            return
        await conn.execute("SELECT pg_advisory_lock($1)", _LOCK)  # two processes that start at once take turns
        await asyncio.to_thread(_upgrade, url_of(settings, database), migrations, settings.lock_timeout_ms)
    finally:
        await conn.close()


async def _has_all(conn: Any, database: str, migrations: Path) -> bool:
    """Whether nothing is left to do, which is so at most starts: what migrates takes a second to find that out.

    A migration is numbered as its file is (`0001_first.py`; a test holds them to it).
    """
    try:
        version = await conn.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return False
    newest = newest_of(migrations)
    if version is not None and version > newest:
        log.warning("database_is_newer", database=database, version=version, known=newest)
    return version is not None and version >= newest


def newest_of(migrations: Path) -> str:
    return max((path.name[:4] for path in migrations.glob("[0-9]*.py")), default="")


def _upgrade(url: str, migrations: Path, lock_timeout_ms: int) -> None:
    """What migrates is loaded only here: it takes half a second, and most processes and commands never do."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine

    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(migrations))
    limits = {"server_settings": {"lock_timeout": str(lock_timeout_ms)}}
    url = url.replace("postgresql://", "postgresql+asyncpg://", 1)
    config.attributes["engine"] = create_async_engine(url, connect_args=limits)
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:  # what the server said comes out as everywhere else
        if error.orig is not None and isinstance(said := error.orig.__cause__, asyncpg.PostgresError):
            raise said from None
        raise


async def open_pool(
    settings: Settings, database: str, *, size_max: int | None = None
) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool on a service's database whose sessions carry the limits of the settings."""
    return await MeasuredPool.open(
        url_of(settings, database),
        of=service_of(database),
        size_max=size_max or settings.pool_size_max,
        timeout=settings.connect_timeout_s,
        command_timeout=settings.statement_timeout_ms / 1000 + 5,
        init=_prepare,
        reset=_leave_as_it_is,
        server_settings={
            "application_name": database,
            "statement_timeout": str(settings.statement_timeout_ms),
            "lock_timeout": str(settings.lock_timeout_ms),
            "idle_in_transaction_session_timeout": str(settings.idle_in_transaction_timeout_ms),
            "timezone": "UTC",
            # A client that is cut off leaves neither a lock nor a transaction behind for longer than a minute.
            "tcp_keepalives_idle": "20",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "3",
        },
    )


@asynccontextmanager
async def patient(settings: Settings, pool: "asyncpg.Pool[asyncpg.Record]") -> AsyncIterator[Any]:
    """A session of its own on a pool's database for what reads everything: it has an audit's time and takes none of the pool's."""
    limits = {
        "application_name": "tenure_audit",
        "statement_timeout": str(AUDIT_S_MAX * 1_000),
        "work_mem": AUDIT_WORK_MEMORY,
        "timezone": "UTC",
    }
    database = await pool.fetchval("SELECT current_database()")
    conn: Any = await asyncpg.connect(
        url_of(settings, database), timeout=settings.connect_timeout_s, server_settings=limits
    )
    try:
        await _prepare(conn)
        yield conn
    finally:
        conn.terminate()


def service_of(database: str) -> str:
    """The service that owns a database, as metrics name it."""
    return database.removeprefix("tenure_").replace("_", "-")


async def _prepare(conn: Any) -> None:
    """What every new session is given."""
    _notice_silence(conn)
    _know_arrays(conn)


def _know_arrays(conn: Any) -> None:
    """A driver that does not know an array asks the server's catalogue, for each statement that first has one, in every session:
    five milliseconds of the server each time. The numbers of PostgreSQL's own types are the same in every database.
    """
    conn._protocol.get_settings().register_data_types(  # noqa: SLF001 - there is no public way to it
        [
            {
                "oid": oid,
                "ns": "pg_catalog",
                "name": f"_{element}",
                "kind": b"b",
                "basetype": None,
                "elemtype": element_oid,
                "elemdelim": ",",
                "range_subtype": None,
                "attrtypoids": None,
                "attrnames": None,
                "elemtype_name": element,
            }
            for element, element_oid, oid in ARRAYS
        ]
    )


def _notice_silence(conn: Any) -> None:
    """A server that is gone without a word (a machine, a cable) does not keep a session of ours for longer than ten seconds."""
    sock = conn._transport.get_extra_info("socket")  # noqa: SLF001 - there is no public way to it
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in SILENCE.items():
        if hasattr(socket, name):  # not every system has each of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _leave_as_it_is(_: Any) -> None:
    """Nobody here leaves anything in a session (what leads, ends it itself), so handing one back costs no round trip.

    A transaction that was left open is rolled back all the same: the driver sees to that.
    """


def run_sql(bind: "Connection", sql: str) -> None:
    """Run a script of many statements inside a migration's transaction (`run_sql(op.get_bind(), SQL)`)."""
    from sqlalchemy import text
    from sqlalchemy.util import await_only

    bind.execute(text("SELECT 1"))  # opens the driver's transaction, which the script must be part of
    raw = bind.connection.driver_connection
    assert raw is not None
    await_only(raw.execute(sql))
