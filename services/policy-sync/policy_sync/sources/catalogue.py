"""Which sources there are, and a file of one read as numbered facts: the one road of imports, dry runs and `tenure validate`."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

from policy_sync.sources import motor_portfolio
from policy_sync.sources.mapped import Finding, Mapped, Mapper
from policy_sync.sources.mapping import SourceError, declared, parse
from policy_sync.sources.rows import FileError, rows_of

CODED: Final = ("motor-portfolio",)
"""Sources whose facts need several rows at once: their derivation is code, and no declaration stands for it."""


def declaration_of(folder: Path, name: str) -> str:
    """The text that says how this source is read, empty for a coded one. Raises SourceError."""
    if name in CODED:
        return ""
    text = declared(folder, name)
    parse(text, name)
    return text


def read(path: Path, *, source: str, declaration: str, live_from: date | None = None) -> Iterator[Mapped]:
    """The facts of a file, row by row (of a coded source: policy by policy). Raises SourceError, FileError."""
    if declaration:
        taken = parse(declaration, source)
        yield from Mapper(taken, live_from=live_from).apply(rows_of(path, taken))
        return
    if source not in CODED:
        raise SourceError(f"{source} has no declaration")
    try:
        facts = motor_portfolio.facts(motor_portfolio.read(path), backfill=live_from is None)
        if live_from is not None:
            facts = motor_portfolio.split(facts, live_from)
        for number, event in enumerate(facts, 1):
            yield Mapped(number, (event,))
    except motor_portfolio.RowError as error:
        yield Mapped(0, (), (Finding(0, "", "malformed_row", str(error)),))
    except (EOFError, UnicodeDecodeError, OSError) as error:
        raise FileError(f"not a whole CSV file (or .csv.gz): {error}") from None
