"""The life of an import: a file comes in parts, is started, read on row by row, and ends.

The invariants: a part is taken only before the start; the position never goes back, so whoever was killed goes on where the last
committed chunk ended; what is counted was committed together with the position.
"""

from datetime import date, datetime
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace
from tenure.contracts.decision import Decision, RefusedError
from tenure.contracts.event import Event
from tenure.contracts.programme import Programme

from policy_sync import commands
from policy_sync.rules.recorded import FindingKept, FindingsForgotten, PartKept

_PREFIX: Final = "import "
PARTS_MAX: Final = 2_000
FINDINGS_KEPT_MAX: Final = 10_000
Stage = Literal["uploading", "queued", "done", "failed"]

PROBLEMS: Final = {
    "no_such_import": (404, "There is no such import.", "没有该导入任务。"),
    "import_started": (409, "The import was started: no part can be added.", "导入已开始，不能再添加文件分段。"),
    "parts_missing": (409, "Not every part of the file has come.", "文件分段不完整。"),
    "too_many_parts": (422, "The file has too many parts.", "文件分段过多。"),
}


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Of rows: read, and wrong before any rule saw them. Of facts: what became of each."""

    rows: int = 0
    rows_wrong: int = 0
    facts: int = 0
    accepted: int = 0
    waiting: int = 0
    known: int = 0
    refused: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class ImportState(msgspec.Struct, frozen=True, kw_only=True):
    """`position` is the number of the last row done; `findings` how many were kept. None of it before `opened_at`."""

    id: str
    source: str = ""
    file_name: str = ""
    declaration: str = ""
    dry_run: bool = False
    live_from: date | None = None
    opened_by: str = ""
    opened_at: datetime | None = None
    stage: Stage = "uploading"
    parts: tuple[int, ...] = ()
    position: int = 0
    counts: Counts = Counts()
    findings: int = 0
    why: str = ""


def import_key(id_: str) -> str:
    return _PREFIX + id_


def import_of(key: str) -> str | None:
    """The import of a state's key; None for anything else's."""
    return key.removeprefix(_PREFIX) if key.startswith(_PREFIX) else None


def on_open(state: ImportState, event: Event, _: Programme) -> Decision[ImportState]:
    data: commands.OpenImport = event.data
    opened = ImportState(
        id=data.import_id,
        source=data.source,
        file_name=data.file_name,
        declaration=data.declaration,
        dry_run=data.dry_run,
        live_from=data.live_from,
        opened_by=data.opened_by,
        opened_at=event.time,
    )
    assert state.opened_at is None
    return Decision(opened, reply={"import_id": opened.id, "stage": opened.stage})


def on_part(state: ImportState, event: Event, _: Programme) -> Decision[ImportState]:
    """Keep a part; the same part again replaces it. Raises RefusedError."""
    data: commands.KeepPart = event.data
    _check_uploading(state)
    if not 1 <= data.part <= PARTS_MAX:
        raise RefusedError("too_many_parts", f"parts are numbered from 1 to {PARTS_MAX}")
    parts = tuple(sorted({*state.parts, data.part}))
    kept = PartKept(state.id, data.part, data.body)
    return Decision(replace(state, parts=parts), rows=(kept,), reply={"import_id": state.id, "parts": len(parts)})


def on_start(state: ImportState, event: Event, _: Programme) -> Decision[ImportState]:
    """All parts are there: the file can be read. Raises RefusedError."""
    data: commands.StartImport = event.data
    _check_uploading(state)
    missing = sorted(set(range(1, data.parts + 1)) ^ set(state.parts))
    if missing or not data.parts:
        raise RefusedError("parts_missing", f"parts 1 to {data.parts} are announced; amiss: {missing[:10]}")
    return Decision(replace(state, stage="queued"), reply={"import_id": state.id, "stage": "queued"})


def on_advanced(state: ImportState, event: Event, _: Programme) -> Decision[ImportState]:
    """Rows up to a position are done. What another reader of the same file has told already changes nothing."""
    data: commands.AdvanceImport = event.data
    if state.stage != "queued" or (data.position < state.position and not data.is_anew):
        return Decision(state)
    before = replace(state, position=0, counts=Counts(), findings=0) if data.is_anew else state
    room = max(0, FINDINGS_KEPT_MAX - before.findings)
    kept = tuple(FindingKept(state.id, *finding) for finding in data.findings[:room])
    stage: Stage = "failed" if data.why else "done" if data.is_end else "queued"
    after = replace(
        before,
        position=data.position,
        counts=before.counts.plus(Counts(**data.counts)),
        findings=before.findings + len(kept),
        stage=stage,
        why=data.why,
    )
    forgotten = (FindingsForgotten(state.id),) if data.is_anew else ()
    return Decision(after, rows=(*forgotten, *kept))


def _check_uploading(state: ImportState) -> None:
    if state.opened_at is None:
        raise RefusedError("no_such_import", "it was never opened")
    if state.stage != "uploading":
        raise RefusedError("import_started", f"it is {state.stage}")


def rules() -> dict[type, Any]:
    """Which rule decides which command."""
    return {
        commands.OpenImport: on_open,
        commands.KeepPart: on_part,
        commands.StartImport: on_start,
        commands.AdvanceImport: on_advanced,
    }
