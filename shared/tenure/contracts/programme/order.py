"""The order of tiers, and what they are called, where a version of the rules leaves some of them out.

The invariant: a tier that the rules of the day no longer have keeps its place between the others and its last name. What begins
with it is everybody's above, and what was said of it can still be read.
"""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache

from tenure.contracts.programme import TierRules, Versions
from tenure.contracts.programme.tiers import TierRule


def ranks_on(versions: Versions[TierRules], day: date) -> Mapping[str, int]:
    """The place of every tier there ever was, by the order of that day's rules, from the lowest up; `none` is none of them."""
    return _ranks(versions)[versions.at(day).version]


def reaches(versions: Versions[TierRules], tier: str, least: str, day: date) -> bool:
    """Whether a tier is `least` or higher on a day; a name that no version knows reaches nothing and is reached by nothing."""
    ranks = ranks_on(versions, day)
    return 0 <= ranks.get(least, -1) <= ranks.get(tier, -1)


def rule_on(versions: Versions[TierRules], tier: str, day: date) -> TierRule | None:
    """What is said of a tier on a day: by the rules of the day, else by the last before them that had it, else by the next."""
    now = versions.at(day)
    if (found := now.rule(tier)) is not None:
        return found
    at = versions.all.index(now)
    others = (*reversed(versions.all[:at]), *versions.all[at + 1 :])
    return next((rule for one in others if (rule := one.rule(tier)) is not None), None)


@lru_cache(maxsize=32)
def _ranks(versions: Versions[TierRules]) -> Mapping[int, Mapping[str, int]]:
    """By the number of the version. A `Versions` never changes, and is found by what it is."""
    return {one.version: _with_left_out(one, versions.all) for one in versions.all}


def _with_left_out(rules: TierRules, all_versions: list[TierRules]) -> dict[str, int]:
    order = [tier.name for tier in rules.tiers]
    for other in reversed(all_versions):
        below: str | None = None
        for tier in other.tiers:
            if tier.name not in order:
                order.insert(order.index(below) + 1 if below else 0, tier.name)
            below = tier.name
    return {name: rank for rank, name in enumerate(order)}
