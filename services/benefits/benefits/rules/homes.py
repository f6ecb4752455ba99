"""Where a member lived when: what they registered, and before that where the policies are that they took out.

The invariant: moving house changes the patrol of the year of the move, and of later ones. The seasons of a region are looked at for
the years in which somebody lived there, whenever that is heard of.
"""

from datetime import date
from typing import Final

from msgspec.structs import replace
from tenure.calendar import Period
from tenure.contracts.programme import BenefitRules

from benefits.state import Home, KnownTerm, State

HOMES_MAX: Final = 20


def moved(state: State, region: str, since: date) -> State:
    """With one more registered home. The newest is where the member lives; of one day the last one told."""
    known = {day: name for day, name in _registered(state) if day != since} | {since: region}
    *earlier, (newest_since, newest) = sorted(known.items())[-HOMES_MAX:]
    after = replace(state, region=newest, region_since=newest_since, lived=tuple(earlier))
    return state if after == state else after


def homes_of(state: State) -> tuple[Home, ...]:
    """Each region and since when, the oldest first; who stays where they live has no other home."""
    registered = _registered(state)
    until = registered[0][0] if registered else date.max
    insured = sorted((t.start, t.policy_no, t.region) for t in state.terms.values() if t.region and t.start < until)
    homes = (*((start, region) for start, _, region in insured), *registered)
    return tuple(home for n, home in enumerate(homes) if n == 0 or homes[n - 1][1] != home[1])


def has_moved(before: State, after: State) -> bool:
    """Whether the homes are others. Looked at only where a term or a registration says something new of them."""
    if before is after:
        return False
    told = ((before.terms.get(i), term) for i, term in after.terms.items())
    of_terms = any(known is not term and _where(known) != _where(term) for known, term in told)
    return (of_terms or _registered(before) != _registered(after)) and homes_of(before) != homes_of(after)


def _where(term: KnownTerm | None) -> tuple[date, str | None] | None:
    return (term.start, term.region) if term else None


def region_of(state: State) -> str | None:
    """Where the member lives, else where the newest policy with a region is."""
    if state.region:
        return state.region
    homes = homes_of(state)
    return homes[-1][1] if homes else None


def season_in(homes: tuple[Home, ...], rules: BenefitRules, year: int) -> Period:
    """The days of the year's patrol: by the last home that was moved into before its own were over, else by the first there was."""
    for since, region in reversed(homes):
        window = _window(rules, region, year)
        if since < window[1]:
            return window
    return _window(rules, homes[0][1] if homes else None, year)


def _window(rules: BenefitRules, region: str | None, year: int) -> Period:
    season = rules.season_of(region)
    assert season is not None, "the rules have a season for every region"
    return season.window(year)


def _registered(state: State) -> tuple[Home, ...]:
    return (*state.lived, (state.region_since, state.region)) if state.region else state.lived
