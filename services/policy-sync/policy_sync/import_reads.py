"""What is answered about imports."""

from datetime import date, datetime
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec

from policy_sync.rules.imports import Counts

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
_IMPORT: Final = """
SELECT import_id, source, file_name, dry_run, live_from, opened_by, opened_at, stage, position, counts::text AS counts,
       findings, why, changed_at FROM imports
"""


class ImportView(msgspec.Struct, frozen=True, kw_only=True):
    """`stage`: uploading, queued (waiting or being read), done, failed (`why`). `position`: the last row that is in."""

    import_id: str
    source: str
    file_name: str
    dry_run: bool
    live_from: date | None
    opened_by: str
    opened_at: datetime
    stage: str
    position: int
    counts: Counts
    findings: int
    why: str
    changed_at: datetime


class FindingView(msgspec.Struct, frozen=True):
    """`row` as an editor counts it; `place`: the column, field or fact; `code` is stable, `detail` says what would do."""

    n: int
    row: int
    place: str
    code: str
    detail: str


async def one(pool: Pool, import_id: str) -> ImportView | None:
    row = await pool.fetchrow(_IMPORT + " WHERE import_id = $1", import_id)
    return _view(row) if row else None


async def imports(pool: Pool, *, after: tuple[datetime, str] | None, rows_max: int) -> list[ImportView]:
    """The newest first."""
    where = " WHERE (opened_at, import_id) < ($2, $3)" if after else ""
    rows = await pool.fetch(
        _IMPORT + where + " ORDER BY opened_at DESC, import_id DESC LIMIT $1", rows_max, *(after or ())
    )
    return [_view(row) for row in rows]


async def findings(pool: Pool, import_id: str, *, after: int, rows_max: int) -> list[FindingView]:
    rows = await pool.fetch(
        """SELECT n, row, place, code, detail FROM import_findings WHERE import_id = $1 AND n > $2
           ORDER BY n LIMIT $3""",
        import_id,
        after,
        rows_max,
    )
    return [FindingView(*row) for row in rows]


def _view(row: Any) -> ImportView:
    counts = msgspec.json.decode(row["counts"], type=Counts)
    return ImportView(**{k: v for k, v in row.items() if k != "counts"}, counts=counts)
