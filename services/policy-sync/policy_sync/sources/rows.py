"""Rows of CSV (plain or gzipped), NDJSON and Parquet files, numbered as a person would count them in the file.

The invariant: a row is a mapping of column to cell; a file that cannot be read on raises FileError with the row where it ends.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from policy_sync.sources.mapping import Csv, Declaration, columns_of
from policy_sync.sources.values import shown

LINE_CHARS_MAX: Final = 1_048_576
BATCH_ROWS: Final = 10_000
_GZIP_MAGIC: Final = b"\x1f\x8b"
_PARQUET_MAGIC: Final = b"PAR1"
_ZIP_MAGIC: Final = b"PK\x03\x04"
SEPARATORS: Final = ",;\t|"
Row = Mapping[str, Any]


class FileError(Exception):
    """The file cannot be read (on); the message says where."""


class Numbered(msgspec.Struct, frozen=True):
    """One row, or why there is none and the cells before the fault.

    `number` counts as an editor shows it: a CSV file's first row of data is 2.
    """

    number: int
    cells: Row | None
    wrong: str = ""
    before: Row = {}


def rows_of(path: Path, declaration: Declaration) -> Iterator[Numbered]:
    """Every row of a file. Raises FileError, also where a table lacks a column that the declaration names."""
    match declaration.format:
        case "parquet":
            return _parquet(path, columns_of(declaration))
        case "ndjson":
            return _ndjson(path)
        case _:
            return csv_rows(path, declaration.csv, columns_of(declaration))


def opened(path: Path, encoding: str) -> io.TextIOBase:
    """A text file, plain or gzipped. Raises FileError for a Parquet file."""
    with path.open("rb") as raw:
        head = raw.read(4)
    if head == _PARQUET_MAGIC:
        raise FileError("this is a Parquet file; the source is declared as text")
    if head == _ZIP_MAGIC:
        raise FileError("this is an Excel or ZIP file: save it as CSV")
    if head.startswith(_GZIP_MAGIC):
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def csv_rows(path: Path, form: Csv, needed: frozenset[str] = frozenset()) -> Iterator[Numbered]:
    """Every row of a CSV file, plain or gzipped, by the line on which it begins. Raises FileError."""
    csv.field_size_limit(LINE_CHARS_MAX)
    number = 0
    try:
        with opened(path, form.encoding) as file:
            lines = csv.reader(file, delimiter=form.separator, strict=True)
            header = [name.strip() for name in next(lines, [])]
            _check_header(header, form.separator)
            _check_columns(header, needed)
            number = lines.line_num
            for cells in lines:
                begins, number = number + 1, lines.line_num
                if len(cells) == len(header):
                    yield Numbered(begins, dict(zip(header, cells, strict=True)))
                elif cells:
                    wrong = f"the row has {len(cells)} cells, the header {len(header)}"
                    yield Numbered(begins, None, wrong, dict(zip(header, cells, strict=False)))
    except UnicodeDecodeError as error:
        raise FileError(f"after row {number}: this is not {form.encoding}: {error}") from None
    except (EOFError, OSError, zlib.error, csv.Error) as error:
        raise FileError(f"after row {number}: {type(error).__name__}: {error}") from None


def _check_columns(there: Sequence[str], needed: frozenset[str]) -> None:
    """A table that lacks a column is another table: not one row of it is taken."""
    if missing := sorted(needed - set(there)):
        names = ", ".join(map(repr, missing))
        raise FileError(f"row 1: there is no column {names}; there are {', '.join(map(shown, there))}")


def _check_header(header: list[str], separator: str) -> None:
    if not any(header):
        raise FileError("row 1: the file is empty, or its first row is: it must name the columns")
    if len(header) == 1 and (other := next((mark for mark in SEPARATORS if mark in header[0]), "")):
        raise FileError(f"row 1 is one cell, {shown(header[0])}: is {other!r} the separator, and not {separator!r}?")
    if doubles := sorted({name for name in header if header.count(name) > 1}):
        raise FileError(f"row 1: two columns are called {', '.join(map(repr, doubles))}")


def _ndjson(path: Path) -> Iterator[Numbered]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    number = 0
    try:
        with opened(path, "utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    yield Numbered(number, decode(line))
                except msgspec.DecodeError:
                    yield Numbered(number, None, "the line is not a JSON object")
    except (UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
        raise FileError(f"after line {number}: {type(error).__name__}: {error}") from None


def _parquet(path: Path, needed: frozenset[str]) -> Iterator[Numbered]:
    import pyarrow.parquet  # it takes a while to load, and most platforms never read such a file

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_columns(file.schema_arrow.names, needed)
            for batch in file.iter_batches(BATCH_ROWS):
                for cells in batch.to_pylist():
                    number += 1
                    yield Numbered(number, cells)
    except (pyarrow.ArrowException, OSError) as error:
        raise FileError(f"after row {number}: this is not a whole Parquet file: {error}") from None
