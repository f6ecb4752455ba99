"""Cells made values: one small reader per kind. Each raises CellError, which says what is wrong and how it should look."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from tenure.calendar import SHANGHAI, round_half_up, start_of
from tenure.spine.codec import YEARS

SHOWN_CHARS_MAX: Final = 40
DIGITS_MAX: Final = 15
OPENS_AT: Final = timedelta(hours=9)
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_TRUE: Final = frozenset({"1", "true", "yes", "y", "是"})
_FALSE: Final = frozenset({"0", "false", "no", "n", "否"})
Reader = Callable[[Any], Any]


class CellError(ValueError):
    """A cell cannot be used. `code` is stable; the message says why and what would do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def shown(cell: object) -> str:
    """A cell as a message quotes it, short."""
    text = str(cell)
    return repr(text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "...")


def is_empty(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def text(cell: Any) -> str:
    return str(cell).strip()


def integer(cell: Any) -> int:
    if isinstance(cell, bool) or (isinstance(cell, float) and not cell.is_integer()):
        raise CellError("not_an_integer", f"{shown(cell)} is not a whole number")
    try:
        return int(cell) if not isinstance(cell, str) else int(cell.strip())
    except (ValueError, OverflowError):
        raise CellError("not_an_integer", f"{shown(cell)} is not a whole number") from None


def boolean(cell: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    word = text(cell).lower()
    if word not in _TRUE | _FALSE:
        raise CellError("not_yes_or_no", f"{shown(cell)} is neither yes (1, true, 是) nor no (0, false, 否)")
    return word in _TRUE


def fen_of_yuan(cell: Any) -> int:
    """An amount in yuan as fen, half a fen up. A float is read as it is written, not as it is stored.

    A comma is taken where it cuts thousands, and nowhere else: 300,01 may be three hundred yuan.
    """
    word = str(cell).strip()
    if "," in word and not _THOUSANDS.fullmatch(word):
        raise CellError(
            "not_an_amount", f"{shown(cell)} is not an amount in yuan, like 300.01: the decimal mark is a point"
        )
    try:
        exact = Decimal(word.replace(",", ""))
    except InvalidOperation:
        raise CellError("not_an_amount", f"{shown(cell)} is not an amount in yuan, like 300.01") from None
    if not exact.is_finite() or exact.adjusted() > DIGITS_MAX:
        raise CellError("not_an_amount", f"{shown(cell)} is not an amount in yuan, like 300.01")
    numerator, denominator = exact.as_integer_ratio()
    return round_half_up(numerator * 100, denominator)


def day_as(form: str) -> Reader:
    """A reader of dates in this format (strptime); what a file holds as a date already is taken as it is."""

    @lru_cache(maxsize=65_536)
    def parsed(word: str) -> date:
        if form == "%Y-%m-%d":
            return date.fromisoformat(word)
        return datetime.strptime(word, form).date()  # noqa: DTZ007 - a local date has no zone

    def read(cell: Any) -> date:
        if isinstance(cell, datetime):
            return cell.date()
        if isinstance(cell, date):
            return cell
        try:
            return parsed(text(cell))
        except ValueError:
            raise CellError("not_a_date", f"{shown(cell)} is not a date as {form}") from None

    return read


def moment_as(form: str, *, is_day: bool) -> Reader:
    """A reader of instants. A day becomes its 09:00; a time without an offset is Shanghai's."""
    of_day = day_as(form)

    def read(cell: Any) -> datetime:
        if is_day:
            return _placed(start_of(of_day(cell)) + OPENS_AT)
        try:
            when = cell if isinstance(cell, datetime) else datetime.fromisoformat(text(cell))
        except ValueError:
            raise CellError("not_a_time", f"{shown(cell)} is not a time like 2026-01-31T09:00:00+08:00") from None
        return _placed(when if when.tzinfo else when.replace(tzinfo=SHANGHAI))

    return read


def _placed(when: datetime) -> datetime:
    if when.year not in YEARS:
        raise CellError("date_out_of_range", f"the year {when.year} lies outside 1900 to 2199")
    return when


def coded(codes: Mapping[str, str], name: str) -> Reader:
    def read(cell: Any) -> str:
        try:
            return codes[text(cell)]
        except KeyError:
            known = ", ".join(list(codes)[:10])
            raise CellError("unknown_code", f"{shown(cell)} is not in the codes {name} ({known})") from None

    return read
