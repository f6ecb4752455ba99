"""A second reading of the rules of tiers: straight from the portfolio's CSV rows, day by day, with plain sets of dates.

It shares nothing with the platform: neither code nor shortcuts. Where the services jump from one date that matters to the
next, this walks through every day since the policy began; where they count days by arithmetic, this holds each day in a set.
So when both agree on a portfolio, the rules were understood twice and computed twice. The rules are written here as literals
on purpose: a slip in `programme/tiers.yaml` must show.
"""

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import NamedTuple

DAY = timedelta(days=1)
LEVELS = ("basic", "silver", "gold", "diamond")
YEARS_AT_LEAST = (0, 2, 5, 8)
PREMIUM_FEN_OVER = (None, 30_000, 80_000, 150_000)

Row = Mapping[str, str]


class Standing(NamedTuple):
    """What a member is on a day."""

    member_id: str
    insured_days: int
    annual_premium_fen: int
    qualified_tier: str
    tier: str
    tier_since: date


@dataclass(frozen=True)
class Cover:
    """The days of one term, and what it costs a year (0: cover from before the first row, of which no premium is known)."""

    days: frozenset[date]
    yearly_fen: int


def policies(file: Path) -> dict[str, list[Row]]:
    """The rows of a portfolio by policy, each policy's in order of their terms."""
    found: dict[str, list[Row]] = {}
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter=";"):
            found.setdefault(row["ID"], []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: read_date(row["Date_last_renewal"]))
    return found


def standings(file: Path, days: Sequence[date], *, told_until: date = date.max) -> dict[date, dict[str, Standing]]:
    """Every member's standing on each of `days`. A lapse that lies after `told_until` is not known yet."""
    asked = sorted(days)
    found: dict[date, dict[str, Standing]] = {day: {} for day in asked}
    for policy, rows in policies(file).items():
        for day, standing in member_on_days(f"M-{policy}", list(covers(rows, told_until=told_until)), asked):
            found[day][standing.member_id] = standing
    return found


def covers(rows: Sequence[Row], *, told_until: date = date.max) -> Iterator[Cover]:
    """The terms of one policy: what came before the first row, then one per row, each cut where the policy lapsed."""
    lapse = next((read_date(row["Date_lapse"]) for row in rows if row["Date_lapse"]), date.max)
    lapse = lapse if lapse <= told_until else date.max
    began, first = read_date(rows[0]["Date_start_contract"]), read_date(rows[0]["Date_last_renewal"])
    yield Cover(frozenset(days_between(began, min(first, lapse))), 0)
    for row in rows:
        start, end = read_date(row["Date_last_renewal"]), read_date(row["Date_next_renewal"])
        kept = min(end, lapse)
        if kept > start:
            yield Cover(frozenset(days_between(start, kept)), yearly_fen(read_fen(row["Premium"]), start, end, kept))


def yearly_fen(premium_fen: int, start: date, end: date, kept: date) -> int:
    """The premium that stays after the refund for [kept, end), for a year of 365 days."""
    refund = half_up(premium_fen * (end - kept).days, (end - start).days)
    counted = sum(1 for day in days_between(start, kept) if counts(day))
    return half_up((premium_fen - refund) * 365, counted) if counted else 0


def member_on_days(member_id: str, terms: Sequence[Cover], asked: Sequence[date]) -> Iterator[tuple[date, Standing]]:
    """Live through every day from the first covered one, and answer on the days asked."""
    covered: set[date] = set().union(*(term.days for term in terms))
    if not covered or min(covered) > asked[-1]:
        return
    tier, since, confirmed = 0, min(covered), min(covered)
    insured = 0
    day = min(covered)
    while day <= asked[-1]:
        premium = sum(term.yearly_fen for term in terms if day in term.days)
        q = qualified(insured, premium)
        if q > tier:
            tier, since, confirmed = q, day, day
        elif q < tier and day >= a_year_after(confirmed):
            tier, since, confirmed = tier - 1, day, day
        if q == tier:
            confirmed = day
        if day in asked:
            yield day, Standing(member_id, insured, premium, LEVELS[q], LEVELS[tier], since)
        insured += day in covered and counts(day)
        day += DAY


def qualified(insured_days: int, annual_premium_fen: int) -> int:
    """The highest level one of whose two conditions holds."""
    years = insured_days // 365
    return max(
        level
        for level, (least, over) in enumerate(zip(YEARS_AT_LEAST, PREMIUM_FEN_OVER, strict=True))
        if years >= least or (over is not None and annual_premium_fen > over)
    )


def counts(day: date) -> bool:
    """Every day is an insured day, except a 29 February."""
    return (day.month, day.day) != (2, 29)


def a_year_after(day: date) -> date:
    """The same day a year later; a year after a 29 February is a 1 March."""
    return day.replace(year=day.year + 1) if counts(day) else date(day.year + 1, 3, 1)


def days_between(start: date, end: date) -> Iterator[date]:
    day = start
    while day < end:
        yield day
        day += DAY


def read_date(text: str) -> date:
    return datetime.strptime(text, "%d/%m/%Y").date()  # noqa: DTZ007 - a calendar date has no zone


def read_fen(text: str) -> int:
    return int((Decimal(text) * 100).quantize(Decimal(1), ROUND_HALF_UP))


def half_up(amount: int, parts: int) -> int:
    """amount / parts, rounded half up; amount is not negative."""
    return (2 * amount + parts) // (2 * parts)
