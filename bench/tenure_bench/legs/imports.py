"""A file's way in, as the platform reads it: parts in the database, rows, facts, the write door in lanes, and the position.

The clock runs from when the whole file is there until its last row is in. What it becomes for others goes on from the outbox.
"""

import asyncio
from pathlib import Path

from policy_sync import commands, importing
from policy_sync.service import SERVICE
from policy_sync.sources import catalogue
from tenure import database, programme
from tenure.contracts.event import Data, Event
from tenure.spine.codec import utc_now
from tenure.spine.item import Item
from tenure.spine.transact import Door
from uuid_utils import uuid7

from tenure_bench.children import Driver
from tenure_bench.measure import Measured, Meter
from tenure_bench.world import Place

ID = "bench"
PART_BYTES = 1_000_000


async def run(place: Place, driver: Driver, *, file: str, rows: int) -> Measured:
    """Each row is one term and its payment."""
    del driver
    settings = place.settings()
    pool = await database.open_pool(settings, place.database)
    door = Door(SERVICE, pool, programme.load(settings.programme_dir))
    id_ = await _uploaded(door, settings.programme_dir, Path(file))
    before = await pool.fetchval("SELECT count(*) FROM terms")
    meter = Meter(place.trees)
    await importing.read_once(door, asyncio.Event())
    cost = meter.stop()
    counts = "(counts->>'accepted')::int AS accepted, (counts->>'refused')::int AS refused"
    found = tuple(await pool.fetchrow(f"SELECT stage, {counts} FROM imports WHERE import_id = $1", id_) or ())
    grown = await pool.fetchval("SELECT count(*) FROM terms WHERE status = 'in_force'") - before
    await pool.close()
    wrong = [] if (*found, grown) == ("done", 2 * rows, 0, rows) else [f"{found}, {grown} terms of {rows} rows"]
    return Measured(rows, cost, wrong)


async def _uploaded(door: Door, folder: Path, path: Path) -> str:
    id_, body = f"{ID}-{uuid7()}", path.read_bytes()
    parts = [body[at : at + PART_BYTES] for at in range(0, len(body), PART_BYTES)]
    await _done(
        door,
        commands.OpenImport(
            import_id=id_,
            source="home-terms",
            declaration=catalogue.declaration_of(folder, "home-terms"),
            file_name=path.name,
            dry_run=False,
            live_from=None,
            opened_by=ID,
        ),
    )
    for n, part in enumerate(parts, 1):
        await _done(door, commands.KeepPart(import_id=id_, part=n, body=part))
    await _done(door, commands.StartImport(import_id=id_, parts=len(parts)))
    return id_


async def _done(door: Door, command: Data) -> None:
    event = Event(
        id=str(uuid7()), source="/bench", type=type(command).__name__, key="import", time=utc_now(), data=command
    )
    (outcome,) = await door.transact([Item(event)])
    assert outcome.wrong is None, outcome.wrong
