"""Which sources there are, and a file of one read as numbered facts: the one road of imports, dry runs and `tenure validate`."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

from policy_sync.sources import motor_portfolio
from policy_sync.sources.mapped import Mapped, Mapper
from policy_sync.sources.mapping import SourceError, declared, parse
from policy_sync.sources.rows import rows_of

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
    elif source in CODED:
        yield from motor_portfolio.mapped(path, live_from=live_from)
    else:
        raise SourceError(f"{source} has no declaration")
