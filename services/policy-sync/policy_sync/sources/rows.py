"""Rows of CSV (plain or gzipped), NDJSON and Parquet files, numbered as a person would count them in the file.

The invariant: a row is a mapping of column to cell; a file that cannot be read on raises FileError with the row where it ends.
"""

import csv
import gzip
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from policy_sync.sources.mapping import Declaration

LINE_CHARS_MAX: Final = 1_048_576
BATCH_ROWS: Final = 10_000
_GZIP_MAGIC: Final = b"\x1f\x8b"
_PARQUET_MAGIC: Final = b"PAR1"
Row = Mapping[str, Any]


class FileError(Exception):
    """The file cannot be read (on); the message says where."""


class Numbered(msgspec.Struct, frozen=True):
    """One row, or why there is none. `number` counts as an editor shows it: a CSV file's first row of data is 2."""

    number: int
    cells: Row | None
    wrong: str = ""


def rows_of(path: Path, declaration: Declaration) -> Iterator[Numbered]:
    """Every row of a file. Raises FileError."""
    match declaration.format:
        case "parquet":
            return _parquet(path)
        case "ndjson":
            return _ndjson(path)
        case _:
            return _csv(path, declaration)


def _opened(path: Path, encoding: str) -> io.TextIOBase:
    with path.open("rb") as raw:
        head = raw.read(4)
    if head == _PARQUET_MAGIC:
        raise FileError("this is a Parquet file; the source is declared as text")
    if head.startswith(_GZIP_MAGIC):
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _csv(path: Path, declaration: Declaration) -> Iterator[Numbered]:
    csv.field_size_limit(LINE_CHARS_MAX)
    number = 1
    try:
        with _opened(path, declaration.csv.encoding) as file:
            lines = csv.reader(file, delimiter=declaration.csv.separator)
            header = [name.strip() for name in next(lines, [])]
            _check_header(header)
            for number, cells in enumerate(lines, 2):
                if len(cells) == len(header):
                    yield Numbered(number, dict(zip(header, cells, strict=True)))
                elif cells:
                    yield Numbered(number, None, f"the row has {len(cells)} cells, the header {len(header)}")
    except (UnicodeDecodeError, EOFError, OSError, csv.Error) as error:
        raise FileError(f"after row {number}: {type(error).__name__}: {error}") from None


def _check_header(header: list[str]) -> None:
    if not header:
        raise FileError("the file is empty: its first row must name the columns")
    if doubles := sorted({name for name in header if header.count(name) > 1}):
        raise FileError(f"two columns are called {', '.join(doubles)}")


def _ndjson(path: Path) -> Iterator[Numbered]:
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    number = 0
    try:
        with _opened(path, "utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    yield Numbered(number, decode(line))
                except msgspec.DecodeError:
                    yield Numbered(number, None, "the line is not a JSON object")
    except (UnicodeDecodeError, EOFError, OSError) as error:
        raise FileError(f"after line {number}: {type(error).__name__}: {error}") from None


def _parquet(path: Path) -> Iterator[Numbered]:
    import pyarrow.parquet  # it takes a while to load, and most platforms never read such a file

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                for cells in batch.to_pylist():
                    number += 1
                    yield Numbered(number, cells)
    except (pyarrow.ArrowException, OSError) as error:
        raise FileError(f"after row {number}: this is not a whole Parquet file: {error}") from None
