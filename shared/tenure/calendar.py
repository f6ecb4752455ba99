"""The programme's calendar: local dates in Asia/Shanghai, half-open terms, and a year in which 29 February does not count.

Every rule that speaks of days, months, years or anniversaries speaks through this module, so that an anniversary of a
29 February falls on 1 March everywhere (DESIGN 5.1) and a day ends at 24:00 Asia/Shanghai (DOMAIN 11).
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Final

# China keeps one offset all year round; the zone database's summer times of 1986 to 1991 lie before any insured day we count.
SHANGHAI: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
DAY: Final = timedelta(days=1)
DAYS_PER_YEAR: Final = 365
FIRST_DAY: Final = date(1900, 1, 1)
LAST_DAY: Final = date(2199, 12, 31)
"""No fact is of a day outside these: what is reckoned from a day, years on, must be a day too."""

Period = tuple[date, date]
"""A half-open run of days `[start, end)`."""


def local_date(instant: datetime) -> date:
    """The calendar date in Asia/Shanghai at an instant (an aware datetime)."""
    return instant.date() if instant.tzinfo is SHANGHAI else instant.astimezone(SHANGHAI).date()


def start_of(day: date) -> datetime:
    """The instant at which a local day begins, 00:00 Asia/Shanghai."""
    return datetime.combine(day, time.min, SHANGHAI)


def add_years(day: date, years: int) -> date:
    """The same day `years` later; 29 February becomes 1 March where the year has none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def add_months(day: date, months: int) -> date:
    """The same day of the month `months` later, or the last day of a shorter month."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, days_in_month(year, month + 1)))


def days_in_month(year: int, month: int) -> int:
    """How many days a month has (28 to 31)."""
    following = date(year + month // 12, month % 12 + 1, 1)
    return (following - DAY).day


def end_of_month(day: date) -> date:
    """The first day after the month of `day`: the exclusive end at which the month's lots expire (24:00 of its last day)."""
    return add_months(day.replace(day=1), 1)


def full_years(start: date, end: date) -> int:
    """How many whole years lie between two dates; the Nth is complete on the Nth anniversary."""
    years = end.year - start.year
    return years if add_years(start, years) <= end else years - 1


@lru_cache(maxsize=65_536)
def day_number(day: date) -> int:
    """A count of days since year 1 in which 29 February does not count: differences are insured days (DESIGN 5.1).

    A 29 February has the number of the 1 March after it, so it adds nothing to any period it begins, ends or lies in.
    """
    leap_days = _leap_days_before(day.year)
    if day.month > 2 and _is_leap(day.year):  # noqa: PLR2004 - February
        leap_days += 1
    return day.toordinal() - leap_days


def days_without_29_february(start: date, end: date) -> int:
    """Days in `[start, end)` that are not a 29 February; 0 when the period is empty or reversed."""
    return max(0, day_number(end) - day_number(start))


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _leap_days_before(year: int) -> int:
    last = year - 1
    return last // 4 - last // 100 + last // 400


def union(periods: Iterable[Period]) -> list[Period]:
    """The same days as disjoint, sorted periods that do not touch one another; empty periods vanish."""
    merged: list[Period] = []
    for start, end in sorted(p for p in periods if p[0] < p[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def round_half_up(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest integer, halves away from zero; exact, no floats."""
    sign = -1 if (numerator < 0) != (denominator < 0) else 1
    n, d = abs(numerator), abs(denominator)
    return sign * ((2 * n + d) // (2 * d))
