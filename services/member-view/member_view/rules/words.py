"""What the tiers are called and which lines' cover counts, by the version of the tier rules that is in force on a day.

The invariant: these words of a row follow from its state and one version alone, so they can be written anew on a day on which other
rules came into force and nothing else happened to the member.
"""

from datetime import date
from typing import Final

from msgspec.structs import replace
from tenure.contracts.programme import TierRules, Versions
from tenure.contracts.programme.order import rule_on

from member_view.rules.view import Label, Standing, View

NO_TIER_LABEL: Final = Label("非会员", "No tier")
UNSAID: Final = Label("", "")


def worded(view: View, tiers: Versions[TierRules], day: date) -> View:
    """The view with its tiers called as they are on that day; the same object if it is so already."""
    s = view.standing
    if s.measured_on is None:  # no tier was ever told
        label = nearest = UNSAID
    else:
        label = _label(tiers, s.tier, day)
        nearest = _label(tiers, s.nearest.tier, day) if s.nearest else UNSAID
    rules = tiers.at(day)
    if (s.label, s.nearest_label) == (label, nearest) and is_by(s, rules):
        return view
    words = {"label": label, "nearest_label": nearest, "worded_by": rules.version, "lines": _lines(rules)}
    return replace(view, standing=replace(s, **words))


def is_by(standing: Standing, rules: TierRules) -> bool:
    """Whether these are the rules it was last put into words by; of rows from before, the lines were not kept."""
    return standing.worded_by == rules.version and standing.lines == _lines(rules)


def _lines(rules: TierRules) -> tuple[str, ...] | None:
    lines = rules.eligible_product_lines
    return None if lines is None else tuple(sorted(lines))


def _label(tiers: Versions[TierRules], name: str, day: date) -> Label:
    found = rule_on(tiers, name, day)
    return Label(found.label_zh, found.label_en) if found else NO_TIER_LABEL
