"""How fast a large file comes in, beside a bare COPY of exactly the rows it became: run by hand, TENURE_IMPORT_ROWS says how many.

The file has two terms a policy, each paid, sorted as an extract is. The dry run of the same file is timed, too.
"""

import asyncio
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import pytest
from policy_sync import importing
from policy_sync.service import SERVICE
from tenure.settings import Settings
from tenure.testing import Under, under_test

from .test_imports import COLUMNS, upload, view

ROWS = int(os.environ.get("TENURE_IMPORT_ROWS", "0"))
COPY_TIMEOUT_S = 600.0
TABLES = ("inbox", "facts", "policies", "terms", "members", "outbox")
pytestmark = [pytest.mark.skipif(not ROWS, reason="run by hand: it takes minutes"), pytest.mark.timeout(0)]


def written(path: Path, rows: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.write(";".join(COLUMNS) + "\n")
        for n in range(rows // 2):
            sold, year = f"{n % 28 + 1:02}/02", 2000 + n % 20
            file.write(
                f"H-{n};1;C-{n % (rows // 3 + 1)};{sold}/{year};01/03/{year};01/03/{year + 1};300.01;A;440300;{sold}/{year};;\n"
            )
            file.write(
                f"H-{n};2;C-{n % (rows // 3 + 1)};{sold}/{year + 1};01/03/{year + 1};01/03/{year + 2};310;A;;{sold}/{year + 1};;\n"
            )
    return path


async def test_a_large_file(settings: Settings, tmp_path: Path) -> None:
    path = written(tmp_path / "terms.csv", ROWS)
    async with under_test(SERVICE, settings) as t:
        whole_s, marks, cpu_s = await imported(t, path)
        sys.stdout.write(f"\n{ROWS:,} rows in {whole_s:.1f} s: {ROWS / whole_s:,.0f} rows/s\n")
        facts = await t.pool.fetchval("SELECT count(*) FROM facts", timeout=COPY_TIMEOUT_S)
        assert facts == ROWS * 2
        copied_s = await copied(t)
    async with under_test(SERVICE, settings) as t:
        began = time.perf_counter()
        id_ = await upload(t, path, part_bytes=1_000_000, dry_run=True)
        await importing.read_once(t.door, asyncio.Event())
        dry_s = time.perf_counter() - began
        seen = await view(t, id_)
    tenth = max(1, len(marks) // 10)
    first, last = marks[tenth] - marks[0], marks[-1] - marks[-1 - tenth]
    sys.stdout.write(
        f"\n{ROWS:,} rows, {facts:,} facts in {whole_s:.1f} s: {ROWS / whole_s:,.0f} rows/s, {facts / whole_s:,.0f} facts/s, "
        f"{cpu_s / facts * 1e6:.0f} us of Python a fact; bare COPY of the same rows {copied_s:.1f} s: ratio {copied_s / whole_s:.3f}; "
        f"last tenth over first {last / first:.2f}; dry run: {seen['stage']} {seen['why']} {seen['counts']} in {dry_s:.1f} s; "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB at most\n"
    )


async def imported(t: Under, path: Path) -> tuple[float, list[float], float]:
    """Seconds, when each chunk was done, and seconds of this process's CPU."""
    marks: list[float] = []

    async def told() -> None:
        marks.append(time.perf_counter())

    began, cpu = time.perf_counter(), time.process_time()
    id_ = await upload(t, path, part_bytes=1_000_000)
    await importing.read_once(t.door, asyncio.Event(), told=told)
    assert (await view(t, id_))["stage"] == "done"
    return time.perf_counter() - began, marks, time.process_time() - cpu


async def copied(t: Under) -> float:
    """The seconds that PostgreSQL takes to COPY the rows of every table into an empty one with the same indexes."""
    took = 0.0
    async with t.pool.acquire() as conn:
        await conn.execute("SET statement_timeout = 0")
        for table in TABLES:
            with tempfile.NamedTemporaryFile() as file:
                await conn.copy_from_table(table, output=file.name, timeout=COPY_TIMEOUT_S)
                await conn.execute(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL EXCLUDING IDENTITY)")
                began = time.perf_counter()
                await conn.copy_to_table(f"bare_{table}", source=file.name, timeout=COPY_TIMEOUT_S)
                took += time.perf_counter() - began
    return took
