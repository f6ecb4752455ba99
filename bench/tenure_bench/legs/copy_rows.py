"""The floor as whoever writes a loop meets it: the driver's COPY of rows, the same as the bare one's, a transaction a poll.

The rows are Python's before the clock starts and become bytes while it runs: whoever has decided what to write has that left to do.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg

from tenure_bench import books
from tenure_bench.children import Driver
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place

ASIDE: Final = "CREATE TEMP TABLE aside (LIKE {table})"


class Rows(NamedTuple):
    """What one COPY takes."""

    table: str
    columns: list[str]
    rows: list[tuple[Any, ...]]


async def run(place: Place, driver: Driver, *, rows: str, events: int) -> Measured:
    del driver
    saved = books.Snapshot.load(Path(rows))
    conn = await asyncpg.connect(f"{place.database_url}/{place.database}")
    transactions = [[await _decoded(conn, table, content) for table, content in c.tables.items()] for c in saved.chunks]
    meter = Meter(place.trees)
    for parts in transactions:
        async with conn.transaction():
            for table, columns, ready in parts:
                await conn.copy_records_to_table(table, columns=columns, records=ready)
    cost = meter.stop()
    found = await books.counts(conn)
    await conn.close()
    return Measured(events, cost, [] if found == saved.rows else [f"{found} rows, not {saved.rows}"])


async def _decoded(conn: asyncpg.Connection, table: str, content: bytes) -> Rows:
    """The rows in the bytes, by way of a table that nobody else sees."""
    await conn.execute(ASIDE.format(table=table))
    await conn.copy_to_table("aside", source=BytesIO(content), format="binary")
    found = await conn.fetch("SELECT * FROM aside")
    await conn.execute("DROP TABLE aside")
    return Rows(table, list(found[0].keys()), [tuple(row) for row in found])
