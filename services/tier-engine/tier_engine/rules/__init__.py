"""The rules of tiers, pure: `days` counts, `ladder` compares, `timeline` folds, `why` explains, `decide` and `turn` tell
differences.
"""

from tier_engine.rules.days import Growth, InsuredTerm, Measures, Profile, annual_premium, insured_days
from tier_engine.rules.decide import (
    Reviewed,
    caught_up,
    keys,
    on_ending,
    on_granted,
    on_reversed,
    on_reviewed,
    on_term,
)
from tier_engine.rules.member import ID_SEPARATOR, Member
from tier_engine.rules.mergers import on_day, on_merged, on_unmerged
from tier_engine.rules.timeline import Life, Risk, live, next_change, timeline
from tier_engine.rules.turn import Decided
from tier_engine.rules.why import Standing, standing, standing_of

__all__ = [
    "ID_SEPARATOR",
    "Decided",
    "Growth",
    "InsuredTerm",
    "Life",
    "Measures",
    "Member",
    "Profile",
    "Reviewed",
    "Risk",
    "Standing",
    "annual_premium",
    "caught_up",
    "insured_days",
    "keys",
    "live",
    "next_change",
    "on_day",
    "on_ending",
    "on_granted",
    "on_merged",
    "on_reversed",
    "on_reviewed",
    "on_term",
    "on_unmerged",
    "standing",
    "standing_of",
    "timeline",
]
