"""The peer of the tier timeline: DESIGN 5.1 and 5.2 walked day by day, as one would first write it, for one version of rules."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from tenure.contracts.programme import TierRules
from tier_engine.rules import InsuredTerm

DAY = timedelta(days=1)
DAYS_PER_YEAR = 365


def steps(terms: Sequence[InsuredTerm], rules: TierRules, until: date) -> list[tuple[date, str]]:
    """Each day from the first with cover: how many insured days lie before it, how much premium is in force, which tier that is."""
    found: list[tuple[date, str]] = []
    day, days, rank, confirmed = min(t.start for t in terms), 0, -1, date.min
    while day <= until:
        fen, covered = _on(terms, day)
        qualified = _qualified(rules, days // DAYS_PER_YEAR, fen)
        if rank < 0 or qualified > rank:
            rank, confirmed = qualified, day
            found.append((day, rules.tiers[rank].name))
        elif qualified == rank:
            confirmed = day
        elif day >= _a_year_after(confirmed):
            rank, confirmed = rank - 1, day
            found.append((day, rules.tiers[rank].name))
        days += covered and (day.month, day.day) != (2, 29)
        day += DAY
    return found


def _on(terms: Sequence[InsuredTerm], day: date) -> tuple[int, bool]:
    held = [t.annual_fen for t in terms for start, end in t.covers if start <= day < end]
    return sum(held), bool(held)


def _qualified(rules: TierRules, years: int, fen: int) -> int:
    actual = {"insured_years": years, "annual_premium_fen": fen}
    return max(
        rank
        for rank, tier in enumerate(rules.tiers)
        if not rank or any(c.holds(actual[c.measure]) for c in tier.any_of)
    )


def _a_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return date(day.year + 1, 3, 1)


def people(members: int, *, terms: int) -> Iterator[tuple[InsuredTerm, ...]]:
    """Members with so many yearly terms of two policies each, from 2008 on; every fifth has a gap, premiums rise."""
    for n in range(members):
        yield tuple(_term(n, year) for year in range(terms))


def _term(n: int, year: int) -> InsuredTerm:
    gap = 40 if n % 5 == 0 and year > 2 else 0
    start = date(2008, 1, 1) + timedelta(days=n * 37 % 700 + gap + year // 2 * DAYS_PER_YEAR)
    end, fen = start + timedelta(days=DAYS_PER_YEAR), 9_000 + n * 1_300 % 60_000 + year * 1_500
    return InsuredTerm(
        f"P-{n}-{year % 2}", year, f"M-{n}", 1, "home", True, False, start, end, fen, fen, ((start, end),)
    )
