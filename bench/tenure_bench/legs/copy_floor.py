"""The floor: bare COPY of the rows a service wrote, into the same tables with the same indexes, a transaction a poll.

The bytes are ready before the clock starts, so nothing is read, decoded, decided or encoded: PostgreSQL only takes rows in.
"""

from asyncio import gather
from pathlib import Path

import asyncpg

from tenure_bench import books
from tenure_bench.children import Driver
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place


async def run(
    place: Place, driver: Driver, *, rows: dict[str, str], events: int, base: dict[str, int] | None = None
) -> Measured:
    """`rows` names the saved rows of each service in `place.databases`. Several databases are written side by side."""
    del driver
    saved = {name: books.Snapshot.load(Path(path)) for name, path in rows.items()}
    conns = {name: await asyncpg.connect(f"{place.database_url}/{place.databases[name]}") for name in rows}
    meter = Meter(place.trees)
    await gather(*(_copy_all(conns[name], saved[name]) for name in rows))
    cost = meter.stop()
    wrong = []
    for name, conn in conns.items():
        found = await books.counts(conn)
        grown = {table: more for table, n in found.items() if (more := n - (base or {}).get(table, 0))}
        if grown != saved[name].rows:
            wrong.append(f"{name}: {grown} rows, not {saved[name].rows}")
        await conn.close()
    return Measured(events, cost, wrong)


async def _copy_all(conn: asyncpg.Connection, saved: books.Snapshot) -> None:
    for chunk in saved.chunks:
        await books.copy(conn, chunk)
