"""The core's control file as a person sends it: a CSV file of counts per product line, or of all terms in force.

The invariant: nothing of a file is sent while anything of it is wrong; each finding names its row and column.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from policy_sync.sources import values
from policy_sync.sources.mapping import Csv
from policy_sync.sources.rows import LINE_CHARS_MAX, SEPARATORS, FileError, Numbered, csv_rows, opened
from policy_sync.sources.values import CellError

FINDINGS_MAX: Final = 20
Reader = Callable[[Any], Any]
Head = tuple[Any, ...]
"""What a row is about: a term, or a product line."""


def _day(cell: Any) -> str:
    read: date = values.day_as("%Y-%m-%d")(cell)
    return read.isoformat()


_LINE: Final[Mapping[str, Reader]] = MappingProxyType(
    {"product_line": values.text, "policies": values.integer, "terms": values.integer}
)
_TERM: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "policy_no": values.text,
        "term_no": values.integer,
        "member_id": values.text,
        "product_line": values.text,
        "start": _day,
        "end": _day,
    }
)
_PREMIUM: Final[Mapping[str, Reader]] = MappingProxyType(
    {"premium_fen": values.integer, "premium_yuan": values.fen_of_yuan}
)


class Control:
    """What a file holds: `lines` (counts) or `terms`, each as the API takes it."""

    def __init__(self, rows: list[dict[str, Any]], *, is_snapshot: bool) -> None:
        self.lines = [] if is_snapshot else rows
        self.terms = rows if is_snapshot else []


def read(path: Path) -> Control:
    """A control file, plain or gzipped. Raises FileError with what is wrong, row by row."""
    separator = separator_of(path)
    found, wrong, is_snapshot = list[dict[str, Any]](), list[str](), False
    columns: Mapping[str, Reader] = {}
    heads = dict[Head, tuple[int, dict[str, Any]]]()
    for row in csv_rows(path, Csv(separator=separator)):
        if not columns and row.cells is not None:
            columns, is_snapshot = _columns(row.cells), "policy_no" in row.cells
        taken, faults = _taken(row, columns)
        found.append(taken)
        wrong += faults or _again(row, taken, heads)
        if len(wrong) >= FINDINGS_MAX:
            break
    if wrong:
        raise FileError("; ".join(wrong[:FINDINGS_MAX]))
    if not found:
        raise FileError("it has no rows, so there is nothing to compare")
    return Control(found, is_snapshot=is_snapshot)


def separator_of(path: Path) -> str:
    """The mark that cuts the file's first row into the most cells. Raises FileError."""
    try:
        with opened(path, "utf-8-sig") as file:
            header = file.readline(LINE_CHARS_MAX)
    except (UnicodeDecodeError, OSError) as error:
        raise FileError(f"row 1: {type(error).__name__}: {error}") from None
    return max(SEPARATORS, key=header.count)


def _columns(cells: Mapping[str, Any]) -> Mapping[str, Reader]:
    """The columns of this kind of file. Raises FileError if one is missing."""
    needed = _TERM if "policy_no" in cells else _LINE
    premium = [name for name in _PREMIUM if name in cells]
    missing = [name for name in needed if name not in cells]
    if missing or len(premium) != 1:
        missing += [] if len(premium) == 1 else [f"one of {' and '.join(_PREMIUM)}"]
        raise FileError(f"row 1: there is no column {', '.join(missing)}; there are {', '.join(cells)}")
    return {**needed, premium[0]: _PREMIUM[premium[0]]}


def _taken(row: Numbered, columns: Mapping[str, Reader]) -> tuple[dict[str, Any], list[str]]:
    if row.cells is None:
        return {}, [f"row {row.number}: {row.wrong}"]
    taken, wrong = dict[str, Any](), list[str]()
    for name, reader in columns.items():
        try:
            taken["premium_fen" if name in _PREMIUM else name] = _read(reader, row.cells[name])
        except CellError as error:
            wrong.append(f"row {row.number}, {name}: {error}")
    return taken, wrong


def _again(row: Numbered, taken: dict[str, Any], heads: dict[Head, tuple[int, dict[str, Any]]]) -> list[str]:
    """What is wrong with a term, or a product line, of which an earlier row says otherwise: either may be meant."""
    head: Head = (taken["policy_no"], taken["term_no"]) if "policy_no" in taken else (taken["product_line"],)
    first, said = heads.setdefault(head, (row.number, taken))
    name = " term ".join(map(str, head))
    return [] if said == taken else [f"row {row.number}: {name} stands otherwise in row {first}"]


def _read(reader: Reader, cell: Any) -> Any:
    if values.is_empty(cell):
        raise CellError("empty", "the cell is empty")
    return reader(cell)


def parts(terms: list[dict[str, Any]], at_once: int) -> Iterator[list[dict[str, Any]]]:
    for at in range(0, len(terms), at_once):
        yield terms[at : at + at_once]
