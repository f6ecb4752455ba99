"""The rows of the motor portfolio's file (CSV with semicolons, plain or gzipped): one policy and year each.

The invariant: every row below the header is told, as what it says or as what is wrong with it; another kind of file has none.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from tenure.calendar import round_half_up

from policy_sync.sources.mapping import Csv
from policy_sync.sources.rows import Row as Cells
from policy_sync.sources.rows import csv_rows
from policy_sync.sources.values import shown

COLUMNS: Final = (
    "ID",
    "Date_start_contract",
    "Date_last_renewal",
    "Date_next_renewal",
    "Distribution_channel",
    "Date_lapse",
    "Premium",
    "Cost_claims_year",
    "N_claims_year",
    "Type_risk",
    "Area",
)
FORM: Final = Csv(separator=";")
Channel = Literal["agent", "broker"]
_CHANNELS: Final = MappingProxyType[str, Channel]({"0": "agent", "1": "broker"})
_RISKS: Final = MappingProxyType({"1": "motorbike", "2": "van", "3": "car", "4": "agricultural"})
_AREAS: Final = MappingProxyType({"1": "urban", "0": "rural"})
CLAIMS_MAX: Final = 1_000


class RowError(ValueError):
    """A row of the file cannot be used; the message names the row and the column."""


class Row(NamedTuple):
    """One policy and year, by its line in the file. `started` is the contract's first day, `lapsed` the day it ended, if it did."""

    number: int
    id: str
    started: date
    start: date
    end: date
    channel: Channel
    lapsed: date | None
    premium_fen: int
    claims: int
    claims_fen: int
    risk: str
    area: str


class Wrong(NamedTuple):
    """A row that cannot be used: the column at fault ("" for the row itself), why, and the policy it is of if that can be read."""

    number: int
    policy: str
    column: str
    why: str


def read(path: Path) -> Iterator[Row]:
    """The rows of a file in which every row must be right. Raises RowError, FileError."""
    for row in rows(path):
        if isinstance(row, Wrong):
            raise RowError(f"row {row.number}: {row.why}")
        yield row


def rows(path: Path) -> Iterator[Row | Wrong]:
    """Every row of a file. Raises FileError, also where a column is missing."""
    for row in csv_rows(path, FORM, frozenset(COLUMNS)):
        if row.cells is None:
            yield Wrong(row.number, row.before.get("ID", ""), "", row.wrong)
        else:
            yield _row(row.number, row.cells)


def _row(number: int, cells: Cells) -> Row | Wrong:
    column = ""

    def cell(name: str) -> str:
        nonlocal column
        column = name
        text: str = cells[name]
        return text

    policy = ""
    try:
        policy = _present(cell("ID"))
        row = Row(
            number=number,
            id=policy,
            started=_date(cell("Date_start_contract")),
            start=_date(cell("Date_last_renewal")),
            end=_date(cell("Date_next_renewal")),
            channel=_CHANNELS[cell("Distribution_channel")],
            lapsed=_date(text) if (text := cell("Date_lapse")) else None,
            premium_fen=_fen(cell("Premium")),
            claims=_count(cell("N_claims_year")),
            claims_fen=_fen(cell("Cost_claims_year")),
            risk=_RISKS[cell("Type_risk")],
            area=_AREAS[cell("Area")],
        )
    except (ValueError, KeyError, InvalidOperation) as error:
        return Wrong(
            number, policy, column, f"{column}: {shown(cells[column])} cannot be used ({type(error).__name__})"
        )
    if row.end <= row.start:
        why = f"Date_next_renewal: {row.end} is not after Date_last_renewal {row.start}"
        return Wrong(number, policy, "Date_next_renewal", why)
    return row


def _present(text: str) -> str:
    if not text or not text.isalnum():
        raise ValueError(text)
    return text


@lru_cache(maxsize=65_536)
def _date(text: str) -> date:
    day, month, year = text.split("/")
    return date(int(year), int(month), int(day))


def _fen(text: str) -> int:
    """An amount in yuan as fen, half a fen up."""
    if text.isdigit():
        return int(text) * 100
    exact = Decimal(text)
    if not exact.is_finite() or exact < 0:
        raise ValueError(text)
    numerator, denominator = exact.as_integer_ratio()
    return round_half_up(numerator * 100, denominator)


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= CLAIMS_MAX:
        raise ValueError(text)
    return count
